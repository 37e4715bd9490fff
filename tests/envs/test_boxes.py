"""Boxes that a user gives for starts and goals: read, or refused with their limits."""

import math

import numpy as np
import pytest

from hindsight_jax import types
from hindsight_jax.envs import boxes


def test_a_box_may_be_its_limits_or_a_point():
    low, high = (-1.0, 0.0), (1.0, 2.0)
    assert boxes.parse_bounds("goal", (low, high), low, high, "") == types.Range(low, high)
    assert boxes.parse_bounds("goal", ([0, 1], np.array([0, 1])), low, high, "") == types.Range((0.0, 1.0), (0.0, 1.0))
    numbers = sum(boxes.parse_bounds("goal", np.zeros((2, 2), np.float32), low, high, ""), ())
    assert all(type(x) is float for x in numbers)


@pytest.mark.parametrize(
    "value",
    [
        0.0, None, (), ((0, 0),), ((0, 0), (0, 0), (0, 0)), (0, 0), ((0,), (0,)), ((0, 0, 0), (0, 0, 0)), "box",
        ((0, 0), ("x", 1)), ((0.5, 0), (0, 1)), ((0, 0), (0, 2.1)), ((-1.1, 0), (0, 0)), ((0, math.nan), (0, 1)),
        ((0, 0), (math.inf, 1)), ((0, 0), (0, None)),
    ],
    ids=repr,
)  # fmt: skip
def test_a_box_is_refused_with_its_limits(value):
    rule = r"it must be \(low, high\), 2 numbers each, with \(-1, 0\) <= low <= high <= \(1, 2\)"
    with pytest.raises(ValueError, match=rf"^goal: got .*, but {rule}\. Stay inside\."):
        boxes.parse_bounds("goal", value, (-1, 0), (1, 2), "Stay inside.")
