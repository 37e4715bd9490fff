"""The generator of wrong calls sees doors that are open, errors from deep inside, and messages of another form."""

import jax.numpy as jnp
import pytest
import wrong_calls
from wrong_arguments import floats
from wrong_calls import door

from hindsight_jax import checks


def open_door(x):
    return jnp.asarray(x)


def deep(x):
    return x["a"]


def vague(x):
    raise ValueError(f"bad x: {x}")


def blames_another(x):
    checks.shape("y", x, (9,), "Look elsewhere.")


def shut(x):
    checks.floating("x", x)
    checks.shape("x", x, (2,), "Map with jax.vmap.")
    return x


@pytest.mark.parametrize(
    ("function", "seen"),
    [
        (open_door, "no error"),
        (deep, "TypeError"),
        (vague, "of another form"),
        (blames_another, "blames none of ('x',)"),
    ],
)
def test_a_door_that_is_not_shut_well_is_complained_about(function, seen):
    for found in (wrong_calls.complaints, wrong_calls.complaints_when_traced):
        assert any(text.startswith(seen) or seen in text for text in found(door(function, x=floats(2))).values())


def test_a_door_that_is_shut_is_not():
    tight = door(shut, x=floats(2))
    tight.right_call()
    assert wrong_calls.complaints(tight) == wrong_calls.complaints_when_traced(tight) == {}
    assert wrong_calls.thin({"shut": tight}) == {}


def test_a_forgotten_function_and_a_thin_table_are_seen():
    assert "fail" in wrong_calls.missing(Room, {"shape": None})
    assert wrong_calls.missing(Room, {"shape: of a batch": None}, others=["fail"]) == set()
    few = door(shut, x=floats(2)._replace(static={"None": None}))
    assert wrong_calls.thin({"shut": few}) == {"shut": 2}


class Room:
    __all__ = ("fail", "number", "shape")
    fail, shape, number = staticmethod(checks.fail), staticmethod(checks.shape), 3
