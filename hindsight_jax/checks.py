"""Argument checks of public functions: ValueErrors that name the argument, what was got, the rule and a remedy.

The docstring of a check states its rule.

Shapes and dtypes are known while tracing, so these checks cost nothing in a compiled function. Rules on *values* are
checked when the value is known (outside `jax.jit`) and skipped for tracers.

One number or truth value, where it must be known, is taken from Python, NumPy and JAX alike: `whole`, `number` and
`flag` return Python's. A float is no integer, even 3.0, and a boolean is no number.

`validated` puts a check in front of a function, and `bind` makes a public function of one that has more arguments.
"""

import functools
import inspect
import math
import numbers
import os
import sys
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
        kind = f"{type(value).__name__} of " if _is_subclass(value) else ""
        return f"{kind}{value.dtype}{list(value.shape)}"
    return repr(value)


def is_array(value: Any) -> bool:
    """True for an array of numbers, booleans or keys, a ShapeDtypeStruct or a Python number; not for None or a list.

    Not for a subclass of NumPy's array, either: jnp.asarray would drop its mask or its unit. Nor for records and for
    numbers of more than 64 bits, which JAX has not.
    """
    known = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct, bool, int, float, complex)
    dtype = getattr(value, "dtype", None)
    is_known = getattr(dtype, "char", "") not in tuple("OSUMmgG") and getattr(dtype, "type", None) is not np.void
    return isinstance(value, known) and is_known and not _is_subclass(value)


def _is_subclass(value: Any) -> bool:
    """Whether it is NumPy's array and more: masked, a matrix, with a unit. A file in memory is an array."""
    return isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap)


def _has_more(value: Any) -> bool:
    """Whether an array or scalar of NumPy holds more than numbers: a mask, a unit, a date, named fields."""
    is_record = isinstance(value, (np.ndarray, np.generic)) and (value.dtype.kind in "Mm" or bool(value.dtype.names))
    return is_record or _is_subclass(value)


def plain_array(name: str, value: Any) -> None:
    """The value has no mask, unit or fields, and is of no subclass of NumPy's array; lists are looked through."""
    if isinstance(value, (list, tuple)):
        for entry in value:
            plain_array(name, entry)
        return
    has = lambda attribute: isinstance(getattr(type(value), attribute, None), property)
    if _has_more(value) or (hasattr(value, "__array__") and any(map(has, ("mask", "unit", "units")))):
        got = describe(value) if _has_more(value) else type(value).__name__
        rule = "it must be a plain array: its mask, its unit, its fields or its own arithmetic would be lost"
        fail(name, f"a {got}", rule, "Fill or drop what is masked, convert units, and pass np.array(...).")


def array(name: str, value: Any, remedy: str = "Make it an array with jnp.asarray.") -> None:
    """The value is an array or a number, as defined by `is_array`."""
    plain_array(name, value)
    if not is_array(value):
        is_numpy = isinstance(value, (np.ndarray, np.generic))
        rule = "it must be an array or a number" + (", of a dtype that JAX has" if is_numpy else "")
        fail(name, describe(value), rule, remedy)


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
    plain_array(name, value)
    kind: Any = jnp.result_type(value) if is_array(value) else None
    if kind is None or not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)):
        fail(name, describe(value), "it must be a real number", remedy)


def in_range(name: str, value: Any, low: float, high: float, remedy: str) -> None:
    """low <= value <= high for every entry, NaN refused; skipped for tracers, whose values are not known yet."""
    array(name, value)
    if is_concrete(value):
        entries = np.asarray(value)
        if jnp.issubdtype(entries.dtype, jnp.floating):
            entries = entries.astype(np.float64)  # the limits may be infinite in a smaller type
        if not bool(np.all((entries >= low) & (entries <= high))):
            fail(name, value, f"it must lie in [{low}, {high}]", remedy)


def fits(name: str, value: Any, remedy: str, dtype: Any = np.float32) -> None:
    """The floating type holds each number: none becomes infinite, none that is not 0 becomes 0; skipped for tracers."""
    if not is_concrete(value):
        return
    limits = jnp.finfo(dtype)
    try:
        size = np.abs(np.asarray(value, np.float64))
    except OverflowError:  # an int beyond the floats
        size = np.float64(sys.float_info.max)
    large, small = np.isfinite(size) & (size > float(limits.max)), (size > 0) & (size < float(limits.tiny))
    for found, held in ((large, "infinity"), (small, "0")):
        if np.any(found):
            fail(name, short(value), f"{jnp.dtype(dtype)}, in which it is used, holds it as {held}", remedy)


