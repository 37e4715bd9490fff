"""One run in one work directory: begin or resume, train with rows and checkpoints, leave plots, a GIF and a summary."""

import contextlib
import io
import math
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hindsight_jax import checks, fields, presets, training
from hindsight_jax.checkpoints.checkpoints import CheckpointError, Checkpoints
from hindsight_jax.runs import config_file, estimate, summary, video
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.lock import Lock, LockedError
from hindsight_jax.runs.processes import Processes, ProcessesError
from hindsight_jax.runs.progress import Progress
from hindsight_jax.runs.signals import GracefulExit
from hindsight_jax.runs.workdir import WorkDir

FRAMES_PER_SECOND = 12.5  # the GIF plays at half the speed of push
_FILM = 0x66696C6D  # 'film': keeps the film's keys apart from those that init splits off the same key
SECONDS_PER_CALL = 2.0  # of device work between two looks at the clock and at signals; changes no number


class SessionError(RuntimeError):
    """The run cannot begin or go on; the message names the remedy."""


class Session:
    """A population, its work directory and its checkpoints. Made by `session`."""

    def __init__(
        self,
        name: str,
        values: dict[str, Any],
        workdir: WorkDir,
        setup: presets.Setup,
        grid: presets.Grid | None = None,
        hosts: Processes | None = None,
    ) -> None:
        """Makes the population's functions; nothing is computed yet."""
        self.name, self.values, self.workdir, self.setup = name, values, workdir, setup
        self.grid, self.hosts = dict(grid or {}), hosts or Processes()
        self.checkpoints = Checkpoints(workdir.checkpoints, keep=values["checkpoint.keep"])
        self.members = config_file.members(values, self.grid)
        self.population = training.make_population(setup.run, training.devices_for(len(self.members.seeds)))
        self.keys = self.members.keys()
        self.state: Any = None
        self.num_rows = 0  # of all members, since the run began
        self.began_at = 0  # env steps per seed that an earlier process took
        self.stopped_by = 0  # the signal that any process got
        self.seconds = {"train": 0.0, "evaluate": 0.0, "checkpoint": 0.0}
        self.changes: list[str] = []  # what a resumed run computes with that the earlier process did not
        self.warned: set[int] = set()  # members that are frozen, or whose evaluation was not finite
        self.num_frozen = 0  # members, of all processes

    def start(self, config: dict[str, Any], argv: Sequence[str]) -> None:
        """The first state of a new run."""
        if self.hosts.is_first:
            self.workdir.write_config(config, name=self.name, grid=config_file.grid_to_json(self.grid), argv=argv)
        self.begin()
        self.save()  # so that rows without a checkpoint are a loss, and not the start of a run

    def begin(self) -> None:
        """Every member's first state."""
        values = self.members.values(self.grid)
        self.population.compile(self.keys, values)
        self.state = self.population.init(self.keys, values)

    def resume(self, config: dict[str, Any], argv: Sequence[str]) -> None:
        """Takes up the newest good checkpoint; rows that were written after it are dropped, and will come again.

        A run that was stopped before its first checkpoint has no rows and begins again. Raises CheckpointError if there
        are rows and no checkpoint, ValueError if it was made with other values than config.json now holds.
        """
        if any(self.workdir.checkpoints.glob("*step_*")) or self.workdir.read_rows():
            _, self.state, extra = self.checkpoints.restore(self.population.template(self.keys))
            self.refuse_other_values(extra["values"])
            if "num_rows" not in extra:
                remedy = "Resume it with the commit that config.json names, or start a new run."
                checks.fail("checkpoint", "no count of rows", "this version keeps one", remedy)
            self.num_rows = extra["num_rows"]
            self.seconds = dict(extra["seconds"])
            self.began_at = self.env_steps()
        else:
            self.begin()
            self.save()
        if self.hosts.is_first:
            self.workdir.rewind(self.began_at, self.num_rows)
            self.changes = self.workdir.note_resume(config, argv)

    def refuse_other_values(self, stored: dict[str, Any]) -> None:
        """ValueError if a value that no resumed run may change differs from the checkpoint's."""
        for field, value in self.fixed_values().items():
            if stored.get(field) != value:
                rule = f"the checkpoint was made with {stored.get(field)!r}"
                checks.fail(f"config.json: {field}", repr(value), rule, "Put the value back, or start a new run.")

    def fixed_values(self) -> dict[str, Any]:
        """What a resumed run may not change, as JSON carries it."""
        kept = {field: value for field, value in self.values.items() if field not in config_file.RESUMABLE}
        grid = {f"grid: {field}": axis for field, axis in config_file.grid_to_json(self.grid).items()}
        return {"name": self.name} | {field: fields.text(value) for field, value in kept.items()} | grid

    def train(self, interrupt: GracefulExit) -> int:
        """Trains to the end, until a signal, or until a member halts the run; the exit code."""
        with self.progress() as progress:
            if self.changes:
                progress.say(f"warning: {', '.join(self.changes)} changed since the run began: bits may differ.")
            saved = time.monotonic()
            while (epoch := int(self.state.epochs)) < self.setup.num_epochs:
                every = self.setup.epochs_between_evaluations
                target = min(self.setup.num_epochs, epoch + every - epoch % every)
                self.advance(target, progress, interrupt)
                if int(self.state.epochs) == target:
                    self.evaluate(progress)
                is_due = time.monotonic() - saved >= self.values["checkpoint.seconds"]
                if self.agreed(interrupt, is_due):
                    self.save()
                    saved = time.monotonic()
                if self.stopped_by:
                    return self.stop(progress)
                if self.is_halted():
                    return self.halt(progress)
        self.finish()
        return 0

    def progress(self) -> Progress:
        """Of all members; the first process shows it."""
        total, members = self.values["total_steps"], len(self.members.seeds)
        return Progress(
            total,
            name=self.name if self.hosts.count == 1 else f"{self.name} ({self.hosts.count} processes)",
            members=members,
            settings=members // self.values["seeds"],
            start=min(self.began_at, total),
            stream=None if self.hosts.is_first else io.StringIO(),
        )

    def agreed(self, interrupt: GracefulExit, number: int) -> int:
        """What every process does next: the first one's number; a signal of any stops all."""
        each = self.hosts.all_gather([number, interrupt.signal or 0])
        self.stopped_by = int(each[:, 1].max())
        return int(each[0, 0])

    def is_halted(self) -> bool:
        """Whether frozen members stop the run: any of them with on_nan=halt, else all of them together."""
        return self.num_frozen >= (1 if self.values["on_nan"] == "halt" else len(self.members.seeds))

    def halt(self, progress: Progress) -> int:
        """After a fault: a checkpoint of the last finite state, a report, and 1."""
        self.save_now()
        self.report(interrupted=True)
        remedy = "--resume with --config.on_nan=freeze trains the others to their end."
        if self.num_frozen == len(self.members.seeds):
            remedy = "No member is left to train: start anew with another setting."
        progress.say(f"error: {self.name}: halted by {self.num_frozen} frozen member(s), and saved. {remedy}")
        return 1

    def stop(self, progress: Progress) -> int:
        """After a signal: a checkpoint, a report, and the exit code that shells expect."""
        self.save_now()
        if self.num_rows:
            self.report(interrupted=True)
        progress.say(f"{self.name}: stopped by {signal.Signals(self.stopped_by).name}, and saved")
        return 128 + self.stopped_by

    def advance(self, target: int, progress: Progress, interrupt: GracefulExit) -> None:
        """Epochs up to `target`, in calls of about SECONDS_PER_CALL."""
        epochs = 1  # the first call tells how long an epoch takes, and may compile
        while (epoch := int(self.state.epochs)) < target:
            number = self.agreed(interrupt, min(epochs, target - epoch))
            if self.stopped_by:
                return
            before = self.seconds["train"]
            with self.timed("train"):
                self.state = jax.block_until_ready(self.population.advance(self.state, number))
            self.checkpoints.raise_if_failed()
            epochs = max(1, round(number / (self.seconds["train"] - before) * SECONDS_PER_CALL))
            progress.advance(min(self.env_steps(), self.values["total_steps"]))

    def evaluate(self, progress: Progress) -> None:
        """One row for each member of this process: greedy success, and means of metrics since the last row."""
        with self.timed("evaluate"):
            results = self.population.evaluate(self.state, self.keys)
            self.state, columns = jax.block_until_ready(self.population.record(self.state, results))
        own, columns = training.local_members(columns)
        rows = [self.row(member, {name: column[i].item() for name, column in columns.items()}) for i, member in own]
        for row in rows:
            self.report_if_bad(row, progress)
        rows = [training.normalize_metrics(row) for row in rows]
        for row in rows:
            row["seconds_train"], row["seconds_evaluate"] = self.seconds["train"], self.seconds["evaluate"]
        if not self.num_rows:
            self.checkpoints.wait()  # for the first: rows without any are refused
        self.workdir.append_rows(rows)
        self.num_rows += len(self.members.seeds)
        each = self.hosts.all_gather(np.array([[row["success_end"], row["frozen"]] for row in rows]))
        self.num_frozen = int(each[..., 1].sum())
        progress.evaluated(min(self.env_steps(), self.values["total_steps"]), each[..., 0])

    def row(self, member: int, columns: dict[str, Any]) -> dict[str, Any]:
        """Who a member is, and what was measured."""
        return {"member": member, "seed": self.members.seeds[member], **self.members.settings[member], **columns}

    def report_if_bad(self, row: dict[str, Any], progress: Progress) -> None:
        """Names a member that is frozen, and by what, or whose evaluation is not finite; once."""
        if math.isfinite(row["success_end"]) or row["member"] in self.warned:
            return
        self.warned.add(row["member"])
        if row["frozen"]:
            member = training.local_member(self.state.members, row["member"])
            what = f"is frozen: {self.setup.run.diagnose(member)}"
        else:
            what = f"{', '.join(name for name, value in row.items() if not math.isfinite(value))} not finite"
        where = f"member {row['member']} (seed {row['seed']}) at {row['env_steps']:,} env steps"
        say = progress.say if self.hosts.is_first else print
        say(f"warning: {where} {what}. Other members go on, untouched. Try a smaller learning rate.")

    def save(self) -> None:
        """A checkpoint of everything, and of how many rows there are; none if this epoch has one.

        It is written while training goes on; `advance` raises the error of one that could not be.
        """
        with self.timed("checkpoint"):
            if self.checkpoints.latest_step() == int(self.state.epochs):
                return
            extra = {"num_rows": self.num_rows, "seconds": self.seconds, "values": self.fixed_values()}
            self.checkpoints.save(int(self.state.epochs), self.state, extra)

    def save_now(self) -> None:
        """The same, and it is on the disk when this returns."""
        self.save()
        with self.timed("checkpoint"):
            self.checkpoints.wait()

    def report(self, **extra: Any) -> None:
        """The plot and the summary of the rows so far, of all processes."""
        self.hosts.wait()
        if self.hosts.is_first:
            self.workdir.write_curves(self.name)
            episodes = self.values["evaluation.episodes"]
            self.workdir.write_summary(num_episodes=episodes, seconds=self.seconds, **extra)

    def finish(self) -> None:
        """The last checkpoint, the plot, the summary, and a GIF of the best setting's median seed."""
        self.save_now()
        self.hosts.wait()
        shown = shown_member(self.workdir.read_rows())
        agent = training.local_member(self.state.members.agent, shown)
        if agent is not None:  # it is on this process
            policy = lambda observation, goal, key: self.setup.agent.act(agent, observation, goal, key, False)
            frames = video.film(self.setup.env, policy, jax.random.fold_in(self.keys[shown], _FILM))
            self.workdir.write_policy(frames, FRAMES_PER_SECOND)
        who = {"policy_seed": self.members.seeds[shown]}
        self.report(**who, **({"policy_setting": self.members.settings[shown]} if self.grid else {}))

    def env_steps(self) -> int:
        """Of the member that took the fewest, of this process's."""
        _, columns = training.local_members({"env_steps": self.state.members.env_steps})
        return int(columns["env_steps"].min())

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Adds the time spent inside to `seconds[what]`."""
        start = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - start


@contextlib.contextmanager
def session(
    name: str,
    config: dict[str, Any],
    grid: presets.Grid,
    path: Path,
    *,
    resume: bool = False,
    argv: Sequence[str] = (),
    processes: Processes | None = None,
) -> Iterator[Session]:
    """A session in the work directory `path`, whose lock its first process holds until it is left.

    Raises SessionError, with its remedy, for whatever the file system, a lock, a checkpoint, the memory or the other
    processes refuse.
    """
    values, hosts = config, processes or Processes()
    with refusals(), contextlib.ExitStack() as held:
        with refusals(ValueError):
            setup = presets.build(name, values)
            estimate.check(estimate.make(name, values, grid, setup))  # before a folder is made
            if hosts.is_first:
                workdir = WorkDir.open(path) if resume else WorkDir.create(path)
                held.enter_context(Lock(workdir.path))
            hosts.wait()
            if not hosts.is_first:
                workdir = WorkDir(path, hosts.index)
            run = Session(name, values, workdir, setup, grid, hosts)
            begin = run.resume if resume else run.start
            begin(config_file.to_json(config), argv)
            hosts.wait()
            if not hosts.is_first:
                run.workdir = WorkDir.join(path, hosts.index)
        try:
            yield run
        except Exception:  # no second signal: that ends at once
            with contextlib.suppress(Exception):  # the first error is the one to tell
                run.checkpoints.wait()  # a checkpoint that is being written is not lost
            raise


def shown_member(table: Sequence[dict[str, Any]]) -> int:
    """The median of the best setting's seeds by success at the end of the last evaluation; NaN does not count."""
    best: tuple[float, int] = (-1.0, 0)
    for _, group in summary.by_setting(table):
        last = {row["member"]: row["success_end"] for row in group}
        finite = sorted((success, member) for member, success in last.items() if math.isfinite(success))
        if finite:
            mean = sum(success for success, _ in finite) / len(finite)
            best = max(best, (mean, finite[len(finite) // 2][1]), key=lambda found: found[0])
    return best[1]


_REFUSED = (WorkDirError, LockedError, CheckpointError, ProcessesError, estimate.MemoryRefusal, OSError)


@contextlib.contextmanager
def refusals(*kinds: type[Exception]) -> Iterator[None]:
    """Turns these errors into SessionError, by default all that name their remedy; others are bugs with a traceback."""
    kinds = kinds or _REFUSED
    try:
        yield
    except kinds as error:
        raise SessionError(str(error)) from error
