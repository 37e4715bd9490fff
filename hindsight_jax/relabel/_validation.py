"""Argument checks of goal laws, rewards and preferences."""

from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks


def scalar(name: str, value: Any) -> jax.Array:
    """Converts a real scalar to f32[]. ValueError for booleans and for arrays of another rank."""
    checks.real(name, value, "Pass a float or an f32[].")
    checks.rank(name, value, 0, "Map over a population with jax.vmap.")
    checks.fits(name, value, "Use a number that float32 holds.")
    return jnp.asarray(value, jnp.float32)


def boolean(
    name: str, value: Any, expected: tuple[int, ...], remedy: str = "Map over the batch with jax.vmap."
) -> None:
    """Checks for a boolean array of this shape."""
    checks.shape(name, value, expected, remedy)
    checks.boolean(name, value)


def goals(next_achieved_goal: Any, goal: Any) -> None:
    """Checks for two arrays of equal shape."""
    checks.array("step.next_achieved_goal", next_achieved_goal)
    checks.shape("step.goal", goal, jnp.shape(next_achieved_goal), "Both are goals of one step: map with jax.vmap.")
