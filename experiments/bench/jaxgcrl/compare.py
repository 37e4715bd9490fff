"""Runs JaxGCRL's contrastive RL and ours, one after the other, and keeps their curves.

Each run is a process of its own, which has all cores and, if it is ours, an empty compile cache. Both sides play as
many episodes at each evaluation, of the same length, at the same spacing of env steps; success means the same:

* success_any: the share of episodes with a success after at least one action;
* success_end: the share of episodes whose last state is a success.

Seconds of three kinds, alike for both: all since the process began; those without compilation (tracing, lowering and
XLA's own); and those of training, without the start (imports, and making the task), compilation and evaluation.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.bench import sections
from hindsight_jax import checks, presets

LEVEL = 0.9  # the success that is timed
EPISODES = 256  # of an evaluation: JaxGCRL's default, and ours here
MEASURES = ("success_any", "success_end")
CONFIGS = ("hem_brax_reacher", "crl_brax_reacher")
STEPS = 2_500_000
DRIVER = Path(__file__).with_name("driver.py")
ROOT = Path(__file__).resolve().parents[3]
COLUMNS = (
    "env_steps",
    "updates",
    *MEASURES,
    "seconds",
    "compile_seconds",
    "evaluation_seconds",
)


class PeerTask(NamedTuple):
    """What JaxGCRL calls a task of ours, and its flags that are not its defaults."""

    env: str
    num_envs: int
    episode_length: int  # (episode_length - 1) num_envs must be a multiple of its batch of 256
    every: int  # env steps between evaluations, of both, at most

    @property
    def warmup(self) -> int:
        """Env steps before JaxGCRL learns, at least: min_replay_size, 1,000 by default, of each environment."""
        return 1_000 * self.num_envs

    def num_evals(self, steps: int) -> int:
        """How many evaluations it makes, each after the same number of whole unrolls of 62 steps, its default."""
        unroll = 62 * self.num_envs
        return max((steps - self.warmup) // (max(self.every // unroll, 1) * unroll), 1)


TASKS = {
    "brax_reacher": PeerTask("reacher", num_envs=64, episode_length=101, every=25_000),
    "brax_ant": PeerTask("ant", num_envs=256, episode_length=1_000, every=250_000),  # 256 is its default
}


class Peer(NamedTuple):
    """JaxGCRL where it is installed, and what is run beside it."""

    python: str
    folder: Path | None  # a clone that is not installed
    configs: Sequence[str]  # names of our runs, each on a task of TASKS
    steps: int  # env steps of each run
    seeds: Sequence[int]
    minutes: float  # that a run may take
    versions: Mapping[str, str | None]
    commit: str | None


class Run(NamedTuple):
    """One training of either side."""

    library: str  # "jaxgcrl" or "hindsight_jax"
    name: str  # what it trains
    task: str  # of TASKS
    settings: Mapping[str, Any]  # what its driver is given
    command: Sequence[str]
    environment: Mapping[str, str]


def find(
    python: str, folder: Path | None, configs: Sequence[str], steps: int, seeds: Sequence[int], minutes: float
) -> Peer:
    """The peer and what to run beside it. Starts its Python once, and trains nothing.

    Raises ValueError for a Python that cannot start or cannot import JaxGCRL, a run of ours on a task that it has not,
    too few steps for its first evaluation, and a number out of range.
    """
    tasks = [TASKS[task_of(config)] for config in configs]
    least = max(task.warmup + task.every for task in tasks)
    checks.whole("--peer-steps", steps, least, 10**9, "JaxGCRL collects random steps first, and evaluates later.")
    for seed in seeds:
        checks.whole("--peer-seeds", seed, 0, 2**31 - 1, "Take seeds from 0 on.")
    checks.in_range("--peer-minutes", minutes, 0.01, 10_000.0, "It is the time limit of each run.")
    if folder is not None and not (folder / "jaxgcrl").is_dir():
        remedy = "Name the folder of a clone of JaxGCRL."
        checks.fail("--peer-dir", str(folder), "it must hold the package jaxgcrl", remedy)
    try:
        command = [python, str(DRIVER), "jaxgcrl", "FOUND"]
        done = subprocess.run(command, env=_peer_environment(folder), capture_output=True, text=True, timeout=120)
    except OSError as error:
        remedy = "Name the python of a virtual environment in which JaxGCRL is installed."
        checks.fail("--peer-python", python, f"it must start ({error.strerror})", remedy)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"is_there": False}
    if not found["is_there"]:
        remedy = "Install it there (python -m pip install CLONE, with its versions), or name its clone by --peer-dir."
        checks.fail("--peer-python", python, "it must be able to import jaxgcrl", remedy)
    return Peer(python, folder, tuple(configs), steps, tuple(seeds), minutes, found["versions"], found["commit"])


def task_of(config: str) -> str:
    """The task of a run of ours. Raises ValueError if there is no such run, or JaxGCRL does not have its task."""
    _, task, _ = presets.split(config)
    if task not in TASKS:
        rule = f"its task must be one of {', '.join(TASKS)}"
        checks.fail("--peer-configs", config, rule, "JaxGCRL has no other of our tasks.")
    return task


def measure(
    peer: Peer,
    publish: Callable[[Mapping[str, Any]], None],
    report: Callable[[str, dict[str, Any]], None],
) -> dict[str, Any]:
    """Runs everything, one after the other; a run that fails or is stopped keeps the evaluations that it had.

    Args:
      peer: what `find` returned.
      publish: called with all figures so far, after each evaluation.
      report: called with a run's name and its summary, at its end.

    Returns:
      {"peer": versions, commit, level, steps, seeds, minutes, configs; "runs": name -> its settings and curve}.
    """
    about = {
        "versions": dict(peer.versions),
        "commit": peer.commit,
        "level": LEVEL,
        "episodes": EPISODES,
        "steps": peer.steps,
        "seeds": list(peer.seeds),
        "minutes": peer.minutes,
        "configs": list(peer.configs),
    }
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            sections.Section(f"{run.task}: {run.name}, seed {seed}", 60.0 * peer.minutes, _section(run, seed))
            for seed in peer.seeds
            for run in runs(peer, seed, Path(folder))
        ]
        found = sections.run(
            parts,
            None,
            lambda figures: publish({"peer": about, "runs": figures}),
            lambda name, figures: report(name, summary(figures)),
        )
    return {"peer": about, "runs": found}


def runs(peer: Peer, seed: int, caches: Path) -> list[Run]:
    """The runs of one seed: of each task JaxGCRL's, then ours; ours have an empty folder of `caches` each."""
    found = []
    for task in dict.fromkeys(task_of(config) for config in peer.configs):
        found.append(_theirs(peer, task, seed))
        configs = [config for config in peer.configs if task_of(config) == task]
        found += [_ours(peer, config, task, seed, caches / f"{config}_{seed}") for config in configs]
    return found


