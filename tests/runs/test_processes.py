"""Several processes of one run, on loopback: the numbers of one process, their own rows, and one that dies."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import compiles
import numpy as np
import pytest

from hindsight_jax.runs import processes, records
from hindsight_jax.runs.workdir import WorkDir

SMALL = (
    "--config=her_flip_bit",
    "--config.env.size=4",
    "--config.env.num_envs=2",
    "--config.total_steps=200",
    "--config.replay.warmup=5",
    "--config.replay.capacity=40",
    "--config.agent.hidden_sizes=8",
    "--config.agent.batch_size=16",
    "--config.agent.updates_per_epoch=4",
    "--config.evaluation.every=20",
    "--config.evaluation.episodes=8",
    "--config.checkpoint.seconds=0",
)
GRID = '--config.grid={"agent.epsilon": [0.1, 0.9]}'  # with 2 seeds: 4 members
EVALUATIONS = 12  # of 180 steps behind the warm-up, in epochs of 8: every second one, and the last


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One compile cache for all processes of this file, whose programs are compiled quickly; one device for each."""
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": compiles.xla_flags("--xla_force_host_platform_device_count=1"),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
    }


def start(environment, *arguments) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.run", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_all(environment, count: int, *arguments) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = (f"--coordinator=127.0.0.1:{port}", f"--processes={count}")
    return [start(environment, *arguments, *where, f"--process={i}") for i in range(count)]


def ended(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """(exit code, output, errors) of each."""
    texts = [process.communicate(timeout=300) for process in processes]
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]


def succeeded(processes: list[subprocess.Popen]) -> list[tuple[str, str]]:
    found = ended(processes)
    assert [code for code, *_ in found] == [0] * len(found), found
    return [text for _, *text in found]


def metrics(path: pathlib.Path) -> list[records.Record]:
    return [records.without_clock(row) for row in WorkDir.open(path).read_records()]


def whole_run(environment, path: pathlib.Path) -> list[records.Record]:
    """The rows of one process."""
    succeeded([start(environment, *SMALL, "--config.seeds=2", GRID, f"--workdir={path}")])
    return metrics(path)


def assert_close(left: list[records.Record], right: list[records.Record]) -> None:
    """The same numbers up to the order of sums: other processes have other batches of members."""
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-4, err_msg=key)


def wait_for_rows(processes: list[subprocess.Popen], path: pathlib.Path, count: int) -> None:
    """Until the first process has written so many rows."""
    file, deadline = path / "metrics.jsonl", time.monotonic() + 200
    while not (file.exists() and file.read_bytes().count(b"\n") >= count):
        assert all(process.poll() is None for process in processes), ended(processes)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_process_gathers_from_itself_and_waits_for_nobody():
    alone = processes.join(None)
    assert alone == processes.Processes(0, 1)
    assert alone.is_first
    np.testing.assert_array_equal(alone.all_gather([0.1, 2.0**60]), [[0.1, 2.0**60]])
    alone.wait()


def test_a_process_that_cannot_find_the_others_says_so(monkeypatch):
    def fail(*arguments, **keywords):
        raise ValueError("coordinator_address should be defined.\nmore")

    monkeypatch.setattr(processes.jax.distributed, "initialize", fail)
    with pytest.raises(
        processes.ProcessesError, match=r"\(coordinator_address should be defined\.\)\. Start all of them, or"
    ):
        processes.join(processes.Address())


def test_a_lost_process_is_told_with_the_way_on(monkeypatch):
    from jax.experimental import multihost_utils

    def lost(numbers):
        raise ValueError("UNKNOWN: Gloo AllGather failed")

    monkeypatch.setattr(multihost_utils, "process_allgather", lost)
    with pytest.raises(processes.ProcessesError, match=r"another process of this run is gone.*--resume"):
        processes.Processes(0, 2).all_gather([1.0])


