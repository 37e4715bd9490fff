"""A checkpoint of an earlier version: every later one loads it to the bit, and goes on from it.

Made by the command below, at the version that its config.json names; pictures and TensorBoard's events were left out.
`python tests/support/golden.py` prints what golden_leaves.json holds: run it when a new golden run is added,
never to make this one pass. Leaves that were renamed since are listed in `load.RENAMED_LEAVES`.

    python -m experiments.run --config=her_flip_bit --config.env.size=3 --config.env.num_envs=2
    --config.evaluation.episodes=8 --config.evaluation.every=12 --config.agent.hidden_sizes=8
    --config.agent.batch_size=4 --config.agent.updates_per_epoch=2 --config.replay.warmup=2
    --config.replay.capacity=10 --config.seeds=2 --config.total_steps=30 --config.checkpoint.seconds=0
    --config.checkpoint.keep=1 --workdir=/golden_run
"""

import json
import shutil
from pathlib import Path

import pytest
import unusual
from golden import GOLDEN, LEAVES, hashes, restored

from hindsight_jax import presets
from hindsight_jax.cli import arguments as configs
from hindsight_jax.runs import config_file, load, records, session
from hindsight_jax.runs.signals import GracefulExit


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
    """But for fields that had no effect in it; those that are younger than the file have the values of that time."""
    document = json.loads((copy / "config.json").read_text())
    name, config, grid = config_file.load(copy / "config.json")
    assert grid == {}
    assert presets.complete(name, config) == config
    old = {"agent.gamma_hdm", "agent.beta", "agent.temperature", "env.bins"}  # her_flip_bit never read them
    stored = {field: value for field, value in flat(document["config"]).items() if field not in old}
    written = flat(config_file.to_json(config))
    young = {field: written.pop(field) for field in written.keys() - stored.keys()}
    assert written == stored
    assert young == {"relabel.law": "future", "relabel.absorbing": False, "env.pixels": 0}


def flat(nested):
    """{"agent": {"gamma": 1}, "seed": 0} -> {"agent.gamma": 1, "seed": 0}."""
    pairs = [(key, value if isinstance(value, dict) else {"": value}) for key, value in nested.items()]
    return {f"{group}.{key}".rstrip("."): value for group, values in pairs for key, value in values.items()}


def new_path(path, known):
    """The path of a leaf of that time in the state of today."""
    for old, new in load.RENAMED_LEAVES.items():
        path = path if path in known else path.replace(old, new)
    return path


def gone_on(folder):
    """The records of the run in this folder, once it has gone on to 54 env steps."""
    arguments = configs.parse(["--resume", f"--workdir={folder}", "--config.total_steps=54"])
    with session.session(arguments.name, dict(arguments.config), arguments.grid, folder, resume=True) as run:
        assert run.env_steps() == 30
        assert run.train(GracefulExit()) == 0
    return [records.decode(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_goes_on_from_it(copy):
    before = [records.decode(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    after = gone_on(copy)
    assert after[: len(before)] == before
    assert [record["env_steps"] for record in after] == [18, 18, 30, 30, 42, 42, 54, 54]


@pytest.mark.slow
def test_it_goes_on_with_the_same_numbers_for_every_setting_of_jax(copy, tmp_path):
    clocks = {"unix_seconds", "seconds_train", "seconds_evaluate"}
    numbers = lambda folder: [{k: v for k, v in record.items() if k not in clocks} for record in gone_on(folder)]
    other = Path(shutil.copytree(copy, tmp_path / "other"))
    usual = numbers(copy)
    with unusual.settings():
        assert numbers(other) == usual


@pytest.mark.parametrize(
    ("change", "got"), [({"config": {"agent": {"beta": 0.5}}}, "0.5"), ({"grid": {"agent.beta": [1, 2]}}, r"\[1, 2\]")]
)
def test_a_beta_of_that_time_is_refused_since_it_weighed_imitation_alone(change, got, copy):
    path = copy / "config.json"
    document = json.loads(path.read_text())
    document["config"]["agent"] |= change.get("config", {}).get("agent", {})
    path.write_text(json.dumps(document | {"grid": change.get("grid", {})}))
    with pytest.raises(ValueError, match=rf"agent\.beta: got {got}, but another version made the file"):
        config_file.load(path)


def test_a_beta_of_today_is_read_back_where_nothing_is_imitated(tmp_path):
    """Line 2 alone has a beta and no weight of imitation."""
    line_2 = {"agent.next_state": "loss", "agent.bounded": False, "agent.hindsight_bound": False, "agent.beta": 2.0}
    line_2 |= {"relabel.reward_reached": -1.0, "relabel.next_state": 0.0}
    config = config_file.resolve("her_push", line_2)
    assert "agent.imitation_weight" not in config
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"name": "her_push", "config": config_file.to_json(config)}))
    assert config_file.load(path) == ("her_push", config, {})
