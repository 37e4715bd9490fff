"""`override` and `constructor`: a member's hyper-parameters by name, and constructors that declare what they take."""

import inspect
import math
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import agents, types
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


class Numbers(NamedTuple):
    rate: Any = 0.5
    period: Any = 10


class Ranged(NamedTuple):
    rate: Annotated[Any, Allowed("step size", 0.0, 1.0)] = 0.5


SPEC = reference.spec(types.Discrete(1, 3))
NOTHING = lambda *_: None


@agents.constructor
def made(
    spec,
    *,
    hparams: Ranged = Ranged(rate=0.25),  # noqa: B008 - a NamedTuple of numbers
    sizes: Annotated[tuple[int, ...], Allowed("units", 1, 64)] = (8,),
    count: Annotated[int, Allowed("goals", 1, 8)] = 2,
    kind: Annotated[Literal["a", "b"], Allowed("which")] = "a",
    free=None,
):
    """An agent whose `flops` say what it was made of."""
    return Agent(NOTHING, NOTHING, NOTHING, flops=lambda _: (hparams, sizes, count, kind, free))


# override


def test_defaults_become_float32_arrays():
    numbers = override(Numbers(), None)
    assert isinstance(numbers, Numbers)
    assert [float(x) for x in numbers] == [0.5, 10.0]
    assert all(x.dtype == jnp.float32 and x.shape == () and not x.weak_type for x in numbers)


@pytest.mark.parametrize("value", [3, 3.0, np.float64(3), np.int32(3), jnp.float32(3), jnp.int32(3)])
def test_named_numbers_are_replaced_and_the_rest_stays(value):
    numbers = override(Numbers(), {"period": value})
    assert [float(x) for x in numbers] == [0.5, 3.0]
    assert all(x.dtype == jnp.float32 and not x.weak_type for x in numbers)


def test_numbers_may_be_traced_and_differ_among_members():
    """What is not known yet is not checked; what no declaration bounds may be infinite."""
    for defaults in (Numbers(), Ranged()):
        numbers = jax.vmap(lambda rate, d=defaults: override(d, {"rate": rate}))(jnp.array([0.0, 1.0, jnp.inf]))
        np.testing.assert_array_equal(numbers.rate, [0.0, 1.0, np.inf])
    assert float(override(Numbers(), {"rate": math.inf}).rate) == math.inf


def test_the_given_dict_is_left_alone():
    hparams = {"rate": 0.25}
    override(Numbers(), hparams)
    assert hparams == {"rate": 0.25}


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^hparams\['rat'\].*rate, period"):
        override(Numbers(), {"rat": 0.1})


@pytest.mark.parametrize("value", [[0.1, 0.2], np.ones(1), jnp.ones((2, 2)), "0.1", None, True, 1j])
def test_what_is_not_one_number_is_refused(value):
    with pytest.raises(ValueError, match=r"^hparams\['rate'\]: got"):
        override(Numbers(), {"rate": value})
    with pytest.raises(ValueError, match=r"^hparams\.rate: got"):
        override(Numbers(rate=value), {"period": 3})


# constructor


def test_a_constructor_gives_arguments_their_declared_types():
    assert made(SPEC).flops(1) == (Ranged(0.25), (8,), 2, "a", None)
    given = made(SPEC, hparams=Ranged(1.0), sizes=[np.int64(4), 2], count=jnp.int32(3), kind="b", free="any").flops(1)
    assert repr(given) == repr((Ranged(1.0), (4, 2), 3, "b", "any"))
    assert made(SPEC, sizes=()).flops(1)[1] == ()  # no hidden layers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spec": tuple(SPEC)}, r"^spec: got tuple, but its type must be EnvSpec\. Pass env\.spec\.$"),
        ({"hparams": {"rate": 0.5}}, r"^hparams: got dict, but its type must be Ranged\. Write Ranged\(\.\.\.\)\.$"),
        ({"hparams": Ranged(2.0)}, r"^hparams\.rate: got 2\.0, but it must lie in \[0\.0, 1\.0\]\. It is: step size\."),
        ({"hparams": Ranged(True)}, r"^hparams\.rate: got True, but it must be a real number"),
        ({"hparams": Ranged(jnp.ones(2))}, r"^hparams\.rate: got float32\[2\]"),
        ({"sizes": [0]}, r"^sizes: got 0, but it must be one or more integers in \[1, 64\]\. It is: units\."),
        ({"count": 2.5}, r"^count: got 2\.5, but it must be an integer in \[1, 8\]"),
        ({"count": 9, "kind": "c", "sizes": 3}, r"^sizes: "),  # in the order of the signature
        ({"kind": "c"}, r"^kind: got 'c', but it must be one of a, b"),
    ],
)
def test_a_constructor_refuses_other_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(**{"spec": SPEC} | arguments)


def test_a_constructor_keeps_its_name_and_its_signature():
    assert (made.__name__, made.__doc__) == ("made", "An agent whose `flops` say what it was made of.")
    assert list(inspect.signature(made).parameters) == ["spec", "hparams", "sizes", "count", "kind", "free"]
    with pytest.raises(TypeError, match="size"):
        made(SPEC, size=3)


def test_an_agent_checks_the_declared_ranges_unless_it_has_a_check_of_its_own():
    with pytest.raises(ValueError, match=r"^hparams\.rate: got "):
        made(SPEC).check({"rate": np.array([0.5, 1.5])})
    assert with_a_check(SPEC).check is NOTHING


@agents.constructor
def with_a_check(spec, *, hparams=Ranged()):  # noqa: B008
    return Agent(NOTHING, NOTHING, NOTHING, check=NOTHING)


def without_hparams(spec):
    raise AssertionError


def without_numbers(spec, *, hparams=None):
    raise AssertionError


def out_of_range(spec, *, hparams=Ranged(2.0)):  # noqa: B008
    raise AssertionError


def without_default(spec, *, size: Annotated[int, Allowed("bits", 1, 8)], hparams=Ranged()):  # noqa: B008
    raise AssertionError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_hparams, r"must have a parameter `hparams` whose default is a NamedTuple of numbers\. Write make\("),
        (without_numbers, r"must have a parameter `hparams` whose default is a NamedTuple of numbers"),
        (out_of_range, r"^hparams\.rate: got 2\.0"),
        (without_default, r"^size: got no default"),
    ],
)
def test_a_constructor_is_refused_where_it_is_defined(make, message):
    with pytest.raises(ValueError, match=message):
        agents.constructor(make)


def test_an_agent_learns_from_transitions_unless_it_says_otherwise():
    assert Agent(NOTHING, NOTHING, NOTHING).batch == "transitions"
