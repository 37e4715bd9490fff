"""Sections with time limits: each figure is handed on at once, and a section that ends badly costs the others none."""

import itertools
import json
import math
import signal
import subprocess
import sys
import types

import pytest

from experiments.bench import sections
from experiments.bench.sections import Section


@pytest.fixture
def clock(monkeypatch):
    """A clock of ours: `clock.now` moves when a section moves it."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(sections, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def seen():
    """What was published and reported, copied, in order."""
    return types.SimpleNamespace(published=[], reported=[])


def run(seen, *members):
    copied = lambda found: json.loads(json.dumps(found))
    publish = lambda found: seen.published.append(copied(found))
    report = lambda name, figures: seen.reported.append((name, copied(figures)))
    return sections.run(members, "sizes", publish, report)


def ticking(clock, seconds):
    """A section's `measure`: three calls, each of so many seconds."""

    def measure(bench):
        for i in bench.deadline.each(range(3)):
            clock.now += seconds
            yield {f"call_{i}": clock.now}

    return measure


def test_each_figure_is_published_at_once_and_each_section_reported_at_its_end(clock, seen):
    found = run(seen, Section("one", 60.0, ticking(clock, 1.0)), Section("two", 60.0, ticking(clock, 2.0)))
    one = {"call_0": 1.0, "call_1": 2.0, "call_2": 3.0, "section_seconds": 3.0}
    two = {"call_0": 5.0, "call_1": 7.0, "call_2": 9.0, "section_seconds": 6.0}
    assert found == {"one": one, "two": two}
    assert seen.reported == [("one", one), ("two", two)]
    assert [len(published["one"]) for published in seen.published] == [1, 2, 3, 4, 4, 4, 4, 4]
    assert seen.published[5] == {"one": one, "two": {"call_0": 5.0, "call_1": 7.0}}


@pytest.mark.parametrize(("limit", "calls"), [(0.5, 1), (1.0, 1), (1.5, 2), (3.0, 3), (9.0, 3)])
def test_a_section_stops_where_its_time_is_over_and_calls_are_left(clock, seen, limit, calls):
    found = run(seen, Section("slow", limit, ticking(clock, 1.0)), Section("next", 9.0, ticking(clock, 1.0)))
    assert sum(name.startswith("call_") for name in found["slow"]) == calls
    assert found["slow"].get("stopped") == (None if calls == 3 else f"time limit of {limit:g} s")
    assert "stopped" not in found["next"]  # its time begins with it
    assert seen.published[-1] == found


def test_a_section_that_raises_keeps_what_it_measured_and_the_next_one_sees_it(clock, seen, capsys):
    def fails(bench):
        yield {"before": 1.0}
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory in /home/ada/x.py\nand so on")

    def next_one(bench):
        yield {"seen": dict(bench.found["fails"]), "sizes": bench.sizes}

    found = run(seen, Section("fails", 9.0, fails), Section("next", 9.0, next_one))
    error = "RuntimeError: RESOURCE_EXHAUSTED: Out of memory in x.py"
    assert found["fails"] == {"before": 1.0, "error": error, "section_seconds": 0.0}
    assert found["next"]["seen"] == found["fails"]
    assert found["next"]["sizes"] == "sizes"
    assert f"error: fails: {error}" in capsys.readouterr().err


def test_an_interrupt_ends_all_sections(clock, seen):
    def interrupted(bench):
        yield {"before": 1.0}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(seen, Section("interrupted", 9.0, interrupted), Section("never", 9.0, ticking(clock, 1.0)))
    assert seen.published == [{"interrupted": {"before": 1.0}}]


def test_what_a_platform_has_not_is_none_with_the_reason():
    assert sections.or_reason("tf32", lambda: {"tf32": 2.0}) == {"tf32": 2.0}
    absent = sections.or_reason("tf32", lambda: {"tf32": 1 / 0})
    assert absent == {"tf32": None, "tf32_reason": "ZeroDivisionError: division by zero"}


def test_a_write_that_fails_leaves_the_file_before(tmp_path):
    path = tmp_path / "figures.json"
    sections.write(path, {"a": 1.0, "b": math.nan})
    with pytest.raises(ValueError, match="must be a number"):
        sections.write(path, {"a": object()})
    refuse = lambda name: pytest.fail(f"{name} is no JSON")
    assert json.loads(path.read_text(), parse_constant=refuse) == {"a": 1.0, "b": "NaN"}
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import itertools, pathlib, sys
from experiments.bench import sections

def counts(bench):
    for i in itertools.count():
        yield {"many": list(range(1000)), "count": i}
        print(i, flush=True)

path = pathlib.Path(sys.argv[1])
first = sections.Section("first", 60, lambda bench: iter([{"x": 1.0}]))
sections.run([first, sections.Section("endless", 60, counts)], None, lambda f: sections.write(path, f), print)
"""


def test_a_kill_at_any_moment_leaves_what_was_measured(tmp_path):
    path = tmp_path / "figures.json"
    with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True) as process:
        lines = list(itertools.islice(process.stdout, 5))
        process.send_signal(signal.SIGKILL)
    found = json.loads(path.read_text())
    assert found["first"]["x"] == 1.0
    assert found["endless"]["count"] >= int(lines[-1])
    assert len(found["endless"]["many"]) == 1000
