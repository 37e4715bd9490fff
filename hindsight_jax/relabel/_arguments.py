"""The doors of goal laws, rewards and preferences: each checks one kind of argument."""

from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks


def scalar(name: str, value: Any) -> jax.Array:
    """f32[] from a real scalar; booleans and arrays are refused."""
    checks.real(name, value, "Pass a float or an f32[].")
    checks.rank(name, value, 0, "Map over a population with jax.vmap.")
    return jnp.asarray(value, jnp.float32)


def boolean(name: str, value: Any, expected: tuple[int, ...]) -> None:
    """A boolean array of this shape."""
    checks.shape(name, value, expected, "Map over the batch with jax.vmap.")
    if jnp.result_type(value) != jnp.bool_:
        checks.fail(name, checks.describe(value), "its dtype must be bool", "Compare, or cast it with .astype(bool).")
