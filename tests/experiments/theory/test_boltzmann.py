"""[D 29] by hand, on two actions."""

import numpy as np
import pytest

from experiments.theory import boltzmann


def test_two_actions_by_hand():
    """Q = (0, log 3): pi = (1/4, 3/4), log sum exp Q = log 4, H = log 4 - 3/4 log 3, E Q = 3/4 log 3."""
    q, pi = np.array([[0.0, np.log(3)]]), np.array([[0.25, 0.75]])
    assert boltzmann.mean_q(pi, q)[0] == pytest.approx(0.75 * np.log(3))
    assert boltzmann.entropy(pi)[0] == pytest.approx(np.log(4) - 0.75 * np.log(3))
    uniform = np.array([[0.5, 0.5]])
    assert boltzmann.divergence(pi, uniform)[0] == pytest.approx(np.log(2) - boltzmann.entropy(pi)[0])


@pytest.mark.parametrize(("sign", "better"), [(1.0, False), (-1.0, True)])
def test_a_certain_policy_is_better_only_if_the_entropy_is_subtracted(sign, better):
    """E_pi Q + sign H of the best action alone against that of softmax Q."""
    q, pi = np.array([[0.0, np.log(3)]]), np.array([[0.25, 0.75]])
    value = lambda policy: (boltzmann.mean_q(policy, q) + sign * boltzmann.entropy(policy))[0]
    assert (value(np.array([[0.0, 1.0]])) > value(pi)) == better
