"""One run in one work directory: start or resume it, train with records and checkpoints, leave curves and a summary."""

import contextlib
import io
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hindsight_jax import checks, fields, presets, training
from hindsight_jax.checkpoints.checkpoints import Checkpoints
from hindsight_jax.runs import config_file, estimate, streams, summary, video
from hindsight_jax.runs import parent as parents
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.load import ADDED_LEAVES, RENAMED_LEAVES
from hindsight_jax.runs.lock import Lock
from hindsight_jax.runs.processes import Processes
from hindsight_jax.runs.progress import Progress
from hindsight_jax.runs.refusals import refusals
from hindsight_jax.runs.report import page
from hindsight_jax.runs.signals import GracefulExit
from hindsight_jax.runs.workdir import WorkDir

FRAMES_PER_SECOND = 12.5  # of the GIF: half the speed of push
SECONDS_PER_CALL = 2.0  # of device work between two looks at the clock and at signals; changes no number
_DATA = "SHA-256 of data.file"  # in a checkpoint's values, where the run has a file
_VIDEO_KEY = 0x66696C6D  # separates the video's keys from those that init splits off the same key


class Session:
    """A population, its work directory and its checkpoints. Made by `session`."""

    def __init__(
        self,
        name: str,
        config: dict[str, Any],
        workdir: WorkDir,
        setup: presets.Setup,
        grid: presets.Grid | None = None,
        processes: Processes | None = None,
        verbose: bool = False,
    ) -> None:
        """Makes the population's functions; computes nothing yet. `config` holds every value by dotted field."""
        self.name, self.config, self.workdir, self.setup = name, config, workdir, setup
        self.grid, self.processes, self.verbose = dict(grid or {}), processes or Processes(), verbose
        self.checkpoints = Checkpoints(workdir.checkpoints, keep=config["checkpoint.keep"])
        self.members = config_file.members(config, self.grid)
        self.population = training.make_population(setup.run, training.devices_of(setup.run, len(self.members.seeds)))
        self.keys = self.members.keys()
        self.state: Any = None
        self.num_records = 0  # of all members, since the run began
        self.first_env_steps = 0  # env steps per seed that earlier processes took
        self.seconds = {"train": 0.0, "evaluate": 0.0, "checkpoint": 0.0}
        self.changes: list[str] = []  # what differs from the process before: commit, versions, device, ...
        self.warned: set[int] = set()  # members that are frozen, or whose evaluation was not finite
        self.num_frozen = 0  # members, of all processes

    # ---- start and resume

    def start(self, argv: Sequence[str], parent: Path | None = None) -> None:
        """Writes config.json, and makes and saves the first state of a new run, or that in which its parent is."""
        origin = parents.begin(self, parent) if parent else None
        if self.processes.is_first:
            values, grid = config_file.to_json(self.config), config_file.grid_to_json(self.grid)
            self.workdir.write_config(values, name=self.name, grid=grid, argv=argv, parent=origin)
        if not parent:
            self.init()
        self.save()  # step 0 is saved, so that metrics without a checkpoint always mean a lost checkpoint

    def init(self) -> None:
        """Compiles, and makes every member's first state."""
        hparams = self.members.overrides(self.grid)
        self.population.compile(self.keys, hparams)
        self.state = self.population.init(self.keys, hparams)

    def resume(self, argv: Sequence[str]) -> None:
        """Restores the newest intact checkpoint and drops the records written after it; training writes them again.

        A run that was stopped before its first checkpoint has no records, and starts again. Raises CheckpointError if
        there are records and no checkpoint, ValueError if config.json was changed since the checkpoint.
        """
        if self.checkpoints.is_empty() and not self.workdir.read_records():
            origin = self.workdir.read_config().get("parent")
            if origin:
                parents.begin(self, self.workdir.path / origin["path"])
            else:
                self.init()
            self.save()
        else:
            self.restore()
        if self.processes.is_first:
            self.workdir.rewind(self.first_env_steps, self.num_records)
            self.changes = self.workdir.note_resume(config_file.to_json(self.config), argv)

    def restore(self) -> None:
        """The state, the number of records and the seconds of the newest intact checkpoint."""
        template = self.population.template(self.keys)
        _, self.state, extra = self.checkpoints.restore(template, renamed=RENAMED_LEAVES, added=ADDED_LEAVES)
        self.refuse_other_config(extra["values"])
        if "num_rows" not in extra:
            remedy = "Resume it with the commit that config.json names, or start a new run."
            checks.fail("checkpoint", "no num_rows", "it must count the records", remedy)
        self.num_records = extra["num_rows"]
        self.seconds = dict(extra["seconds"])
        self.first_env_steps = self.env_steps()

    def refuse_other_config(self, stored: dict[str, Any]) -> None:
        """ValueError if a value that may not change on resume differs from the checkpoint's."""
        no_data = {_DATA: ""}
        stored = {field: fields.text(value) for field, value in config_file.ADDED.items()} | no_data | stored
        for field, value in (no_data | self.fixed_config()).items():
            if stored.get(field) != value:
                rule = f"the checkpoint was made with {stored.get(field)!r}"
                checks.fail(f"config.json: {field}", repr(value), rule, "Put the value back, or start a new run.")

    def fixed_config(self) -> dict[str, Any]:
        """The name, the grid, the values and the data that may not change on resume, as JSON holds them."""
        fixed = {field: value for field, value in self.config.items() if field not in config_file.RESUMABLE}
        grid = {f"grid: {field}": axis for field, axis in config_file.grid_to_json(self.grid).items()}
        data = {_DATA: self.setup.data_sha256} if self.setup.data_sha256 else {}
        return {"name": self.name} | {field: fields.text(value) for field, value in fixed.items()} | data | grid

    # ---- the loop

    def train(self, graceful_exit: GracefulExit) -> int:
        """Trains to the end, until a signal, or until frozen members halt the run. Returns the exit code."""
        every = self.setup.epochs_between_evaluations
        with self.progress() as progress:
            if self.changes:
                progress.print(f"warning: {', '.join(self.changes)} changed since the run began: bits may differ.")
            saved = time.monotonic()
            while (epoch := int(self.state.epochs)) < self.setup.num_epochs:
                target = min(self.setup.num_epochs, epoch + every - epoch % every)
                self.advance(target, progress, graceful_exit)
                if int(self.state.epochs) == target:
                    self.evaluate(progress)
                is_due, signal_number = self.exchange(self.is_save_due(saved), graceful_exit)
                if is_due:
                    self.save()
                    self.show(progress)
                    saved = time.monotonic()
                if signal_number:
                    return self.stop(signal_number, progress)
                if self.is_halted():
                    return self.halt(progress)
        self.finish()
        return 0

    def advance(self, target: int, progress: Progress, graceful_exit: GracefulExit) -> None:
        """Trains up to epoch `target`, or until a signal, in calls of about SECONDS_PER_CALL.

        After a call of n epochs in s seconds the next one has n SECONDS_PER_CALL / s epochs.
        """
        num_epochs = 1  # the first call measures an epoch, and may compile
        while (epoch := int(self.state.epochs)) < target:
            num_epochs, signal_number = self.exchange(min(num_epochs, target - epoch), graceful_exit)
            if signal_number:
                return
            before = self.seconds["train"]
            with self.timed("train"):
                self.state = jax.block_until_ready(self.population.advance(self.state, num_epochs))
            self.checkpoints.raise_if_failed()
            num_epochs = max(1, round(num_epochs / (self.seconds["train"] - before) * SECONDS_PER_CALL))
            progress.advance(min(self.env_steps(), self.config["total_steps"]))

    def evaluate(self, progress: Progress) -> None:
        """Appends a record for each member of this process: greedy success, and metrics since the last record."""
        with self.timed("evaluate"):
            results = self.population.evaluate(self.state, self.keys)
            self.state, columns = jax.block_until_ready(self.population.record(self.state, results))
        local, columns = training.local_members(columns)
        measured = [{name: column[i].item() for name, column in columns.items()} for i, _ in local]
        table = [self.record(member, numbers) for (_, member), numbers in zip(local, measured, strict=True)]
        for record in table:
            self.warn_if_not_finite(record, progress)
        if not self.num_records:
            self.checkpoints.wait()  # a resume refuses records without a checkpoint
        seconds = {f"seconds_{name}": self.seconds[name] for name in ("train", "evaluate")}
        self.workdir.append_records([training.normalize_metrics(record) | seconds for record in table])
        self.num_records += len(self.members.seeds)
        gathered = self.processes.all_gather(np.array([[record["success_end"], record["frozen"]] for record in table]))
        self.num_frozen = int(gathered[..., 1].sum())
        progress.evaluated(min(self.env_steps(), self.config["total_steps"]), gathered[..., 0])

    def record(self, member: int, measured: dict[str, Any]) -> dict[str, Any]:
        """The member's index, seed and setting, and the numbers measured of it."""
        return {"member": member, "seed": self.members.seeds[member], **self.members.settings[member], **measured}

    def warn_if_not_finite(self, record: dict[str, Any], progress: Progress) -> None:
        """Names, once, a member that is frozen, with the cause, or whose evaluation is not finite."""
        if math.isfinite(record["success_end"]) or record["member"] in self.warned:
            return
        self.warned.add(record["member"])
        if record["frozen"]:
            member = training.local_member(self.state.members, record["member"])
            trouble = f"is frozen: {self.setup.run.diagnose(member)}"
        else:
            trouble = f"{', '.join(name for name, value in record.items() if not math.isfinite(value))} not finite"
        where = f"member {record['member']} (seed {record['seed']}) at {record['env_steps']:,} env steps"
        print_line = progress.print if self.processes.is_first else print
        print_line(f"warning: {where} {trouble}. Other members go on, untouched. Try a smaller learning rate.")

    def exchange(self, number: int, graceful_exit: GracefulExit) -> tuple[int, int]:
        """(the first process's `number`, the signal that any process got or 0). Collective: every process must call it.

        Clocks and signals differ between processes; so all of them do the same next.
        """
        gathered = self.processes.all_gather([number, graceful_exit.signal or 0])
        return int(gathered[0, 0]), int(gathered[:, 1].max())

    def is_save_due(self, saved: float) -> bool:
        """Whether `checkpoint.seconds` have passed since the monotonic time `saved`."""
        return time.monotonic() - saved >= self.config["checkpoint.seconds"]

    def is_halted(self) -> bool:
        """Whether frozen members stop the run: any of them with on_nan=halt, else all of them together."""
        return self.num_frozen >= (1 if self.config["on_nan"] == "halt" else len(self.members.seeds))

    def progress(self) -> Progress:
        """The progress of all members, which the first process shows."""
        total, members = self.config["total_steps"], len(self.members.seeds)
        count = self.processes.count
        offline = " (offline: env steps are counted, none is taken)" if self.setup.run.spec.is_offline else ""
        return Progress(
            total,
            name=self.name + (f" ({count} processes)" if count > 1 else "") + offline,
            members=members,
            settings=members // self.config["seeds"],
            start=min(self.first_env_steps, total),
            stream=None if self.processes.is_first else io.StringIO(),
            verbose=self.verbose,
        )

    # ---- the files of a run

    def halt(self, progress: Progress) -> int:
        """Saves the last state and reports, after members froze. Returns the exit code, 1."""
        self.save_and_wait()
        self.report(interrupted=True)
        remedy = "--resume with --config.on_nan=freeze trains the others to their end."
        if self.num_frozen == len(self.members.seeds):
            remedy = "No member is left to train: start anew with another setting."
        progress.print(f"error: {self.name}: halted by {self.num_frozen} frozen member(s), and saved. {remedy}")
        return 1

    def stop(self, signal_number: int, progress: Progress) -> int:
        """Saves and reports after a signal. Returns the exit code that shells expect."""
        self.save_and_wait()
        if self.num_records:
            self.report(interrupted=True)
        progress.print(f"{self.name}: stopped by {signal.Signals(signal_number).name}, and saved")
        return 128 + signal_number

    def finish(self) -> None:
        """Leaves the last checkpoint, a report, and a GIF of the median seed if the task can be drawn."""
        self.save_and_wait()
        self.processes.wait()
        shown = summary.shown_member(self.workdir.read_records())
        reason = video.why_no_picture(self.setup.env)
        if reason is not None:
            if self.processes.is_first:
                streams.print_line(f"{self.name}: no policy.gif, since {reason}")
            self.report()
            return
        agent = training.local_member(self.state.members.agent, shown)
        if agent is not None:  # this process trains the member
            policy = lambda observation, goal, key: self.setup.agent.act(agent, observation, goal, key, False)
            frames = video.record_video(self.setup.env, policy, jax.random.fold_in(self.keys[shown], _VIDEO_KEY))
            self.workdir.write_policy(frames, FRAMES_PER_SECOND)
        setting = {"policy_setting": self.members.settings[shown]} if self.grid else {}
        self.report(policy_seed=self.members.seeds[shown], **setting)

    def report(self, **extra: Any) -> None:
        """Writes curves.png, summary.json and report.html from the records of all processes."""
        self.processes.wait()
        if self.processes.is_first:
            self.workdir.write_curves(self.name)
            episodes = self.config["evaluation.episodes"]
            self.workdir.write_summary(num_episodes=episodes, seconds=self.seconds, **extra)
            page.write_own(self.workdir.path)

    def show(self, progress: Progress) -> None:
        """Writes report.html of a run that goes on, which does not end for want of a page."""
        if not self.processes.is_first:
            return
        try:
            page.write_own(self.workdir.path)
        except WorkDirError as error:
            progress.print(f"warning: {error}")

    def save(self) -> None:
        """Starts a checkpoint of the state and the number of records, unless this epoch has one.

        It is written while training goes on; `advance` raises its error.
        """
        with self.timed("checkpoint"):
            if self.checkpoints.latest_step() == int(self.state.epochs):
                return
            extra = {"num_rows": self.num_records, "seconds": self.seconds, "values": self.fixed_config()}
            self.checkpoints.save(int(self.state.epochs), self.state, extra)

    def save_and_wait(self) -> None:
        """As `save`, and returns when the checkpoint is on the disk."""
        self.save()
        with self.timed("checkpoint"):
            self.checkpoints.wait()

    def env_steps(self) -> int:
        """The fewest env steps that a member of this process took."""
        _, columns = training.local_members({"env_steps": self.state.members.env_steps})
        return int(columns["env_steps"].min())

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds the duration of the block to `seconds[name]`."""
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


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
    create: Callable[[Path], WorkDir] = WorkDir.create,
    verbose: bool = False,
    parent: Path | None = None,
) -> Iterator[Session]:
    """A started or resumed session in the work directory `path`. Its first process locks the directory for the block.

    Args:
      name: of the preset.
      config: every value by dotted field.
      grid: field -> values; {} for none.
      path: the work directory, new or empty unless `resume`.
      resume: whether to go on with the run in `path`.
      argv: the command line's arguments, for config.json.
      processes: of this run; this one alone by default.
      verbose: whether to print a line for each evaluation where there is no terminal.
      parent: the directory of a run, in whose newest state a new one begins.
      create: makes the directory of a new run: `WorkDir.create`, or `WorkDir.create_unused`, which may choose another.

    Raises:
      SessionError: the file system, a lock, a checkpoint, the memory or another process refuses; names the remedy.
    """
    processes = processes or Processes()
    with refusals(), contextlib.ExitStack() as stack:
        with refusals(ValueError):
            setup = presets.build(name, config)
            estimate.check_memory(estimate.estimate_run(name, config, grid, setup))  # before a folder is made
            if parent:
                parents.check(parent, config, setup)
            if processes.is_first:
                workdir = WorkDir.open(path) if resume else create(path)
                stack.enter_context(Lock(workdir.path))
            processes.wait()
            if not processes.is_first:
                workdir = WorkDir(path, processes.index)
            run = Session(name, config, workdir, setup, grid, processes, verbose)
            if resume:
                run.resume(argv)
            else:
                run.start(argv, parent)
            processes.wait()
            if not processes.is_first:
                run.workdir = WorkDir.join(path, processes.index)
        try:
            yield run
        except Exception:  # a second signal raises SystemExit, which is not caught here
            with contextlib.suppress(Exception):  # report the original error
                run.checkpoints.wait()  # finish the checkpoint that is being written
            raise
