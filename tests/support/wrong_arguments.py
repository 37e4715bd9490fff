"""Kinds of arguments for `wrong_calls`: a right value of each, and the mistakes that are made with such a one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Argument(NamedTuple):
    """A right value, and wrong ones by what is wrong with them."""

    value: Any
    static: dict[str, Any]  # shapes, dtypes, kinds of object: refused while tracing too, where they are arrays
    known: dict[str, Any] = {}  # noqa: RUF012 - values, which a tracer does not have
    sizes: dict[str, Any] = {}  # noqa: RUF012 - another number of entries, which any argument may be blamed for
    fields: dict[str, "Argument"] = {}  # noqa: RUF012 - of a NamedTuple: it is wrong where a field of it is


NO_ARRAYS: dict[str, Any] = {
    "None": None,
    "string": "1.0",
    "list": [1.0, 2.0],
    "ragged list": [[1.0], [1.0, 2.0]],
    "tuple": (),
    "dict": {"a": 1.0},
    "set": {1.0},
    "object": object(),
    "function": abs,
    "type": np.float32,
    "array of objects": np.array([None]),
    "array of strings": np.array("a"),
    "dates": np.array(1, "M8[s]"),
    "masked array": np.ma.array([1.0, 2.0], mask=[False, True]),
    "masked number": np.ma.masked,
    "matrix": np.ones((1, 1)).view(np.matrix),
}
JUNK: dict[str, Any] = {
    **{label: value for label, value in NO_ARRAYS.items() if not callable(value)},
    "bytes": b"a",
    "integer": 3,
    "float": 0.5,
    "NaN": float("nan"),
    "boolean": True,
    "complex number": 1j,
    "NumPy array": np.zeros(3),
    "JAX array": jnp.zeros(3),
    "ellipsis": ...,
    "range": range(3),
    "slice": slice(3),
    "module": np,
}


def floats(*shape: int, value: Any = None) -> Argument:
    """A float32 array of this shape, not empty."""
    right = np.linspace(0.1, 0.9, int(np.prod(shape)), dtype=np.float32).reshape(shape) if value is None else value
    ones = np.ones(shape)
    dtypes = {
        "integers": jnp.asarray(ones, jnp.int32),
        "unsigned": jnp.asarray(ones, jnp.uint8),
        "booleans": jnp.asarray(ones, jnp.bool_),
        "complex": jnp.asarray(ones, jnp.complex64),
        "typed keys": jnp.broadcast_to(jax.random.key(0), shape),
        "NumPy integers": ones.astype(np.int64),
        "NumPy complex": ones.astype(np.complex128),
    }
    if not shape:
        dtypes |= {"Python int": 1, "Python bool": True, "Python complex": 1j}
    return Argument(jnp.asarray(right), NO_ARRAYS | dtypes | _ranks(right), sizes=_sizes(right))


def _ranks(value: Any) -> dict[str, Any]:
    """The entries with an axis too many, too few, and none at all."""
    right = np.asarray(value)
    if right.ndim == 0:
        found = {"[1]": right[None], "[1, 1]": right[None, None], "[3]": np.stack([right] * 3), "[0]": right[None][:0]}
    else:
        found = {
            "a leading axis": right[None],
            "a batch": np.stack([right] * 2),
            "a trailing axis": right[..., None],
            "an axis less": right[0],
            "a scalar": right.ravel()[0],
            "none": right[:0],
            "empty rows": right[..., :0],
        }
    return jax.tree.map(jnp.asarray, found)


def _sizes(value: Any) -> dict[str, Any]:
    """Another number of entries along each axis."""
    right = np.asarray(value)
    longer = lambda axis: jnp.asarray(np.concatenate([right, right], axis))
    return {f"axis {axis} longer": longer(axis) for axis in range(right.ndim)}


def alike(value: Any) -> Argument:
    """An array that must have just this shape and this dtype."""
    right, ones = np.asarray(value), np.ones(np.shape(value))
    dtypes = {
        f"dtype {dtype.__name__}": jnp.asarray(ones, dtype)
        for dtype in (jnp.float16, jnp.float32, jnp.int16, jnp.int32, jnp.uint32, jnp.bool_, jnp.complex64)
        if jnp.dtype(dtype) != right.dtype
    }
    dtypes["typed keys"] = jnp.broadcast_to(jax.random.key(0), right.shape)
    return Argument(jnp.asarray(right), NO_ARRAYS | dtypes | _ranks(right) | _sizes(right))


def record(value: Any, **fields: Argument) -> Argument:
    """A NamedTuple of ours, wrong where one of these fields is, or where it is anything else."""
    pair = {"plain tuple": tuple(value), "its fields as a dict": value._asdict(), "a class": type(value)}
    return Argument(value, {}, JUNK | pair, fields=fields)


def of_any_size(argument: Argument) -> Argument:
    """The argument without other sizes: nothing else says how many entries it has."""
    return argument._replace(sizes={})


def optional(argument: Argument) -> Argument:
    """The argument, where None is no mistake."""
    return argument._replace(
        **{
            kind: {label: value for label, value in getattr(argument, kind).items() if label != "None"}
            for kind in ("static", "known")
        }
    )


def index(count: int) -> Argument:
    """An action int32[], 0 <= a < count."""
    return integer(count - 1, -1, count, 2**40)


def integer(value: int, *bad: int) -> Argument:
    """An int32[], and values that are out of its range."""
    right = jnp.int32(value)
    dtypes = {
        "float": jnp.float32(0),
        "boolean": jnp.bool_(True),
        "complex": jnp.complex64(0),
        "typed key": jax.random.key(0),
        "Python float": 1.0,
        "Python bool": True,
        "NumPy float": np.float64(1),
    }
    known = {f"Python {value}": value for value in bad}
    known |= {f"array {value}": jnp.int32(value) for value in bad if abs(value) < 2**31}
    return Argument(right, NO_ARRAYS | dtypes | _ranks(right), known)


def number(right: float, *bad: float) -> Argument:
    """One real number, Python or array, and values that are out of its range."""
    static = {
        "[1]": jnp.ones(1),
        "[1, 1]": jnp.ones((1, 1)),
        "[2]": jnp.ones(2),
        "[0]": jnp.ones(0),
        "boolean": jnp.bool_(True),
        "complex": jnp.complex64(1),
        "typed key": jax.random.key(0),
        "Python bool": True,
        "Python complex": 1j,
    }
    known = {f"Python {value}": value for value in bad} | {f"array {value}": jnp.float32(value) for value in bad}
    return Argument(right, NO_ARRAYS | static, known)


def mask(*shape: int) -> Argument:
    """A boolean array of this shape, or numbers 0 and 1."""
    right = jnp.ones(shape, jnp.bool_)
    static = {"complex": jnp.ones(shape, jnp.complex64), "typed keys": jnp.broadcast_to(jax.random.key(0), shape)}
    known = {
        "2": jnp.full(shape, 2),
        "-1": jnp.full(shape, -1.0),
        "a half": jnp.full(shape, 0.5),
        "NaN": jnp.full(shape, jnp.nan),
    }
    return Argument(right, NO_ARRAYS | static | _ranks(right), known, _sizes(right))


def key() -> Argument:
    """One typed key."""
    right = jax.random.key(0)
    static = {
        "raw": jax.random.PRNGKey(0),
        "a batch": jax.random.split(right, 3),
        "[1]": right[None],
        "none": jax.random.split(right, 3)[:0],
        "seed": 0,
        "integer": jnp.int32(0),
        "float": jnp.float32(0),
        "raw batch": jnp.zeros((3, 2), jnp.uint32),
    }
    return Argument(right, NO_ARRAYS | static)


def count(right: int = 3) -> Argument:
    """A Python integer >= 1."""
    static = {
        "0": 0,
        "-1": -1,
        "float": 2.0,
        "half": 0.5,
        "NaN": float("nan"),
        "infinity": float("inf"),
        "boolean": True,
        "complex": 1j,
        "bytes": b"3",
        "NumPy 0": np.int64(0),
        "NumPy float": np.float64(2),
        "NumPy boolean": np.bool_(True),
        "NumPy [1]": np.array([2]),
        "masked": np.ma.masked,
        "JAX float": jnp.float32(2),
        "JAX batch": jnp.array([2, 2]),
    }
    return Argument(right, NO_ARRAYS | static)


def option(right: str) -> Argument:
    """One of some names."""
    misspelt = {
        "capitals": right.upper() + "X",
        "a space": right + " ",
        "half": right[: len(right) // 2],
        "nothing": "",
    }
    return Argument(right, {label: value for label, value in JUNK.items() if label != "string"} | misspelt)


def flag(right: bool = False) -> Argument:
    """One boolean, known while tracing."""
    junk = {label: value for label, value in JUNK.items() if label != "boolean"}
    one = {"[1]": jnp.array([True]), "NumPy [1]": np.array([True]), "NumPy 1": np.int64(1), "1.0": jnp.float32(1)}
    return Argument(right, one, junk | {"0": 0, "1": 1})


def zeros_like(shapes: Any) -> Any:
    """Zeros of these shapes and dtypes, and a key where they say a key."""
    is_key = lambda like: jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
    zeros = lambda like: jax.random.key(0) if is_key(like) else jnp.zeros(like.shape, like.dtype)
    return jax.tree.map(zeros, shapes)


def plain_number(right: float, *bad: float) -> Argument:
    """One Python number, and values that are out of its range."""
    junk = {label: value for label, value in JUNK.items() if label not in ("integer", "float")}
    return Argument(right, {}, junk | {f"{value}": value for value in (float("inf"), -float("inf"), *bad)})


def thing(right: Any, *, but: Sequence[str] = (), **mistakes: Any) -> Argument:
    """An object of a type of ours, or a function; anything else is wrong, but for labels of JUNK that are right."""
    return Argument(right, {}, {label: value for label, value in JUNK.items() if label not in but} | mistakes)
