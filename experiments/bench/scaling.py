"""How the cost of an update changes with members, batch, environments, devices and a grid; whole epochs are timed.

The points of a curve are timed in turn, so that their ratios are of one run. A population is built when a curve first
needs it, and kept, since each compiles a rollout. Rings and warm-ups are small; `ring.py` measures large rings.

Dimension key: M members.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.bench.timing import best_of, compilations
from hindsight_jax import presets, training

MEMBERS = (1, 4, 16, 64)
BATCHES = (64, 256, 1024)
ENVIRONMENTS = (1, 4, 16)  # of a member
SETTINGS, SEEDS = 12, 4  # of the grid, which is compared with 48 seeds of one setting
UPDATES_PER_CALL = 400  # at least, of all members together
ROUNDS = 3
SMALL: dict[str, Any] = {"replay.capacity": 1000, "replay.warmup": 20}

Curve = dict[str, float]  # x as text -> microseconds per update of one member


def measure(name: str, num_members: int) -> dict[str, Any]:
    """Microseconds per update of one member, in whole epochs: a curve for each axis, and the grid beside seeds.

    The curves over batches, environments and devices have M members. A figure is the time of a call divided by the
    updates of all members: it halves if the members are spread perfectly over two devices. A single member uses one
    device (one core, where each core is a device).
    """
    timed = Timed(name)
    devices = sorted({1, len(training.devices_for(num_members))})
    return {
        "seeds": timed.curve({count: (count, {}, None) for count in MEMBERS}),
        "batch": timed.curve({size: (num_members, {"agent.batch_size": size}, None) for size in BATCHES}),
        "environments": timed.curve({count: (num_members, {"env.num_envs": count}, None) for count in ENVIRONMENTS}),
        "devices": timed.curve({count: (num_members, {}, count) for count in devices}),
        "grid": timed.grid(),
    }


class Timed:
    """Timed calls of one preset's populations; a population that two curves share is built once."""

    def __init__(self, name: str) -> None:
        """Builds nothing yet."""
        self.name = name
        self.calls: dict[Any, tuple[Callable[[], Any], int]] = {}

    def curve(self, points: Mapping[int, tuple[int, Mapping[str, Any], int | None]]) -> Curve:
        """Microseconds at each x of `points`: x -> (members, changed values, devices; None for all of them)."""
        calls = [self.call(*point) for point in points.values()]
        seconds = best_of(*(call for call, _ in calls), rounds=ROUNDS)
        return {str(x): 1e6 * s / count for x, s, (_, count) in zip(points, seconds, calls, strict=True)}

    def call(self, num_members: int, changes: Mapping[str, Any], devices: int | None) -> tuple[Callable[[], Any], int]:
        """A call of whole epochs, and the updates of all members in it."""
        values = presets.config(self.name) | SMALL | dict(changes)
        used = training.devices_for(num_members)[:devices]
        differing = {field: value for field, value in changes.items() if value != presets.config(self.name)[field]}
        key = (num_members, tuple(differing.items()), len(used))
        if key not in self.calls:
            setup = presets.build(self.name, values)
            population = training.make_population(setup.run, used)
            state = population.init(training.member_keys(0, num_members))
            self.calls[key] = advancing(population, state, values["agent.updates_per_epoch"])
        return self.calls[key]

    def grid(self) -> dict[str, float]:
        """12 settings of 4 seeds beside 48 seeds of one setting: microseconds, their ratio, programs compiled."""
        values = presets.config(self.name) | SMALL
        keys = training.member_keys(0, SETTINGS * SEEDS)
        run = presets.build(self.name, values).run
        population = training.make_population(run, training.devices_for(len(keys)))
        rates = jnp.repeat(jnp.linspace(1e-4, 1e-3, SETTINGS), SEEDS)
        call_of = functools.partial(advancing, population, updates=values["agent.updates_per_epoch"])
        same = jnp.full(len(keys), rates[0])
        one_setting, count = call_of(population.init(keys, {"agent.learning_rate": same}))
        all_settings, _ = call_of(population.init(keys, {"agent.learning_rate": rates}))
        with compilations("advance") as compiled:
            seeds, settings = best_of(one_setting, all_settings, rounds=ROUNDS)
        return {
            "seeds": 1e6 * seeds / count,
            "settings": 1e6 * settings / count,
            "ratio": settings / seeds,
            "programs": len(compiled),
        }


def advancing(population: training.Population, state: Any, updates: int) -> tuple[Callable[[], Any], int]:
    """A call that advances the state by whole epochs, and the updates of all members in it."""
    num_members = len(state.members.updates)
    epochs = -(-UPDATES_PER_CALL // (num_members * updates))
    holder = [state]

    def advance() -> Any:
        holder[0] = population.advance(holder[0], epochs)
        return jax.block_until_ready(holder[0].epochs)

    return advance, num_members * updates * epochs


def relative(curve: Curve) -> dict[str, float]:
    """The points of a curve divided by its first one.

    >>> relative({"1": 2.0, "4": 3.0})
    {'1': 1.0, '4': 1.5}
    """
    first: Sequence[float] = list(curve.values())[:1]
    return {x: value / first[0] for x, value in curve.items()}