def _theirs(peer: Peer, task: str, seed: int) -> Run:
    """JaxGCRL's run on a task: its flags but for the number of steps, environments and evaluations are its defaults."""
    theirs = TASKS[task]
    settings = {
        "env": theirs.env,
        "num_envs": theirs.num_envs,
        "episode_length": theirs.episode_length,
        "total_env_steps": peer.steps,
        "num_evals": theirs.num_evals(peer.steps),
        "num_eval_envs": EPISODES,
        "seed": seed,
    }
    command = [peer.python, str(DRIVER), "jaxgcrl", json.dumps(settings)]
    return Run("jaxgcrl", "JaxGCRL's CRL", task, settings, command, _peer_environment(peer.folder))


def _ours(peer: Peer, config: str, task: str, seed: int, cache: Path) -> Run:
    """Our run: its values but for the number of steps, the horizon and the evaluations are its own."""
    overrides = {
        "total_steps": peer.steps,
        "env.horizon": TASKS[task].episode_length,
        "evaluation.every": TASKS[task].every,
        "evaluation.episodes": EPISODES,
    }
    settings = {"name": config, "overrides": overrides, "seed": seed}
    environment = _environment() | {"PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": str(cache)}
    command = [sys.executable, str(DRIVER), "hindsight_jax", json.dumps(settings)]
    return Run("hindsight_jax", config, task, settings, command, environment)


def _environment() -> dict[str, str]:
    """This process's, without the flags of XLA that it set for itself, its compile cache and its modules."""
    left_out = ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    return environment | {"PYTHONSAFEPATH": "1"}  # or the driver's folder would be searched first


