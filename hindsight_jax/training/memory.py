"""How much memory a population takes, and how much is free."""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from hindsight_jax import checks
from hindsight_jax.training.run import Run

_MEMINFO = Path("/proc/meminfo")
# By either version of Linux's control groups: a container's limit, its use, and where its use says what is cache.
_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class Sizes(NamedTuple):
    """Bytes of one member."""

    networks: int  # parameters, those of the target, and the optimiser's moments; and those of the best agent so far
    ring: int
    batches: int  # of one epoch: what it draws and learns from
    other: int  # keys, counters, hyper-parameters

    @property
    def state(self) -> int:
        """What stays from epoch to epoch."""
        return self.networks + self.ring + self.other

    @property
    def total(self) -> int:
        """The state and an epoch's batches; activations and rollouts come on top while they last."""
        return self.state + self.batches


def sizes(run: Run) -> Sizes:
    """Of one member of the run, by shapes alone: nothing is computed."""
    checks.instance("run", run, Run, "Make it with training.make_run(...).")
    key = jax.random.key(0)
    state = jax.eval_shape(run.init_without_warmup, key)
    batches = jax.eval_shape(run.sample, state, key)
    ring, agent = num_bytes(state.replay), num_bytes(state.agent)
    return Sizes(2 * agent, ring, num_bytes(batches), num_bytes(state) - ring - agent)


def free_memory() -> int | None:
    """Bytes that the first device has left; on a CPU what the host or its container may still give; None if unknown."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    known = [amount for amount in (_host(), *(_container(*group) for group in _GROUPS)) if amount is not None]
    return min(known, default=None)


def num_bytes(tree: Any) -> int:
    """Of all arrays, or their shapes, in a pytree.

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
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _container(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """What is left below the limit, files that are only cached not counted; None without one."""
    try:
        most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
        lines = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text().splitlines())
        return max(most - used + int(lines[cache]), 0)
    except (OSError, KeyError, ValueError):
        return None
