"""A checkpoint of an earlier version: every later one loads it to the bit, and goes on from it.

Made by the command below, at the version that its config.json names; pictures and TensorBoard's events were left out.
`python tests/experiments/test_golden.py` prints what golden_leaves.json holds: run it when a new golden run is added,
never to make this one pass.

    python -m experiments.run --config=her_flip_bit --config.env.size=3 --config.env.num_envs=2
    --config.evaluation.episodes=8 --config.evaluation.every=12 --config.agent.hidden_sizes=8
    --config.agent.batch_size=4 --config.agent.updates_per_epoch=2 --config.replay.warmup=2
    --config.replay.capacity=10 --config.seeds=2 --config.total_steps=30 --config.checkpoint.seconds=0
    --config.checkpoint.keep=1 --workdir=/golden_run
"""

import functools
import hashlib
import json
import operator
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import config as configs
from experiments import rows, saved, session
from experiments.interrupt import Interrupt
from hindsight_jax import presets, training
from hindsight_jax.training.checkpoint import Checkpoints

pytestmark = pytest.mark.usefixtures("quick_compiles")

GOLDEN = Path(__file__).parents[1] / "data/golden_run"
LEAVES = GOLDEN.with_name("golden_leaves.json")


def restored(folder):
    """The whole state, as the run that made it would take it up."""
    name, config, _ = configs.load(folder / "config.json")
    values = configs.values(config)
    population = training.make_population(presets.build(name, values).run)
    keys = training.member_keys(values["seed"], values["seeds"])
    return Checkpoints(folder / "checkpoints").restore(population.template(keys))


def hashes(state):
    """Path -> sha256 of the shape, the dtype and the bytes of each leaf."""

    def of(leaf):
        data = jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        bits = np.asarray(data)
        return hashlib.sha256(f"{leaf.dtype}{list(leaf.shape)}".encode() + bits.tobytes()).hexdigest()

    return {jax.tree_util.keystr(path): of(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "run"))


def test_every_leaf_comes_back_to_the_bit(copy):
    step, state, extra = restored(copy)
    assert step == 4
    assert extra["num_rows"] == 4
    wanted = json.loads(LEAVES.read_text())
    found = hashes(state)
    assert len(wanted) > 40
    assert {path: found.get(path) for path in wanted} == wanted


def test_a_run_goes_on_from_it(copy):
    before = (copy / "metrics.jsonl").read_text().splitlines()
    arguments = configs.parse(["--resume", f"--workdir={copy}", "--config.total_steps=54"])
    with session.session(arguments, copy, argv=[]) as run:
        assert run.env_steps() == 30
        assert run.train(Interrupt()) == 0
    after = (copy / "metrics.jsonl").read_text().splitlines()
    assert [rows.decode(line) for line in after[: len(before)]] == [rows.decode(line) for line in before]
    assert [rows.decode(line)["env_steps"] for line in after] == [18, 18, 30, 30, 42, 42, 54, 54]


def test_its_policies_are_found_best_and_last(copy):
    """And give what their member's agent gives, greedy or exploring, to observation, goal and key in this order."""
    table = [rows.decode(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    _, state, _ = restored(copy)
    keys = jax.random.split(jax.random.key(0), 32)
    for which in ("best", "last"):
        run = saved.load(copy, which)
        kept = state.best if which == "best" else state.members
        jax.tree.map(np.testing.assert_array_equal, run.agents, kept.agent)
        obs = jax.vmap(run.experiment.env.reset)(keys).obs
        given = (obs["observation"], obs["desired_goal"], keys)
        for member, steps in enumerate(run.env_steps):
            success = {row["env_steps"]: row["success_end"] for row in table if row["member"] == member}
            assert steps == (max(success) if which == "last" else max(success, key=lambda s: (success[s], -s)))
            agent = jax.tree.map(operator.itemgetter(member), run.agents)
            explore = member == 1
            act = functools.partial(run.experiment.agent.act, agent, explore=explore)
            np.testing.assert_array_equal(jax.vmap(run.policy(member, explore))(*given), jax.vmap(act)(*given))
    with pytest.raises(ValueError, match="which: got 'newest', but it must be best or last"):
        saved.load(copy, "newest")
    with pytest.raises(ValueError, match="member: got 2, but there are 2, counted from 0"):
        saved.load(copy).policy(2)


if __name__ == "__main__":
    print(json.dumps(hashes(restored(GOLDEN)[1]), indent=1))
