"""What a run will need, before it starts: hindsight-jax --config=NAME ... --explain.

Sizes are those of the arrays that will be allocated, operations those that the agent counts (`Agent.flops`), if it
does. The time comes from a short trial on this machine: a warm-up, some epochs and one evaluation of the whole
population, compiled as for the run.

Dimension key: M members.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from rich import filesize

from hindsight_jax import by_device, fields, presets, training
from hindsight_jax.envs.host import HostEnv
from hindsight_jax.runs import config_file
from hindsight_jax.runs.progress import duration

TRIAL_SECONDS = 4.0  # of epochs, about


class MemoryRefusal(RuntimeError):
    """The population cannot fit; the message holds the bytes needed, the bytes free and a remedy."""


class Trial(NamedTuple):
    """Measurements of a trial with M members: durations in seconds, and memory."""

    working_bytes: int | None  # activations, gradients and rollouts of an epoch, on one device; None: not known
    compile: float
    init: float  # with the warm-up
    epoch: float
    evaluate: float


class Estimate(NamedTuple):
    """A run in numbers; operations, steps and updates are per member."""

    name: str
    settings: int
    seeds: int
    devices: int
    kind: str  # of the devices
    chunk: int | None  # members of a device that learn at once; None: all
    on_host: bool  # the task is stepped on the host, for one member after another
    sharing: int  # members that share one memory: a process's on a CPU, else a device's
    memory: training.MemoryUse
    copy: int  # bytes per member of a checkpoint's copy in this memory; 0 on an accelerator, whose copy is on the host
    free: int | None  # bytes
    env_steps: int
    updates: int
    epochs: int
    evaluations: int
    flop_per_update: float | None  # None: the agent does not count them
    data: int = 0  # bytes of the data set in the memory that `free` counts, a copy for each device
    is_offline: bool = False  # env steps are counted, and none is taken

    @property
    def members(self) -> int:
        """M."""
        return self.settings * self.seeds

    @property
    def bytes_per_member(self) -> int:
        """The most that a member takes of the memory that `free` counts."""
        return self.memory.total + self.copy


def estimate_run(name: str, config: dict[str, Any], grid: presets.Grid, setup: presets.Setup) -> Estimate:
    """The estimate of a population. Allocates and compiles nothing, but starts JAX's backend."""
    num_members = len(config_file.members(config, grid).seeds)
    devices = training.devices_of(setup.run, num_members)
    epochs = setup.num_epochs
    steps = config["env.num_envs"] * setup.env.spec.horizon
    warmup = config.get("replay.warmup", 0) * setup.env.spec.horizon
    data = setup.run.spec.data
    memory, on_cpu = training.memory_use(setup.run), by_device.is_cpu(devices)
    return Estimate(
        name=name,
        settings=num_members // config["seeds"],
        seeds=config["seeds"],
        devices=len(devices),
        kind=devices[0].device_kind,
        chunk=1 if isinstance(setup.env, HostEnv) else training.default_chunk(devices),
        on_host=isinstance(setup.env, HostEnv),
        sharing=num_members // (jax.process_count() if on_cpu else len(devices)),
        memory=memory,
        copy=memory.state if on_cpu else 0,
        free=training.free_memory(),
        env_steps=warmup + epochs * steps,
        updates=epochs * config.get("agent.updates_per_epoch", 1),
        epochs=epochs,
        evaluations=-(-epochs // setup.epochs_between_evaluations),
        flop_per_update=setup.flops_per_update,
        data=data.ring.num_bytes * (len(devices) if on_cpu else 1) if data else 0,
        is_offline=setup.run.spec.is_offline,
    )


def check_memory(estimate: Estimate) -> None:
    """Raises `MemoryRefusal` if the members that share a memory do not fit into its free bytes."""
    one = estimate.bytes_per_member
    needed = estimate.sharing * one + estimate.data
    if estimate.free is None or needed <= estimate.free:
        return
    remedy = "Lower --config.replay.capacity, or --config.agent.hidden_sizes."
    if estimate.free >= one:
        fitting = max(estimate.free - estimate.data, 0) // one
        remedy = f"{fitting} members fit: use fewer seeds or settings, or lower --config.replay.capacity."
    raise MemoryRefusal(
        f"replay.capacity: {estimate.sharing} members need {filesize.decimal(needed)}, of which each ring takes "
        f"{filesize.decimal(estimate.memory.ring)}, but {filesize.decimal(estimate.free)} are free. {remedy}"
    )


def run_trial(config: dict[str, Any], grid: presets.Grid, setup: presets.Setup) -> Trial:
    """Compiles, initialises, trains for some seconds and evaluates once, as the run would. Discards the state.

    The programs of a task that is stepped on the host compile in their first calls: those of an epoch and of an
    evaluation count as compiling. Their memory is not known.
    """
    members = config_file.members(config, grid)
    population = training.make_population(setup.run, training.devices_of(setup.run, len(members.seeds)))
    keys, hparams = members.keys(), members.overrides(grid)
    compiling = _timed(lambda: population.compile(keys, hparams)).seconds
    advance, working_bytes = population.advance, None
    if not isinstance(setup.env, HostEnv):
        advance = advance.lower(population.template(keys), 1).compile()  # cached by population.compile
        working_bytes = advance.memory_analysis().temp_size_in_bytes
    init = _timed(lambda: population.init(keys, hparams))
    once = _timed(lambda: advance(init.result, 1))
    num_epochs = max(1, min(round(TRIAL_SECONDS / once.seconds), setup.num_epochs))
    more = _timed(lambda: advance(once.result, num_epochs))
    if isinstance(setup.env, HostEnv):
        compiling = once.seconds + _timed(lambda: population.evaluate(more.result, keys)).seconds
    return Trial(
        working_bytes=working_bytes,
        compile=compiling,
        init=init.seconds,
        epoch=more.seconds / num_epochs,
        evaluate=_timed(lambda: population.evaluate(more.result, keys)).seconds,
    )


class _Timed(NamedTuple):
    result: Any
    seconds: float


def _timed(call: Callable[[], Any]) -> _Timed:
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return _Timed(result, time.perf_counter() - start)


def size_lines(estimate: Estimate, grid: presets.Grid) -> list[str]:
    """The lines of sizes and counts, which --explain prints before the trial."""
    each = estimate.members // estimate.devices
    devices = f"{estimate.devices} device{'s' * (estimate.devices > 1)} ({estimate.kind}), {each} on each"
    seeds = f"{estimate.seeds} seed{'s' * (estimate.seeds > 1)}"
    members = seeds if not grid else f"{estimate.settings} settings x {seeds} = {estimate.members} members"
    play, learn = "all at once", "all at once"
    if estimate.on_host:
        play, learn = "one after another, on the host", "one at a time"
    elif estimate.chunk is not None:
        learn = f"{estimate.chunk} at a time, so that their networks stay in cache"
    lines = [
        f"{estimate.name}: {members}; one program on {devices}",
        *(f"  {field}: {', '.join(map(fields.text, axis))}" for field, axis in grid.items()),
        f"  members collect and evaluate {play}, and learn {learn}",
        f"  {'':28}{'a member':>14}{'all':>14}",
        _size_line("networks, also the best's", estimate.memory.networks, estimate.members),
        _size_line("replay ring", estimate.memory.ring, estimate.members),
        _size_line("batches of an epoch", estimate.memory.batches, estimate.members),
        _size_line("copy for a checkpoint", estimate.copy, estimate.members),
    ]
    if estimate.free is not None:
        lines.append(f"  {'free memory':28}{'':>14}{filesize.decimal(estimate.free):>14}")
    if estimate.data:
        lines.append(f"  {'data set, of all members':28}{'':>14}{filesize.decimal(estimate.data):>14}")
    if estimate.is_offline:
        lines.append("  offline: env steps are those that the schedule counts, and none is taken")
    lines += [
        f"  {'env steps':28}{estimate.env_steps:>14,}{estimate.env_steps * estimate.members:>14,}",
        f"  {'updates':28}{estimate.updates:>14,}{estimate.updates * estimate.members:>14,}",
        f"  {'updates per env step':28}{estimate.updates / estimate.env_steps:>14.3g}",
    ]
    if estimate.flop_per_update is not None:
        flop = estimate.updates * estimate.flop_per_update
        lines.append(f"  {'useful operations':28}{_flop_text(flop):>14}{_flop_text(flop * estimate.members):>14}")
    return lines


def total_seconds(estimate: Estimate, trial: Trial) -> float:
    """Seconds from the start to the last evaluation: compile + init + epochs * epoch + evaluations * evaluate."""
    return trial.compile + trial.init + estimate.epochs * trial.epoch + estimate.evaluations * trial.evaluate


def time_lines(estimate: Estimate, trial: Trial) -> list[str]:
    """The lines of time, which --explain prints after the trial."""
    total = total_seconds(estimate, trial)
    parts = {
        "compile": trial.compile,
        "warm-up": trial.init,
        "epochs": estimate.epochs * trial.epoch,
        "evaluations": estimate.evaluations * trial.evaluate,
    }
    listed = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items())
    speed = f"{estimate.env_steps * estimate.members / total:,.0f} env steps/s"
    if estimate.flop_per_update is not None:
        gflop = estimate.updates * estimate.flop_per_update * estimate.members / 1e9
        speed += f" and {gflop / total:.1f} useful GFLOP/s"
    working = "not known, since the task is stepped on the host"
    if trial.working_bytes is not None:
        working = f"{filesize.decimal(trial.working_bytes)} on each device"
    return [
        f"  working memory of an epoch, activations among it: {working}",
        f"  expected, by a trial of some seconds here: {duration(total)} ({listed})",
        f"  {speed}, of all members",
    ]


def _size_line(name: str, size: int, count: int) -> str:
    return f"  {name:28}{filesize.decimal(size):>14}{filesize.decimal(size * count):>14}"


def _flop_text(flop: float) -> str:
    """Operations with an SI prefix.

    >>> _flop_text(2.5e9)
    '2.5 GFLOP'
    """
    for prefix in ("", "k", "M", "G", "T", "P"):
        if flop < 1000.0:
            return f"{flop:.1f} {prefix}FLOP"
        flop /= 1000.0
    return f"{flop:.1f} EFLOP"