def plain(value: Any) -> Any:
    """Python's bool, int or float, where the value is one of NumPy or JAX, an array without axes included.

    Anything else is returned as it is: text, arrays with axes, tracers.

    >>> plain(np.int64(3)), plain(jnp.float32(0.5)), plain(np.array(True)), plain(np.array([3]))
    (3, 0.5, True, array([3]))
    """
    known = isinstance(value, (np.generic, np.ndarray, jax.Array)) and is_array(value) and is_concrete(value)
    if known and value.ndim == 0:
        for kind, convert in ((jnp.bool_, bool), (jnp.integer, int), (jnp.floating, float)):
            if jnp.issubdtype(value.dtype, kind):
                return convert(value)
    return value


def short(value: Any) -> str:
    """A value as a message shows it: repr cut to 60 characters; of arrays with axes and tracers the type.

    >>> short(np.int64(3)), short(np.zeros(1)), len(short("x" * 100))
    ('np.int64(3)', 'float64[1]', 60)
    """
    if not is_concrete(value):
        return f"a traced {describe(value)}"
    if getattr(value, "ndim", 0) or _is_subclass(value):
        return describe(value)
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def whole(name: str, value: Any, low: float, high: float, remedy: str, rule: str = "") -> int:
    """One integer in [low, high], known now, from Python, NumPy or JAX; returned as a Python int.

    >>> whole("seed", np.int64(3), 0, math.inf, "")
    3
    >>> whole("seed", 3.0, 0, math.inf, "Leave it out for 0.")
    Traceback (most recent call last):
    ValueError: seed: got 3.0, but it must be an integer >= 0. Leave it out for 0.
    """
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
        span = f">= {low}" if high == math.inf else f"in [{low}, {high}]"
        fail(name, short(value), rule or f"it must be an integer {span}", remedy)
    return int(found)


def number(
    name: str, value: Any, low: float, high: float, remedy: str, rule: str = "", dtype: Any = np.float32
) -> float:
    """One real number in [low, high] that `dtype` can hold, from Python, NumPy or JAX; returned as a Python float.

    >>> number("slip", np.float32(0.5), 0.0, 1.0, "")
    0.5
    >>> number("slip", True, 0.0, 1.0, "HPG's code has 0.2.")
    Traceback (most recent call last):
    ValueError: slip: got True, but it must be a number in [0, 1]. HPG's code has 0.2.
    >>> number("slip", 1e-50, 0.0, 1.0, "Use 0.")
    Traceback (most recent call last):
    ValueError: slip: got 1e-50, but float32, in which it is used, holds it as 0. Use 0.
    """
    found: Any = plain(value)
    if not _is_real(found) or not low <= found <= high:
        fail(name, short(value), rule or f"it must be a number in [{low:g}, {high:g}]", remedy)
    fits(name, found, remedy, dtype)
    return float(found)


def _is_real(value: Any) -> bool:
    """Whether it is a real number, which Python's truth values and NumPy's spans of time are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.timedelta64))


def flag(name: str, value: Any, remedy: str) -> bool:
    """True or False, of Python, NumPy or JAX, known while tracing; returned as a Python bool."""
    found = plain(value)
    if not isinstance(found, bool):
        fail(name, short(value), "it must be True or False", remedy)
    return found


def positive_int(name: str, value: Any, remedy: str) -> int:
    """One integer >= 1, as `whole` takes it, that int32 can hold, in which JAX counts."""
    count = whole(name, value, 1, math.inf, remedy)
    if count > INT32_MAX:
        fail(name, short(value), f"it must be at most {INT32_MAX}, the largest int32", remedy)
    return count


def path(name: str, value: Any, remedy: str) -> None:
    """The value names a file or directory: not empty, without zero bytes, in characters that the system can encode.

    >>> path("directory", "runs/push[1]", "")
    >>> path("directory", "a\\0b", "Name the directory of the run.")
    Traceback (most recent call last):
    ValueError: directory: got 'a\\x00b', but it must be a path. Name the directory of the run.
    """
    try:
        spelled = os.fsencode(value) if isinstance(value, (str, os.PathLike)) else b""
    except UnicodeEncodeError:
        spelled = b""
    if not spelled or b"\0" in spelled:
        fail(name, short(value), "it must be a path", remedy)


def typed_key(name: str, value: Any) -> None:
    """The value is one typed key, as made by jax.random.key."""
    is_array = isinstance(value, (jax.Array, jax.ShapeDtypeStruct))
    if not is_array or not jnp.issubdtype(value.dtype, jax.dtypes.prng_key) or value.ndim != 0:
        fail(name, describe(value), "it must be one typed key", "Make it with jax.random.key(seed).")
