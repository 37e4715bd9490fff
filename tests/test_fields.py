"""Declared values: what `declared` reads, what `checked` takes, and their texts; on small declarations."""

import dataclasses
import functools
import math
import pathlib
from typing import Annotated, Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import fields
from hindsight_jax.fields import Allowed, Field, checked

COUNT = Field(4, "members", 1, 4096)
SHARE = Field(0.5, "share of goals", 0.0, 1.0)
OPEN = Field(0.85, "may be infinite", 0.0)
SIZES = Field((8,), "units", 1, 512)
FLAG = Field(True, "on or off")
WORD = Field("double", "which backup", options=("double", "max"))
PATH = Field("", "file of data")


# declared


def function(
    spec,
    *,
    size: Annotated[int, Allowed("bits", 1, 64)] = 8,
    kind: Annotated[Literal["a", "b"], Allowed("which")] = "a",
    sizes: Annotated[tuple[int, ...], Allowed("units", 1)] = (8, 8),
    free: int = 3,
    noted: Annotated[float, "no range"] = 0.5,
):
    """Declares three of its parameters."""


DECLARED = {
    "size": Field(8, "bits", 1, 64),
    "kind": Field("a", "which", options=("a", "b")),
    "sizes": Field((8, 8), "units", 1),
}


class Entries(NamedTuple):
    gamma: Annotated[Any, Allowed("discount", 0.0, 1.0)] = 0.98
    free: float = 0.0


@dataclasses.dataclass
class Data:
    gamma: Annotated[float, Allowed("discount", 0.0, 1.0)] = 0.98


class Task:
    note: Annotated[int, Allowed("of the class, not of its constructor")] = 3

    def __init__(self, size: Annotated[int, Allowed("bits", 1, 64)] = 8, slip: float = 0.2):
        pass


class Heir(Task):
    pass


GAMMA = {"gamma": Field(0.98, "discount", 0.0, 1.0)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (function, DECLARED),
        (functools.partial(function, None, size=16), DECLARED | {"size": Field(16, "bits", 1, 64)}),
        (functools.wraps(function)(lambda *a, **k: None), DECLARED),
        (Entries, GAMMA),
        (Data, GAMMA),
        (Task, {"size": Field(8, "bits", 1, 64)}),
        (Heir, {"size": Field(8, "bits", 1, 64)}),
        (lambda spec: None, {}),
    ],
    ids=["function", "partial", "wrapped", "NamedTuple", "dataclass", "class", "subclass", "none"],
)
def test_declared_fields_have_the_default_of_the_signature(source, expected):
    found = fields.declared(source)
    assert found == expected
    assert list(found) == list(expected)


def without_default(*, size: Annotated[int, Allowed("bits")]):
    pass


def out_of_range(*, size: Annotated[int, Allowed("bits", 1, 64)] = 65):
    pass


def of_no_type(*, size: Annotated[Any, Allowed("bits")] = None):
    pass


def of_floats(*, sizes: Annotated[tuple[float, ...], Allowed("shares")] = (0.5,)):
    pass


def of_any_text(*, name: Annotated[str, Allowed("a name")] = "any"):
    pass


def of_another_option(*, name: Annotated[Literal["a", "b"], Allowed("a name")] = "c"):
    pass


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            without_default,
            r"^size: got no default, but a declared parameter must have one\. Write size: \.\.\. = VALUE\.$",
        ),
        (out_of_range, r"^size: got 65, but it must be an integer in \[1, 64\]"),
        (of_no_type, r"^size: got None, but it must be a number"),
        (of_floats, r"^sizes: got 0\.5, but it must be one or more integers"),
        (
            of_any_text,
            r"^name: got 'any', but a declared text must have its options in its type\. Write Annotated\[Lit",
        ),
        (of_another_option, r"^name: got 'c', but it must be one of a, b"),
    ],
)
def test_a_declaration_that_forbids_its_own_default_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        fields.declared(source)


