"""The command line end to end, as a user starts it: the files of a run and, slow, a stopped run that goes on.

Other accidents of a run are in `test_kills.py`, `test_run_disks.py`, `test_run_streams.py` and
`test_command_lines.py`.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

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


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """One compile cache for all processes of this file."""
    cache = str(tmp_path_factory.mktemp("cache"))
    quiet = {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return os.environ | quiet


def start(environment, *arguments, **keywords) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.run", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | keywords
    return subprocess.Popen(command, env=environment, **pipes)


def run(environment, *arguments) -> tuple[int, str, str]:
    process = start(environment, *arguments)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def metrics(workdir: pathlib.Path) -> list[dict]:
    """Every row without the keys that depend on the clock, bit for bit."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [records.without_clock(records.decode(line)) for line in lines]


@pytest.fixture(scope="session")
def whole(environment, tmp_path_factory):
    """A run that was never stopped."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    code, output, errors = run(environment, *SMALL, f"--workdir={workdir}")
    assert code == 0, errors
    return workdir, output, errors


def wait_for_rows(process: subprocess.Popen, workdir: pathlib.Path, count: int) -> None:
    """Until metrics.jsonl holds that many lines; the run must still be going on."""
    path = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (path.exists() and path.read_bytes().count(b"\n") >= count):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_leaves_what_it_promises(whole):
    workdir, output, errors = whole
    assert errors == ""
    assert len(output.splitlines()) == 3  # quiet without a terminal
    left = {path.name for path in workdir.iterdir() if not path.name.startswith(".")}
    assert left == {
        "config.json", "metrics.jsonl", "tensorboard", "curves.png", "policy.gif", "checkpoints", "summary.json",
    }  # fmt: skip
    table = metrics(workdir)
    assert [(row["member"], row["seed"]) for row in table[:2]] == [(0, 0), (1, 1)]
    assert table[-1]["env_steps"] == 2400
    assert table[-1]["updates"] == 10 * (2400 // 20 - 8)
    assert len({row["q_mean"] for row in table}) == len(table)  # seeds differ, and time passes
    assert all(0.0 <= row["success_end"] <= row["success_any"] <= 1.0 for row in table)
    config = json.loads((workdir / "config.json").read_text())
    assert config["config"]["agent"]["hidden_sizes"] == [16, 16]
    assert json.loads((workdir / "summary.json").read_text())["env_steps"] == 2400
    with Image.open(workdir / "policy.gif") as picture:
        assert 1 < picture.n_frames <= 21  # equal frames are one


def test_no_file_names_this_machine(whole, tmp_path_factory):
    workdir, _, _ = whole
    for name in ("config.json", "summary.json", "metrics.jsonl"):
        assert str(tmp_path_factory.getbasetemp()) not in (workdir / name).read_text()


@pytest.mark.slow
def test_q_stands_beside_what_trajectories_did(whole, environment):
    """-(1 + .98) for 3 actions is not an offset of the table; -(1 + .98 + .98^2 + .98^3) = -3.88 for 5 is."""
    command = [sys.executable, "-m", "experiments.reproduce.q_values", f"--workdir={whole[0]}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    table = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [(offset, past) for offset, past, _ in table] == [
        ("1", "0.00"), ("2", "-1.00"), ("5", "-3.88"), ("10", "-8.31"), ("20", "-15.94"),
    ]  # fmt: skip
    assert all(-50.0 < float(q) < 1.0 for _, _, q in table)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_resume_gives_the_same_bits_whatever_the_order_of_sets(
    whole, environment, tmp_path, number, code
):
    """Python's hashes differ in each of the three processes."""
    workdir = tmp_path / "run"
    process = start(environment | {"PYTHONHASHSEED": "0"}, *SMALL, f"--workdir={workdir}")
    wait_for_rows(process, workdir, 4)
    process.send_signal(number)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == code, errors
    assert "--resume" in output
    assert len(metrics(workdir)) < len(metrics(whole[0]))
    code, _, errors = run(environment | {"PYTHONHASHSEED": "1"}, "--resume", f"--workdir={workdir}")
    assert code == 0, errors
    assert metrics(workdir) == metrics(whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_sigkills_and_resume_give_the_same_bits(whole, environment, tmp_path, seed):
    """`test_kills.py` has many more, of a smaller run."""
    draw, workdir, arguments = random.Random(seed), tmp_path / "run", SMALL
    for _ in range(4):
        process = start(environment, *arguments, f"--workdir={workdir}")
        have = (workdir / "metrics.jsonl").read_bytes().count(b"\n") if workdir.exists() else 0
        if have < len(metrics(whole[0])) - 2:
            wait_for_rows(process, workdir, 2 if have == 0 else 1)
            time.sleep(draw.uniform(0.0, 0.5))
        process.kill()
        process.communicate(timeout=60)
        arguments = ("--resume",)
    code, _, errors = run(environment, "--resume", f"--workdir={workdir}")
    assert code == 0, errors
    assert metrics(workdir) == metrics(whole[0])
