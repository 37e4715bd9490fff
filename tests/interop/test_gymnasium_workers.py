"""Environments in processes of other packages: forked, forked too late, spawned, and from a fork server."""

import subprocess
import sys
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")

from hindsight_jax.interop.gymnasium import GymnasiumEnv  # noqa: E402

PLAIN, IMPORTING = "hindsight_jax/{}-v0", "hindsight_jax.interop.gymnasium:hindsight_jax/{}-v0"


@pytest.mark.parametrize("first", ["reset", "compute_reward"])
def test_a_fork_of_a_process_that_used_jax_is_refused(first):
    """Where any call would wait for ever."""
    jnp.ones(3).sum().block_until_ready()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of the fork, and Gymnasium of the error
        workers = gymnasium.make_vec(
            PLAIN.format("FlipBit"), 2, "async", vector_kwargs={"context": "fork", "shared_memory": False}, size=3
        )
        call = {"reset": workers.reset, "compute_reward": lambda: workers.call(first, np.zeros(3), np.ones(3), {})}
        with pytest.raises(ValueError, match=r"start method: got 'fork', but .* Pass context="):
            call[first]()
        workers.close(terminate=True)


def test_the_process_that_forked_goes_on():
    env = GymnasiumEnv("flip_bit", size=3)
    env.reset(seed=0)
    assert env.step(1)[1] in (-1.0, 0.0)


SCRIPT = """
import sys
import gymnasium, numpy as np
{imports}

def play(name, context, id_):
    made = lambda: gymnasium.make(id_.format(name))
    workers = gymnasium.vector.AsyncVectorEnv([made] * 2, context=context)
    first, _ = workers.reset(seed=[3, 4])
    workers.action_space.seed(0)
    seen, rewards, *_ = workers.step(workers.action_space.sample())
    again = workers.call("compute_reward", seen["achieved_goal"], seen["desired_goal"], {{}})
    assert (again[0] == rewards).all()
    goal = first["desired_goal"][1]
    given, _ = workers.reset(options={{"goal": goal}})
    assert (given["desired_goal"] == goal).all()
    workers.close()
    alone = gymnasium.make(id_.format(name))
    np.testing.assert_array_equal(alone.reset(seed=4)[0]["observation"], first["observation"][1])

if __name__ == "__main__":
    {before}
    play(*{arguments!r})
    print("played")
"""
ADAPTER = "import hindsight_jax.interop.gymnasium"
USED = "import jax; jax.numpy.ones(3).sum().block_until_ready()"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imports", "before", "arguments"),
    [
        (ADAPTER, "", ("PointMass", "fork", PLAIN)),  # JAX starts in the children
        ("", "", ("Claw", "fork", IMPORTING)),
        (ADAPTER, USED, ("FlipBit", "spawn", PLAIN)),
        (ADAPTER, USED, ("FlipBit", "forkserver", PLAIN)),
        ("", USED, ("Navigation", "spawn", IMPORTING)),
    ],
)
def test_workers_play(imports, before, arguments, tmp_path):
    """By a plain id where the main program imports the adapter, by module:id without."""
    path = tmp_path / "main.py"
    path.write_text(SCRIPT.format(imports=imports, before=before, arguments=arguments))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", path], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "played\n"), done.stderr


@pytest.mark.slow
def test_stable_baselines3_s_workers_and_buffer(tmp_path):
    """The id goes to workers of its own, and hindsight's rewards come from one of them."""
    pytest.importorskip("stable_baselines3")
    path = tmp_path / "main.py"
    path.write_text(f"""
import stable_baselines3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv

if __name__ == "__main__":
    workers = make_vec_env({IMPORTING.format("FlipBit")!r}, 2, vec_env_cls=SubprocVecEnv, env_kwargs={{"size": 3}})
    dqn = stable_baselines3.DQN(
        "MultiInputPolicy", workers, replay_buffer_class=stable_baselines3.HerReplayBuffer, buffer_size=400,
        learning_starts=40, batch_size=8, policy_kwargs={{"net_arch": [8]}},
    )
    dqn.learn(120)
    workers.close()
    print("learnt")
""")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", path], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "learnt\n"), done.stderr
