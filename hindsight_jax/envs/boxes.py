"""Boxes of coordinates: parsing their bounds, and uniform points in them."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, numerics, types


def parse_bounds(name: str, value: Any, low: Sequence[float], high: Sequence[float], remedy: str) -> types.Range:
    """Parses a box (low, high), each a sequence of numbers; ValueError unless it lies in the box from `low` to `high`.

    >>> parse_bounds("goal", ((0, 0), (1, 1)), (-1, -1), (1, 1), "")
    Range(low=(0.0, 0.0), high=(1.0, 1.0))
    """
    rule = f"it must be (low, high), {len(low)} numbers each, with {tuple(low)} <= low <= high <= {tuple(high)}"
    checks.plain_array(name, value)
    try:
        first, last = (tuple(_coordinate(x) for x in corner) for corner in value)
    except (TypeError, ValueError):
        checks.fail(name, repr(value), rule, remedy)
    ordered = len(first) == len(last) == len(low) and all(
        a <= x <= y <= b for a, x, y, b in zip(low, first, last, high, strict=True)
    )
    if not ordered:
        checks.fail(name, repr(value), rule, remedy)
    return types.Range(first, last)


def _coordinate(value: Any) -> float:
    """The number as a float; ValueError for what is no finite number, such as text, which `float` would accept."""
    return checks.number("", value, -sys.float_info.max, sys.float_info.max, "", dtype=np.float64)


@numerics.steady
def uniform(key: jax.Array, box: types.Range) -> jax.Array:
    """A point uniform in a box of n dimensions, f32[n].

    >>> uniform(jax.random.key(0), types.Range((1.0, 2.0), (1.0, 2.0))).tolist()
    [1.0, 2.0]
    """
    return jax.random.uniform(key, (len(box.low),), jnp.float32, *map(jnp.array, box))


@numerics.steady
def inside(point: jax.Array, box: types.Range) -> jax.Array:
    """bool[]: whether a point f32[n] lies in a box, faces included.

    >>> inside(jnp.array([0.5, 1.0]), types.Range((0.0, 0.0), (1.0, 1.0))).tolist()
    True
    """
    low, high = (jnp.array(corner, jnp.float32) for corner in box)
    return jnp.all((point >= low) & (point <= high))


@numerics.steady
def draw_other(
    value: jax.Array, draw: Callable[[jax.Array], jax.Array], key: jax.Array, first: jax.Array | None = None
) -> jax.Array:
    """The first draw(key') that differs from `value`, each from a fresh key; one must exist, or this never ends.

    `first`, where it is given, is the draw before all others.

    >>> draw_other(jnp.array(0), lambda key: jax.random.randint(key, (), 0, 2), jax.random.key(0)).tolist()
    1
    """

    def again(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        key, use = jax.random.split(carry[0])
        return key, draw(use)

    return jax.lax.while_loop(
        lambda carry: jnp.all(carry[1] == value), again, (key, value if first is None else first)
    )[1]
