"""Trains a run as one program in its work directory or, where a grid changes shapes, as one below it for each shape.

DIR/config.json, summary.json                  the whole grid; the summaries of all programs
DIR/agent.hidden_sizes=64,64/metrics.jsonl ...  a whole work directory each, trained one after another
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hindsight_jax import fields, presets
from hindsight_jax.runs import config_file, streams
from hindsight_jax.runs.files import explain_errors
from hindsight_jax.runs.processes import Processes
from hindsight_jax.runs.refusals import refusals
from hindsight_jax.runs.session import session
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
    path: Path | None,
    *,
    resume: bool,
    argv: Sequence[str],
    processes: Processes,
    interrupt: GracefulExit,
    verbose: bool = False,
    parent: Path | None = None,
) -> int:
    """Trains every program in turn, and prints where; if verbose, a line for each evaluation, too.

    Returns the exit code of the first that was stopped, else 0.

    With a parent it begins where that run stands. Without a path it is runs/NAME-DATE, or runs/NAME-DATE-2, ... where
    another run has taken that.

    Raises SessionError if a session cannot begin or go on, or if the file system refuses.
    """
    streams.open_standard_descriptors()
    numbered, path = path is None, path or Path("runs", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    create, whole = WorkDir.create_unused if numbered else WorkDir.create, None
    if presets.programs(grid)[1]:
        with refusals():
            whole = _whole(name, config, grid, path, resume, argv, create) if processes.is_first else None
            processes.wait()
        create = WorkDir.create
    with refusals(), explain_errors(path, "the current folder cannot be found"):
        absolute = path.absolute()
    parts = list(split(name, config, grid, whole.path if whole else absolute, resume))
    for number, part in enumerate(parts):
        if whole is not None:
            streams.print_line(f"{name}: program {number + 1} of {len(parts)}, in {part.path}")
        given = {"resume": part.resume, "argv": argv, "processes": processes, "create": create}
        given |= {"verbose": verbose, "parent": parent}
        with session(name, part.config, part.grid, part.path, **given) as run:
            code = run.train(interrupt)
        if code:
            break
    if whole is not None and not code:
        with refusals():
            whole.write_programs({part.path.name: WorkDir.open(part.path).read_summary() for part in parts})
    if processes.is_first:
        path = path.with_name((whole or run.workdir).path.name) if numbered else path
        again = f"; go on with: {fields.COMMAND} --resume --workdir={path}" if code else ""
        streams.print_line(f"{name}: results in {path}{again}")
    return code


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
        below = path / config_file.folder_of(chosen)
        begun = resume and (below / "config.json").exists()
        yield Program(config=presets.changed(name, config, chosen), grid=own, path=below, resume=begun)


def _whole(
    name: str,
    config: Mapping[str, Any],
    grid: presets.Grid,
    path: Path,
    resume: bool,
    argv: Sequence[str],
    create: Callable[[Path], WorkDir],
) -> WorkDir:
    """Opens or creates the directory above the programs'."""
    nested = config_file.to_json(config)
    if resume:
        workdir = WorkDir.open(path)
        workdir.note_resume(nested, argv)
        return workdir
    workdir = create(path)
    workdir.write_config(nested, name=name, grid=config_file.grid_to_json(grid), argv=argv)
    return workdir
