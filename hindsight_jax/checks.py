"""Argument checks of public functions: ValueErrors that name the argument, what was got, the rule and a remedy.

The docstring of a check states its rule.

Shapes and dtypes are known while tracing, so these checks cost nothing in a compiled function. Rules on *values* are
checked when the value is known (outside `jax.jit`) and skipped for tracers.

`validated` puts a check in front of a function, and `bind` makes a public function of one that has more arguments.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import numerics

INT32_MAX = 2**31 - 1
FLOAT32_MAX = float(np.finfo(np.float32).max)  # the largest finite float32


def fail(name: str, got: Any, rule: str, remedy: str = "") -> NoReturn:
    """Raises ValueError('name: got ..., but rule. remedy').

    >>> fail("beta", -1.0, "it must be >= 0", "Use 0 to switch imitation off.")
    Traceback (most recent call last):
    ValueError: beta: got -1.0, but it must be >= 0. Use 0 to switch imitation off.
    """
    raise ValueError(f"{name}: got {got}, but {rule}. {remedy}".rstrip())


def validated(check: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: calls `check` with the function's arguments, then the function. Name, docstring and signature stay.

    >>> @validated(lambda x: positive_int("x", x, "Count from 1."))
    ... def double(x):
    ...     return 2 * x
    >>> double(3)
    6
    >>> double(0)
    Traceback (most recent call last):
    ValueError: x: got 0, but it must be an integer >= 1. Count from 1.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            check(*args, **kwargs)
            return function(*args, **kwargs)

        return checked

    return decorate


def bind(function: Callable[..., Any], *fixed: Any) -> Callable[..., Any]:
    """functools.partial(function, *fixed) that users call: `numerics.steady`, with name and docstring for help().

    >>> def power(exponent, base):
    ...     return base**exponent
    >>> square = bind(power, 2)
    >>> square(3), square.__name__
    (9, 'power')
    """

    @numerics.steady
    @functools.wraps(function)
    def bound(*args: Any, **kwargs: Any) -> Any:
        return function(*fixed, *args, **kwargs)

    signature = inspect.signature(function)
    bound.__signature__ = signature.replace(parameters=list(signature.parameters.values())[len(fixed) :])
    return bound


def is_concrete(value: Any) -> bool:
    """True if the value is known now: it is not a tracer inside jit, vmap or grad."""
    return not isinstance(value, jax.core.Tracer)


def describe(value: Any) -> str:
    """'float32[3, 4]' for arrays, repr otherwise."""
    if isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    return repr(value)


def is_array(value: Any) -> bool:
    """True for an array of numbers, booleans or keys, a ShapeDtypeStruct or a Python number; not for None or a list."""
    known = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct, bool, int, float, complex)
    return isinstance(value, known) and getattr(getattr(value, "dtype", None), "kind", "") not in tuple("OSUMm")


def array(name: str, value: Any, remedy: str = "Make it an array with jnp.asarray.") -> None:
    """The value is an array or a number, as defined by `is_array`."""
    if not is_array(value):
        fail(name, describe(value), "it must be an array or a number", remedy)


def shape(name: str, value: Any, expected: Sequence[int], remedy: str) -> None:
    """The value has exactly this shape."""
    array(name, value)
    if tuple(jnp.shape(value)) != tuple(expected):
        fail(name, describe(value), f"its shape must be {list(expected)}", remedy)


def rank(name: str, value: Any, expected: int, remedy: str = "Map it over the batch with jax.vmap.") -> None:
    """The value has exactly this many axes."""
    array(name, value)
    if jnp.ndim(value) != expected:
        fail(name, describe(value), f"it must have rank {expected}", remedy)


def floating(name: str, value: Any, remedy: str = "Cast it with .astype(jnp.float32).") -> None:
    """The value is a real floating-point array or a Python float."""
    array(name, value)
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        fail(name, describe(value), "its dtype must be floating", remedy)


def integer(name: str, value: Any, remedy: str = "Cast it with .astype(jnp.int32).") -> None:
    """The value is an integer array or a Python int; booleans are refused."""
    array(name, value)
    if not jnp.issubdtype(jnp.result_type(value), jnp.integer):
        fail(name, describe(value), "its dtype must be an integer", remedy)


def pixels(name: str, value: Any, remedy: str = "Pass pixels of 0 to 255 as they are.") -> None:
    """The value is an array of uint8."""
    array(name, value)
    if jnp.result_type(value) != jnp.uint8:
        fail(name, describe(value), "its dtype must be uint8", remedy)


def boolean(name: str, value: Any, remedy: str = "Compare, or cast it with .astype(bool).") -> None:
    """The value is a boolean or an array of booleans."""
    array(name, value)
    if jnp.result_type(value) != jnp.bool_:
        fail(name, describe(value), "its dtype must be bool", remedy)


def flag(name: str, value: Any, remedy: str) -> None:
    """The value is a Python boolean, hence known while tracing."""
    if not isinstance(value, bool):
        fail(name, describe(value), "it must be True or False", remedy)


def function(name: str, value: Any, remedy: str) -> None:
    """The value can be called."""
    if not callable(value):
        fail(name, describe(value), "it must be a function", remedy)


def instance(name: str, value: Any, kind: type, remedy: str) -> None:
    """The value is an instance of this class, not the class itself."""
    if not isinstance(value, kind):
        got = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        fail(name, got, f"its type must be {kind.__name__}", remedy)


def real(name: str, value: Any, remedy: str = "Write it as a float such as 1.0.") -> None:
    """The value is one or more real numbers, floating or integer; booleans are refused."""
    kind: Any = jnp.result_type(value) if is_array(value) else None
    if kind is None or not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)):
        fail(name, describe(value), "it must be a real number", remedy)


def in_range(name: str, value: Any, low: float, high: float, remedy: str) -> None:
    """low <= value <= high for every entry, NaN refused; skipped for tracers, whose values are not known yet."""
    array(name, value)
    if is_concrete(value):
        entries = np.asarray(value)
        if not bool(np.all((entries >= low) & (entries <= high))):
            fail(name, value, f"it must lie in [{low}, {high}]", remedy)


def positive_int(name: str, value: Any, remedy: str) -> None:
    """The value is a Python or NumPy int >= 1; booleans are refused."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        fail(name, repr(value), "it must be an integer >= 1", remedy)


def typed_key(name: str, value: Any) -> None:
    """The value is one typed key, as made by jax.random.key."""
    is_array = isinstance(value, (jax.Array, jax.ShapeDtypeStruct))
    if not is_array or not jnp.issubdtype(value.dtype, jax.dtypes.prng_key) or value.ndim != 0:
        fail(name, describe(value), "it must be one typed key", "Make it with jax.random.key(seed).")