# checked


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (COUNT, np.int64(3), 3),
        (COUNT, jnp.int32(3), 3),
        (COUNT, np.array(3), 3),
        (COUNT, 1, 1),
        (COUNT, 4096, 4096),
        (SHARE, np.float32(0.5), 0.5),
        (SHARE, 1, 1.0),
        (SHARE, 0.0, 0.0),
        (OPEN, math.inf, math.inf),
        (SIZES, [np.int32(5), 6], (5, 6)),
        (SIZES, np.array([5, 6]), (5, 6)),
        (SIZES, jnp.array([5, 6]), (5, 6)),
        (FLAG, False, False),
        (FLAG, np.bool_(True), True),
        (FLAG, jnp.array(False), False),
        (SHARE, jnp.float32(0.25), 0.25),
        (SHARE, np.array(1), 1.0),
        (WORD, "max", "max"),
        (WORD, np.str_("max"), "max"),
        (PATH, "a/b.npz", "a/b.npz"),
        (PATH, pathlib.Path("a/b.npz"), "a/b.npz"),
        (PATH, np.str_("b.npz"), "b.npz"),
        (PATH, "", ""),
    ],
)
def test_values_get_the_type_of_the_default(field, value, expected):
    assert repr(checked("name", field, value)) == repr(expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            (COUNT, value)
            for value in (
                True,
                np.True_,
                "3",
                3.0,
                np.float64(3),
                3.5,
                math.nan,
                math.inf,
                None,
                [3],
                3 + 0j,
                np.array([3]),
                0,
                4097,
            )
        ),
        *(
            (SHARE, value)
            for value in (math.nan, np.float32(np.nan), np.array([0.5]), False, -1e-9, math.nextafter(1, 2), "0.5")
        ),
        *((OPEN, value) for value in (-math.inf, -0.1)),
        *(
            (SIZES, value)
            for value in ((), 256, (256, True), (256, 1.5), (256.0,), np.array([256.0]), "256", (0,), (513,), {8: 1})
        ),
        *((FLAG, value) for value in (1, "true", None, np.array([True]), np.int64(1))),
        *((WORD, value) for value in (1, "minimum", None, "Double", ["max"])),
        *((PATH, value) for value in (1, "a\0b", None, ["a"], np.array(["a", ""]), b"a")),
    ],
)
def test_other_values_are_refused_by_name_with_the_help_and_the_default(field, value):
    rule = rf"^name: got .*, but it must be .* It is: {field.help}\. Default: "
    with pytest.raises(ValueError, match=rule):
        checked("name", field, value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (SHARE, 1e-50, r"got 1e-50, but float32, in which it is used, holds it as 0\. It is: share of goals"),
        (OPEN, 10**400, r"got 1000000.*\.\.\., but float32, in which it is used, holds it as infinity"),
        (OPEN, 1e39, r"got 1e\+39, but float32, in which it is used, holds it as infinity"),
        (SHARE, np.ma.masked, r"got a MaskedConstant of float64\[\], but it must be a plain array"),
        (SIZES, np.ma.array([256]), r"got a MaskedArray of int64\[1\], but it must be a plain array"),
    ],
)
def test_no_value_becomes_another_in_silence(field, value, message):
    with pytest.raises(ValueError, match=f"^name: {message}"):
        checked("name", field, value)


def test_the_nearest_option_is_proposed():
    with pytest.raises(
        ValueError, match=r"^name: got 'doubel', but it must be one of double, max\. Did you mean double"
    ):
        checked("name", WORD, "doubel")


def test_a_long_value_is_cut_to_what_fits_a_message():
    assert fields.short("x" * 58) == repr("x" * 58)  # 60 characters with its quotes
    assert fields.short("x" * 59) == "'" + "x" * 56 + "..."
    with pytest.raises(ValueError, match=r"x\.\.\., but") as error:
        checked("agent.backup", WORD, "x" * 10_000)
    assert len(str(error.value)) < 300


# Texts


def test_allowed_says_what_a_field_takes():
    said = [fields.allowed(field) for field in (COUNT, SHARE, OPEN, SIZES, FLAG, WORD, PATH)]
    assert said == [
        "an integer in [1, 4096]",
        "a number in [0, 1]",
        "a number in [0, inf]",
        "one or more integers in [1, 512]",
        "true or false",
        "one of double, max",
        "a path",
    ]


def test_text_is_what_the_command_line_takes():
    for value, written in ((1e-5, "1e-05"), (0.1, "0.1"), (-1.0, "-1"), (1e20, "1e+20"), ((5,), "5"), ("max", "max")):
        assert fields.text(value) == written


def test_json_and_back():
    for value, held in ((math.inf, "Infinity"), (-math.inf, "-Infinity"), ((8, 8), [8, 8]), (0.5, 0.5), (True, True)):
        assert fields.to_json(value) == held
        assert fields.from_json(held) == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    ("word", "name"),
    [("gama", "agent.gamma"), ("agent.gama", "agent.gamma"), ("GAMMA", "agent.gamma"), ("zzz", None), ("", None)],
)
def test_the_nearest_name_is_found_by_its_last_part_too(word, name):
    assert fields.nearest(word, ["seed", "agent.gamma", "env.size"]) == name
    hint = f"Did you mean --{name}? " if name else ""
    assert fields.did_you_mean(word, ["seed", "agent.gamma", "env.size"], "--") == hint
