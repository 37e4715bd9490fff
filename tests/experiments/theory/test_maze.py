"""The maze by hand: its corners, its walls, and its values from its distances."""

import numpy as np

from experiments.theory import maze


def number(row, column):
    return maze.maze().cells.tolist().index([row, column])


def test_moves_and_walls():
    after = maze.maze().after
    # the upper left corner: up and left stay, down and right move; below cell (1, 0) there is a wall
    assert after[number(0, 0)].tolist() == [number(0, 0), number(1, 0), number(0, 0), number(0, 1)]
    assert after[number(1, 0), 1] == number(1, 0)
    assert maze.maze().transition.sum() == after.size


def test_distances_by_hand():
    """To the upper left: along the row; and through the first doorway, 12 to the right, 3 down, 12 to the left."""
    steps = maze.distances()[:, number(0, 0)]
    assert steps[[number(0, 0), number(0, 13), number(3, 12), number(3, 0)]].tolist() == [0, 13, 15, 27]


def test_values_follow_from_distances():
    """d actions away: -(1 - gamma^(d - 1)) / (1 - gamma), after the last of which nothing comes."""
    steps = maze.distances()
    expected = -(1 - maze.GAMMA ** (np.maximum(steps, 1) - 1.0)) / (1 - maze.GAMMA)
    away = steps > 0
    np.testing.assert_allclose(maze.converged_q().max(1)[away], expected[away], atol=1e-12)


def test_kinds_by_distance():
    """The optimal actions are those that come one step closer."""
    steps, kinds, after = maze.distances(), maze.kinds(), maze.maze().after
    closer = steps[after] == steps[:, None] - 1
    np.testing.assert_array_equal(kinds.reaching, steps[after] == 0)
    away = np.broadcast_to(steps[:, None] > 0, closer.shape)
    np.testing.assert_array_equal(kinds.optimal[away], (closer & ~kinds.reaching)[away])
    assert np.all(kinds.reaching ^ kinds.optimal ^ kinds.other)
