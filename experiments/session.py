"""One run in one work directory: begin or resume, train with rows and checkpoints, leave plots, a GIF and a summary."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import config as configs
from experiments import film
from experiments.interrupt import Interrupt
from experiments.lock import Lock, LockedError
from experiments.progress import Progress
from experiments.workdir import WorkDir, WorkDirError
from hindsight_jax import checks, fields, presets, training
from hindsight_jax.training.checkpoint import CheckpointError, Checkpoints

FRAMES_PER_SECOND = 12.5  # the GIF plays at half the speed of push
_FILM = 0x66696C6D  # 'film': keeps the film's keys apart from those that init splits off the same key
SECONDS_PER_CALL = 2.0  # of device work between two looks at the clock and at signals; changes no number


class SessionError(RuntimeError):
    """The run cannot begin or go on; the message names the remedy."""


class Session:
    """A population, its work directory and its checkpoints. Made by `session`."""

    def __init__(self, name: str, values: dict[str, Any], workdir: WorkDir, experiment: presets.Experiment) -> None:
        """Makes the population's functions; nothing is computed yet."""
        self.name, self.values, self.workdir, self.experiment = name, values, workdir, experiment
        self.checkpoints = Checkpoints(workdir.checkpoints)
        self.population = training.make_population(experiment.run, training.devices_for(values["seeds"]))
        self.seeds = [values["seed"] + i for i in range(values["seeds"])]
        self.keys = training.member_keys(values["seed"], values["seeds"])
        self.state: Any = None
        self.began_at = 0  # env steps per seed that an earlier process took
        self.seconds = {"train": 0.0, "evaluate": 0.0, "checkpoint": 0.0}
        self.changes: list[str] = []  # what a resumed run computes with that the earlier process did not
        self.warned: set[int] = set()  # members with a metric that is not finite

    def start(self, config: dict[str, Any], argv: Sequence[str]) -> None:
        """The first state of a new run."""
        self.workdir.write_config(config, name=self.name, argv=argv)
        self.state = self.population.init(self.keys)

    def resume(self, config: dict[str, Any], argv: Sequence[str]) -> None:
        """Takes up the newest good checkpoint; rows that were written after it are dropped, and will come again.

        A run that was stopped before its first checkpoint begins again: it will give the same numbers. Raises
        ValueError if the checkpoint was made with other values than config.json now holds.
        """
        if any(self.workdir.checkpoints.glob("*step_*")):
            _, self.state, extra = self.checkpoints.restore(self.population.template(self.keys))
            self.refuse_other_values(extra["values"])
            self.workdir.truncate(extra["rows_bytes"])
            self.seconds = dict(extra["seconds"])
            self.began_at = self.env_steps()
        else:
            self.workdir.truncate(0)
            self.state = self.population.init(self.keys)
        self.changes = self.workdir.note_resume(config, argv)

    def refuse_other_values(self, stored: dict[str, Any]) -> None:
        """ValueError if a value that no resumed run may change differs from the checkpoint's."""
        for field, value in self.fixed_values().items():
            if stored.get(field) != value:
                rule = f"the checkpoint was made with {stored.get(field)!r}"
                checks.fail(f"config.json: {field}", repr(value), rule, "Put the value back, or start a new run.")

    def fixed_values(self) -> dict[str, Any]:
        """What a resumed run may not change, as JSON carries it."""
        kept = {field: value for field, value in self.values.items() if field not in configs.RESUMABLE}
        return {"name": self.name} | {field: fields.text(value) for field, value in kept.items()}

    def train(self, interrupt: Interrupt) -> int:
        """Trains to the end, or until a signal; the exit code."""
        total = self.values["total_steps"]
        with Progress(total, name=self.name, seeds=len(self.seeds), start=min(self.began_at, total)) as progress:
            if self.changes:
                progress.say(f"warning: {', '.join(self.changes)} changed since the run began: bits may differ.")
            saved = time.monotonic()
            while (epoch := int(self.state.epochs)) < self.experiment.num_epochs:
                every = self.experiment.epochs_between_evaluations
                target = min(self.experiment.num_epochs, epoch + every - epoch % every)
                self.advance(target, progress, interrupt)
                if int(self.state.epochs) == target:
                    self.evaluate(progress)
                if interrupt.signal:
                    self.save()
                    if self.workdir.offset():
                        self.report(interrupted=True)
                    progress.say(f"{self.name}: stopped by {interrupt.signal.name}, and saved")
                    return interrupt.exit_code
                if time.monotonic() - saved >= self.values["checkpoint.seconds"]:
                    self.save()
                    saved = time.monotonic()
        self.finish()
        return 0

    def advance(self, target: int, progress: Progress, interrupt: Interrupt) -> None:
        """Epochs up to `target`, in calls of about SECONDS_PER_CALL."""
        epochs = 1  # the first call tells how long an epoch takes, and may compile
        while (epoch := int(self.state.epochs)) < target and not interrupt.signal:
            before = self.seconds["train"]
            with self.timed("train"):
                self.state = jax.block_until_ready(self.population.advance(self.state, min(epochs, target - epoch)))
            rate = min(epochs, target - epoch) / (self.seconds["train"] - before)
            epochs = max(1, round(rate * SECONDS_PER_CALL))
            progress.advance(min(self.env_steps(), self.values["total_steps"]))

    def evaluate(self, progress: Progress) -> None:
        """One row per seed: greedy success, and the means of the learner's metrics since the last row."""
        with self.timed("evaluate"):
            results = jax.device_get(self.population.evaluate(self.state, self.keys))
        self.state, metrics = training.collect_metrics(self.state)
        columns = results | jax.device_get(metrics)
        members = self.state.members
        columns |= {"env_steps": np.asarray(members.env_steps), "updates": np.asarray(members.updates)}
        rows = [
            {"member": i, "seed": seed, **{name: column[i].item() for name, column in columns.items()}}
            for i, seed in enumerate(self.seeds)
        ]
        for row in rows:
            if self.report_if_bad(row, progress):  # what NaN chooses is no policy: an argmax of NaN would count
                row["success_end"] = row["success_any"] = math.nan
            complete(row)
            row["seconds_train"], row["seconds_evaluate"] = self.seconds["train"], self.seconds["evaluate"]
        self.workdir.append_rows(rows)
        successes = [row["success_end"] for row in rows]
        progress.evaluated(min(self.env_steps(), self.values["total_steps"]), successes)

    def report_if_bad(self, row: dict[str, Any], progress: Progress) -> bool:
        """Whether a member's metrics are not finite; names it, once. The other members are not touched by it."""
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if bad and row["member"] not in self.warned:
            self.warned.add(row["member"])
            where = f"member {row['member']} (seed {row['seed']}) at {row['env_steps']:,} env steps"
            remedy = "Other members go on, untouched. Try a smaller learning rate."
            progress.say(f"warning: {where}: {', '.join(bad)} not finite. {remedy}")
        return bool(bad)

    def save(self) -> None:
        """A checkpoint of everything, and of how long metrics.jsonl is; none if this epoch has one."""
        if self.checkpoints.latest_step() == int(self.state.epochs):
            return
        with self.timed("checkpoint"):
            extra = {"rows_bytes": self.workdir.offset(), "seconds": self.seconds, "values": self.fixed_values()}
            self.checkpoints.save(int(self.state.epochs), self.state, extra)

    def report(self, **extra: Any) -> None:
        """The plot and the summary of the rows so far."""
        self.workdir.write_curves(self.name)
        episodes = self.values["evaluation.episodes"]
        self.workdir.write_summary(num_episodes=episodes, seconds=self.seconds, **extra)

    def finish(self) -> None:
        """The last checkpoint, the plot, the summary, and the GIF of the median seed, so that it flatters nobody."""
        self.save()
        last = {row["member"]: row["success_end"] for row in self.workdir.read_rows()[-len(self.seeds) :]}
        finite = sorted((success, member) for member, success in last.items() if math.isfinite(success)) or [(0.0, 0)]
        median = finite[len(finite) // 2][1]
        member = jax.tree.map(lambda x: x[median], self.state.members)
        policy = lambda observation, goal, key: self.experiment.agent.act(member.agent, observation, goal, key, False)
        frames = film.film(self.experiment.env, policy, jax.random.fold_in(self.keys[median], _FILM))
        self.workdir.write_policy(frames, FRAMES_PER_SECOND)
        self.report(policy_seed=self.seeds[median])

    def env_steps(self) -> int:
        """Of the member that took the fewest."""
        return int(jnp.min(self.state.members.env_steps))

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Adds the time spent inside to `seconds[what]`."""
        start = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - start


@contextlib.contextmanager
def session(
    name: str, config: configs.ConfigDict, path: Path, *, resume: bool, argv: Sequence[str]
) -> Iterator[Session]:
    """A session in the work directory `path`, whose lock it holds until it is left.

    Raises SessionError, with its remedy, for whatever the file system, a lock, a checkpoint or the memory refuses.
    """
    values = configs.values(config)
    with _refusals(WorkDirError, LockedError, CheckpointError, OSError), contextlib.ExitStack() as held:
        with _refusals(ValueError):
            experiment = presets.build(name, values)
            check_memory(values["seeds"] * experiment.num_bytes_of_ring)  # before a folder is made
            workdir = WorkDir.open(path) if resume else WorkDir.create(path)
            held.enter_context(Lock(workdir.path))
            run = Session(name, values, workdir, experiment)
            begin = run.resume if resume else run.start
            begin(configs.to_json_dict(config), argv)
        yield run


@contextlib.contextmanager
def _refusals(*kinds: type[Exception]) -> Iterator[None]:
    """Turns these errors, which name their remedy, into SessionError; others are bugs and keep their traceback."""
    try:
        yield
    except kinds as error:
        raise SessionError(str(error)) from error


def complete(row: dict[str, Any]) -> None:
    """Replaces the sum over imitated rows by their mean distance to the goal, in the environment's units."""
    if "imitated_x_distance" in row:
        total, fraction = row.pop("imitated_x_distance"), row["imitated_fraction"]
        row["imitated_distance"] = total / fraction if fraction else math.nan


def check_memory(num_bytes: int) -> None:
    """Raises SessionError if the rings of all members cannot fit the device's free memory."""
    free = free_memory()
    if free is not None and num_bytes > free:
        raise SessionError(
            f"replay.capacity: the rings of all seeds take {num_bytes / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are "
            "free. Lower --config.replay.capacity or --config.seeds."
        )


def free_memory() -> int | None:
    """Bytes that the first device has left; on a CPU the host's; None if unknown."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
