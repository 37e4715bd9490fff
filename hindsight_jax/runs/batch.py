"""Trains several runs one after another, each by the command line in a process of its own.

What is done is skipped, what was cut off is resumed, and what another process trains is left to it: the run's own lock
decides. So several processes, on several machines that see one directory, may share the same runs. A run that fails is
named at the end, and the others go on.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hindsight_jax import fields, presets
from hindsight_jax.runs import config_file, summary
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.lock import is_held
from hindsight_jax.runs.workdir import WorkDir

State = Literal["new", "cut off", "done", "locked", "another run"]
Runner = Callable[[Sequence[str], Path], int]  # (arguments of the command line, log) -> exit code

LOCKED = "locked"  # the trouble of a run that another process trains
COMMAND = (sys.executable, "-m", "hindsight_jax.cli.main", "--verbose")


class Job(NamedTuple):
    """A run to train."""

    label: str
    path: Path  # its work directory
    name: str  # of the preset
    config: Mapping[str, Any]  # every value by dotted field
    grid: presets.Grid
    arguments: Sequence[str]  # of the command line for a new run, without --workdir


class Progress(NamedTuple):
    """How far a run is."""

    state: State
    share: float  # of its env steps
    seconds: float  # of work so far


class Outcome(NamedTuple):
    """What became of a run."""

    job: Job
    trouble: str  # "" if it is done, LOCKED, or what went wrong
    start: float | None  # seconds that its process took beside its work: imports, compilation; None: not trained


def progress_of(job: Job) -> Progress:
    """Reads a run's directory, and changes nothing there."""
    if not (job.path / "config.json").exists():
        return Progress("locked" if is_held(job.path) else "new", 0.0, 0.0)
    parts = _programs(job)
    try:
        is_same = matches(job, job.path)
        found = [_of_program(part) for part in parts] if is_same else []
    except (ValueError, WorkDirError):
        is_same = False
    if not is_same:
        return Progress("another run", 0.0, 0.0)
    share = sum(part.share for part in found) / len(found)
    seconds = sum(part.seconds for part in found)
    if all(part.state == "done" for part in found) and (len(parts) == 1 or (job.path / "summary.json").exists()):
        return Progress("done", 1.0, seconds)
    is_locked = any(part.state == "locked" for part in found)
    return Progress("locked" if is_locked else "cut off", min(share, 1.0), seconds)


def matches(job: Job, path: Path) -> bool:
    """Whether the directory holds this very run: its name, its grid, and every value that its numbers depend on."""
    name, config, grid = config_file.load(path / "config.json")
    free = set(config_file.RESUMABLE) - {"total_steps"}
    fixed = lambda values: {field: value for field, value in values.items() if field not in free}
    return name == job.name and dict(grid) == dict(job.grid) and fixed(config) == fixed(job.config)


def arguments_of(job: Job, state: State) -> list[str]:
    """The command line that starts or resumes the run."""
    folder = f"--workdir={job.path}"
    return ["--resume", folder] if state == "cut off" else [*job.arguments, folder]


def train(jobs: Iterable[Job], *, runner: Runner, say: Callable[[str], None]) -> Iterator[Outcome]:
    """Trains each run that is not done, and yields what became of it.

    The log of the run in DIR is DIR.log. The trouble of a run that another process trains is LOCKED, which is no
    failure.
    """
    for job in jobs:
        now, start, trouble = progress_of(job), None, ""
        if now.state in ("new", "cut off"):
            log = job.path.with_name(f"{job.path.name}.log")
            arguments = arguments_of(job, now.state)
            say(f"{job.label}: {shlex.join([fields.COMMAND, *arguments])}")
            before, began = now.seconds, time.monotonic()
            try:
                log.parent.mkdir(parents=True, exist_ok=True)
                trouble = f"exit code {runner(arguments, log)}, see {log}"
            except OSError as error:  # of its log, or of a process more; the next run is tried
                trouble = f"it did not start ({error})"
            now = progress_of(job)
            start = max(time.monotonic() - began - (now.seconds - before), 0.0)
        if now.state == "another run":
            trouble = f"{job.path} holds another run. Move it, or choose another --workdir"
        elif now.state in ("done", "locked"):
            trouble = LOCKED if now.state == "locked" else ""
        yield Outcome(job, trouble, start)


def subprocess_runner(
    environment: Mapping[str, str] | None = None, directory: Path | None = None, command: Sequence[str] = COMMAND
) -> Runner:
    """Runs the command line with its output in the log. A signal to this process stops it, and it saves.

    Args:
      environment: beside that of this process.
      directory: where it runs; this process's own by default.
      command: in front of the arguments.
    """

    def run(arguments: Sequence[str], log: Path) -> int:
        with log.open("ab") as output:
            # A session of its own: Ctrl-C reaches it once, from here, and it saves.
            process = subprocess.Popen(
                [*command, *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                cwd=directory,
                start_new_session=True,
            )
            try:
                return process.wait()
            except BaseException:
                process.send_signal(signal.SIGTERM)
                process.wait()
                raise

    return run


def _of_program(job: Job) -> Progress:
    """How far one program is."""
    if not (job.path / "config.json").exists():
        return Progress("locked" if is_held(job.path) else "new", 0.0, 0.0)
    workdir = WorkDir.open(job.path)
    records = workdir.read_records()
    reached = summary.table(records, "env_steps").values
    members = config_file.num_members(job.config, job.grid)
    share = float(reached[:, -1].min()) / job.config["total_steps"] if len(reached) == members and reached.size else 0.0
    seconds = max((r["seconds_train"] + r["seconds_evaluate"] for r in records), default=0.0)
    written = (job.path / "summary.json").exists() and not workdir.read_summary().get("interrupted", False)
    if share >= 1.0 and written:
        return Progress("done", 1.0, seconds)
    return Progress("locked" if is_held(job.path) else "cut off", min(share, 1.0), seconds)


def _programs(job: Job) -> list[Job]:
    """The run itself or, where its grid changes shapes, one for each of its programs' directories."""
    own, shaping = presets.programs(job.grid)
    if not shaping:
        return [job]
    parts = []
    for _, chosen in presets.settings(shaping):
        config = presets.changed(job.name, job.config, chosen)
        parts.append(job._replace(path=job.path / config_file.folder_of(chosen), config=config, grid=own))
    return parts
