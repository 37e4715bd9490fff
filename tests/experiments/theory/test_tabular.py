"""The solver of finite problems against [D 2, 4]: sums over time, and simulation by powers of the dynamics."""

import numpy as np
import pytest

from experiments.theory import tabular


def test_visitation_is_the_discounted_sum_over_time(problem):
    rho, total = problem.start, 0.0
    for t in range(300):  # 0.7^300 = 3e-47
        total = total + (1 - problem.gamma) * problem.gamma**t * rho[:, None] * problem.mu
        rho = np.einsum("s,sa,sax->x", rho, problem.mu, problem.transition)
    np.testing.assert_allclose(tabular.visitation(problem, problem.mu), total, atol=1e-14)
    assert total.sum() == pytest.approx(1.0)


def test_future_states_obey_their_recursion(problem):
    """p+(g | s, a) = (1 - gamma) p(g | s, a) + gamma E p+(g | s', a')  [D 4]."""
    p_future = tabular.future_states(problem, problem.mu)
    later = np.einsum("sax,xb,xbg->sag", problem.transition, problem.mu, p_future)
    expected = (1 - problem.gamma) * problem.transition + problem.gamma * later
    np.testing.assert_allclose(p_future, expected, atol=1e-14)
    np.testing.assert_allclose(p_future.sum(-1), 1.0, atol=1e-14)


def test_goal_visitation_is_the_visitation_of_each_goal(problem, generator):
    pi = generator.dirichlet(np.ones(3), (4, 4))
    table = tabular.goal_visitation(problem, pi)
    for g in range(4):
        np.testing.assert_array_equal(table[:, :, g], tabular.visitation(problem, pi[:, g]))


def test_backed_up_by_loops(problem, generator):
    q, pi = generator.normal(size=(4, 3, 4)), generator.dirichlet(np.ones(3), (4, 4))
    table = tabular.backed_up(problem, pi, q)
    for s, a, g in np.ndindex(4, 3, 4):
        value = sum(problem.transition[s, a, x] * pi[x, g, b] * q[x, b, g] for x in range(4) for b in range(3))
        assert table[s, a, g] == pytest.approx(value)


def test_softmax_policy(generator):
    q = generator.normal(size=(4, 3, 5))
    pi = tabular.softmax_policy(q)
    assert pi.shape == (4, 5, 3)
    np.testing.assert_allclose(pi[2, 1], np.exp(q[2, :, 1]) / np.exp(q[2, :, 1]).sum())
