"""[D 30] a second way: term by term for single (s, a, g)."""

import numpy as np
import pytest

from experiments.theory import indicator_ratio, maze


@pytest.mark.parametrize(("s", "a", "g"), [(0, 1, 0), (20, 3, 7), (100, 0, 99), (147, 2, 140)])
def test_the_condition_term_by_term(s, a, g):
    q, x = maze.converged_q(), maze.maze().after[s, a]
    left = np.exp(q[s, a, g]) / np.mean(np.exp(q[s, a]))
    mean = np.exp(q[x]).mean(0)  # over actions, [G]
    right = maze.GAMMA * mean[g] / mean.mean()
    assert indicator_ratio.pushed_up()[s, a, g] == (left < right)
    assert indicator_ratio.weights(q)[s, a, g] == pytest.approx(left - right, rel=1e-9)
    assert indicator_ratio.without_denominators()[s, a, g] == (np.exp(q[s, a, g]) < maze.GAMMA * mean[g])
    most = maze.GAMMA * np.exp(q[x, :, g].max()) / mean.mean()
    assert indicator_ratio.with_maximum()[s, a, g] == (left < most)


def test_kappa_by_hand():
    """Agreement 3/4; of independent conditions with shares 1/2 and 1/4, 1/8 + 3/8: (3/4 - 1/2) / (1/2)."""
    left, right = np.array([True, True, False, False]), np.array([True, False, False, False])
    assert indicator_ratio.kappa(left, right) == pytest.approx(0.5)
    assert indicator_ratio.kappa(left, left) == 1.0
