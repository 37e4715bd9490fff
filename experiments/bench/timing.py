"""Timing on a shared machine: several rounds, the calls of a round in turn, and the least time of each call kept."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from hindsight_jax.training.sharding import in_chunks

ROUNDS = 8
SIDE = 2048  # of the square matrices whose product measures the machine's peak


def best_of(*calls: Callable[[], Any], rounds: int | None = None) -> list[float]:
    """The least seconds of each call over `rounds` (default ROUNDS), timed in turn after one round of warm-up."""
    best = [float("inf")] * len(calls)
    for round_ in range((ROUNDS if rounds is None else rounds) + 1):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            jax.block_until_ready(call())
            if round_:
                best[i] = min(best[i], time.perf_counter() - start)
    return best


def matrix_product() -> tuple[Callable[[], jax.Array], float]:
    """A call that multiplies two square matrices on every device at once, and the operations of all of them.

    Where a CPU's cores are devices, the product on one device would measure one core only.
    """
    count = len(jax.local_devices())
    product = spread(lambda a: a @ a)
    matrices = product(jnp.zeros((count, SIDE, SIDE), jnp.float32)) + 1.0  # on the devices already
    return lambda: product(matrices), 2.0 * count * SIDE**3


def spread(
    function: Callable[..., Any], devices: Sequence[Any] | None = None, chunk: int | None = None
) -> Callable[..., Any]:
    """`function` of one member as a jitted function of members [M], spread equally over `devices` (default: all).

    Each device computes `chunk` members at once; None: all of its members.
    """
    mesh = Mesh(np.array(jax.local_devices() if devices is None else devices), ("members",))
    members = PartitionSpec("members")
    mapped = functools.partial(in_chunks, function, chunk)
    return jax.jit(jax.shard_map(mapped, mesh=mesh, in_specs=members, out_specs=members, check_vma=False))


@contextlib.contextmanager
def compilations(name: str) -> Iterator[list[str]]:
    """A list to which `name` is added whenever a program of that name is compiled within the block."""
    compiled: list[str] = []

    def note(event: str, duration_secs: float, **more: Any) -> None:
        del duration_secs
        if event.endswith("backend_compile_duration") and more.get("fun_name") == f"jit({name})":
            compiled.append(name)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


@contextlib.contextmanager
def cache_hits() -> Iterator[list[str]]:
    """A list with an entry for each program that was found in the persistent compile cache within the block."""
    found: list[str] = []

    def note(event: str, **more: Any) -> None:
        del more
        if event.endswith("compilation_cache/cache_hits"):
            found.append(event)

    jax.monitoring.register_event_listener(note)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_listener(note)


def timed_first(seconds: dict[str, float], name: str, call: Callable[[], Any]) -> Any:
    """Runs a first call, which compiles, stores its seconds under `name`, and returns its result."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    seconds[name] = time.perf_counter() - start
    return result