def test_doubles_pass_unrounded(monkeypatch):
    from jax.experimental import multihost_utils

    monkeypatch.setattr(multihost_utils, "process_allgather", lambda bits: np.stack([bits, bits]))
    np.testing.assert_array_equal(processes.Processes(0, 2).all_gather([0.1, 2.0**-300]), [[0.1, 2.0**-300]] * 2)


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_and_one_alone_goes_on(environment, tmp_path):
    path = tmp_path / "two"
    processes = start_all(environment, 2, *SMALL, "--config.seeds=2", GRID, f"--workdir={path}")
    wait_for_rows(processes, path, 4)
    processes[1].send_signal(signal.SIGKILL)
    (code, output, errors), (killed, *_) = ended(processes)
    assert (code, killed) == (1, -signal.SIGKILL)
    assert "another process of th" in errors
    assert "her_flip_bit (2 processes): 2 settings x 2 seeds x 200 env steps" in output
    before = metrics(path)
    own = [records.decode(line)["member"] for line in (path / "metrics-1.jsonl").read_text().splitlines()]
    assert set(own) == {2, 3}
    succeeded([start(environment, "--resume", f"--workdir={path}")])
    after = metrics(path)
    steps = sorted({row["env_steps"] for row in after})
    assert len(steps) == EVALUATIONS
    assert [(row["env_steps"], row["member"]) for row in after] == [(s, m) for s in steps for m in range(4)]
    assert after[:4] == before[:4]
    assert not (path / "metrics-1.jsonl").exists()
    assert len(WorkDir.open(path).read_summary()["settings"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_that_are_not_disturbed_give_the_numbers_of_one(environment, tmp_path, count):
    path = tmp_path / "run"
    succeeded(start_all(environment, count, *SMALL, "--config.seeds=2", GRID, f"--workdir={path}"))
    assert_close(metrics(path), whole_run(environment, tmp_path / "one"))
    left = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    assert left == {
        "config.json", "metrics.jsonl", "tensorboard", "curves.png", "policy.gif", "checkpoints", "summary.json",
        *(f"metrics-{i}.jsonl" for i in range(1, count)),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(4, 2), (2, 4), (2, 2)])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_stops_the_others_and_any_number_may_go_on(environment, tmp_path, first, second, victim):
    """Where the first is killed JAX itself ends the others, with its own message, since it holds the run together."""
    path = tmp_path / "run"
    arguments = (*SMALL, "--config.seeds=2", GRID)
    processes = start_all(environment, first, *arguments, f"--workdir={path}")
    wait_for_rows(processes, path, 4)
    processes[victim].send_signal(signal.SIGKILL)
    found = ended(processes)
    for i, (code, _, errors) in enumerate(found):
        assert code != 0
        if i != victim:
            assert "another process of th" in errors or "another task died" in errors
    succeeded(start_all(environment, second, "--resume", f"--workdir={path}"))
    never_killed = tmp_path / "whole"
    succeeded(start_all(environment, first, *arguments, f"--workdir={never_killed}"))
    after, whole = metrics(path), metrics(never_killed)
    assert [(row["env_steps"], row["member"]) for row in after] == [(row["env_steps"], row["member"]) for row in whole]
    assert_close(after[:8], whole[:8])
    if first == second:
        assert after == whole  # bit for bit


@pytest.mark.slow
def test_a_signal_to_one_process_saves_and_stops_all(environment, tmp_path):
    path = tmp_path / "run"
    processes = start_all(environment, 2, *SMALL, "--config.seeds=2", f"--workdir={path}")
    wait_for_rows(processes, path, 2)
    processes[1].send_signal(signal.SIGTERM)
    found = ended(processes)
    assert [code for code, *_ in found] == [143, 143], found
    assert "stopped by SIGTERM, and saved" in found[0][1]
    succeeded(start_all(environment, 2, "--resume", f"--workdir={path}"))
    assert len(metrics(path)) == 2 * EVALUATIONS


@pytest.mark.seldom
def test_members_that_cannot_be_shared_equally_are_refused(environment, tmp_path):
    """Both find it out; where the second is slow, JAX ends it with the first."""
    (first, second) = ended(start_all(environment, 2, *SMALL, "--config.seeds=3", f"--workdir={tmp_path / 'run'}"))
    assert first[0] == 1
    assert "the 2 processes must have as many members each" in first[2]
    assert second[0] in (1, -signal.SIGABRT)
    assert not (tmp_path / "run" / "metrics-1.jsonl").exists()


@pytest.mark.seldom
def test_a_directory_in_use_stops_every_process(environment, tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    (first, second) = ended(start_all(environment, 2, *SMALL, "--config.seeds=2", f"--workdir={path}"))
    assert (first[0], second[0]) in ((1, 1), (1, -signal.SIGABRT))
    assert "holds notes.txt already" in first[2]
    assert [entry.name for entry in path.iterdir()] == ["notes.txt"]


def test_a_process_leaves_though_nobody_reads_what_it_printed(monkeypatch):
    class Broken:
        def flush(self):
            raise BrokenPipeError

    left = []
    monkeypatch.setattr(sys, "stdout", Broken())
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(os, "_exit", left.append)
    processes.leave(143, processes.Processes())
    assert left == [143]
