"""How the cost of an update changes with members, batch, environments, devices and a grid: whole epochs, not parts.

The points of a curve are timed in turn, so that their ratios are of one run; populations are built when a curve first
needs them and kept, since each compiles a rollout. Rings and warm-ups are small: `bench`'s ring part has their sizes.

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
SETTINGS, SEEDS = 12, 4  # of the grid; as many seeds of one setting stand beside it
UPDATES_PER_CALL = 400  # of all members, at least
ROUNDS = 3
SMALL: dict[str, Any] = {"replay.capacity": 1000, "replay.warmup": 20}

Curve = dict[str, float]  # x as text -> microseconds per update of one member


def measure(name: str, num_members: int) -> dict[str, Any]:
    """Microseconds per update of one member, of whole epochs: a curve for each axis, and the grid beside seeds.

    Batches, environments and devices are those of M members. A time is that of the call over all members' updates: at
    a perfect spread over two devices it halves. A lone member keeps to one device: one core, where each core is one.
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
    """Populations of one name, kept by what makes them differ."""

    def __init__(self, name: str) -> None:
        """Nothing is built yet."""
        self.name = name
        self.calls: dict[Any, tuple[Callable[[], Any], int]] = {}

    def curve(self, points: Mapping[int, tuple[int, Mapping[str, Any], int | None]]) -> Curve:
        """x -> (members, changed values, devices or None for as many as there are) to x -> microseconds."""
        calls = [self.call(*point) for point in points.values()]
        seconds = best_of(*(call for call, _ in calls), rounds=ROUNDS)
        return {str(x): 1e6 * s / count for x, s, (_, count) in zip(points, seconds, calls, strict=True)}

    def call(self, num_members: int, changes: Mapping[str, Any], devices: int | None) -> tuple[Callable[[], Any], int]:
        """A call of whole epochs, and the updates of all members in it."""
        values = presets.config(self.name) | SMALL | dict(changes)
        chosen = training.devices_for(num_members)[:devices]
        own = {field: value for field, value in changes.items() if value != presets.config(self.name)[field]}
        key = (num_members, tuple(own.items()), len(chosen))
        if key not in self.calls:
            setup = presets.build(self.name, values)
            population = training.make_population(setup.run, chosen)
            state = population.init(training.member_keys(0, num_members))
            self.calls[key] = advancing(population, state, values["agent.updates_per_epoch"])
        return self.calls[key]

    def grid(self) -> dict[str, float]:
        """12 settings of 4 seeds beside 48 seeds of one setting: one program, and what it costs."""
        values = presets.config(self.name) | SMALL
        keys = training.member_keys(0, SETTINGS * SEEDS)
        run = presets.build(self.name, values).run
        population = training.make_population(run, training.devices_for(len(keys)))
        rates = jnp.repeat(jnp.linspace(1e-4, 1e-3, SETTINGS), SEEDS)
        of = functools.partial(advancing, population, updates=values["agent.updates_per_epoch"])
        same = jnp.full(len(keys), rates[0])
        (one, count), (other, _) = (of(population.init(keys, {"agent.learning_rate": x})) for x in (same, rates))
        with compilations("advance") as compiled:
            seeds, settings = best_of(one, other, rounds=ROUNDS)
        return {
            "seeds": 1e6 * seeds / count,
            "settings": 1e6 * settings / count,
            "ratio": settings / seeds,
            "programs": len(compiled),
        }


def advancing(population: training.Population, state: Any, updates: int) -> tuple[Callable[[], Any], int]:
    """A call that takes the state some epochs on, and the updates of all members in it."""
    num_members = len(state.members.updates)
    epochs = -(-UPDATES_PER_CALL // (num_members * updates))
    holder = [state]

    def advance() -> Any:
        holder[0] = population.advance(holder[0], epochs)
        return jax.block_until_ready(holder[0].epochs)

    return advance, num_members * updates * epochs


def relative(curve: Curve) -> dict[str, float]:
    """Each point over the first.

    >>> relative({"1": 2.0, "4": 3.0})
    {'1': 1.0, '4': 1.5}
    """
    first: Sequence[float] = list(curve.values())[:1]
    return {x: value / first[0] for x, value in curve.items()}
