"""What a run will need, before it begins: hindsight-jax --config=NAME ... --explain.

Sizes are those of the shapes that will be allocated, operations those that the agent counts (`Agent.flops`), if it
does. The time is that of a short trial on this machine: a warm-up, some epochs and one evaluation of the whole
population, compiled as the run would be.

Dimension key: M members.
"""

import time
from typing import Any, NamedTuple

import jax
import numpy as np

from hindsight_jax import fields, presets, training
from hindsight_jax.runs import config_file
from hindsight_jax.runs.progress import duration

TRIAL_SECONDS = 4.0  # of epochs, about


class MemoryRefusal(RuntimeError):
    """The population cannot fit; the message holds both numbers and the remedy."""


class Trial(NamedTuple):
    """Of M members: seconds, and what an epoch needs beside the state while it runs."""

    working_bytes: int  # activations, gradients and rollouts, of one device
    compile: float
    begin: float  # the warm-up
    epoch: float
    evaluate: float


class Plan(NamedTuple):
    """A run in numbers; those of operations, steps and updates are per member."""

    name: str
    settings: int
    seeds: int
    devices: int
    kind: str  # of the devices
    chunk: int | None  # members of a device that learn at once; None: all
    sharing: int  # members that share one memory: a host's on a CPU, else a device's
    memory: training.MemoryUse
    copy: int  # bytes of a member that wait there for the disk while a checkpoint is written: a GPU's wait in the host
    free: int | None  # bytes
    env_steps: int
    updates: int
    epochs: int
    evaluations: int
    flop_per_update: float | None  # None: the agent does not count them

    @property
    def members(self) -> int:
        """M."""
        return self.settings * self.seeds

    @property
    def bytes_of_one(self) -> int:
        """What a member takes at most of the memory that `free` is of."""
        return self.memory.total + self.copy


