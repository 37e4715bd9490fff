"""Trains the runs of studies one after another, each by the command line in a process of its own.

What is done is skipped, what was cut off is resumed, and what another process trains is left to it: the run's own lock
decides. A run that fails is named at the end, and the others go on.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import jax

from experiments.reproduce import studies
from experiments.reproduce.studies import Budget, Run
from hindsight_jax import fields, presets
from hindsight_jax.runs import config_file
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.lock import is_held
from hindsight_jax.runs.workdir import WorkDir

State = Literal["new", "cut off", "done", "locked", "another run"]
Runner = Callable[[Sequence[str], Path], int]  # (arguments of the command line, log) -> exit code

LOCKED = "locked"  # the trouble of a run that another process trains
ROOT = Path(__file__).parents[2]

# The quick budget compiles fast code of no use: XLA's optimisations take longer than its runs.
QUICK_ENVIRONMENT = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}
_QUICK_FLAGS = "--xla_force_host_platform_device_count=1"
# Of XLA's older emitters, which compile twice as fast; other versions may not know these, and end where they do not.
_OLDER = " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


class Progress(NamedTuple):
    """How far a run is."""

    run: Run
    state: State
    share: float  # of its env steps
    seconds: float  # of work so far


class Outcome(NamedTuple):
    """What became of a run."""

    run: Run
    trouble: str  # "" if it is done, LOCKED, or what went wrong
    start: float | None = None  # seconds that its process took beside its work: imports, compilation; None: not trained


def progress_of(run: Run, budget: Budget, workdir: Path) -> Progress:
    """Reads a run's folder, and changes nothing there."""
    path = workdir / run.path
    if not (path / "config.json").exists():
        return Progress(run, "locked" if is_held(path) else "new", 0.0, 0.0)
    try:
        is_same = matches(run, budget, path)
        records = WorkDir.open(path).read_records()
    except (ValueError, WorkDirError):
        return Progress(run, "another run", 0.0, 0.0)
    if not is_same:
        return Progress(run, "another run", 0.0, 0.0)
    last: dict[int, float] = {}
    for record in records:
        last[record["member"]] = record["env_steps"]
    config = studies.config_of(run, budget)
    share = min(last.values()) / config["total_steps"] if len(last) == config["seeds"] else 0.0
    seconds = max((r["seconds_train"] + r["seconds_evaluate"] for r in records), default=0.0)
    if share >= 1.0 and is_finished(path):
        return Progress(run, "done", 1.0, seconds)
    return Progress(run, "locked" if is_held(path) else "cut off", min(share, 1.0), seconds)


def matches(run: Run, budget: Budget, path: Path) -> bool:
    """Whether the folder holds this very run: its name, and every value that its numbers depend on."""
    name, config, grid = config_file.load(path / "config.json")
    wanted = studies.config_of(run, budget)
    free = set(config_file.RESUMABLE) - {"total_steps"}
    same = {f: v for f, v in config.items() if f not in free} == {f: v for f, v in wanted.items() if f not in free}
    return name == studies.name_of(run, budget) and not grid and same


def is_finished(path: Path) -> bool:
    """Whether the run has written its last summary."""
    if not (path / "summary.json").exists():
        return False
    return not WorkDir.open(path).read_summary().get("interrupted", False)


def arguments_of(run: Run, budget: Budget, workdir: Path, state: State) -> list[str]:
    """The command line that starts or resumes the run.

    >>> run = Run("s", "a", "her_push", {"agent.hidden_sizes": (8, 8)})
    >>> arguments_of(run, "default", Path("runs"), "new")[1:]
    ['--config.seeds=5', '--config.agent.hidden_sizes=8,8', '--workdir=runs/s/a']
    >>> arguments_of(run, "default", Path("runs"), "cut off")
    ['--resume', '--workdir=runs/s/a']
    """
    folder = f"--workdir={workdir / run.path}"
    if state == "cut off":
        return ["--resume", folder]
    values = studies.overrides_of(run, budget)
    return [
        f"--config={studies.name_of(run, budget)}",
        *(f"--config.{field}={fields.text(value)}" for field, value in values.items()),
        folder,
    ]


