"""Lemma 4.1 a second way: sums over time by loops, and what it needs."""

import numpy as np
import pytest

from experiments.theory import online_to_offline, tabular


def test_the_right_side_by_a_sum_over_time(problem, generator):
    """E_mu [V(s_t) - gamma V(s_{t+1})] over t with weights (1 - gamma) gamma^t."""
    q, pi = generator.normal(size=(4, 3, 4)), generator.dirichlet(np.ones(3), (4, 4))
    v = online_to_offline.values_over_time(problem, pi, q, 200)
    weights = (1 - problem.gamma) * problem.gamma ** np.arange(200)
    by_time = np.sum(weights * (v[:-1] - problem.gamma * v[1:]))
    online, offline = online_to_offline.both_sides(problem, pi, q)
    assert offline == pytest.approx(by_time, abs=1e-12)
    assert online == pytest.approx(by_time, abs=1e-12)


def test_the_lemma_needs_the_same_start(problem, generator):
    q, pi = generator.normal(size=(4, 3, 4)), generator.dirichlet(np.ones(3), (4, 4))
    elsewhere = problem._replace(start=np.eye(4)[2])
    online, _ = online_to_offline.both_sides(problem, pi, q)
    _, offline = online_to_offline.both_sides(elsewhere, pi, q)
    assert abs(online - offline) > 1e-3


def test_the_lemma_needs_a_goal_that_is_independent_of_the_start(problem, generator):
    """If the goal is the start itself, pi's visits depend on it in a way that mu's do not."""
    q, pi = generator.normal(size=(4, 3, 4)), generator.dirichlet(np.ones(3), (4, 4))
    p_q = tabular.backed_up(problem, pi, q)
    online = 0.0
    for g, probability in enumerate(problem.start):
        rho = tabular.visitation(problem._replace(start=np.eye(4)[g]), pi[:, g])
        online += probability * np.sum(rho * (q - problem.gamma * p_q)[:, :, g])
    rho = tabular.visitation(problem, problem.mu)
    values = tabular.state_values(pi, q) @ problem.start
    offline = rho.sum(1) @ values - problem.gamma * np.sum(rho * (p_q @ problem.start))
    assert abs(online - offline) > 1e-3


def test_the_chain_by_its_steps():
    """Nine steps of -1, then 0: v_0 = -(1 + 0.9 + .. + 0.9^8), and the buffer's mean residual is -9 / 50."""
    v = online_to_offline.chain_values(0.9)
    assert len(v) == 51
    assert v[0] == pytest.approx(-sum(0.9**k for k in range(9)))
    assert v[8] == pytest.approx(-1.0)
    assert not v[9:].any()
    assert online_to_offline.replay_side(v, 0.9) == pytest.approx(-9 / 50)
    first, second = online_to_offline.replay_error(v, 0.9)
    assert -9 / 50 - 0.1 * v[0] == pytest.approx(first + second)
