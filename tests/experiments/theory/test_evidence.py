"""Proposition 1 a second way: the return by hand, and by simulation."""

import numpy as np
import pytest

from experiments.theory import evidence, trajectories


def test_the_return_of_two_steps_by_hand():
    """Action a leads to state a; the policy takes 1 with probability 0.9: for goal 1 that is 1.8 visits, for 0, 0.2."""
    go = np.array([[[1.0, 0.0], [0.0, 1.0]]] * 2)
    policy = np.tile([0.1, 0.9], (2, 2, 1))
    assert evidence.expected_return(trajectories.problem(go, 2), policy) == pytest.approx((1.8 + 0.2) / 2)


def test_the_return_by_simulation():
    problem, policy = trajectories.random_problem(3)
    generator, total = np.random.default_rng(0), 0
    for _ in range(4000):
        state, goal = 0, generator.integers(3)
        for _ in range(3):
            action = generator.choice(2, p=policy[state, goal])
            state = generator.choice(3, p=problem.transition[state, action])
            total += state == goal
    assert evidence.expected_return(problem, policy) == pytest.approx(total / 4000, abs=0.05)


def test_the_gamble_by_hand():
    """alpha 1: log((exp 1.9 + 1) / 2) - 1."""
    assert evidence.exponential_preference(1.0) == pytest.approx(np.log((np.exp(1.9) + 1) / 2) - 1)
