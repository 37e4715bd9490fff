"""Finite goal-conditioned problems, solved exactly in float64 NumPy. Every state is a goal, phi(s) = s.

Tables are indexed [state, action, goal], policies [state, goal, action].

Dimension key: S states, A actions, G = S goals.
"""

from typing import NamedTuple

import numpy as np
import scipy.special


class Problem(NamedTuple):
    """A Markov decision process and the policy mu that collected its data."""

    transition: np.ndarray  # [S, A, S], p(s' | s, a)
    mu: np.ndarray  # [S, A], mu(a | s)
    start: np.ndarray  # [S]
    gamma: float


def random_problem(
    generator: np.random.Generator, num_states: int = 5, num_actions: int = 2, gamma: float = 0.8
) -> Problem:
    """Every table is drawn from a flat Dirichlet: no structure could make a claim true by accident."""
    return Problem(
        transition=generator.dirichlet(np.ones(num_states), (num_states, num_actions)),
        mu=generator.dirichlet(np.ones(num_actions), num_states),
        start=generator.dirichlet(np.ones(num_states)),
        gamma=gamma,
    )


def softmax_policy(q: np.ndarray) -> np.ndarray:
    """pi(a | s, g) proportional to exp Q(s, a, g): [S, A, G] -> [S, G, A]."""
    return scipy.special.softmax(np.swapaxes(q, 1, 2), axis=-1)


def state_values(pi: np.ndarray, q: np.ndarray) -> np.ndarray:
    """V(s, g) = sum_a pi(a | s, g) Q(s, a, g), [S, G]."""
    return np.einsum("sga,sag->sg", pi, q)


def backed_up(problem: Problem, pi: np.ndarray, q: np.ndarray) -> np.ndarray:
    """(P^pi Q)(s, a, g) = E V(s', g), [S, A, G]."""
    return np.einsum("sax,xg->sag", problem.transition, state_values(pi, q))


def visitation(problem: Problem, policy: np.ndarray) -> np.ndarray:
    """rho(s, a) = (1 - gamma) sum_t gamma^t rho_t(s) policy(a | s), for a policy [S, A]: [S, A]  [D 2]."""
    num_states = len(problem.start)
    step = np.einsum("sa,sax->sx", policy, problem.transition)
    states = (1 - problem.gamma) * np.linalg.solve(np.eye(num_states) - problem.gamma * step.T, problem.start)
    return states[:, None] * policy


def goal_visitation(problem: Problem, pi: np.ndarray) -> np.ndarray:
    """rho_pi(s, a | g) of a goal-conditioned policy, [S, A, G]."""
    return np.stack([visitation(problem, pi[:, g]) for g in range(pi.shape[1])], axis=-1)


def future_states(problem: Problem, policy: np.ndarray) -> np.ndarray:
    """p+(g | s, a), the discounted distribution of the states after (s, a), for a policy [S, A]: [S, A, G]  [D 4]."""
    num_states = len(problem.start)
    step = np.einsum("sa,sax->sx", policy, problem.transition)
    discounted = (1 - problem.gamma) * np.linalg.inv(np.eye(num_states) - problem.gamma * step)
    return problem.transition @ discounted


def relative(error: np.ndarray, reference: np.ndarray) -> float:
    """The norm of the error in units of the norm of the reference."""
    return float(np.linalg.norm(np.asarray(error, np.float64)) / np.linalg.norm(np.asarray(reference, np.float64)))


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """The least-squares slope of log y over log x.

    >>> round(slope(np.array([1.0, 2.0, 4.0]), np.array([3.0, 12.0, 48.0])), 6)
    2.0
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
