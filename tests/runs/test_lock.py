"""One process at a time on a work directory; a dead process holds nothing."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hindsight_jax.runs.lock import NAME, Lock, LockedError

ROOT = Path(__file__).parents[2]

HOLD = """
import subprocess, sys
from hindsight_jax.runs.lock import Lock
with Lock(sys.argv[1]):
    child = subprocess.Popen(["sleep", "60"])  # a program that outlives us
    print(child.pid, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock until its input ends, and whose child lives on."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        child = int(process.stdout.readline())
        yield process
        process.kill()
        os.kill(child, signal.SIGKILL)


def test_a_second_process_is_refused_by_name(tmp_path, holder):
    message = rf"{tmp_path}: process {holder.pid} on {socket.gethostname()} works here.*choose another directory"
    for _ in range(2):
        with pytest.raises(LockedError, match=message), Lock(tmp_path):
            pytest.fail("two processes in one directory")


@pytest.mark.parametrize("kill", [True, False])
def test_a_dead_process_holds_nothing_though_its_child_lives(tmp_path, holder, kill):
    if kill:
        holder.kill()
    else:
        holder.stdin.close()
    holder.wait(timeout=60)
    with Lock(tmp_path):
        assert (tmp_path / NAME).read_text() == f"{os.getpid()} on {socket.gethostname()}\n"


def test_a_second_lock_of_this_process_is_refused(tmp_path):
    lock = Lock(tmp_path)
    with lock:
        with pytest.raises(LockedError, match=f"process {os.getpid()} "):
            Lock(tmp_path).acquire()
        with pytest.raises(LockedError, match="held already"):
            lock.acquire()
    with Lock(tmp_path):  # released
        pass


def test_it_is_released_after_an_exception_and_may_be_taken_again(tmp_path):
    lock = Lock(tmp_path)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), lock:
            raise ZeroDivisionError
    lock.release()  # nothing happens
    with lock, Lock(tmp_path / ".."):  # another directory
        pass


def test_a_file_that_was_left_behind_locks_nothing(tmp_path):
    (tmp_path / NAME).write_text("99999999 on a host with a rather long name that is gone\n")
    with Lock(tmp_path):
        assert (tmp_path / NAME).read_text() == f"{os.getpid()} on {socket.gethostname()}\n"


def test_descriptors_are_not_lost(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    with Lock(tmp_path):
        for _ in range(20):
            with pytest.raises(LockedError):
                Lock(tmp_path).acquire()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot lock it \(No such file.*missing"), Lock(tmp_path / "missing"):
        pass
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_directory_that_takes_no_file_is_an_error_and_nobody_is_blamed(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(OSError, match=r"cannot lock it .*Make it writable, or choose another directory"):
            Lock(tmp_path).acquire()


def test_a_file_system_without_locks_is_an_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match=r"cannot lock it \(No locks available\)\. .*choose another directory"):
        Lock(tmp_path).acquire()
