"""MPO's E-step and the hindsight E-step a second way: by hand on two samples."""

import numpy as np
import pytest

from experiments.theory import e_step


def test_two_samples_by_hand():
    """Goals 0 and 2, actions 1 and 2: one hit, two goals in hindsight."""
    buffer = e_step.Buffer(np.array([0, 2]), np.array([1, 2]))
    q = e_step.estimated_q(buffer, 3)
    np.testing.assert_array_equal(q, [[0, 0, 0], [0, 0, 0], [0, 0, 1]])
    policy = e_step.mpo_policy(q, temperature=1.0)
    best = np.e / (np.e + 2)  # exp(1) against two exp(0)
    np.testing.assert_allclose(policy[:2], 1 / 3, atol=1e-15)
    np.testing.assert_allclose(policy[2], [(1 - best) / 2, (1 - best) / 2, best], atol=1e-15)
    hindsight = e_step.hindsight_policy(buffer, 3)
    np.testing.assert_allclose(hindsight, [[1 / 3] * 3, [0, 1, 0], [0, 0, 1]])
    assert e_step.success(policy) == pytest.approx((2 / 3 + best) / 3)
    assert e_step.success(hindsight) == pytest.approx((1 / 3 + 2) / 3)


def test_a_small_temperature_learns_what_it_can_and_a_large_one_nothing():
    q = np.diag([1.0, 1.0, 0.0])
    assert e_step.success(e_step.mpo_policy(q, 1e-3)) == pytest.approx(7 / 9)
    assert e_step.success(e_step.mpo_policy(q, 1e6)) == pytest.approx(1 / 3, abs=1e-5)
