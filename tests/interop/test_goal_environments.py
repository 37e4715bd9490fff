"""Actions and ranges of Gymnasium's spaces."""

import numpy as np
import pytest
from gymnasium import spaces

from hindsight_jax import types
from hindsight_jax.interop import _goal_environments as goals


def test_a_box_is_scaled_by_number_and_keeps_its_shape_and_type():
    """-1 is low, 1 is high and 0 the middle; what is beyond is clipped, and NaN is the middle."""
    space = spaces.Box(np.array([[0.0, -1.0], [2.0, -8.0]]), np.array([[1.0, 1.0], [6.0, 8.0]]), dtype=np.float64)
    assert goals.action_set(space) == types.Box(4)
    action = goals.to_space(space, np.array([-1.0, 0.5, np.nan, 7.0], np.float32))
    assert action.tolist() == [[0.0, 0.5], [4.0, 8.0]]
    assert action.dtype == np.float64


@pytest.mark.parametrize("limit", [0.1, 0.7, 1e-8, 3e7])
def test_the_ends_of_a_box_are_inside_of_it(limit):
    space = spaces.Box(-limit, limit, (1,), np.float32)
    for end in (-1.0, 1.0):
        assert goals.to_space(space, np.array([end], np.float32)) in space


def test_bins_count_from_where_their_space_starts():
    space = spaces.MultiDiscrete([[3, 3]], start=[[5, -1]])
    assert goals.action_set(space) == types.Discrete(2, 3)
    assert goals.to_space(space, np.array([2, 0], np.int32)).tolist() == [[7, -1]]
    for action in range(3):
        taken = goals.to_space(spaces.Discrete(3, start=-1), np.array([action], np.int32))
        assert taken in spaces.Discrete(3, start=-1)
        assert taken == action - 1


def test_a_range_is_a_box_that_is_bounded_within_a_million():
    low, high = np.array([-2.0, -np.inf, 0.0, -3e38, 1.0]), np.array([2.0, 1.0, np.inf, 3e38, 1.0])
    found = goals.box_range(spaces.Box(low, high, dtype=np.float64))
    assert found == ((-2.0, -1.0, -1.0, -1.0, -1.0), (2.0, 1.0, 1.0, 1.0, 1.0))
    assert goals.box_range(spaces.MultiBinary(2)) == ((0.0, 0.0), (1.0, 1.0))
