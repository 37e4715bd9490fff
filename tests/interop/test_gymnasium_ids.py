"""Ids, what the specs of environments say, and the wrappers that read them."""

import probes
import pytest

gymnasium = pytest.importorskip("gymnasium")

from hindsight_jax import envs  # noqa: E402
from hindsight_jax.interop.gymnasium import GymnasiumEnv, register  # noqa: E402


def test_importing_registers_every_task_and_register_those_that_are_added():
    assert set(register()) <= set(gymnasium.registry)
    assert len(register()) == len(envs.names())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envs.registry, "_REGISTERED", {"my_chain": probes.Chain})
        assert "hindsight_jax/MyChain-v0" in register()
        assert gymnasium.make("hindsight_jax/MyChain-v0", horizon=7).spec.max_episode_steps == 7
    del gymnasium.registry["hindsight_jax/MyChain-v0"]


def test_an_id_stands_for_one_task():
    message = r"task: got 'push', but hindsight_jax/FlipBit-v0 is 'flip_bit'\. Leave it out, or make"
    with pytest.raises(ValueError, match=message):
        gymnasium.make("hindsight_jax/FlipBit-v0", task="push")
    with pytest.raises(ValueError, match=r"task: got a GridFourRooms, but hindsight_jax/FlipBit-v0 is 'flip_bit'"):
        gymnasium.make("hindsight_jax/FlipBit-v0", task=envs.make("grid_four_rooms"))
    assert gymnasium.make("hindsight_jax/FlipBit-v0", task="flip_bit", size=3).action_space.n == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: gymnasium.make("hindsight_jax/FlipBit-v0", size=3, horizon=4),
        lambda: GymnasiumEnv("flip_bit", size=3, horizon=4),
        lambda: GymnasiumEnv(probes.Disguised(horizon=4, ends_at_success=False)),
        lambda: gymnasium.make(gymnasium.make("hindsight_jax/FlipBit-v0", size=3, horizon=4).spec),
        lambda: gymnasium.make(GymnasiumEnv("flip_bit", size=3, horizon=4).spec),
    ],
)
def test_the_spec_says_how_long_an_episode_is(make):
    """So wrappers that need to know agree with the task: the time that is left runs out at the truncation."""
    env = make()
    assert env.spec.max_episode_steps == 4
    timed = gymnasium.wrappers.TimeAwareObservation(env, flatten=False, normalize_time=False)
    timed.reset(seed=0)
    steps = [timed.step(1) for _ in range(4)]  # the same bit to and fro: no goal but one is near
    assert [step[0]["time"].item() for step in steps] == [1, 2, 3, 4]
    assert [step[3] for step in steps] == [False, False, False, True]


def test_a_time_limit_may_be_shorter():
    env = gymnasium.make("hindsight_jax/FlipBit-v0", size=9, max_episode_steps=2)
    assert env.spec.max_episode_steps == 2
    assert env.unwrapped.spec.max_episode_steps == 9
    env.reset(seed=0)
    assert [env.step(0)[3], env.step(0)[3]] == [False, True]