def train(
    runs: Iterable[Run],
    budget: Budget,
    workdir: Path,
    *,
    runner: Runner,
    say: Callable[[str], None],
) -> Iterator[Outcome]:
    """Trains each run that is not done, and yields what became of it.

    The trouble of a run that another process trains is LOCKED, which is no failure.
    """
    for run in runs:
        now, start, trouble = progress_of(run, budget, workdir), None, ""
        if now.state in ("new", "cut off"):
            log = workdir / f"{run.path}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            arguments = arguments_of(run, budget, workdir, now.state)
            say(f"{run.path}: python -m experiments.run {' '.join(arguments)}")
            before, began = now.seconds, time.monotonic()
            code = runner(arguments, log)
            now = progress_of(run, budget, workdir)
            start = max(time.monotonic() - began - (now.seconds - before), 0.0)
            trouble = f"exit code {code}, see {log}"
        if now.state == "another run":
            trouble = f"{workdir / run.path} holds another run. Move it, or choose another --workdir"
        elif now.state in ("done", "locked"):
            trouble = LOCKED if now.state == "locked" else ""
        yield Outcome(run, trouble, start)


def subprocess_runner(budget: Budget) -> Runner:
    """Runs `python -m experiments.run` with its output in the log. A signal to this process stops it, and it saves."""
    environment = dict(os.environ)
    if budget == "quick":
        older = _OLDER if jax.__version_info__[:2] == (0, 10) else ""
        flags = f"{environment.get('XLA_FLAGS', '')} {_QUICK_FLAGS}{older}".strip()
        environment |= QUICK_ENVIRONMENT | {"XLA_FLAGS": flags}

    def run(arguments: Sequence[str], log: Path) -> int:
        command = [sys.executable, "-m", "experiments.run", *arguments]
        with log.open("ab") as output:
            # A session of its own: Ctrl-C reaches it once, from here, and it saves.
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
            )
            try:
                return process.wait()
            except BaseException:
                process.send_signal(signal.SIGTERM)
                process.wait()
                raise

    return run


def seconds_left(found: Sequence[Progress], budget: Budget, start: float = 0.0) -> tuple[float, int]:
    """(seconds that the runs that are not done will take, the number of those of which nothing tells).

    A run that has begun goes on at its own speed. Another takes what a done run of its algorithm and task took, or the
    mean of those of its task, or what `presets.EXPECTED` has; each in proportion to env steps and seeds. In miniature
    any done run tells. Each takes `start` seconds more.
    """
    known = [(one, _size(one.run, budget)) for one in found if one.state == "done" and one.seconds]
    total, unknown = 0.0, 0
    for one in found:
        if one.state == "done":
            continue
        total += start
        if one.share and one.seconds:
            total += one.seconds / one.share * (1.0 - one.share)
            continue
        rates = [other.seconds / size for other, size in known if other.run.name == one.run.name]
        task = presets.split(one.run.name)[1]
        rates = rates or [o.seconds / size for o, size in known if presets.split(o.run.name)[1] == task]
        rates = rates or [other.seconds / size for other, size in known if budget == "quick"]
        if rates:
            total += sum(rates) / len(rates) * _size(one.run, budget)
        elif budget == "default" and one.run.name in presets.EXPECTED:
            expected = presets.EXPECTED[one.run.name]
            total += 60.0 * expected.minutes / expected.seeds * one.run.seeds
        else:
            unknown += 1
    return total, unknown


def _size(run: Run, budget: Budget) -> float:
    """Env steps of all seeds."""
    config: Mapping[str, int] = studies.config_of(run, budget)
    return config["total_steps"] * config["seeds"]
