"""How actions of each set are read as moves, or as one of several choices."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hindsight_jax import types
from hindsight_jax.envs import action_sets


def test_choice_reads_a_flat_index():
    index, valid = action_sets.choice(300, jnp.array([255], jnp.uint8))
    assert (index.tolist(), index.dtype, valid.tolist()) == (255, jnp.int32, True)
    for bad in (-1, 300):
        assert not action_sets.choice(300, jnp.array([bad]))[1]
    assert not action_sets.choice(300, jnp.array([2**32 - 1], jnp.uint32))[1]


def test_a_flat_action_is_read_in_base_three():
    moves = [action_sets.moves(types.Discrete(1, 27), jnp.array([i]), 3)[0].tolist() for i in range(27)]
    assert moves == [[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]


def test_a_factorised_action_has_one_integer_a_dimension():
    move, valid = action_sets.moves(types.Discrete(9, 3), jnp.array([0, 1, 2] * 3), 9)
    assert move.tolist() == [-1, 0, 1] * 3
    assert move.dtype == jnp.float32
    assert valid
    move, valid = action_sets.moves(types.Discrete(9, 3), jnp.array([0, 1, 3] * 3), 9)
    assert not np.any(move)
    assert not valid


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.uint32])
def test_small_and_unsigned_integers_do_not_wrap(dtype):
    assert action_sets.moves(types.Discrete(1, 9), jnp.array([0], dtype), 2)[0].tolist() == [-1, -1]
    assert not action_sets.moves(types.Discrete(1, 9), jnp.array([100], dtype), 2)[1]


def test_half_precision_moves_are_float32():
    move, valid = action_sets.moves(types.Box(2), jnp.array([0.5, -3.0], jnp.bfloat16), 2)
    assert move.dtype == jnp.float32
    assert move.tolist() == [0.5, -1.0]
    assert valid


@pytest.mark.parametrize(("bins", "num_moves"), [(2, 3), (5, 2), (4, 1), (2, 1)])
def test_a_flat_action_of_other_bins_counts_evenly_from_minus_one_to_one(bins, num_moves):
    """2 i / (bins - 1) - 1: -1, 1 of two bins; -1, -1/2, 0, 1/2, 1 of five."""
    kind, values = types.Discrete(1, bins**num_moves), np.linspace(-1.0, 1.0, bins)
    for i, expected in enumerate(itertools.product(values, repeat=num_moves)):
        move, valid = action_sets.moves(kind, jnp.array([i]), num_moves)
        np.testing.assert_allclose(move, expected, atol=1e-7)
        assert valid
    assert not action_sets.moves(kind, jnp.array([bins**num_moves]), num_moves)[1]


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.integers(0, 100), min_size=n, max_size=n)), st.integers(2, 101))
def test_every_flat_action_is_read_back(digits, bins):
    """Up to 101 bins, as many as `action_set` allows, and 101**4 < 2**31."""
    digits = [digit % bins for digit in digits]
    index = sum(digit * bins**power for power, digit in enumerate(reversed(digits)))
    move, valid = action_sets.moves(types.Discrete(1, bins ** len(digits)), jnp.array([index]), len(digits))
    np.testing.assert_array_equal(np.round((np.asarray(move) + 1.0) / 2.0 * (bins - 1)), digits)
    assert valid


@pytest.mark.parametrize("bins", [2, 5, 101])
def test_a_factorised_action_of_other_bins(bins):
    move, valid = action_sets.moves(types.Discrete(3, bins), jnp.array([0, bins - 1, bins // 2]), 3)
    np.testing.assert_allclose(move, [-1.0, 1.0, 2.0 * (bins // 2) / (bins - 1) - 1.0], atol=1e-7)
    assert valid


@pytest.mark.parametrize(
    ("kind", "num_moves"),
    [
        (types.Box(3), 2), (types.Box(1), 2), (types.Discrete(1, 10), 2), (types.Discrete(1, 8), 2),
        (types.Discrete(3, 3), 2), (types.Discrete(1, 1), 1), (types.Discrete(1, 1), 2), (types.Discrete(2, 9), 4),
        (types.Discrete(1, 9), 0), (types.Discrete(1, 9), True), (types.Discrete(1, 9), 2.0),
    ],
)  # fmt: skip
def test_a_set_that_does_not_hold_so_many_moves_is_refused(kind, num_moves):
    dtype = jnp.float32 if isinstance(kind, types.Box) else jnp.int32
    with pytest.raises(ValueError, match=r"^num_moves: got .*, but .*\. [A-Z].*\."):
        action_sets.moves(kind, jnp.zeros(kind.num_dims, dtype), num_moves)
