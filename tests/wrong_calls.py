"""Wrong calls of a public function, made from one right call: each argument with every mistake that its kind knows.

    DOORS = {"action_value": door(losses.action_value, q=floats(3), a=index(3))}

The tests of a room hold such a table, ask that every public name is in it (`missing`, `thin`), that the right call
works, and that every wrong one is refused with a ValueError 'name: got ..., but RULE. REMEDY' (`complaints`); those of
shape and dtype inside of `jax.jit` and `jax.vmap` too (`complaints_when_traced`).
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FORM = re.compile(r".+?: got .+, but .+\. .+", re.DOTALL)
LEAST = 20  # wrong calls of each function


class Argument(NamedTuple):
    """A right value, and wrong ones by what is wrong with them."""

    value: Any
    static: dict[str, Any]  # shapes, dtypes, kinds of object: refused while tracing too, where they are arrays
    known: dict[str, Any] = {}  # noqa: RUF012 - values, which a tracer does not have
    sizes: dict[str, Any] = {}  # noqa: RUF012 - another number of entries, which any argument may be blamed for
    fields: dict[str, "Argument"] = {}  # noqa: RUF012 - of a NamedTuple: it is wrong where a field of it is


class Wrong(NamedTuple):
    """What to change in a right call, and the names of which the message must begin with one."""

    label: str
    change: dict[str, Any]
    names: tuple[str, ...]
    static: bool


def abstractly(function: Callable[..., Any]) -> Callable[..., None]:
    """The function, traced and not computed; what it is given is known all the same, what it makes of that is not."""

    def traced(**arguments: Any) -> None:
        with _whole_tracebacks():
            jax.eval_shape(lambda: (function(**arguments), None)[1])

    return traced


class Door(NamedTuple):
    """A function, a right call of it, and wrong ones."""

    function: Callable[..., Any]
    right: dict[str, Any]
    wrong: list[Wrong]

    def right_call(self) -> None:
        """Traces the right call: it works, and nothing is computed."""
        abstractly(self.function)(**self.right)

    def call(self, **change: Any) -> Any:
        return self.function(**(self.right | change))

    def call_with(self, change: dict[str, Any]) -> Any:
        return self.call(**change)


def door(
    function: Callable[..., Any],
    *,
    also: Mapping[str, dict[str, Any]] | None = None,
    blames: Sequence[str] = (),
    any_blamed: bool = False,
    called: Mapping[str, str] | None = None,
    **arguments: Argument,
) -> Door:
    """The door of a function with these arguments, all given by name.

    `also` are further wrong calls, label -> what to change. Their messages, and those of other sizes, may begin with
    any argument's name or one of `blames`; with `any_blamed` all may. `called` says what messages call an argument.
    """
    called = called or {}
    right = {name: argument.value for name, argument in arguments.items()}
    everything = (*(called.get(name, name) for name in arguments), *blames)
    wrong = []
    for name, argument in arguments.items():
        own = everything if any_blamed else (called.get(name, name),)
        wrong += _wrong_in(name, argument, own, everything)
    for a, b in itertools.combinations(right, 2):
        if _signature(right[a]) != _signature(right[b]):
            wrong.append(Wrong(f"{a} and {b} swapped", {a: right[b], b: right[a]}, everything, True))
    wrong += [Wrong(label, change, everything, False) for label, change in (also or {}).items()]
    return Door(function, right, wrong)


def _wrong_in(name: str, argument: Argument, own: tuple[str, ...], everything: tuple[str, ...]) -> list[Wrong]:
    """The wrong calls by one argument, its fields included."""
    kinds = ((argument.static, own, True), (argument.known, own, False), (argument.sizes, everything, True))
    wrong = [
        Wrong(f"{name}: {label}", {name: value}, names, static)
        for mistakes, names, static in kinds
        for label, value in mistakes.items()
    ]
    for field, part in argument.fields.items():
        own_field = own if own is everything else tuple(f"{each}.{field}" for each in own)
        for label, change, names, static in _wrong_in(field, part, own_field, everything):
            whole = argument.value._replace(**change)
            wrong.append(Wrong(f"{name}.{label}", {name: whole}, names, static))
    return wrong


def _signature(value: Any) -> Any:
    """What tells two right values apart: shapes and dtypes of arrays, numbers as one kind, else the type."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    if isinstance(value, jax.Array) and value.shape == () and jnp.issubdtype(value.dtype, jnp.floating):
        return "number"
    if isinstance(value, jax.Array):
        return value.shape, value.dtype
    return type(value)


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
    """A Python boolean."""
    junk = {label: value for label, value in JUNK.items() if label != "boolean"}
    return Argument(right, {"traced": jnp.array(True), "NumPy": np.bool_(True)}, junk | {"0": 0, "1": 1})


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


def complaint(names: Sequence[str], function: Callable[..., Any], *args: Any, **kwargs: Any) -> str | None:
    """What is wrong with the way in which a wrong call is refused; None if nothing is."""
    try:
        function(*args, **kwargs)
    except ValueError as error:
        text = str(error)
        if not FORM.fullmatch(text):
            return f"ValueError of another form: {text}"
        if not any(re.match(rf"{re.escape(name)}(?!\w)", text) for name in names):
            return f"blames none of {names}: {text}"
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def complaints(door: Door) -> dict[str, str]:
    """Label -> complaint, of every wrong call that is not refused as it should."""
    found = {wrong.label: complaint(wrong.names, door.call, **wrong.change) for wrong in door.wrong}
    return {label: text for label, text in found.items() if text}


def complaints_when_traced(door: Door) -> dict[str, str]:
    """The same inside of jit and of vmap, for the wrong calls of arrays whose shapes or dtypes are wrong."""
    found = {}
    for wrong in door.wrong:
        leaves = jax.tree.leaves(wrong.change, is_leaf=lambda x: x is None)
        if not wrong.static or not leaves or not all(isinstance(leaf, jax.Array) for leaf in leaves):
            continue
        batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), wrong.change)
        with _whole_tracebacks():
            found[f"jit: {wrong.label}"] = complaint(wrong.names, jax.eval_shape, door.call_with, wrong.change)
            found[f"vmap: {wrong.label}"] = complaint(wrong.names, jax.eval_shape, jax.vmap(door.call_with), batch)
    return {label: text for label, text in found.items() if text}


@contextlib.contextmanager
def _whole_tracebacks():
    """JAX leaves its own frames in tracebacks here: to take them out costs more than all the rest."""
    usual = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    try:
        yield
    finally:
        jax.config.update("jax_traceback_filtering", usual)


def missing(room: Any, doors: Mapping[str, Door], *, others: Sequence[str] = ()) -> set[str]:
    """Public functions of a room, and its classes that are not among `others`, that are not in the table."""
    public = {name for name in room.__all__ if callable(getattr(room, name)) and name not in others}
    return public - {name.split(":")[0] for name in doors}


def thin(doors: Mapping[str, Door]) -> dict[str, int]:
    """Doors with fewer than LEAST distinct wrong calls, and how many they have."""
    counts = {name: len({wrong.label for wrong in door.wrong}) for name, door in doors.items()}
    return {name: number for name, number in counts.items() if number < LEAST}
