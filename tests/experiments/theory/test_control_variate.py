"""The control variate a second way: a loop over all outcomes, and the best coefficient by trying many."""

import numpy as np
import pytest

from experiments.theory import control_variate


@pytest.mark.parametrize("k", [2, 5])
def test_moments_by_a_loop_over_outcomes(k):
    samples = []
    for goal in range(k):
        for action in range(k):
            score = np.zeros((k, k))  # [entry's action, entry's goal]
            score[:, goal] = np.eye(k)[action] - 1 / k
            samples.append(((goal == action) * score, score))
    x, y = np.moveaxis(np.array(samples), 1, 0)
    found = control_variate.moments(k)
    np.testing.assert_allclose(y.mean(0), 0.0, atol=1e-16)
    np.testing.assert_allclose(found.mean, x.mean(0), atol=1e-16)
    np.testing.assert_allclose(found.variance, x.var(0), atol=1e-16)
    np.testing.assert_allclose(found.covariance, (x * y).mean(0), atol=1e-16)
    np.testing.assert_allclose(found.spread, y.var(0), atol=1e-16)
    whole = lambda c: np.sqrt((x - c * y).var(0).sum() / (x.mean(0) ** 2).sum())
    assert found.relative_error(0.3) == pytest.approx(whole(0.3))
    tried = np.linspace(-1, 2, 3001)
    assert found.best_common == pytest.approx(tried[np.argmin([whole(c) for c in tried])], abs=1e-3)


def test_golden_two_actions():
    """k = 2: X is +-1/2 in one column with probability 1/4, Y +-1/2 with 1/2.

    At a = g: E X Y = 1/4 * 1/4, Var Y = 1/2 * 1/4, Var X = 1/16 - 1/64: rho^2 = (1/16)^2 / (3/64 * 1/8) = 2/3, and the
    error falls from sqrt 3 to 1. With two actions an entry is the other's negative, so the others gain as much.
    """
    found = control_variate.moments(2)
    np.testing.assert_allclose(found.rho_squared, 2 / 3)
    np.testing.assert_allclose(control_variate.entry_errors(2), 1.0)
