"""Where the members of a population are: on which devices, of which processes.

Dimension key: M members.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hindsight_jax import checks
from hindsight_jax.training import _validation


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


AXIS = "members"  # of the mesh

EACH, WHOLE = PartitionSpec(AXIS), PartitionSpec()


def devices_for(num_members: int, devices: Sequence[Any] | None = None) -> tuple[Any, ...]:
    """As many devices as can share M members equally, as many of each process; by default of those of all processes.

    Raises ValueError if the processes cannot have equal numbers of members.

    >>> len(devices_for(1))
    1
    """
    checks.positive_int("num_members", num_members, "A population has at least one member.")
    if devices is not None:
        _validation.check_devices(devices)
    by_process: dict[int, list[Any]] = {}
    for device in jax.devices() if devices is None else devices:
        by_process.setdefault(device.process_index, []).append(device)
    processes = len(by_process)
    if num_members % processes:
        rule = f"the {processes} processes must have as many members each"
        checks.fail("num_members", num_members, rule, f"Use a multiple of {processes} seeds, or fewer processes.")
    most = min(len(own) for own in by_process.values())
    count = max(count for count in range(1, most + 1) if num_members % (count * processes) == 0)
    return tuple(device for process in sorted(by_process) for device in by_process[process][:count])


def in_chunks(function: Callable[..., Any], chunk: int | None, *inputs: Any) -> Any:
    """`function` of one member, mapped over inputs with a leading axis [M]: `chunk` of them at once, or (None) all.

    >>> in_chunks(jax.numpy.square, 2, jax.numpy.arange(3)).tolist()
    [0, 1, 4]
    """
    if chunk is None or chunk >= len(jax.tree.leaves(inputs)[0]):
        return jax.vmap(function)(*inputs)
    return jax.lax.map(lambda x: function(*x), inputs, batch_size=None if chunk == 1 else chunk)


def default_chunk(devices: Sequence[Any]) -> int | None:
    """The members that learn at once on each device: 1 where a CPU's cores are devices, and all (None) elsewhere.

    A core's cache holds the parameters and the moments of a member or two. One device of several cores shares out its
    products among them, and larger ones better.

    >>> default_chunk(jax.devices("cpu")[:1]) is None
    True
    """
    _validation.check_devices(devices)
    return 1 if devices[0].platform == "cpu" and len(devices) > 1 else None


def shard(mesh: Mesh | None, function: Callable, inputs: Any, outputs: Any) -> Callable:
    """The function on each device's members, by themselves."""
    if mesh is None:
        return function
    return jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False)


def put_on_all_processes(mesh: Mesh | None, tree: Any) -> Any:
    """Arrays [M, ...] that each of several processes holds whole, as arrays of which it holds its own members' part."""
    if mesh is None or not mesh.is_multi_process:
        return tree
    return jax.tree.map(lambda x: put(x, NamedSharding(mesh, EACH)), tree)


def with_sharding(mesh: Mesh | None, spec: PartitionSpec, shapes: Any) -> Any:
    """The shapes with the shardings that `shard` gives."""
    if mesh is None:
        return shapes
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: x.update(sharding=sharding), shapes)
