"""Launches a run: one program in its work directory, or, where a grid's fields change shapes, one below it for each.

DIR/config.json, summary.json                  the whole grid; the summaries of all programs
DIR/agent.hidden_sizes=64,64/metrics.jsonl ...  a whole work directory each, trained one after another
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hindsight_jax import fields, presets
from hindsight_jax.runs import config_file, streams
from hindsight_jax.runs.processes import Processes
from hindsight_jax.runs.session import refusals, session
from hindsight_jax.runs.signals import GracefulExit
from hindsight_jax.runs.workdir import WorkDir


def train(
    arguments: config_file.Arguments,
    path: Path,
    argv: Sequence[str],
    processes: Processes,
    graceful_exit: GracefulExit,
) -> int:
    """Trains every program in turn. Returns the exit code of the first that was stopped, else 0.

    Raises SessionError if `session` or the file system refuses.
    """
    streams.open_standard_descriptors()
    parts = list(split(arguments, path))
    if len(parts) == 1:
        return _train_program(arguments, path, argv, processes, graceful_exit)
    with refusals():
        whole = _whole(arguments, path, argv) if processes.is_first else None
        processes.wait()
    for number, (part, below) in enumerate(parts):
        if processes.is_first:
            streams.print_line(f"{arguments.name}: program {number + 1} of {len(parts)}, in {below}")
        code = _train_program(part, below, argv, processes, graceful_exit)
        if code:
            return code
    if whole is not None:
        with refusals():
            whole.write_programs({below.name: WorkDir.open(below).read_summary() for _, below in parts})
    return 0


def _train_program(
    arguments: config_file.Arguments,
    path: Path,
    argv: Sequence[str],
    processes: Processes,
    graceful_exit: GracefulExit,
) -> int:
    """Trains one program. Returns its exit code."""
    assert arguments.name is not None
    config = config_file.values(arguments.config)  # type: ignore[arg-type]  # given for a run that trains
    with session(
        arguments.name, config, arguments.grid, path, resume=arguments.resume, argv=argv, processes=processes
    ) as run:
        return run.train(graceful_exit)


def split(arguments: config_file.Arguments, path: Path) -> Iterator[tuple[config_file.Arguments, Path]]:
    """(arguments, work directory) of each program. With `resume`, a program without a config.json starts anew."""
    grid, shaping = presets.programs(arguments.grid)
    if not shaping:
        yield arguments, path
        return
    assert arguments.name is not None
    assert arguments.config is not None
    for _, setting in presets.settings(shaping):
        below = path / ",".join(f"{field}={fields.text(value)}" for field, value in setting.items())
        config = config_file.make(arguments.name, config_file.values(arguments.config) | setting)
        resume = arguments.resume and (below / "config.json").exists()
        yield arguments._replace(config=config, grid=grid, resume=resume), below


def _whole(arguments: config_file.Arguments, path: Path, argv: Sequence[str]) -> WorkDir:
    """The directory above those of the programs, with its config.json."""
    config: Any = config_file.to_json_dict(arguments.config)  # type: ignore[arg-type]  # given for a run that trains
    if arguments.resume:
        workdir = WorkDir.open(path)
        workdir.note_resume(config, argv)
        return workdir
    workdir = WorkDir.create(path)
    workdir.write_config(config, name=str(arguments.name), grid=config_file.grid_to_json(arguments.grid), argv=argv)
    return workdir
