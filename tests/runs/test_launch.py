"""A grid whose fields change shapes: a work directory for each program, in turn, stopped and resumed as one."""

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest

from hindsight_jax.cli import arguments as cli_arguments
from hindsight_jax.runs import config_file, launch
from hindsight_jax.runs.processes import Processes
from hindsight_jax.runs.refusals import SessionError
from hindsight_jax.runs.signals import GracefulExit
from hindsight_jax.runs.workdir import WorkDir

GRID = '--config.grid={"agent.beta": [1, 2], "agent.hidden_sizes": [[8], [4, 4]]}'
NAMES = ["agent.hidden_sizes=8", "agent.hidden_sizes=4,4"]


class Trained:
    """Stands in for a session: writes the files of a run, and ends with the next code."""

    def __init__(self):
        self.calls, self.codes = [], []

    @contextlib.contextmanager
    def __call__(self, name, config, grid, path, *, resume, argv, processes, create, verbose, parent):
        self.calls.append((path.name, resume, dict(grid), config["agent.hidden_sizes"]))
        workdir = self.workdir = WorkDir.open(path) if resume else create(path)
        if not resume:
            workdir.write_config(config_file.to_json(config), name=name, argv=argv)
        workdir.write_summary(num_episodes=1, seconds={})
        yield self

    def train(self, graceful_exit):
        return self.codes.pop(0) if self.codes else 0


@pytest.fixture
def trained(monkeypatch):
    stand_in = Trained()
    monkeypatch.setattr(launch, "session", stand_in)
    return stand_in


def run(path, *argv):
    asked = cli_arguments.parse([*argv, *([] if path is None else [f"--workdir={path}"])])
    return launch.train(
        asked.name,
        asked.config,
        asked.grid,
        path,
        resume=asked.resume,
        argv=argv,
        processes=Processes(),
        interrupt=GracefulExit(),
    )


def test_each_value_has_a_directory_with_its_own_network_and_the_rest_of_the_grid(trained, tmp_path, capsys):
    path = tmp_path / "run"
    assert run(path, "--config=hdm_push", GRID) == 0
    own = {"agent.beta": (1.0, 2.0)}
    assert trained.calls == [(NAMES[0], False, own, (8,)), (NAMES[1], False, own, (4, 4))]
    assert "hdm_push: program 2 of 2, in " in capsys.readouterr().out
    summary = json.loads((path / "summary.json").read_text())
    assert list(summary["programs"]) == NAMES
    assert json.loads((path / "config.json").read_text())["grid"] == {
        "agent.beta": [1.0, 2.0],
        "agent.hidden_sizes": [[8], [4, 4]],
    }


def test_a_pipe_that_nobody_reads_ends_no_program(trained, tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        assert run(tmp_path / "run", "--config=hdm_push", GRID) == 0
    assert len(trained.calls) == 2


def test_a_stopped_one_is_resumed_and_those_that_had_not_begun_begin(trained, tmp_path):
    path = tmp_path / "run"
    trained.codes = [143]
    assert run(path, "--config=hdm_push", GRID) == 143
    assert not (path / "summary.json").exists()
    assert run(path, "--resume") == 0
    assert [call[:2] for call in trained.calls] == [(NAMES[0], False), (NAMES[0], True), (NAMES[1], False)]
    assert (path / "summary.json").exists()


def test_a_grid_of_numbers_is_one_program_in_the_directory_itself(trained, tmp_path):
    grid = '{"agent.beta": [1, 2]}'
    assert run(tmp_path / "run", "--config=hdm_push", f"--config.grid={grid}") == 0
    values = config_file.resolve("hdm_push")
    assert [call[::2] for call in trained.calls] == [("run", config_file.parse_grid("hdm_push", values, grid))]


def test_a_grid_of_one_network_is_resumed_from_the_directory_above(trained, tmp_path):
    trained.codes = [143]
    assert run(tmp_path / "run", "--config=hdm_push", '--config.grid={"agent.hidden_sizes": [[8]]}') == 143
    assert run(tmp_path / "run", "--resume") == 0
    assert [call[:2] for call in trained.calls] == [(NAMES[0], False), (NAMES[0], True)]


@pytest.mark.parametrize("grid", [[], [GRID]])
def test_a_directory_that_the_user_did_not_name_is_always_a_new_one(trained, tmp_path, monkeypatch, capsys, grid):
    """The current folder may change while a run trains."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda format: "NOON")
    monkeypatch.setattr(Trained, "train", lambda self, graceful_exit: os.chdir("/") or 0)
    for number in ("", "-2"):
        monkeypatch.chdir(tmp_path)
        assert run(None, "--config=hdm_push", *grid) == 0
        assert f"results in runs/hdm_push-NOON{number}\n" in capsys.readouterr().out
        assert (tmp_path / f"runs/hdm_push-NOON{number}/summary.json").exists()


def test_a_used_directory_is_refused(trained, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SessionError, match=r"holds notes\.txt already"):
        run(tmp_path, "--config=hdm_push", GRID)
    assert trained.calls == []


@pytest.mark.slow
def test_the_command_line_trains_two_networks(tmp_path):
    arguments = [
        "--config=her_flip_bit", "--config.env.size=3", "--config.total_steps=60", "--config.replay.warmup=2",
        "--config.replay.capacity=20", "--config.env.num_envs=2", "--config.agent.updates_per_epoch=2",
        "--config.evaluation.every=20", "--config.evaluation.episodes=8", "--config.seeds=2",
        f"--workdir={tmp_path / 'run'}",
        '--config.grid={"agent.gamma": [0.5, 0.9], "agent.hidden_sizes": [[8], [4, 4]]}',
    ]  # fmt: skip
    command = [sys.executable, "-m", "experiments.run", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        below = WorkDir.open(tmp_path / "run" / name)
        assert [row["agent.gamma"] for row in below.read_records()[-4:]] == [0.5, 0.5, 0.9, 0.9]
        assert len(below.read_summary()["settings"]) == 2
    explained = [sys.executable, "-m", "hindsight_jax.cli.main", *arguments[:-2], arguments[-1], "--explain"]
    done = subprocess.run(explained, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.stdout.count("her_flip_bit: 2 settings x 2 seeds = 4 members; one program") == 2, done.stderr
