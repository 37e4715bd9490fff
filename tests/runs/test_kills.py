"""A run that is killed, stopped or doubled at any moment goes on as if nothing had been, to the bit.

Read `fork_server.py` and `run_fixtures.py` in tests/support first: a run is a process, and takes one or two seconds.
"""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fork_server import TINY, Process, Server

KILL = "fork_server.at_call({}, fork_server.die, r'{}')"


def again(path: Path) -> tuple[str, ...]:
    """The arguments that begin the run, or go on with it; one that was killed before its config is begun again."""
    return ("--resume", f"--workdir={path}") if (path / "config.json").exists() else (*TINY, f"--workdir={path}")


def rows_of(path: Path) -> int:
    file = path / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def half_saved(path: Path) -> set[int]:
    """Folders that a save has left, or is writing, by their numbers on the disk."""
    return {folder.stat().st_ino for folder in path.glob("checkpoints/tmp-*")}


def until(process: Process, happens) -> None:
    """Until it happens or the process has ended; looks every millisecond."""
    while not happens() and process.is_running():
        time.sleep(0.001)


def wait_for_a_moment(process: Process, path: Path, draw: random.Random, seconds: float) -> str:
    """A moment of the whole life, or just after a save has begun, or a row was written; its kind."""
    kind = draw.choice(["any", "save", "row"])
    if kind == "any":
        time.sleep(draw.uniform(0.0, seconds))
    elif kind == "save":
        for _ in range(draw.randint(1, 3)):
            until(process, lambda: any(path.glob("checkpoints/tmp-*")))
            time.sleep(draw.uniform(0.0, 0.08))
    else:
        wanted = rows_of(path) + 2 * draw.randint(1, 2)
        until(process, lambda: rows_of(path) >= wanted)
        time.sleep(draw.uniform(0.0, 0.02))
    return kind


def kill_at_random(server, whole, assert_whole, folder: Path, kills: int, seed: int) -> Counter:
    """Runs that are killed again and again, each to its end, until there were so many kills; what was hit."""
    draw, hit, number = random.Random(seed), Counter(), 0
    while hit["kills"] < kills:
        path, number = folder / str(number), number + 1
        for _ in range(draw.randint(2, 6)):
            before = half_saved(path)
            process = server.start(*again(path))
            kind = wait_for_a_moment(process, path, draw, whole.seconds)
            process.send(signal.SIGKILL)
            code = process.wait().code
            assert code in (0, -signal.SIGKILL)
            if code == 0:
                break
            hit.update(["kills", f"at {kind}"])
            hit["inside of a save"] += bool(half_saved(path) - before)
            hit["before the config"] += not (path / "config.json").exists()
            hit["after all rows"] += rows_of(path) == len(whole.left.rows)
        ended = server.run(*again(path))
        assert ended.code == 0, ended.errors
        assert_whole(path)
    print(f"seed {seed}: {dict(hit)} in {number} runs")
    return hit


def test_sigkill_at_random_moments_changes_no_bit(server, whole, assert_whole, tmp_path):
    kill_at_random(server, whole, assert_whole, tmp_path, kills=3, seed=0)


@pytest.mark.slow
def test_a_hundred_sigkills_at_random_moments_change_no_bit(server, whole, assert_whole, tmp_path):
    hit = kill_at_random(server, whole, assert_whole, tmp_path, kills=100, seed=random.randrange(10**6))
    assert hit["inside of a save"] >= 10
    assert hit["after all rows"] >= 1


def kill_before_call(server, assert_whole, path: Path, number: int, pattern: str = "") -> bool:
    """Whether it was killed there; it goes on to the same bits."""
    code = server.run(*TINY, f"--workdir={path}", setup=KILL.format(number, pattern)).code
    assert code in (0, -signal.SIGKILL)
    ended = server.run(*again(path))
    assert ended.code == 0, ended.errors
    assert_whole(path)
    return code != 0


@pytest.mark.seldom
@pytest.mark.parametrize(
    ("number", "pattern"),
    [
        (0, r"replace .*config\.json"),
        (1, r"fsync .*metrics\.jsonl"),  # rows are there that no checkpoint counts
        (1, r"rename .*step_\d+$"),
        (2, r"^rmdir"),  # an old step is half removed
        (0, r"replace .*summary\.json"),
    ],
)
def test_sigkill_before_a_call_changes_no_bit(server, whole, assert_whole, tmp_path, number, pattern):
    """Those that a random moment would seldom hit."""
    assert kill_before_call(server, assert_whole, tmp_path / "run", number, pattern)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_sigkill_before_every_fifth_call_changes_no_bit(server, whole, assert_whole, tmp_path, part):
    numbers = range(5 * part, whole.num_calls, 50)
    killed = [kill_before_call(server, assert_whole, tmp_path / str(number), number) for number in numbers]
    assert sum(killed) >= len(killed) - 1  # the last may lie behind the end


@pytest.mark.seldom
@pytest.mark.parametrize("number", range(0, 60, 4))
def test_sigkill_in_a_resumption_changes_no_bit(server, whole, assert_whole, tmp_path, number):
    """While rows and events are rewritten, and in the first save after it."""
    path = tmp_path / "run"
    assert server.run(*TINY, f"--workdir={path}", setup="fork_server.after_checkpoint(3, fork_server.die)").code < 0
    assert server.run("--resume", f"--workdir={path}", setup=KILL.format(number, "")).code < 0
    ended = server.run("--resume", f"--workdir={path}")
    assert ended.code == 0, ended.errors
    assert_whole(path)


