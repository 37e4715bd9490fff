"""Who is in a population: settings x seeds, the seeds fastest.

Dimension key: M members.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Members(NamedTuple):
    """The seed and the setting of each member."""

    seeds: tuple[int, ...]  # [M]
    settings: tuple[Mapping[str, Any], ...]  # [M], field -> value; the same fields for all

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


def local_members(columns: Mapping[str, jax.Array]) -> tuple[list[tuple[int, int]], dict[str, np.ndarray]]:
    """What this process holds of arrays [M]: pairs (position, member), and the columns, an entry for each position.

    >>> local_members({"q_mean": jnp.arange(2.0)})
    ([(0, 0), (1, 1)], {'q_mean': array([0., 1.], dtype=float32)})
    """
    local = {name: _local(column) for name, column in columns.items()}
    members = [member for start, stop, _ in next(iter(local.values())) for member in range(start, stop)]
    together = {name: np.concatenate([np.asarray(data) for *_, data in parts]) for name, parts in local.items()}
    return list(enumerate(members)), together


def local_member(tree: Any, member: int) -> Any:
    """One member of a pytree of arrays [M, ...]; None if another process holds it."""

    def of(leaf: jax.Array) -> jax.Array | None:
        for start, stop, data in _local(leaf):
            if start <= member < stop:
                return data[member - start]
        return None

    leaves, structure = jax.tree.flatten(tree)
    found = [of(leaf) for leaf in leaves]
    return None if found[0] is None else jax.tree.unflatten(structure, found)


def _local(array: jax.Array) -> list[tuple[int, int, jax.Array]]:
    """(first member, one behind the last, their data) of each of this process's devices, in order."""
    spans = [(shard.index[0].indices(array.shape[0])[:2], shard.data) for shard in array.addressable_shards]
    return [(start, stop, data) for (start, stop), data in sorted(spans, key=lambda span: span[0])]
