"""The placement of a population's members on devices and processes.

Dimension key: M members.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hindsight_jax import by_device, checks
from hindsight_jax.training import _validation


def put(array: Any, sharding: Any) -> jax.Array:
    """Places a host array, which every process holds whole, by `sharding`; typed keys are supported."""
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(put(jax.random.key_data(array), sharding), dtype=array.dtype)
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def local_members(columns: Mapping[str, jax.Array]) -> tuple[list[tuple[int, int]], dict[str, np.ndarray]]:
    """The members of this process: pairs (position, member), and the columns' entries by position.

    Raises ValueError unless `columns` maps names to JAX arrays [M, ...] of one population.

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
    """One member of a pytree of JAX arrays [M, ...]; None if another process holds it.

    Raises ValueError if there is no such member, or if a leaf is not such an array.
    """

    def entry(leaf: jax.Array) -> jax.Array | None:
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
    rule = f"it must be an integer in 0..{size - 1}"
    member = checks.whole("member", member, 0, size - 1, "Count from 0.", rule)
    entries = [entry(leaf) for leaf in leaves]
    return None if entries[0] is None else jax.tree.unflatten(structure, entries)


def _num_members(name: str, array: Any, expected: int | None) -> int:
    """M of an array [M, ...]; ValueError if another number is expected."""
    if not hasattr(array, "addressable_shards") or getattr(array, "ndim", 0) < 1:
        checks.fail(
            name, checks.describe(array), "it must be a JAX array [M, ...]", "Pass it before it is copied to the host."
        )
    if expected not in (None, array.shape[0]):
        rule = f"the other arrays have {expected} members"
        checks.fail(name, checks.describe(array), rule, "Pass arrays of one population.")
    return array.shape[0]


def _local(array: jax.Array) -> list[tuple[int, int, jax.Array]]:
    """(first member, last member + 1, their data) of each of this process's devices, in order."""
    spans = [(shard.index[0].indices(array.shape[0])[:2], shard.data) for shard in array.addressable_shards]
    return [(start, stop, data) for (start, stop), data in sorted(spans, key=lambda span: span[0])]


AXIS = "members"  # of the mesh
EACH: Any = PartitionSpec(AXIS)  # arrays [M, ...]
WHOLE: Any = PartitionSpec()  # arrays without an axis of members


def devices_for(num_members: int, devices: Sequence[Any] | None = None) -> tuple[Any, ...]:
    """As many of the devices as can share M members equally, the same number of each process.

    `devices` are by default those of all processes. Raises ValueError if processes cannot share the members equally.

    >>> len(devices_for(1))
    1
    """
    num_members = checks.positive_int("num_members", num_members, "A population has at least one member.")
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
    """Maps `function` over inputs with a leading axis [M], in chunks of `chunk` entries, or (None) all at once.

    >>> import jax.numpy as jnp
    >>> in_chunks(jnp.add, 2, jnp.arange(3), jnp.ones(3, jnp.int32)).tolist()
    [1, 2, 3]
    """
    if chunk is None or chunk >= len(jax.tree.leaves(inputs)[0]):
        return jax.vmap(function)(*inputs)
    return jax.lax.map(lambda x: function(*x), inputs, batch_size=None if chunk == 1 else chunk)


def default_chunk(devices: Sequence[Any]) -> int | None:
    """How many members learn at once on each device: 1 where a CPU's cores are devices, elsewhere None, for all.

    A core's cache holds the parameters and moments of a member or two. A device of several cores splits each matrix
    product among them, and splits larger products better.

    >>> default_chunk(jax.devices("cpu")[:1]) is None
    True
    """
    _validation.check_devices(devices)
    return 1 if by_device.cores_are_devices(devices) else None


def shard(mesh: Mesh | None, function: Callable, inputs: Any, outputs: Any) -> Callable:
    """The function, run by each device for its own members.

    Without a mesh there is one device, and nothing to map. Under `jax.disable_jit` each operation is run by itself, on
    all members: mapped over devices, each would be compiled anew at every call.
    """
    if mesh is None or (jax.config.jax_disable_jit and not mesh.is_multi_process):
        return function
    return jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False)


def put_on_all_processes(mesh: Mesh | None, tree: Any) -> Any:
    """Turns arrays [M, ...] that every process holds whole into global arrays sharded over members."""
    if mesh is None or not mesh.is_multi_process:
        return tree
    return jax.tree.map(lambda x: put(x, NamedSharding(mesh, EACH)), tree)


def put_whole(mesh: Mesh | None, tree: Any) -> Any:
    """Arrays that every process holds whole, a copy of them on each device of the mesh."""
    return tree if mesh is None else jax.tree.map(lambda x: put(x, NamedSharding(mesh, WHOLE)), tree)


def with_sharding(mesh: Mesh | None, spec: PartitionSpec, shapes: Any) -> Any:
    """jax.ShapeDtypeStructs with the shardings that `shard` gives."""
    if mesh is None:
        return shapes
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: x.update(sharding=sharding), shapes)
