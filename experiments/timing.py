"""Least times of calls on a machine that others use too: several rounds, taken in turn, the best of each kept."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

ROUNDS = 8
SIDE = 2048  # of the square matrices whose product stands for the machine's peak


def best_of(*calls: Callable[[], Any], rounds: int | None = None) -> list[float]:
    """Least seconds of each call over several rounds (ROUNDS by default), taken in turn; one round warms up."""
    best = [float("inf")] * len(calls)
    for round_ in range((ROUNDS if rounds is None else rounds) + 1):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            jax.block_until_ready(call())
            if round_:
                best[i] = min(best[i], time.perf_counter() - start)
    return best


def matrix_product() -> tuple[Callable[[], jax.Array], float]:
    """A call that multiplies two square matrices, and its operations."""
    matrix = jnp.ones((SIDE, SIDE), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    return lambda: product(matrix), 2.0 * SIDE**3


def timed_first(seconds: dict[str, float], name: str, call: Callable[[], Any]) -> Any:
    """The result of a first call, which compiles; its seconds go under `name`."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    seconds[name] = time.perf_counter() - start
    return result
