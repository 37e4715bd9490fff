"""hEM's theorems 1 and 2 a second way: a loop over all outcomes, with the gradient of a softmax written out."""

import numpy as np
import pytest

from experiments.theory import gradient_noise


def outcomes(k, goals_of):
    """(goal, action, probability) of every outcome."""
    return [(g, b, p) for b in range(k) for g, p in goals_of(b)]


def moments(k, draws, weight):
    first, second = np.zeros((k, k)), np.zeros((k, k))
    for goal, action, probability in draws:
        estimate = np.zeros((k, k))  # [action, goal] of the logits
        estimate[:, goal] = weight * (goal == action) * (np.eye(k)[action] - 1 / k)
        first += probability * estimate
        second += probability * estimate**2
    return first, second - first**2


@pytest.mark.parametrize("k", [2, 5])
def test_moments_by_a_loop_over_outcomes(k):
    on_policy = outcomes(k, lambda b: [(g, 1 / k**2) for g in range(k)])
    hindsight = outcomes(k, lambda b: [(b, 1 / k)])
    for measured, expected in (
        (gradient_noise.reinforce_moments(k), moments(k, on_policy, 1.0)),
        (gradient_noise.hindsight_moments(k), moments(k, hindsight, 1 / k)),
    ):
        np.testing.assert_allclose(measured.mean, expected[0], atol=1e-15)
        np.testing.assert_allclose(measured.variance, expected[1], atol=1e-15)


def test_golden_two_actions():
    """k = 2: a reward with probability 1/2, worth +-1/2 in one column: mean 1/8, second moment 1/16."""
    found = gradient_noise.reinforce_moments(2)
    np.testing.assert_allclose(found.mean, [[1 / 8, -1 / 8], [-1 / 8, 1 / 8]], atol=1e-16)
    np.testing.assert_allclose(found.variance, 1 / 16 - 1 / 64, atol=1e-16)
    np.testing.assert_allclose(found.relative_error, np.sqrt(3))
    np.testing.assert_allclose(gradient_noise.hindsight_moments(2).relative_error, 1.0)
