"""Checks at public doors: a ValueError that says the argument, what was got, the rule, and the remedy.

Shapes and dtypes are known while tracing, so these checks cost nothing in a compiled function. Rules on *values* are
checked when the value is known (outside of `jax.jit`) and are skipped for tracers.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np


def fail(name: str, got: Any, rule: str, remedy: str) -> NoReturn:
    """Raises ValueError('name: got ..., but rule. remedy').

    >>> fail("beta", -1.0, "it must be >= 0", "Use 0 to switch imitation off.")
    Traceback (most recent call last):
    ValueError: beta: got -1.0, but it must be >= 0. Use 0 to switch imitation off.
    """
    raise ValueError(f"{name}: got {got}, but {rule}. {remedy}")


def is_concrete(value: Any) -> bool:
    """True if the value is known now, that is, not a tracer inside of jit, vmap or grad."""
    return not isinstance(value, jax.core.Tracer)


def describe(value: Any) -> str:
    """'float32[3, 4]' for arrays, repr otherwise."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    return repr(value)


def shape(name: str, value: Any, expected: Sequence[int], remedy: str) -> None:
    """The value has exactly this shape."""
    if tuple(jnp.shape(value)) != tuple(expected):
        fail(name, describe(value), f"its shape must be {list(expected)}", remedy)


def rank(name: str, value: Any, expected: int, remedy: str = "Map it over the batch with jax.vmap.") -> None:
    """The value has exactly this many axes."""
    if jnp.ndim(value) != expected:
        fail(name, describe(value), f"it must have rank {expected}", remedy)


def floating(name: str, value: Any, remedy: str = "Cast it with .astype(jnp.float32).") -> None:
    """The value is a real floating-point array or a Python float."""
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        fail(name, describe(value), "its dtype must be floating", remedy)


def integer(name: str, value: Any, remedy: str = "Cast it with .astype(jnp.int32).") -> None:
    """The value is an integer array or a Python int; booleans are refused."""
    if not jnp.issubdtype(jnp.result_type(value), jnp.integer):
        fail(name, describe(value), "its dtype must be an integer", remedy)


def in_range(name: str, value: Any, low: float, high: float, remedy: str) -> None:
    """low <= value <= high for every entry, NaN refused; skipped for tracers, whose values are not known yet."""
    if is_concrete(value):
        array = np.asarray(value)
        if not bool(np.all((array >= low) & (array <= high))):
            fail(name, value, f"it must lie in [{low}, {high}]", remedy)


def positive_int(name: str, value: Any, remedy: str) -> None:
    """A Python int >= 1; booleans are refused."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        fail(name, repr(value), "it must be an integer >= 1", remedy)


def typed_key(name: str, value: Any) -> None:
    """One typed key, as made by jax.random.key."""
    if not (hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)) or jnp.ndim(value) != 0:
        fail(name, describe(value), "it must be one typed key", "Make it with jax.random.key(seed).")
