"""Argument validation of the losses: each function checks one kind of argument, and returns it as an array.

Dimension key: K actions of a flat set, or bins per action dim; T steps of a trajectory.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks

_MAP = "A loss takes one example: map it over the batch with jax.vmap."


def head(name: str, value: Any) -> jax.Array:
    """Checks the output of a head for a flat action set, float[K] with K >= 1."""
    checks.rank(name, value, 1, "A loss takes one example: map with jax.vmap over a batch, with factorised over dims.")
    checks.floating(name, value)
    if jnp.shape(value)[0] == 0:
        checks.fail(name, checks.describe(value), "it must have at least one entry", "Give one entry per action.")
    return jnp.asarray(value)


def entry(values: jax.Array, a: Any) -> jax.Array:
    """values[a] for values float[K] and an action int[], where 0 <= a < K.

    JAX's gathers silently clamp an index that is out of range, and count a negative one from the end. Here such an
    action is refused if its value is known, and gives NaN if it is traced.
    """
    num_actions = values.shape[0]
    checks.rank("a", a, 0, "A loss takes one example: map with jax.vmap over a batch, with factorised over dims.")
    checks.integer("a", a)
    checks.in_range("a", a, 0, num_actions - 1, "Actions are counted from 0, one for each entry of the head.")
    index = jnp.asarray(a)
    # Narrow types cannot hold every K, and a gather narrows 64 bits to 32: widen, then clip to -1..K, one beyond the
    # range on either side. (A large unsigned number turns negative, hence stays out of range.)
    index = index.astype(jnp.int64 if index.dtype.itemsize == 8 else jnp.int32)
    index = jnp.clip(index, -1, num_actions)
    return values.at[index].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def scalars(**named: Any) -> list[jax.Array]:
    """Checks that each value is a float[], and promotes all to one dtype; Python floats take that of the arrays."""
    for name, value in named.items():
        checks.rank(name, value, 0, _MAP)
        checks.floating(name, value, "Cast it with .astype(jnp.float32), or write a float such as -1.0.")
    return promoted(*named.values())


def arrays(rank: int, remedy: str, **named: Any) -> list[jax.Array]:
    """Checks that the values are float arrays of this rank and of one shape, not empty; promotes all to one dtype."""
    expected = None
    for name, value in named.items():
        checks.rank(name, value, rank, remedy)
        checks.floating(name, value)
        filled(name, value)
        expected = jnp.shape(value) if expected is None else expected
        checks.shape(name, value, expected, f"All of {', '.join(named)} have one shape. {remedy}")
    return promoted(*named.values())


def mask(name: str, value: Any, shape: tuple[int, ...]) -> jax.Array:
    """Converts a mask of booleans, or of numbers 0 and 1, to bool[shape]."""
    remedy = "Give True or 1 for the steps that count, such as jnp.arange(T) < length."
    checks.shape(name, value, shape, remedy)
    kind = jnp.result_type(value)
    if jnp.issubdtype(kind, jnp.bool_):
        return jnp.asarray(value)
    if not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)):
        checks.fail(name, checks.describe(value), "it must hold booleans or numbers", remedy)
    if checks.is_concrete(value) and not np.isin(np.asarray(value), (0, 1)).all():
        checks.fail(name, checks.describe(value), "its entries must be 0 or 1", remedy)
    return jnp.asarray(value) > 0


def filled(name: str, value: Any) -> None:
    """Checks that no axis of the value is empty."""
    if 0 in jnp.shape(value):
        checks.fail(name, checks.describe(value), "it must have at least one entry", "Leave empty examples out.")


def promoted(*values: Any) -> list[jax.Array]:
    """Promotes the values to one dtype."""
    dtype = jnp.result_type(*values)
    return [jnp.asarray(value, dtype) for value in values]


def largest(dtype: Any) -> float:
    """The largest finite number of the dtype."""
    return float(jnp.finfo(dtype).max)


def hyper_parameter(
    name: str, value: Any, dtype: Any, low: float = -math.inf, high: float = math.inf, *, remedy: str
) -> jax.Array:
    """Checks a real number against [low, high], unless it is traced, and converts it to a scalar of `dtype`.

    `dtype` is that of the data, so that a hyper-parameter never decides the precision of a loss.
    """
    checks.rank(name, value, 0, "A hyper-parameter is one number: map with jax.vmap over several.")
    checks.real(name, value)
    checks.in_range(name, value, low, high, remedy)
    checks.fits(name, value, remedy, dtype)
    return jnp.asarray(value, dtype)
