"""The runs of studies, as `hindsight_jax.runs.batch` trains them, and how long what is left will take."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from experiments.reproduce import studies
from experiments.reproduce.studies import Budget, Run
from hindsight_jax import fields, presets
from hindsight_jax.runs import batch
from hindsight_jax.runs.batch import Job

ROOT = Path(__file__).parents[2]

# The quick budget compiles fast code of no use: XLA's optimisations take longer than its runs.
QUICK_ENVIRONMENT = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}
_QUICK_FLAGS = "--xla_force_host_platform_device_count=1"
# Of XLA's older emitters, which compile twice as fast; other versions may not know these, and end where they do not.
_OLDER = " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


class Progress(NamedTuple):
    """How far a run is."""

    run: Run
    state: batch.State
    share: float  # of its env steps
    seconds: float  # of work so far


class Outcome(NamedTuple):
    """What became of a run."""

    run: Run
    trouble: str  # "" if it is done, `batch.LOCKED`, or what went wrong
    start: float | None = None  # seconds that its process took beside its work; None: not trained


def job_of(run: Run, budget: Budget, workdir: Path) -> Job:
    """The run as the library trains it.

    >>> job = job_of(Run("s", "a", "her_push", {"agent.hidden_sizes": (8, 8)}), "default", Path("runs"))
    >>> job.path.as_posix(), job.arguments[1:]
    ('runs/s/a', ['--config.seeds=5', '--config.agent.hidden_sizes=8,8'])
    """
    name, values = studies.known_name_of(run, budget), studies.overrides_of(run, budget)
    arguments = [f"--config={name}", *(f"--config.{field}={fields.text(value)}" for field, value in values.items())]
    return Job(run.path, workdir / run.path, name, studies.config_of(run, budget), {}, arguments)


def progress_of(run: Run, budget: Budget, workdir: Path) -> Progress:
    """Reads a run's directory, and changes nothing there."""
    return Progress(run, *batch.progress_of(job_of(run, budget, workdir)))


def train(
    runs: Iterable[Run],
    budget: Budget,
    workdir: Path,
    *,
    runner: batch.Runner,
    say: Callable[[str], None],
) -> Iterator[Outcome]:
    """Trains each run that is not done, and yields what became of it."""
    runs = list(runs)
    outcomes = batch.train((job_of(run, budget, workdir) for run in runs), runner=runner, say=say)
    for run, outcome in zip(runs, outcomes, strict=True):
        yield Outcome(run, outcome.trouble, outcome.start)


def subprocess_runner(budget: Budget) -> batch.Runner:
    """Runs `hindsight-jax` from this checkout; the quick budget compiles less well, and sooner."""
    environment: dict[str, str] = {}
    if budget == "quick":
        older = _OLDER if jax.__version_info__[:2] == (0, 10) else ""
        flags = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK_FLAGS}{older}".strip()
        environment = QUICK_ENVIRONMENT | {"XLA_FLAGS": flags}
    return batch.subprocess_runner(environment, ROOT)


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
