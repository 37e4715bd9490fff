"""What a report or a comparison reads of runs: their records, configs, videos and states, whole or while they go on."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hindsight_jax import checks, presets
from hindsight_jax.runs import summary
from hindsight_jax.runs.lock import is_held
from hindsight_jax.runs.records import Record
from hindsight_jax.runs.workdir import WorkDir

State = Literal["finished", "going on", "stopped"]


class Source(NamedTuple):
    """One run."""

    label: str
    path: Path
    document: dict[str, Any]  # config.json
    records: list[Record]
    summary: dict[str, Any]  # summary.json; {} before there is one
    state: State


class Line(NamedTuple):
    """One setting of one run: a line of a chart, a row of a table."""

    label: str
    source: Source
    setting: dict[str, float]
    records: list[Record]


def read(arguments: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """The runs of directories, each DIR or LABEL=DIR; of one that holds several runs, all below it.

    Raises:
      ValueError: there is no run in a directory, or one is named twice.
      WorkDirError: a file of a run cannot be read.
    """
    found: list[tuple[str, Path]] = []
    for argument in arguments:
        label, path = _split(os.fspath(argument))
        below = list(_runs_in(path))
        if not below:
            rule = "it must be the directory of a run, or hold such directories"
            checks.fail("DIR", repr(str(path)), rule, "Name what --workdir was given.")
        for run in below:
            inner = "" if run == path else str(run.relative_to(path))
            found.append((" ".join(part for part in (label, inner) if part), run))
    paths = [path.resolve() for _, path in found]
    for path in paths:
        if paths.count(path) > 1:
            checks.fail("DIR", repr(str(path)), "each run is shown once", "Name it once.")
    return _labelled([open_run(path, label) for label, path in found])


def open_run(path: Path, label: str = "") -> Source:
    """The run in a directory; its label is the run's name by default.

    Raises WorkDirError: a file of the run is missing or cannot be read.
    """
    workdir = WorkDir(path)
    document, records = workdir.read_config(), workdir.read_records()
    written = workdir.read_summary() if (path / "summary.json").exists() else {}
    return Source(label or document["name"], path, document, records, written, _state(path, document, records, written))


def lines(sources: Iterable[Source]) -> list[Line]:
    """A line for each setting of each run that has records."""
    sources = list(sources)
    found = []
    for source in sources:
        for setting, records in summary.by_setting(source.records):
            words = presets.label(setting)
            both = f"{source.label}: {words}" if len(sources) > 1 else words
            found.append(Line(both if words else source.label, source, setting, records))
    return found


def _split(argument: str) -> tuple[str, Path]:
    """(label, path) of LABEL=DIR, or ('', path): a directory's own name may hold a '='."""
    label, equals, rest = argument.partition("=")
    return ("", Path(argument)) if not equals or Path(argument).exists() else (label, Path(rest))


def _runs_in(path: Path) -> Iterable[Path]:
    """The directory itself if it has records, else the runs below it in the order of their names."""
    if (path / "metrics.jsonl").is_file() and not _has_programs(path):
        yield path
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            if child.is_dir() and child.name not in ("checkpoints", "tensorboard"):
                yield from _runs_in(child)


def _has_programs(path: Path) -> bool:
    """Whether the directory is that above the programs of a grid, which has a config and no records of its own."""
    return any((child / "metrics.jsonl").is_file() for child in path.iterdir() if child.is_dir())


def _state(path: Path, document: dict[str, Any], records: list[Record], written: dict[str, Any]) -> State:
    steps = summary.table(records, "env_steps").values
    reached = steps[:, -1].min() if steps.size else 0
    done = written and not written.get("interrupted") and reached >= document["config"]["total_steps"]
    return "finished" if done else "going on" if is_held(path) else "stopped"


def _labelled(sources: list[Source]) -> list[Source]:
    """Adds to a label that several have what tells a directory from the others."""
    names = [source.label for source in sources]
    out = []
    for source, name in zip(sources, names, strict=True):
        alone = names.count(name) == 1
        out.append(source._replace(label=name if alone else f"{name} ({source.path.name})"))
    again = [source.label for source in out]
    return [s._replace(label=s.label if again.count(s.label) == 1 else f"{s.label} {s.path}") for s in out]
