"""Small problems whose trajectories are all enumerated: evidence, posterior and bound of hEM's model are finite sums.

Every state is a goal. A trajectory reaches g if one of s_1 .. s_T is g.

Dimension key: N trajectories, T steps, S states = G goals, A actions. Policies are [S, G, A], laws q(tau, g) [N, G].
"""

import itertools
from typing import NamedTuple

import numpy as np

from experiments.theory import tabular


class Problem(NamedTuple):
    """Every trajectory that the dynamics allow, from state 0."""

    transition: np.ndarray  # [S, A, S], p(s' | s, a)
    state: np.ndarray  # [N, T+1]
    action: np.ndarray  # [N, T]
    chance: np.ndarray  # [N], the product of p(s' | s, a)
    visits: np.ndarray  # [N, G], how many of s_1 .. s_T are the goal
    counts: np.ndarray  # [N, S, A], how often each action is taken in each state

    @property
    def reached(self) -> np.ndarray:
        """1 where the trajectory reaches the goal, [N, G]."""
        return (self.visits > 0).astype(float)

    @property
    def share(self) -> np.ndarray:
        """The share of its steps that end at the goal, [N, G]."""
        return self.visits / self.action.shape[1]


def problem(transition: np.ndarray, horizon: int) -> Problem:
    """All trajectories of `horizon` steps under p(s' | s, a) [S, A, S]."""
    num_states, num_actions = transition.shape[:2]
    table = np.array(list(itertools.product(*[range(num_actions), range(num_states)] * horizon)))
    action, state = table[:, ::2], np.pad(table[:, 1::2], ((0, 0), (1, 0)))
    chance = np.prod([transition[state[:, t], action[:, t], state[:, t + 1]] for t in range(horizon)], axis=0)
    possible = chance > 0
    state, action, chance = state[possible], action[possible], chance[possible]
    counts = np.zeros((len(state), num_states, num_actions))
    for t in range(horizon):
        np.add.at(counts, (np.arange(len(state)), state[:, t], action[:, t]), 1)
    visits = (state[:, 1:, None] == np.arange(num_states)).sum(1)
    return Problem(transition, state=state, action=action, chance=chance, visits=visits, counts=counts)


def random_problem(seed: int) -> tuple[Problem, np.ndarray]:
    """Three states, two actions, three steps, random dynamics; and a random policy."""
    generator = np.random.default_rng(seed)
    transition = tabular.random_problem(generator, num_states=3, num_actions=2).transition
    return problem(transition, horizon=3), generator.dirichlet(np.ones(2), (3, 3))


def joint(problem: Problem, policy: np.ndarray) -> np.ndarray:
    """p(g) p(tau | pi, g) with uniform goals, [N, G]."""
    steps = range(problem.action.shape[1])
    likelihood = np.prod([policy[problem.state[:, t], :, problem.action[:, t]] for t in steps], axis=0)
    return problem.chance[:, None] * likelihood / policy.shape[1]


def evidence(problem: Problem, policy: np.ndarray, optimality: np.ndarray) -> float:
    """p(O = 1), the mean of p(O = 1 | tau, g) [N, G]: the return, if that is the return of a trajectory."""
    return float(np.sum(joint(problem, policy) * optimality))


def elbo(problem: Problem, policy: np.ndarray, law: np.ndarray, optimality: np.ndarray) -> float:
    """E_q log p(O = 1 | tau, g) - KL[q, p(g) p(tau | pi, g)], -inf where q has weight and the rest has none  [M 8]."""
    held = law > 0
    with np.errstate(divide="ignore"):
        terms = np.log(optimality[held]) + np.log(joint(problem, policy)[held]) - np.log(law[held])
    return float(np.sum(law[held] * terms))


def posterior(problem: Problem, policy: np.ndarray, optimality: np.ndarray) -> np.ndarray:
    """The full E-step, p(tau, g | O = 1), [N, G]."""
    weighted = joint(problem, policy) * optimality
    return weighted / weighted.sum()


def hindsight(problem: Problem, policy: np.ndarray) -> np.ndarray:
    """q_h: a trajectory of the policy for its own goal, then one of the goals that it reached, alike; [N, G]."""
    return joint(problem, policy).sum(1, keepdims=True) * problem.reached / problem.reached.sum(1, keepdims=True)


def m_step(problem: Problem, law: np.ndarray) -> np.ndarray:
    """The tabular policy that maximises E_q sum_t log pi(a_t | s_t, g)  [M 10]; uniform where q has no step."""
    counts = np.einsum("ng,nsa->sga", law, problem.counts)
    total = counts.sum(-1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1.0), 1 / counts.shape[-1])


def deterministic_policies(num_states: int, num_actions: int) -> np.ndarray:
    """All A^S of them, for one goal, [A^S, S, A]."""
    return np.eye(num_actions)[np.array(list(itertools.product(range(num_actions), repeat=num_states)))]
