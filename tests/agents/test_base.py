"""`override`: numbers of a member by name."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax.agents import Agent
from hindsight_jax.agents.base import override


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


class Numbers(NamedTuple):
    rate: Any = 0.5
    period: Any = 10


def test_defaults_become_float32_arrays():
    numbers = override(Numbers(), None)
    assert isinstance(numbers, Numbers)
    assert [float(x) for x in numbers] == [0.5, 10.0]
    assert all(x.dtype == jnp.float32 and x.shape == () and not x.weak_type for x in numbers)


@pytest.mark.parametrize("value", [3, 3.0, np.float64(3), np.int32(3), jnp.float32(3), jnp.int32(3)])
def test_named_values_are_replaced_and_the_rest_stays(value):
    numbers = override(Numbers(), {"period": value})
    assert [float(x) for x in numbers] == [0.5, 3.0]
    assert all(x.dtype == jnp.float32 and not x.weak_type for x in numbers)


def test_values_may_be_traced_and_differ_among_members():
    numbers = jax.vmap(lambda rate: override(Numbers(), {"rate": rate}))(jnp.array([0.0, 1.0, jnp.inf]))
    np.testing.assert_array_equal(numbers.rate, [0.0, 1.0, np.inf])
    np.testing.assert_array_equal(numbers.period, [10.0, 10.0, 10.0])


def test_the_given_dict_is_left_alone():
    values = {"rate": 0.25}
    override(Numbers(), values)
    assert values == {"rate": 0.25}


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"values\['rat'\].*rate, period"):
        override(Numbers(), {"rat": 0.1})


@pytest.mark.parametrize("value", [[0.1, 0.2], np.ones(1), jnp.ones((2, 2)), "0.1", None, True, 1j])
def test_what_is_not_one_number_is_refused(value):
    with pytest.raises(ValueError, match=r"values\['rate'\]: got"):
        override(Numbers(), {"rate": value})


def test_an_agent_learns_from_transitions_unless_it_says_otherwise():
    nothing = lambda *_: None
    assert Agent(nothing, nothing, nothing).batch == "transitions"
