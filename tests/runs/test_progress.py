"""Progress speaks where someone listens, and no stream that breaks ends a run."""

import errno
import io
import os
import pty
import re
import subprocess
import sys
import time

import pytest

from hindsight_jax.runs.progress import Progress


class Screen(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self):
        return True


class Broken(io.StringIO):
    """A stream that fails from its n-th write on."""

    def __init__(self, error, good=0, terminal=False):
        super().__init__()
        self.error, self.good, self.terminal = error, good, terminal

    def write(self, text):
        self.good -= 1
        if self.good < 0:
            raise self.error
        return super().write(text)

    def isatty(self):
        return self.terminal


def run(stream, **kwargs):
    """A run of 1,000 env steps with two evaluations."""
    with Progress(1000, name="hdm_push", members=2, stream=stream, **kwargs) as shown:
        shown.advance(250)
        shown.evaluated(500, [0.25, 0.35])
        shown.print("half [bold]of it")
        shown.evaluated(1000, [0.5, 0.75])
    return shown


def test_without_a_terminal_there_are_two_lines_and_what_is_said():
    stream = io.StringIO()
    run(stream, clock=iter([100.0, 110.0]).__next__)
    assert stream.getvalue().splitlines() == [
        "hdm_push: 2 seeds x 1,000 env steps",
        "half [bold]of it",
        # 1,000 steps x 2 seeds in 10 s
        "hdm_push: 1,000 of 1,000 env steps per seed in 10s, 200 env steps/s, success 0.625",
    ]


def test_verbose_adds_a_line_per_evaluation():
    stream = io.StringIO()
    run(stream, verbose=True)
    lines = stream.getvalue().splitlines()
    assert lines[1] == "hdm_push: 500 env steps per seed, success 0.300, seeds 0.25 0.35"
    assert len(lines) == 5


def test_steps_of_an_earlier_process_do_not_count_towards_the_rate():
    stream = io.StringIO()
    with Progress(1000, name="x", start=600, stream=stream, clock=iter([0.0, 10.0]).__next__) as shown:
        shown.advance(1000)
    assert "from 600" in stream.getvalue()
    assert "40 env steps/s" in stream.getvalue()


def test_a_stopped_run_says_where():
    stream = io.StringIO()

    def stopped():
        with Progress(1000, name="x", stream=stream) as shown:
            shown.evaluated(300, [float("nan")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert re.search(r"x: stopped at 300 of 1,000 .* success of no member finite", stream.getvalue())


def test_a_forced_colour_does_not_make_a_pipe_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    run(stream)
    assert "\x1b" not in stream.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen()
    run(screen)
    assert "\x1b" not in screen.getvalue()


def test_a_terminal_gets_a_bar_with_success_rate_and_time_left(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    screen = Screen()
    with Progress(1000, name="hdm_push", members=2, stream=screen) as shown:
        shown.evaluated(500, [0.25, 0.35])
        time.sleep(0.02)
        shown.advance(750)
        shown._bar.refresh()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"hdm_push \S+ +75% success 0\.300, [\d,]+ env steps/s, \d+s left", plain)
    assert plain.splitlines()[-1].startswith("hdm_push: 750 of 1,000")


def test_the_bar_fits_eighty_columns(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    screen = Screen()
    with Progress(1_000_000, name="hdm_push_paper", members=4, stream=screen) as shown:
        shown.evaluated(500_000, [0.25] * 4)
        shown._bar.refresh()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", screen.getvalue())
    bars = [line for line in plain.splitlines() if "success 0.250" in line and "of" not in line]
    assert bars
    assert all(len(line) <= 80 and line.rstrip().endswith("left") for line in bars)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("good", [0, 1, 3])
@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "pipe"),
        OSError(errno.EIO, "terminal"),
        OSError(errno.ENOSPC, "disk"),
        ValueError("closed"),
    ],
)
def test_a_broken_stream_does_not_end_the_run(error, good, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    shown = run(Broken(error, good, terminal), verbose=True)
    assert shown._steps == 1000


def test_a_stream_that_cannot_spell_is_helped():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with Progress(10, name="hdm", stream=stream) as shown:
        shown.print("µ")
    stream.flush()
    assert b"?\n" in raw.getvalue()


SCRIPT = """
from hindsight_jax.runs.progress import Progress
with Progress(1000, name="hdm_push", verbose=True) as shown:
    for step in range(1, 101):
        shown.evaluated(10 * step, [0.5])
        shown.print("x" * 4000)
print("what others print goes nowhere too", flush=True)
open({marker!r}, "w").write("finished")
"""


def test_a_closed_pipe_of_a_real_process(tmp_path):
    marker = tmp_path / "marker"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(marker=str(marker))],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.read(10)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert errors == b""
    assert marker.read_text() == "finished"


def test_a_terminal_that_goes_away_from_a_real_process(tmp_path):
    marker = tmp_path / "marker"
    master, slave = pty.openpty()
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + SCRIPT.format(marker=str(marker))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), "TERM": "xterm"},
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    assert b"hdm_push" in os.read(master, 100)
    os.close(master)
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert errors == b""
    assert marker.read_text() == "finished"


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"total_steps": 0}, "total_steps"),
        ({"total_steps": 10, "members": 0}, "members"),
        ({"total_steps": 10, "settings": 0}, "settings"),
        ({"total_steps": 10, "start": 11}, "start"),
        ({"total_steps": 10, "start": -1}, "start"),
    ],
)
def test_arguments_are_checked(kwargs, name):
    with pytest.raises(ValueError, match=name):
        Progress(name="x", **kwargs)
