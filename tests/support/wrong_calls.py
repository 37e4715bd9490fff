"""Wrong calls of a public function, made from one right call: each argument with every mistake that its kind knows.

    DOORS = {"action_value": door(losses.action_value, q=floats(3), a=index(3))}

The kinds of arguments are in `wrong_arguments`. The tests of a room hold such a table, ask that every public name is in
it (`missing`, `thin`), that the right call works, and that every wrong one is refused with a ValueError 'name: got ...,
but RULE. REMEDY' (`complaints`); those of shape and dtype inside of `jax.jit` and `jax.vmap` too
(`complaints_when_traced`).
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from wrong_arguments import Argument

FORM = re.compile(r".+?: got .+, but .+\. .+", re.DOTALL)
LEAST = 20  # wrong calls of each function


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
