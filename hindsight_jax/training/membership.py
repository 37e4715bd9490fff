"""Who is in a population: settings x seeds, the seeds fastest.

Dimension key: M members.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Members(NamedTuple):
    """The seed and the setting of each member."""

    seeds: tuple[int, ...]  # [M]
    settings: tuple[Mapping[str, Any], ...]  # [M], field -> value; the same fields for all

    def parts(self, size: int) -> list["Members"]:
        """In order, at most `size` in each, and numbers that differ by one at most."""
        count = -(-len(self.seeds) // size)
        bounds = [len(self.seeds) * i // count for i in range(count + 1)]
        return [Members(self.seeds[a:b], self.settings[a:b]) for a, b in itertools.pairwise(bounds)]

    def keys(self) -> jax.Array:
        """Typed keys [M]: members of one seed have the same, whatever their setting."""
        return jax.vmap(jax.random.key)(jnp.array(self.seeds, jnp.int32))

    def values(self, fields: Iterable[str]) -> dict[str, jax.Array]:
        """For `Population.init`: f32[M] of each of these fields."""
        return {field: jnp.array([setting[field] for setting in self.settings], jnp.float32) for field in fields}


def members(seeds: Sequence[int], settings: Sequence[Mapping[str, Any]] = ({},)) -> Members:
    """Every setting with every seed.

    >>> members([7, 8], [{"agent.gamma": 0.5}, {"agent.gamma": 0.9}]).seeds
    (7, 8, 7, 8)
    """
    pairs = [(seed, setting) for setting in settings for seed in seeds]
    return Members(tuple(seed for seed, _ in pairs), tuple(setting for _, setting in pairs))