def _peer_environment(folder: Path | None) -> dict[str, str]:
    """Where the clone, if any, is found, and where Weights & Biases, which JaxGCRL imports, does nothing."""
    clone = {} if folder is None else {"PYTHONPATH": str(folder.resolve())}
    return _environment() | {"WANDB_MODE": "disabled"} | clone


def process_lines(run: Run, seconds: float) -> Iterator[tuple[float, dict[str, Any]]]:
    """Starts the run, and yields each line of its driver with the seconds since the start; kills it after `seconds`.

    Raises RuntimeError with the last line of its errors if it fails or is killed.
    """
    began = time.monotonic()
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    with tempfile.TemporaryFile("w+") as errors, contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(run.command, env=run.environment, stderr=errors, **pipes))
        stack.callback(process.kill)  # a reader that stops early must not wait for it
        timer = threading.Timer(max(seconds, 0.0), process.kill)
        stack.callback(timer.cancel)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            yield time.monotonic() - began, json.loads(line)
        if process.wait():
            errors.seek(0)
            said = errors.read().strip().splitlines() or ["it said nothing"]
            raise RuntimeError(f"{run.name} ended with {process.returncode}: {said[-1]}")


def _section(run: Run, seed: int) -> Callable[[sections.Bench], Iterator[sections.Figures]]:
    """The run as a section: yields its curve so far after each evaluation."""

    def follow(bench: sections.Bench) -> Iterator[sections.Figures]:
        curve: dict[str, list[float]] = {name: [] for name in COLUMNS}
        yield {"library": run.library, "name": run.name, "task": run.task, "seed": seed, "curve": curve}
        yield {"settings": dict(run.settings)}
        try:
            for seconds, line in process_lines(run, bench.deadline.left()):
                if "imported" in line:
                    start = seconds - line["compile_seconds"]
                    yield {"start_seconds": start, "versions": line["imported"], "device": line["device"]}
                    continue
                for name in COLUMNS:
                    curve[name].append((line | {"seconds": seconds})[name])
                yield {"curve": curve}
        except RuntimeError:
            bench.deadline.check()  # it was killed for its time limit
            raise

    return follow


class Clocks(NamedTuple):
    """Seconds of an evaluation: all since the process began, without compilation, and of training alone."""

    all: float
    without_compilation: float
    training: float


def clocks(run: Mapping[str, Any], index: int) -> Clocks:
    """Of an evaluation of a run, as `measure` returns it.

    >>> curve = {"seconds": [30.0], "compile_seconds": [12.0], "evaluation_seconds": [3.0]}
    >>> clocks({"start_seconds": 5.0, "curve": curve}, 0)
    Clocks(all=30.0, without_compilation=18.0, training=10.0)
    """
    seconds, compiling, evaluating = (
        run["curve"][name][index] for name in ("seconds", "compile_seconds", "evaluation_seconds")
    )
    rest = seconds - compiling
    return Clocks(seconds, rest, rest - evaluating - run["start_seconds"])


class Reached(NamedTuple):
    """Indices of evaluations: the first at LEVEL or above, and the first from which on all are; None: there is none."""

    first: int | None
    lasting: int | None


def reached(successes: Sequence[float]) -> Reached:
    """When a curve of success reached LEVEL.

    >>> reached([0.2, 0.95, 0.8, 0.9, 1.0]), reached([0.95, 0.5])
    (Reached(first=1, lasting=3), Reached(first=0, lasting=None))
    """
    there = [success >= LEVEL for success in successes]
    first = there.index(True) if any(there) else None
    lasting = len(there) - next((i for i, is_there in enumerate(reversed(there)) if not is_there), len(there))
    return Reached(first, lasting if lasting < len(there) else None)


def summary(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run's figures in short: when each measure of success reached LEVEL, and its last evaluation."""
    curve, found = run["curve"], {}
    for measure in MEASURES:
        for when, index in reached(curve[measure])._asdict().items():
            name = f"{measure} >= {LEVEL}, {'first' if when == 'first' else 'from there on'}"
            found[f"{name}: env steps"] = None if index is None else curve["env_steps"][index]
            for clock, seconds in clocks(run, index)._asdict().items() if index is not None else ():
                found[f"{name}: seconds, {clock.replace('_', ' ')}"] = seconds
    if curve["env_steps"]:
        found |= {f"last: {name}": column[-1] for name, column in curve.items()}
    return found | {name: run[name] for name in ("stopped", "error", "section_seconds") if name in run}