# ---- signals that may be answered

CODES = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


def stop_at_random(server, whole, assert_whole, path: Path, number: int, code: int, draw: random.Random) -> bool:
    """Whether it was stopped, and not before it listened or behind its end."""
    process = server.start(*TINY, f"--workdir={path}")
    until(process, path.exists)
    time.sleep(draw.uniform(0.0, 0.6 * whole.seconds))  # which the start is part of
    process.send(number)
    ended = process.wait()
    if "results in" in ended.output and "go on with" not in ended.output:  # it listens no more, and all is saved
        assert_whole(path)
        return False
    assert (ended.code, ended.errors) == (code, "")
    assert f"stopped by {signal.Signals(number).name}, and saved" in ended.output
    assert f"go on with: hindsight-jax --resume --workdir={path}" in ended.output
    assert len(os.listdir(path / "checkpoints")) >= 1
    assert not list(path.glob("checkpoints/tmp-*"))
    ended_again = server.run("--resume", f"--workdir={path}")
    assert ended_again.code == 0, ended_again.errors
    assert_whole(path)
    return True


@pytest.mark.parametrize(("number", "code"), [CODES[0], pytest.param(*CODES[1], marks=pytest.mark.seldom)])
def test_a_signal_at_a_random_moment_saves_and_changes_no_bit(server, whole, assert_whole, tmp_path, number, code):
    draw = random.Random(int(number))
    stop_at_random(server, whole, assert_whole, tmp_path / "run", number, code, draw)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), CODES)
def test_signals_at_many_moments_save_and_change_no_bit(server, whole, assert_whole, tmp_path, number, code):
    draw = random.Random()
    stopped = [stop_at_random(server, whole, assert_whole, tmp_path / f"{i}", number, code, draw) for i in range(15)]
    assert sum(stopped) >= 5


# a save hangs, as on a network's file system, and says that it does
STUCK = """
import time
def hang():
    open({!r}, "w").close()
    time.sleep(100)
fork_server.at_call(0, hang, {!r})
"""
OURS = "fsync .*checkpoints/tmp-"  # the thread that saves
ORBAX = "mkdir .*/arrays"  # a thread of orbax's, for which an interpreter waits at its end

# leaves a file when the first signal was handled: of two that come together Python may see one, or the lower first
HEARD = """
from hindsight_jax.runs import signals
def handle(self, number, frame, handled=signals.GracefulExit._handle):
    handled(self, number, frame)
    open({!r}, "w").close()
signals.GracefulExit._handle = handle
"""


@pytest.mark.seldom
@pytest.mark.parametrize(("number", "code", "hangs"), [(*CODES[0], OURS), (*CODES[1], ORBAX)])
def test_a_second_signal_ends_a_run_at_once_though_a_save_hangs(
    server, whole, assert_whole, tmp_path, number, code, hangs
):
    path, stuck, heard = tmp_path / "run", tmp_path / "stuck", tmp_path / "heard"
    setup = STUCK.format(str(stuck), hangs) + HEARD.format(str(heard))
    process = server.start(*TINY, f"--workdir={path}", setup=setup)
    until(process, stuck.exists)
    process.send(signal.SIGTERM)
    until(process, heard.exists)
    assert process.is_running(), process.wait()
    process.send(number)
    assert process.wait(timeout=30).code == code
    ended = server.run(*again(path))
    assert ended.code == 0, ended.errors
    assert_whole(path)


# ---- two processes


@pytest.mark.seldom
def test_one_process_has_the_directory_until_it_ends_however_it_ends(server, whole, assert_whole, tmp_path):
    path, stuck = tmp_path / "run", tmp_path / "stuck"
    first = server.start(*TINY, f"--workdir={path}", setup=STUCK.format(str(stuck), OURS))
    until(first, stuck.exists)
    before = {entry: entry.read_bytes() for entry in path.rglob("*") if entry.is_file()}
    for arguments in (again(path), (*TINY, f"--workdir={path}")):
        second = server.run(*arguments)
        assert (second.code, second.output) == (1, "")
        assert str(first.pid) in second.errors or "--resume" in second.errors
        assert second.errors.startswith("error: ")
        assert second.errors.count("\n") == 1
    assert {entry: entry.read_bytes() for entry in path.rglob("*") if entry.is_file()} == before
    first.send(signal.SIGKILL)
    first.wait()
    ended = server.run(*again(path))
    assert ended.code == 0, ended.errors
    assert_whole(path)


@pytest.mark.slow
@pytest.mark.parametrize("hashes", ["0", "1"])
def test_another_process_that_compiles_anew_with_other_hashes_gives_the_same_bits(assert_whole, tmp_path, hashes):
    shared = tmp_path / "compiled"
    shared.mkdir()
    other = Server(tmp_path, shared, PYTHONHASHSEED=hashes)
    ended = other.run(*TINY, f"--workdir={tmp_path / 'run'}")
    other.close()
    assert ended.code == 0, ended.errors
    assert_whole(tmp_path / "run")


def test_what_was_compared_holds_all_that_a_run_carries(whole):
    """Parameters, optimiser, target network, ring, keys and counters; and something was learnt."""
    names = " ".join(whole.left.leaves)
    for part in (".params", ".target_params", ".adam.mu", ".replay.trajectories.action", ".key", ".updates", ".epochs"):
        assert part in names
    assert len(whole.left.rows) == 10
    assert len({row["td_loss"] for row in whole.left.rows}) == 10
    assert all(np.size(bits) for bits in whole.left.leaves.values())
