"""Where the members of a population are: on which devices, of which processes.

Dimension key: M members.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from hindsight_jax import checks


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
    checks.instance("columns", columns, Mapping, "Pass what record returned.")
    if not columns:
        checks.fail("columns", "none", "there must be at least one", "Pass what record returned.")
    size = None
    for name, column in columns.items():
        size = _num_members(f"columns[{name!r}]", column, size)
    local = {name: _local(column) for name, column in columns.items()}
    members = [member for start, stop, _ in next(iter(local.values())) for member in range(start, stop)]
    together = {name: np.concatenate([np.asarray(data) for *_, data in parts]) for name, parts in local.items()}
    return list(enumerate(members)), together


def local_member(tree: Any, member: int) -> Any:
    """One member of a pytree of arrays [M, ...]; None if another process holds it.

    Raises ValueError if there is no such member.
    """

    def of(leaf: jax.Array) -> jax.Array | None:
        for start, stop, data in _local(leaf):
            if start <= member < stop:
                return data[member - start]
        return None

    leaves, structure = jax.tree.flatten(tree)
    size = None
    for leaf in leaves:
        size = _num_members("tree", leaf, size)
    if size is None:
        checks.fail("tree", checks.describe(tree), "it must hold at least one array", "Pass state.members.")
    whole = isinstance(member, (int, np.integer)) and not isinstance(member, bool)
    if not whole or not 0 <= member < size:
        checks.fail("member", checks.describe(member), f"it must be an integer in 0..{size - 1}", "Count from 0.")
    found = [of(leaf) for leaf in leaves]
    return None if found[0] is None else jax.tree.unflatten(structure, found)


def _num_members(name: str, array: Any, expected: int | None) -> int:
    """M of an array [M, ...], as it is expected, where it is."""
    if not hasattr(array, "addressable_shards") or getattr(array, "ndim", 0) < 1:
        checks.fail(name, checks.describe(array), "it must be a JAX array [M, ...]", "Pass it as the device has it.")
    if expected not in (None, array.shape[0]):
        rule = f"the others have {expected} members"
        checks.fail(name, checks.describe(array), rule, "Pass arrays of one population.")
    return array.shape[0]


def _local(array: jax.Array) -> list[tuple[int, int, jax.Array]]:
    """(first member, one behind the last, their data) of each of this process's devices, in order."""
    spans = [(shard.index[0].indices(array.shape[0])[:2], shard.data) for shard in array.addressable_shards]
    return [(start, stop, data) for (start, stop), data in sorted(spans, key=lambda span: span[0])]
