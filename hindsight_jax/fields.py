"""Declared values of a run: default, type, range and help; and the checks and texts that follow from a declaration.

A hyper-parameter is declared once, where its agent takes it: by a default, and by an annotation of the form
`Annotated[type, Allowed(...)]`.
"""

import difflib
import functools
import inspect
import math
import os
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from hindsight_jax import checks
from hindsight_jax.checks import short

COMMAND = "hindsight-jax"  # what is installed; `python -m experiments.run` is the same program

Value = bool | int | float | str | tuple[int, ...]


class Need(NamedTuple):
    """A condition on other fields of a run, by their dotted names: some alternative holds.

    An alternative is a field and the values that it must have, or, where `differs`, must not have. None among them
    stands for a run that has no such field; otherwise a field that a run lacks meets no alternative.

    >>> need = Need({"agent.backup": ("mellow",)})
    >>> need.holds({"agent.backup": "mellow"}), need.holds({"agent.backup": "max"}), need.holds({}), str(need)
    (True, False, False, 'agent.backup=mellow')
    >>> str(Need({"relabel.preference": (0.0,)}, differs=True))
    'relabel.preference other than 0'
    >>> Need({"env.goals": ("state", None)}).holds({})
    True
    """

    alternatives: Mapping[str, tuple[Value | None, ...]]
    differs: bool = False

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether the config meets an alternative."""
        return any(
            (field in config or None in values) and (config.get(field) in values) != self.differs
            for field, values in self.alternatives.items()
        )

    def __str__(self) -> str:
        equals = " other than " if self.differs else "="
        return " or ".join(
            f"{field}{equals}{' or '.join(text(value) or 'nothing' for value in values if value is not None)}"
            for field, values in self.alternatives.items()
        )


class Allowed(NamedTuple):
    """Help and range of a hyper-parameter, and where it has an effect: the metadata of its annotation."""

    help: str
    low: float = float("-inf")
    high: float = float("inf")
    needs: tuple[Need, ...] = ()  # all of these; a run that does not meet them refuses a value


class Field(NamedTuple):
    """One value of a run: its default (whose type it has), a line of help, what is allowed, where it has an effect.

    A text without options is a path, or empty.
    """

    default: Value
    help: str
    low: float = float("-inf")
    high: float = float("inf")
    options: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()


def declared(source: Callable[..., Any]) -> dict[str, Field]:
    """The fields that a function's parameters, or a NamedTuple's entries, declare by `Annotated[type, Allowed(...)]`.

    Of a class, the parameters of its constructor; of a functools.partial, those of its function, with its defaults.
    Parameters without an `Allowed` are left out. The options of text are those of its `Literal` type.

    Raises ValueError for a declared parameter without a default, or with one that it does not allow.

    >>> from typing import Annotated
    >>> def make(size: Annotated[int, Allowed("bits", 1, 64)] = 8, name: str = "x"): ...
    >>> declared(make)
    {'size': Field(default=8, help='bits', low=1, high=64, options=(), needs=())}
    """
    hints = _type_hints(source)
    found: dict[str, Field] = {}
    for name, parameter in inspect.signature(source).parameters.items():
        metadata = getattr(hints.get(name), "__metadata__", ())
        declaration = next((extra for extra in metadata if isinstance(extra, Allowed)), None)
        if declaration is None:
            continue
        default = parameter.default
        if default is inspect.Parameter.empty:
            checks.fail(name, "no default", "a declared parameter must have one", f"Write {name}: ... = VALUE.")
        kind = hints[name].__origin__
        options = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
        if isinstance(default, str) and not options:
            remedy = 'Write Annotated[Literal["a", "b"], Allowed(...)].'
            checks.fail(name, repr(default), "a declared text must have its options in its type", remedy)
        field = Field(
            default=default,
            help=declaration.help,
            low=declaration.low,
            high=declaration.high,
            options=options,
            needs=declaration.needs,
        )
        checked(name, field, default)
        found[name] = field
    return found


def _type_hints(source: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters with which `source` is called."""
    if isinstance(source, functools.partial):
        return _type_hints(source.func)
    if isinstance(source, type) and not hasattr(source, "_fields"):  # a NamedTuple annotates the class itself
        source = source.__init__  # type: ignore[misc]
    return typing.get_type_hints(source, include_extras=True)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that the word was likely meant as; a dotted name's last part is enough. None if nothing is near.

    >>> nearest("hdm_psh", ["hdm_push", "her_push"]), nearest("gama", ["agent.gamma"]), nearest("zzz", ["hdm_push"])
    ('hdm_push', 'agent.gamma', None)
    """
    spellings: dict[str, str] = {}
    for name in known:
        spellings.setdefault(name.lower(), name)
        spellings.setdefault(name.rpartition(".")[2].lower(), name)
    found = difflib.get_close_matches(word.lower()[:100], spellings, n=1, cutoff=0.65)
    return spellings[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """'Did you mean agent.gamma? ' with a space behind, to stand before a remedy; '' if nothing is near."""
    name = nearest(word, known)
    return f"Did you mean {prefix}{name}? " if name else ""


def checked(name: str, field: Field, value: Any) -> Any:
    """`value` in the type of the field's default, from Python, NumPy or JAX; ints become floats, and lists tuples.

    Nothing else is converted: a float is no integer, even 3.0. Raises ValueError for another type, NaN, a value out of
    range, and a number that float32 holds as 0 or infinity.

    >>> checked("share", Field(0.5, "share", 0.0, 1.0), 1), checked("sizes", Field((8,), "layers", 1, 512), [256, 256])
    (1.0, (256, 256))
    """
    checks.plain_array(name, value)
    remedy = f"It is: {field.help}. Default: {text(field.default)}."
    rule = f"it must be {allowed(field)}"
    if isinstance(field.default, tuple):
        listed = value.tolist() if isinstance(value, (np.ndarray, jax.Array)) else value
        if not isinstance(listed, (tuple, list)) or not listed:
            checks.fail(name, short(value), rule, remedy)
        return tuple(checks.whole(name, entry, field.low, field.high, remedy, rule) for entry in listed)
    if isinstance(field.default, bool):
        truth = checks.plain(value)
        if not isinstance(truth, bool):
            checks.fail(name, short(value), rule, remedy)
        return truth
    if isinstance(field.default, str) and not field.options:
        if not isinstance(value, str) or value:
            checks.path(name, value, remedy)
        return str(os.fsdecode(value))
    if isinstance(field.default, str):
        if not isinstance(value, str) or value not in field.options:
            hint = did_you_mean(str(value), field.options)
            checks.fail(name, short(value), rule, hint + remedy)
        return str(value)
    if isinstance(field.default, int):
        return checks.whole(name, value, field.low, field.high, remedy, rule)
    return checks.number(name, value, field.low, field.high, remedy, rule)


def allowed(field: Field) -> str:
    """What a field takes, in words.

    >>> [allowed(field) for field in (Field(0.5, "", 0.0, 1.0), Field("a", "", options=("a", "b")), Field(True, ""))]
    ['a number in [0, 1]', 'one of a, b', 'true or false']
    """
    if field.options:
        return "one of " + ", ".join(field.options)
    if isinstance(field.default, str):
        return "a path"
    if isinstance(field.default, bool):
        return "true or false"
    span = f"in [{text(field.low)}, {text(field.high)}]"
    if isinstance(field.default, tuple):
        return f"one or more integers {span}"
    return f"{'an integer' if isinstance(field.default, int) else 'a number'} {span}"


def text(value: Value) -> str:
    """A value as the command line takes it.

    >>> text(1e6), text((400, 300)), text(True), text(5e-4), text(float("inf"))
    ('1000000', '400,300', 'true', '0.0005', 'inf')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}  # as strict JSON spells them


def to_json(value: Value) -> Any:
    """A value as strict JSON holds it: tuples are lists, infinities text.

    >>> to_json((8, 8)), to_json(math.inf)
    ([8, 8], 'Infinity')
    """
    if isinstance(value, tuple):
        return list(value)
    return next((word for word, number in INFINITE.items() if value == number), value)


def from_json(value: Any) -> Any:
    """Undoes `to_json`, but for the type, which `checked` gives; "inf" and "-inf" are infinite, too.

    >>> from_json("inf"), from_json([8, 8])
    (inf, [8, 8])
    """
    return (INFINITE | {"inf": math.inf, "-inf": -math.inf}).get(value, value) if isinstance(value, str) else value
