"""Where the members of a population are: on which devices, of which processes.

Dimension key: M members.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def put(array: Any, sharding: Any) -> jax.Array:
    """The array, which every process holds whole, where the sharding says; typed keys too."""
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(put(jax.random.key_data(array), sharding), dtype=array.dtype)
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def local_members(columns: Mapping[str, jax.Array]) -> tuple[list[tuple[int, int]], dict[str, np.ndarray]]:
    """What this process holds of arrays [M]: pairs (position, member), and the columns, an entry for each position.

    >>> local_members({"q_mean": jax.numpy.arange(2.0)})
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
