"""The command line end to end: what a run leaves, and that a stopped run goes on as if it had never stopped."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import imageio.v3 as imageio
import pytest

from experiments import rows

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
    """Every row less what depends on the clock, bit for bit."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [rows.without_clock(rows.decode(line)) for line in lines]


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
    assert 1 < imageio.improps(workdir / "policy.gif").n_images <= 21  # equal frames are one


def test_no_file_names_this_machine(whole, tmp_path_factory):
    workdir, _, _ = whole
    for name in ("config.json", "summary.json", "metrics.jsonl"):
        assert str(tmp_path_factory.getbasetemp()) not in (workdir / name).read_text()


@pytest.mark.slow
def test_q_stands_beside_what_trajectories_did(whole, environment):
    """-(1 + .98) for 3 actions is no offset of the table; -(1 + .98 + .98^2 + .98^3) = -3.88 for 5 is."""
    command = [sys.executable, "-m", "experiments.values", f"--workdir={whole[0]}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    table = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [(offset, past) for offset, past, _ in table] == [
        ("1", "0.00"), ("2", "-1.00"), ("5", "-3.88"), ("10", "-8.31"), ("20", "-15.94"),
    ]  # fmt: skip
    assert all(-50.0 < float(q) < 1.0 for _, _, q in table)


def test_sigterm_saves_and_resume_gives_the_same_bits(whole, environment, tmp_path):
    workdir = tmp_path / "run"
    process = start(environment, *SMALL, f"--workdir={workdir}")
    wait_for_rows(process, workdir, 4)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 143, errors
    assert "--resume" in output
    assert len(metrics(workdir)) < len(metrics(whole[0]))
    code, _, errors = run(environment, "--resume", f"--workdir={workdir}")
    assert code == 0, errors
    assert metrics(workdir) == metrics(whole[0])


def kill_and_resume(whole, environment, workdir, kills: int, seed: int) -> None:
    """SIGKILL at random moments, then a last resume to the end."""
    draw = random.Random(seed)
    arguments = SMALL
    for _ in range(kills):
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


def test_sigkill_and_resume_give_the_same_bits(whole, environment, tmp_path):
    kill_and_resume(whole, environment, tmp_path / "run", kills=3, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_many_sigkills_and_resume_give_the_same_bits(whole, environment, tmp_path, seed):
    kill_and_resume(whole, environment, tmp_path / "run", kills=5, seed=seed)


def test_a_resumed_run_refuses_other_values(environment, tmp_path):
    workdir = tmp_path / "run"
    process = start(environment, *SMALL, f"--workdir={workdir}")
    wait_for_rows(process, workdir, 4)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=200)
    path = workdir / "config.json"
    path.write_text(path.read_text().replace('"learning_rate": 0.002', '"learning_rate": 0.003'))
    code, _, errors = run(environment, "--resume", f"--workdir={workdir}")
    assert code == 1
    assert "learning_rate" in errors


def test_a_second_process_on_one_directory_is_refused(environment, tmp_path):
    workdir = tmp_path / "run"
    long = [a if "total_steps" not in a else "--config.total_steps=10000000" for a in SMALL]  # until it is stopped
    first = start(environment, *long, f"--workdir={workdir}")
    wait_for_rows(first, workdir, 2)
    code, output, errors = run(environment, "--resume", f"--workdir={workdir}")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=200)
    assert (code, output) == (1, "")
    assert str(first.pid) in errors
    assert "Traceback" not in errors
    assert first.returncode == 130


def test_a_finished_run_is_not_overwritten(whole, environment):
    before = {path: path.read_bytes() for path in whole[0].iterdir() if path.is_file()}
    code, _, errors = run(environment, *SMALL, f"--workdir={whole[0]}")
    assert code == 1
    assert "--resume" in errors
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--config=hdm_psh",), "hdm_push"),
        (("--config=hdm_push", "--config.agent.gama=0.9"), "gamma"),
        (("--config=hdm_push", "--config.agent.learning_rate=nan"), "learning_rate"),
        (("--config=hdm_push", "stray"), "stray"),
        ((), "--config"),
    ],
)
def test_bad_arguments_end_with_2_and_leave_nothing(environment, tmp_path, arguments, word):
    workdir = tmp_path / "run"
    code, output, errors = run(environment, *arguments, f"--workdir={workdir}")
    assert (code, output) == (2, "")
    assert word in errors
    assert "Traceback" not in errors
    assert not workdir.exists()


def test_a_ring_that_cannot_fit_is_refused_before_a_folder_is_made(environment, tmp_path):
    arguments = ("--config=hdm_push", "--config.replay.capacity=40000000", "--config.seeds=100")
    code, _, errors = run(environment, *arguments, f"--workdir={tmp_path / 'run'}")
    assert code == 1
    assert "replay.capacity" in errors
    assert not (tmp_path / "run").exists()


def test_list_names_everything(environment):
    code, output, _ = run(environment, "--list")
    assert code == 0
    assert {"hdm_push", "her_push", "hdm_push_paper"} <= set(output.split())


@pytest.mark.slow
def test_a_closed_pipe_does_not_end_a_run(environment, tmp_path):
    reader, writer = os.pipe()
    process = start(environment, *SMALL, f"--workdir={tmp_path / 'run'}", stdout=writer)
    os.close(writer)
    os.close(reader)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert (tmp_path / "run" / "summary.json").exists()
