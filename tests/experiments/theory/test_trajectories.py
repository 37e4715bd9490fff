"""The enumerated trajectories, by hand: one step between two states, and two steps of a walk that must move on."""

import numpy as np
import pytest

from experiments.theory import trajectories

GO = np.array([[[1.0, 0.0], [0.0, 1.0]]] * 2)  # action a leads to state a


def test_two_steps_by_hand():
    """From 0, four action sequences; (1, 0) visits 1 and 0, (1, 1) visits 1 twice."""
    found = trajectories.problem(GO, horizon=2)
    np.testing.assert_array_equal(found.state, [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(found.action, found.state[:, 1:])
    np.testing.assert_array_equal(found.visits, [[2, 0], [1, 1], [1, 1], [0, 2]])
    np.testing.assert_array_equal(found.reached, [[1, 0], [1, 1], [1, 1], [0, 1]])
    np.testing.assert_array_equal(found.share, [[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]])
    np.testing.assert_array_equal(found.counts[2], [[0, 1], [1, 0]])  # 1 in state 0, then 0 in state 1


def test_laws_of_one_step_by_hand():
    """Action 1 with probability 0.25 for goal 0 and 0.5 for goal 1: the joint is half of each; two of four succeed."""
    found = trajectories.problem(GO, horizon=1)
    policy = np.array([[[0.75, 0.25], [0.5, 0.5]]] * 2)  # [S, G, A]
    np.testing.assert_allclose(trajectories.joint(found, policy), [[0.375, 0.25], [0.125, 0.25]])
    assert trajectories.evidence(found, policy, found.reached) == pytest.approx(0.625)
    posterior = trajectories.posterior(found, policy, found.reached)
    np.testing.assert_allclose(posterior, [[0.6, 0.0], [0.0, 0.4]])
    hindsight = trajectories.hindsight(found, policy)
    np.testing.assert_allclose(hindsight, [[0.625, 0.0], [0.0, 0.375]])
    # 0.6 log(0.375 / 0.6) + 0.4 log(0.25 / 0.4): both ratios are the evidence
    assert trajectories.elbo(found, policy, posterior, found.reached) == pytest.approx(np.log(0.625))
    expected = 0.625 * np.log(0.375 / 0.625) + 0.375 * np.log(0.25 / 0.375)
    assert trajectories.elbo(found, policy, hindsight, found.reached) == pytest.approx(expected)
    assert trajectories.elbo(found, policy, trajectories.joint(found, policy), found.reached) == -np.inf
    np.testing.assert_allclose(trajectories.m_step(found, hindsight)[0], np.eye(2))  # [G, A]: each goal its action
    np.testing.assert_allclose(trajectories.m_step(found, hindsight)[1], 0.5)  # never visited


def test_random_dynamics_keep_every_trajectory():
    found, policy = trajectories.random_problem(0)
    assert found.state.shape == (6**3, 4)
    assert trajectories.joint(found, policy).sum() == pytest.approx(1.0)
