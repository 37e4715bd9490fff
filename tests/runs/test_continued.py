"""`--from`: a new run begins where another stands, with other values; equal values give what the other would have."""

import json

import jax
import numpy as np
import pytest
import tiny
from fork_server import TINY

from hindsight_jax.cli import arguments, flags
from hindsight_jax.runs import config_file, records, refusals, session, video
from hindsight_jax.runs.signals import GracefulExit
from hindsight_jax.runs.workdir import WorkDir


def rows(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [records.without_clock(records.decode(line)) for line in lines]


@pytest.fixture(scope="module")
def half(server, tmp_path_factory):
    """The first 27 of TINY's 54 env steps."""
    path = tmp_path_factory.mktemp("half") / "run"
    shorter = [flag.replace("total_steps=54", "total_steps=27") for flag in TINY]
    ended = server.run(*shorter, f"--workdir={path}")
    assert (ended.code, ended.errors) == (0, "")
    return path


@pytest.mark.seldom
def test_with_equal_values_it_is_the_uninterrupted_run_from_there_on(server, whole, half, tmp_path):
    path = tmp_path / "next"
    before = {file: file.read_bytes() for file in half.rglob("*") if file.is_file()}
    ended = server.run(f"--from={half}", "--config.total_steps=54", f"--workdir={path}")
    assert (ended.code, ended.errors) == (0, "")
    assert rows(path) == [row for row in rows(whole.path) if row["env_steps"] > 27]
    document = json.loads((path / "config.json").read_text())
    assert document["parent"]["env_steps"] == 27
    assert document["parent"]["name"] == "her_flip_bit"
    assert (path / document["parent"]["path"]).resolve() == half
    assert {file: file.read_bytes() for file in half.rglob("*") if file.is_file()} == before


@pytest.mark.seldom
def test_a_child_that_is_stopped_resumes_as_any_run(server, half, tmp_path):
    path, stopped = tmp_path / "next", tmp_path / "stopped"
    command = (f"--from={half}", "--config.total_steps=54")
    assert server.run(*command, f"--workdir={path}").code == 0
    ended = server.run(*command, f"--workdir={stopped}", setup="fork_server.after_checkpoint(2, fork_server.die)")
    assert ended.code != 0
    assert server.run("--resume", f"--workdir={stopped}").code == 0
    assert rows(stopped) == rows(path)


@pytest.mark.seldom
def test_a_kill_before_its_first_checkpoint_loses_not_the_parent(server, whole, half, tmp_path):
    path = tmp_path / "next"
    command = (f"--from={half}", "--config.total_steps=54", f"--workdir={path}")
    assert server.run(*command, setup="fork_server.after_checkpoint(1, fork_server.die)").code != 0
    for folder in (path / "checkpoints").iterdir():
        folder.rename(path / f".{folder.name}")
    (path / "metrics.jsonl").write_text("")
    assert server.run("--resume", f"--workdir={path}").code == 0
    assert rows(path) == [row for row in rows(whole.path) if row["env_steps"] > 27]


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """30 env steps of `tiny`, in this process."""
    path = tmp_path_factory.mktemp("parent") / "run"
    config = config_file.resolve(tiny.NAME, tiny.VALUES | {"total_steps": 30, "seeds": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "record_video", lambda *arguments: np.zeros((1, 8, 8, 3), np.uint8))
        with session.session(tiny.NAME, config, {}, path) as run:
            assert run.train(GracefulExit()) == 0
        yield config, run


def test_it_has_the_parent_s_networks_ring_and_counts_and_its_own_hyper_parameters(parent, tmp_path):
    config, run = parent
    changed = config | {"total_steps": 42, "agent.learning_rate": 0.25, "relabel.next_state": 0.5}
    with session.session(tiny.NAME, changed, {}, tmp_path / "next", parent=run.workdir.path) as child:
        before, now = run.state.members, child.state.members
        same = lambda old, new: jax.tree.map(np.testing.assert_array_equal, old, new)
        same(before.agent.params, now.agent.params)
        same(before.agent.adam, now.agent.adam)
        same(before.replay, now.replay)
        same(jax.random.key_data(before.key), jax.random.key_data(now.key))
        same((before.env_steps, before.updates, run.state.epochs), (now.env_steps, now.updates, child.state.epochs))
        assert now.agent.hparams.learning_rate.tolist() == [0.25, 0.25]
        assert before.agent.hparams.learning_rate.tolist() != [0.25, 0.25]
        assert [float(x) for x in child.state.best.success_end] == [-np.inf, -np.inf]
        assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, before.law, now.law)))
        assert child.train(GracefulExit()) == 0
    assert [row["env_steps"] for row in rows(tmp_path / "next")] == [42, 42]


@pytest.mark.seldom
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"total_steps: got 30, but the run of --from has taken 30 env steps"),
        (
            {"total_steps": 54, "agent.hidden_sizes": (9,)},
            r"--from: got .*agent.hidden_sizes=9.* but one of them changes",
        ),
    ],
)
def test_what_does_not_fit_the_parent_s_state_is_refused(parent, tmp_path, values, message):
    config, run = parent
    begun = session.session(tiny.NAME, config | values, {}, tmp_path / "next", parent=run.workdir.path)
    with pytest.raises(refusals.SessionError, match=message), begun:
        pytest.fail("it began")
    assert not list((tmp_path / "next").glob("*.json"))
    assert ("agent.hidden_sizes" in values) != (tmp_path / "next").exists()  # shapes show before anything is made


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config.env.size=4"], r"--config.env.size: the run of --from has 3, and its state depends on it"),
        (["--config.seeds=3"], r"--config.seeds: the run of --from has 2"),
        (["--config=hdm_flip_bit"], r"--config: got hdm_flip_bit, but .* holds a run of her_flip_bit"),
        (['--config.grid={"agent.gamma": [0.5, 0.9]}'], r"--config.grid: a run that begins from another has its grid"),
    ],
)
def test_values_that_a_state_depends_on_are_refused(half, words, message):
    with pytest.raises(flags.UsageError, match=message):
        arguments.parse([f"--from={half}", *words])


def test_a_directory_of_several_programs_is_refused(tmp_path):
    config = config_file.to_json(config_file.resolve(tiny.NAME, tiny.VALUES))
    whole = WorkDir.create(tmp_path / "grid")
    whole.write_config(config, name=tiny.NAME, grid={"agent.hidden_sizes": [[8], [9]]})
    with pytest.raises(flags.UsageError, match=r"^--from: .*grid holds the programs of a grid. Name one of"):
        arguments.parse([f"--from={whole.path}"])


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(flags.UsageError, match=r"^--from: .*config.json: cannot be read .* Check --from"):
        arguments.parse([f"--from={tmp_path}"])
