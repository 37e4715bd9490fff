"""The helpers that tasks share: actions, options, thresholds."""

import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import types
from hindsight_jax.envs import base


def test_a_flat_action_is_read_in_base_three():
    moves = [base.moves(types.Discrete(1, 27), jnp.array([i]), 3)[0].tolist() for i in range(27)]
    assert moves == [[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]


def test_a_factorised_action_has_one_integer_a_dimension():
    move, valid = base.moves(types.Discrete(9, 3), jnp.array([0, 1, 2] * 3), 9)
    assert move.tolist() == [-1, 0, 1] * 3
    assert move.dtype == jnp.float32
    assert valid
    move, valid = base.moves(types.Discrete(9, 3), jnp.array([0, 1, 3] * 3), 9)
    assert not np.any(move)
    assert not valid


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.uint32])
def test_small_and_unsigned_integers_do_not_wrap(dtype):
    assert base.moves(types.Discrete(1, 9), jnp.array([0], dtype), 2)[0].tolist() == [-1, -1]
    assert not base.moves(types.Discrete(1, 9), jnp.array([100], dtype), 2)[1]


def test_half_precision_moves_are_float32():
    move, valid = base.moves(types.Box(2), jnp.array([0.5, -3.0], jnp.bfloat16), 2)
    assert move.dtype == jnp.float32
    assert move.tolist() == [0.5, -1.0]
    assert valid
