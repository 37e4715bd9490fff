"""Trains a run as one program in its work directory or, where a grid changes shapes, as one below it for each shape.

DIR/config.json, summary.json                  the whole grid; the summaries of all programs
DIR/agent.hidden_sizes=64,64/metrics.jsonl ...  a whole work directory each, trained one after another
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hindsight_jax import fields, presets
from hindsight_jax.runs import config_file, streams
from hindsight_jax.runs.processes import Processes
from hindsight_jax.runs.session import refusals, session
from hindsight_jax.runs.signals import GracefulExit
from hindsight_jax.runs.workdir import WorkDir


class Program(NamedTuple):
    """A part of a run whose members have the same shapes."""

    config: dict[str, Any]
    grid: presets.Grid  # fields in which its members differ
    path: Path  # its work directory
    resume: bool  # it has begun


def train(
    name: str,
    config: Mapping[str, Any],
    grid: presets.Grid,
    path: Path,
    *,
    resume: bool,
    argv: Sequence[str],
    processes: Processes,
    interrupt: GracefulExit,
) -> int:
    """Trains every program in turn. Returns the exit code of the first that was stopped, else 0.

    Raises SessionError if a session cannot begin or go on, or if the file system refuses.
    """
    streams.open_standard_descriptors()
    parts = list(split(name, config, grid, path, resume))
    whole = None
    if len(parts) > 1:
        with refusals():
            whole = _whole(name, config, grid, path, resume, argv) if processes.is_first else None
            processes.wait()
    for number, part in enumerate(parts):
        if whole is not None:
            streams.print_line(f"{name}: program {number + 1} of {len(parts)}, in {part.path}")
        with session(
            name, part.config, part.grid, part.path, resume=part.resume, argv=argv, processes=processes
        ) as run:
            code = run.train(interrupt)
        if code:
            return code
    if whole is not None:
        with refusals():
            whole.write_programs({part.path.name: WorkDir.open(part.path).read_summary() for part in parts})
    return 0


def split(
    name: str, config: Mapping[str, Any], grid: presets.Grid, path: Path, resume: bool = False
) -> Iterator[Program]:
    """Splits a run into its programs; if the run is resumed, so are those that had begun.

    >>> grid = {"agent.hidden_sizes": ((8,), (4, 4))}
    >>> [part.path.name for part in split("her_push", presets.config("her_push"), grid, Path("run"))]
    ['agent.hidden_sizes=8', 'agent.hidden_sizes=4,4']
    """
    own, shaping = presets.programs(grid)
    if not shaping:
        yield Program(config=dict(config), grid=grid, path=path, resume=resume)
        return
    for _, chosen in presets.settings(shaping):
        below = path / ",".join(f"{field}={fields.text(value)}" for field, value in chosen.items())
        begun = resume and (below / "config.json").exists()
        yield Program(config=presets.changed(name, config, chosen), grid=own, path=below, resume=begun)


def _whole(
    name: str, config: Mapping[str, Any], grid: presets.Grid, path: Path, resume: bool, argv: Sequence[str]
) -> WorkDir:
    """Opens or creates the directory above the programs'."""
    nested = config_file.to_json(config)
    if resume:
        workdir = WorkDir.open(path)
        workdir.note_resume(nested, argv)
        return workdir
    workdir = WorkDir.create(path)
    workdir.write_config(nested, name=name, grid=config_file.grid_to_json(grid), argv=argv)
    return workdir
