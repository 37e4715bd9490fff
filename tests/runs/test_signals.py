"""SIGTERM and SIGINT become a flag; a second signal ends at once; handlers come back."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hindsight_jax.runs.signals import GracefulExit

ROOT = Path(__file__).parents[2]
CODES = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers():
    """Every test leaves the handlers as they were."""
    before = [signal.getsignal(number) for number, _ in CODES]
    yield
    assert [signal.getsignal(number) for number, _ in CODES] == before


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_becomes_a_flag(number, code):
    with GracefulExit() as stop:
        assert stop.signal is None
        assert stop.exit_code == 0
        send(number)
        assert stop.signal == number
    assert (stop.signal, stop.exit_code) == (number, code)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("second", "code"), CODES)
def test_a_second_signal_raises_at_once(first, second, code):
    with GracefulExit() as stop:
        send(first)
        with pytest.raises(SystemExit) as error:
            send(second)
    assert error.value.code == code
    assert stop.signal == first


def test_handlers_come_back_after_an_exception():
    caught = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    with pytest.raises(ZeroDivisionError), GracefulExit():
        raise ZeroDivisionError
    send(signal.SIGTERM)
    assert caught == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, previous)


def test_an_ignored_signal_stays_ignored():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with GracefulExit() as stop:
        send(signal.SIGINT)
        assert stop.signal is None
        send(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    signal.signal(signal.SIGINT, previous)


def test_it_may_be_entered_again_but_not_twice():
    stop = GracefulExit()
    with stop:
        send(signal.SIGTERM)
        with pytest.raises(RuntimeError, match="entered twice"):
            stop.__enter__()
    with stop:
        assert stop.signal is None
        with GracefulExit() as inner:  # the inner one catches, the outer one's handlers come back
            send(signal.SIGTERM)
        assert (inner.signal, stop.signal) == (signal.SIGTERM, None)
        send(signal.SIGINT)
    assert stop.exit_code == 130


def test_another_thread_is_refused():
    errors = []

    def enter():
        try:
            GracefulExit().__enter__()
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert errors == ["GracefulExit: entered in a thread, but only the main thread gets signals. Enter it there."]


LOOP = """
import sys, time
from hindsight_jax.runs.signals import GracefulExit
with GracefulExit() as stop:
    print("ready", flush=True)
    while not (stop.signal and "--deaf" not in sys.argv):
        time.sleep(0.01)
        if stop.signal:
            print("caught", flush=True)
    print("saved", flush=True)
sys.exit(stop.exit_code)
"""


def start(*arguments: str) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", LOOP, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_process_saves_and_exits_with_the_code_of_its_signal(number, code):
    with start() as process:
        process.send_signal(number)
        assert process.communicate(timeout=60)[0].endswith("saved\n")
    assert process.returncode == code


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_process_that_does_not_listen_ends_at_the_second_signal(number, code):
    with start("--deaf") as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "caught\n"
        process.send_signal(number)
        assert "saved" not in process.communicate(timeout=60)[0]
    assert process.returncode == code