def make(name: str, values: dict[str, Any], grid: presets.Grid, setup: presets.Setup) -> Plan:
    """The plan of a population; nothing is allocated or compiled. Starts JAX's backend."""
    num_members = len(config_file.members(values, grid).seeds)
    devices = training.devices_for(num_members)
    epochs = setup.num_epochs
    steps = values["env.num_envs"] * setup.env.spec.horizon
    warmup = values.get("replay.warmup", 0) * setup.env.spec.horizon
    memory, on_cpu = training.memory_use(setup.run), devices[0].platform == "cpu"
    return Plan(
        name=name,
        settings=num_members // values["seeds"],
        seeds=values["seeds"],
        devices=len(devices),
        kind=devices[0].device_kind,
        chunk=training.default_chunk(devices),
        sharing=num_members // (jax.process_count() if on_cpu else len(devices)),
        memory=memory,
        copy=memory.state if on_cpu else 0,
        free=training.free_memory(),
        env_steps=warmup + epochs * steps,
        updates=epochs * values.get("agent.updates_per_epoch", 1),
        epochs=epochs,
        evaluations=-(-epochs // setup.epochs_between_evaluations),
        flop_per_update=setup.flops_per_update,
    )


def check(plan: Plan) -> None:
    """Raises `MemoryRefusal` if the members that share a memory cannot fit into what is free of it."""
    one = plan.bytes_of_one
    needed = plan.sharing * one
    if plan.free is None or needed <= plan.free:
        return
    remedy = "Lower --config.replay.capacity, or --config.agent.hidden_sizes."
    if plan.free >= one:
        remedy = f"{plan.free // one} members fit: use fewer seeds or settings, or lower --config.replay.capacity."
    raise MemoryRefusal(
        f"replay.capacity: {plan.sharing} members need {size_text(needed)}, of which each ring takes "
        f"{size_text(plan.memory.ring)}, but {size_text(plan.free)} are free. {remedy}"
    )


def trial(values: dict[str, Any], grid: presets.Grid, setup: presets.Setup) -> Trial:
    """Compiles, begins, trains for some seconds and evaluates once, as the run would; its state is thrown away."""
    members = config_file.members(values, grid)
    population = training.make_population(setup.run, training.devices_for(len(members.seeds)))
    keys, own = members.keys(), members.values(grid)
    compiling = _timed(lambda: population.compile(keys, own)).seconds
    advance = population.advance.lower(population.template(keys), 1).compile()  # which is there by now
    begin = _timed(lambda: population.init(keys, own))
    once = _timed(lambda: advance(begin.result, 1))
    count = max(1, min(round(TRIAL_SECONDS / once.seconds), setup.num_epochs))
    more = _timed(lambda: advance(once.result, count))
    evaluate = _timed(lambda: population.evaluate(more.result, keys))
    working_bytes = advance.memory_analysis().temp_size_in_bytes
    return Trial(working_bytes, compiling, begin.seconds, more.seconds / count, evaluate.seconds)


class _Timed(NamedTuple):
    result: Any
    seconds: float


def _timed(call: Any) -> _Timed:
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return _Timed(result, time.perf_counter() - start)


def text(plan: Plan, grid: presets.Grid) -> str:
    """What --explain prints before anything runs."""
    each = plan.members // plan.devices
    devices = f"{plan.devices} device{'s' * (plan.devices > 1)} ({plan.kind}), {each} on each"
    seeds = f"{plan.seeds} seed{'s' * (plan.seeds > 1)}"
    who = seeds if not grid else f"{plan.settings} settings x {seeds} = {plan.members} members"
    lines = [f"{plan.name}: {who}; one program on {devices}"]
    lines += [f"  {field}: {', '.join(map(fields.text, axis))}" for field, axis in grid.items()]
    learn = "all at once" if plan.chunk is None else f"{plan.chunk} at a time, so that their networks stay in cache"
    lines += [
        f"  members collect and evaluate all at once, and learn {learn}",
        f"  {'':28}{'a member':>14}{'all':>14}",
        _line("networks, also the best's", plan.memory.networks, plan.members),
        _line("replay ring", plan.memory.ring, plan.members),
        _line("batches of an epoch", plan.memory.batches, plan.members),
        _line("copy for a checkpoint", plan.copy, plan.members),
    ]
    if plan.free is not None:
        lines.append(f"  {'free memory':28}{'':>14}{size_text(plan.free):>14}")
    lines += [
        f"  {'env steps':28}{plan.env_steps:>14,}{plan.env_steps * plan.members:>14,}",
        f"  {'updates':28}{plan.updates:>14,}{plan.updates * plan.members:>14,}",
        f"  {'updates per env step':28}{plan.updates / plan.env_steps:>14.3g}",
    ]
    if plan.flop_per_update is not None:
        useful = plan.updates * plan.flop_per_update
        lines.append(f"  {'useful operations':28}{_operations(useful):>14}{_operations(useful * plan.members):>14}")
    return "\n".join(lines)


def seconds(plan: Plan, measured: Trial) -> float:
    """From the start to the last evaluation."""
    return measured.compile + measured.begin + plan.epochs * measured.epoch + plan.evaluations * measured.evaluate


def expected(plan: Plan, measured: Trial) -> list[str]:
    """The lines of time, which --explain prints after the trial."""
    learning, evaluating = plan.epochs * measured.epoch, plan.evaluations * measured.evaluate
    whole = seconds(plan, measured)
    useful = ""
    if plan.flop_per_update is not None:
        rate = plan.updates * plan.flop_per_update * plan.members / whole / 1e9
        useful = f" and {rate:.1f} useful GFLOP/s"
    parts = {"compile": measured.compile, "warm-up": measured.begin, "epochs": learning, "evaluations": evaluating}
    told = ", ".join(f"{words} {duration(part)}" for words, part in parts.items())
    return [
        f"  working memory of an epoch, activations among it: {size_text(measured.working_bytes)} on each device",
        f"  expected, by a trial of some seconds here: {duration(whole)} ({told})",
        f"  {plan.env_steps * plan.members / whole:,.0f} env steps/s{useful}, of all members",
    ]


def _line(words: str, size: int, count: int) -> str:
    return f"  {words:28}{size_text(size):>14}{size_text(size * count):>14}"


def size_text(size: int) -> str:
    """Bytes for people.

    >>> size_text(999), size_text(2_500_000), size_text(3 * 10**9)
    ('999 B', '2.5 MB', '3.0 GB')
    """
    for unit, words in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {words}"
    return f"{size} B"


def _operations(count: float) -> str:
    exponent = min(int(np.log10(max(count, 1.0)) // 3), 6)
    return f"{count / 1000**exponent:.1f} {('', 'k', 'M', 'G', 'T', 'P', 'E')[exponent]}FLOP"
