"""The memory that a member of a run takes, and the memory that is free."""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from hindsight_jax import checks, numerics
from hindsight_jax.training.run import Run

_MEMINFO = Path("/proc/meminfo")
# Of both versions of Linux's control groups: folder, a container's limit, its use, and the part of it that is cache.
_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class MemoryUse(NamedTuple):
    """The bytes of one member."""

    networks: int  # parameters, target parameters and the optimiser's moments, of the agent and of the best agent
    ring: int
    batches: int  # all batches of one epoch; of images, their numbers, and the images of one batch
    other: int  # keys, counters, hyper-parameters

    @property
    def state(self) -> int:
        """The bytes that stay from epoch to epoch."""
        return self.networks + self.ring + self.other

    @property
    def total(self) -> int:
        """The state and an epoch's batches. Activations and rollouts are not counted."""
        return self.state + self.batches


def memory_use(run: Run) -> MemoryUse:
    """The bytes of one member of the run, from shapes alone. Raises ValueError unless `run` is a Run."""
    checks.instance("run", run, Run, "Make it with training.make_run(...).")
    key = numerics.key(0)
    state = jax.eval_shape(run.init_without_warmup, key)
    batches = jax.eval_shape(run.sample, state, key)
    ring, agent = num_bytes(state.replay), num_bytes(state.agent)
    images = 0
    if run.spec.env.spec.images is not None:
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), batches)
        images = num_bytes(jax.eval_shape(run.spec.ring.look_up, state.replay, one)) - num_bytes(one)
    other = num_bytes(state) - ring - agent
    return MemoryUse(networks=2 * agent, ring=ring, batches=num_bytes(batches) + images, other=other)


def free_memory() -> int | None:
    """Free bytes of the first device; on a CPU, of the host or its container, whichever has less. None if unknown."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    known = [amount for amount in (_host(), *(_container(*group) for group in _GROUPS)) if amount is not None]
    return min(known, default=None)


def num_bytes(tree: Any) -> int:
    """The bytes of all arrays, or jax.ShapeDtypeStructs, in a pytree. Raises ValueError for other leaves.

    >>> num_bytes(jax.ShapeDtypeStruct((3, 2), "float32"))
    24
    """
    size = lambda leaf: leaf.size * (leaf.dtype.itemsize if hasattr(leaf.dtype, "itemsize") else 8)
    for leaf in jax.tree.leaves(tree):
        if not checks.is_array(leaf) or not hasattr(leaf, "dtype"):
            rule = "its leaves must be arrays or jax.ShapeDtypeStruct"
            checks.fail("tree", checks.describe(leaf), rule, "Wrap numbers in jnp.asarray.")
    return sum(size(leaf) for leaf in jax.tree.leaves(tree))


def _host() -> int | None:
    """Bytes that Linux calls available; None if it does not say."""
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _container(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Bytes left below the container's limit, where cached files count as free; None without a limit."""
    try:
        most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
        lines = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text().splitlines())
        return max(most - used + int(lines[cache]), 0)
    except (OSError, KeyError, ValueError):
        return None
