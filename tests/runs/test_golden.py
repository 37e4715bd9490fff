"""A checkpoint of an earlier version: every later one loads it to the bit, and goes on from it.

Made by the command below, at the version that its config.json names; pictures and TensorBoard's events were left out.
`python tests/runs/test_golden.py` prints what golden_leaves.json holds: run it when a new golden run is added,
never to make this one pass. Leaves that were renamed since are listed in `load.RENAMED_LEAVES`.

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

import hindsight_jax
from hindsight_jax import presets, training
from hindsight_jax.checkpoints.checkpoints import Checkpoints
from hindsight_jax.cli import arguments as configs
from hindsight_jax.runs import config_file, load, records, session
from hindsight_jax.runs.signals import GracefulExit

GOLDEN = Path(__file__).parents[1] / "data/golden_run"
LEAVES = GOLDEN.with_name("golden_leaves.json")


def restored(folder):
    """(step, state, extra), as a resumed run restores them."""
    name, config, _ = config_file.load(folder / "config.json")
    template = training.make_population(presets.build(name, config).run).template(
        training.member_keys(config["seed"], config["seeds"])
    )
    return Checkpoints(folder / "checkpoints").restore(template, renamed=load.RENAMED_LEAVES)


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
    stored, found = json.loads(LEAVES.read_text()), hashes(state)
    wanted = {new_path(path, found): digest for path, digest in stored.items()}
    assert len(wanted) == len(stored) > 40
    assert {path: found.get(path) for path in wanted} == wanted


def test_its_config_is_written_as_it_was(copy):
    """Fields that are younger than the file have their defaults."""
    document = json.loads((copy / "config.json").read_text())
    name, config, grid = config_file.load(copy / "config.json")
    assert grid == {}
    assert config_file.resolve(name, config) == config
    written = config_file.to_json(config)
    younger = written.keys() - document["config"].keys()
    assert younger <= {"on_nan"}
    for group, values in document["config"].items():
        same = {key: written[group][key] for key in values} if isinstance(values, dict) else written[group]
        assert same == values


def new_path(path, known):
    """The path of a leaf of that time in the state of today."""
    for old, new in load.RENAMED_LEAVES.items():
        path = path if path in known else path.replace(old, new)
    return path


def test_a_run_goes_on_from_it(copy):
    before = (copy / "metrics.jsonl").read_text().splitlines()
    arguments = configs.parse(["--resume", f"--workdir={copy}", "--config.total_steps=54"])
    with session.session(arguments.name, dict(arguments.config), arguments.grid, copy, resume=True) as run:
        assert run.env_steps() == 30
        assert run.train(GracefulExit()) == 0
    after = (copy / "metrics.jsonl").read_text().splitlines()
    assert [records.decode(line) for line in after[: len(before)]] == [records.decode(line) for line in before]
    assert [records.decode(line)["env_steps"] for line in after] == [18, 18, 30, 30, 42, 42, 54, 54]


def test_its_policies_are_found_best_and_last(copy):
    """And give what their member's agent gives, greedy or exploring, to observation, goal and key in this order."""
    table = [records.decode(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    _, state, _ = restored(copy)
    keys = jax.random.split(jax.random.key(0), 32)
    for which in ("best", "last"):
        run = hindsight_jax.load(copy, which)
        kept = state.best if which == "best" else state.members
        jax.tree.map(np.testing.assert_array_equal, run.agents, kept.agent)
        obs = jax.vmap(run.setup.env.reset)(keys).obs
        given = (obs["observation"], obs["desired_goal"], keys)
        for member, steps in enumerate(run.env_steps):
            success = {row["env_steps"]: row["success_end"] for row in table if row["member"] == member}
            assert steps == (max(success) if which == "last" else max(success, key=lambda s: (success[s], -s)))
            agent = jax.tree.map(operator.itemgetter(member), run.agents)
            explore = member == 1
            act = functools.partial(run.setup.agent.act, agent, explore=explore)
            np.testing.assert_array_equal(jax.vmap(run.policy(member, explore))(*given), jax.vmap(act)(*given))
    with pytest.raises(ValueError, match="which: got 'newest', but it must be best or last"):
        hindsight_jax.load(copy, "newest")
    with pytest.raises(ValueError, match=r"member: got 2, but there are 2, counted from 0\. Use 0 to 1"):
        hindsight_jax.load(copy).policy(2)


if __name__ == "__main__":
    print(json.dumps(hashes(restored(GOLDEN)[1]), indent=1))
