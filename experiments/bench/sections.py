"""Sections of a benchmark, each within its own time limit, whose figures are handed on as soon as they are measured.

Nothing can interrupt a call of XLA, so a section is a generator of short calls: it asks its deadline before each of
them, and yields what each has measured. A section that ends late, or raises, costs the others nothing.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hindsight_jax.runs import provenance, strict_json

Figures = dict[str, Any]  # name -> a number, a text, None, or a list of these


class TimeLimitError(Exception):
    """A section's time is over, and it has calls left."""


class Deadline:
    """The time that a section has.

    >>> Deadline(60.0).left() > 0
    True
    """

    def __init__(self, seconds: float) -> None:
        """Starts now."""
        self.seconds, self._end = seconds, time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the end; negative after it."""
        return self._end - time.monotonic()

    def check(self) -> None:
        """Raises TimeLimitError if no time is left; to be called before each piece of work."""
        if self.left() <= 0:
            raise TimeLimitError(f"time limit of {self.seconds:g} s")

    def each(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, with a check before each."""
        for item in items:
            self.check()
            yield item


class Bench(NamedTuple):
    """What a section is given."""

    sizes: Any
    deadline: Deadline
    found: Mapping[str, Figures]  # what the sections before it have measured, by their names


class Section(NamedTuple):
    """A part of the benchmark; `measure` yields figures, which are merged into those that it has yielded before."""

    name: str
    seconds: float  # its time limit
    measure: Callable[[Bench], Iterator[Figures]]


def run(
    sections: Sequence[Section],
    sizes: Any,
    publish: Callable[[Mapping[str, Figures]], None],
    report: Callable[[str, Figures], None],
) -> dict[str, Figures]:
    """Runs the sections in their order; returns their figures by name.

    Each has `section_seconds`; one that has run out of time has `stopped`, and one that raised has `error`, its first
    line. `publish` gets all figures after each that is measured, `report` those of a section at its end.
    """
    found: dict[str, Figures] = {}
    for section in sections:
        figures, began, deadline = found.setdefault(section.name, {}), time.monotonic(), Deadline(section.seconds)
        try:
            for measured in section.measure(Bench(sizes, deadline, found)):
                figures |= measured
                publish(found)
        except TimeLimitError as limit:
            figures["stopped"] = str(limit)
        except Exception as error:  # of any kind: out of memory, a kernel that does not compile
            figures["error"] = first_line(error)
            print(f"error: {section.name}: {figures['error']}", file=sys.stderr, flush=True)
        figures["section_seconds"] = time.monotonic() - began
        publish(found)
        report(section.name, figures)
    return found


def first_line(error: BaseException) -> str:
    """The error's type and the first line of its message, without absolute paths.

    >>> first_line(ValueError("no room in /home/ada/x\\nmore"))
    'ValueError: no room in x'
    """
    lines = str(error).strip().splitlines() or [""]
    return provenance.portable(f"{type(error).__name__}: {lines[0]}")[:300]


def or_reason(name: str, measure: Callable[[], Figures]) -> Figures:
    """What `measure` returns; where it raises, {name: None, "name_reason": why}. For what a platform may not have."""
    try:
        return measure()
    except Exception as error:
        return {name: None, f"{name}_reason": first_line(error)}


def write(path: Path, figures: Mapping[str, Any]) -> None:
    """Replaces a file of strict JSON: a kill at any moment leaves the one before or this one, whole.

    Raises ValueError for what JSON cannot hold.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(strict_json.plain(figures), indent=2) + "\n")
    os.replace(temporary, path)
