"""The command line end to end: the files of a run and, slow, as a user starts it, a stopped run that goes on.

Other accidents of a run are in `test_kills.py`, `test_run_disks.py`, `test_run_streams.py` and
`test_command_lines.py`.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from fork_server import TINY

from hindsight_jax.runs import records

SMALL = (
    "--config=hdm_navigation",
    "--config.seeds=2",
    "--config.total_steps=2400",
    "--config.replay.warmup=8",
    "--config.replay.capacity=30",
    "--config.env.horizon=20",
    "--config.env.actions=discrete",
    "--config.env.num_envs=1",
    "--config.agent.hidden_sizes=16,16",
    "--config.agent.batch_size=32",
    "--config.agent.learning_rate=0.002",
    "--config.agent.updates_per_epoch=10",
    "--config.evaluation.every=400",
    "--config.evaluation.episodes=8",
    "--config.checkpoint.seconds=0",
)


def start(*arguments, environment=None, **keywords) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.run", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | keywords
    return subprocess.Popen(command, env=environment, **pipes)


def run(*arguments, **keywords) -> tuple[int, str, str]:
    process = start(*arguments, **keywords)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def metrics(workdir: pathlib.Path) -> list[dict]:
    """Every row without the keys that depend on the clock, bit for bit."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [records.without_clock(records.decode(line)) for line in lines]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory of a run that was never stopped."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    code, _, errors = run(*SMALL, f"--workdir={workdir}")
    assert code == 0, errors
    return workdir


def wait_for_rows(process: subprocess.Popen, workdir: pathlib.Path, count: int) -> None:
    """Until metrics.jsonl holds that many lines; the run must still be going on."""
    path = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (path.exists() and path.read_bytes().count(b"\n") >= count):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_leaves_what_it_promises(whole):
    assert len(whole.output.splitlines()) == 3  # quiet without a terminal
    left = {path.name for path in whole.path.iterdir() if not path.name.startswith(".")}
    assert left == {
        "config.json", "metrics.jsonl", "tensorboard", "curves.png", "policy.gif", "checkpoints", "summary.json",
        "report.html",
    }  # fmt: skip
    table = metrics(whole.path)
    assert [(row["member"], row["seed"]) for row in table[:2]] == [(0, 0), (1, 1)]
    assert table[-1]["env_steps"] == 54
    assert table[-1]["updates"] == 2 * (54 // 3 - 3)
    assert len({row["q_mean"] for row in table}) == len(table)  # seeds differ, and time passes
    assert all(0.0 <= row["success_end"] <= row["success_any"] <= 1.0 for row in table)
    config = json.loads((whole.path / "config.json").read_text())
    assert config["config"]["agent"]["hidden_sizes"] == [8]
    assert json.loads((whole.path / "summary.json").read_text())["env_steps"] == 54


NOON = "import time; time.strftime = lambda format: 'NOON'"


@pytest.mark.seldom
def test_runs_that_begin_in_the_same_second_get_a_directory_each(server, assert_whole, tmp_path):
    processes = [server.start(*TINY, cwd=tmp_path, setup=NOON) for _ in range(3)]
    ended = [process.wait() for process in processes]
    assert [(one.code, one.errors) for one in ended] == [(0, "")] * 3
    names = [f"her_flip_bit-NOON{number}" for number in ("", "-2", "-3")]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names
    assert sorted(one.output.splitlines()[-1] for one in ended) == [
        f"her_flip_bit: results in runs/{name}" for name in names
    ]
    for name in names:
        assert_whole(tmp_path / "runs" / name)


def test_no_file_names_this_machine(whole, tmp_path_factory):
    for name in ("config.json", "summary.json", "metrics.jsonl"):
        assert str(tmp_path_factory.getbasetemp()) not in (whole.path / name).read_text()


@pytest.mark.slow
def test_q_stands_beside_what_trajectories_did(trained):
    """-(1 + .98) for 3 actions is not an offset of the table; -(1 + .98 + .98^2 + .98^3) = -3.88 for 5 is."""
    command = [sys.executable, "-m", "experiments.reproduce.q_values", f"--workdir={trained}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    table = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [(offset, past) for offset, past, _ in table] == [
        ("1", "0.00"), ("2", "-1.00"), ("5", "-3.88"), ("10", "-8.31"), ("20", "-15.94"),
        ("missed, 20 left", "-16.62"), ("missed, 10 left", "-9.15"),
    ]  # fmt: skip
    assert all(-50.0 < float(q) < 1.0 for _, _, q in table)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_resume_gives_the_same_bits_whatever_the_order_of_sets(trained, tmp_path, number, code):
    """Python's hashes differ in each of the three processes."""
    workdir = tmp_path / "run"
    process = start(*SMALL, f"--workdir={workdir}", environment=os.environ | {"PYTHONHASHSEED": "0"})
    wait_for_rows(process, workdir, 4)
    process.send_signal(number)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == code, errors
    assert "--resume" in output
    assert len(metrics(workdir)) < len(metrics(trained))
    code, _, errors = run("--resume", f"--workdir={workdir}", environment=os.environ | {"PYTHONHASHSEED": "1"})
    assert code == 0, errors
    assert metrics(workdir) == metrics(trained)
