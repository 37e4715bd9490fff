"""Proposition 1 of hEM: maximising the evidence of the model is maximising the return.

Dimension key: N trajectories, G goals; policies are [S, G, A].
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from experiments.theory import tabular, trajectories
from experiments.theory.results import Claim, Figure, between, equals

NUM_PROBLEMS, NUM_POLICIES, ALPHA = 20, 50, 5.0  # ALPHA: at least the largest return, which is 3
SURE, PRIZE, CHANCE = 1.0, 1.9, 0.5  # a return of 1, or of 1.9 with probability 1/2: 0.95 in the mean


@functools.cache
def orders() -> np.ndarray:
    """[20, 2]: evidence against J / alpha (largest difference of 50 policies), and pairs that it orders otherwise."""
    rows = []
    for seed in range(NUM_PROBLEMS):
        problem, _ = trajectories.random_problem(seed)
        policies = np.random.default_rng([seed, 1]).dirichlet(np.ones(2), (NUM_POLICIES, 3, 3))
        of_model = np.array([trajectories.evidence(problem, pi, problem.visits / ALPHA) for pi in policies])
        returns = np.array([expected_return(problem, pi) for pi in policies])
        rows.append((np.abs(of_model - returns / ALPHA).max(), np.sum(np.argsort(of_model) != np.argsort(returns))))
    return np.array(rows)


def expected_return(problem: trajectories.Problem, policy: np.ndarray) -> float:
    """J = E_g E_pi sum_t 1[s_{t+1} = g], step by step: forward through the states, not over trajectories."""
    num_states = policy.shape[0]
    total = 0.0
    for goal in range(num_states):
        step, at = np.einsum("sa,sax->sx", policy[:, goal], problem.transition), np.eye(num_states)[0]
        for _ in range(problem.action.shape[1]):
            at = at @ step
            total += at[goal] / num_states
    return total


def gradient_errors() -> np.ndarray:
    """[20], the gradient of log p(O = 1) in the logits against that of J, divided by J; relative."""
    return np.array([_gradient_error(seed) for seed in range(NUM_PROBLEMS)])


def _gradient_error(seed: int) -> float:
    problem, policy = trajectories.random_problem(seed)
    with jax.enable_x64(True):
        arrays = [jnp.asarray(x) for x in (problem.state, problem.action, problem.chance, problem.visits)]
        of_log, of_return, value = _gradients(jnp.log(policy), *arrays)
        return tabular.relative(np.asarray(of_log) - np.asarray(of_return) / float(value), np.asarray(of_log))


@jax.jit
def _gradients(logits, state, action, chance, visits):
    def expected(logits):
        chosen = jax.nn.log_softmax(logits, axis=-1)[state[:, :-1], :, action]  # [N, T, G]
        return jnp.mean(jnp.sum(chance[:, None] * jnp.exp(chosen.sum(1)) * visits, axis=0))

    return jax.grad(lambda x: jnp.log(expected(x) / ALPHA))(logits), jax.grad(expected)(logits), expected(logits)


def blind_policies() -> tuple[float, float]:
    """The best p of success p for goal 1, of probability 0.7, and 1 - p for goal 2: by J, and by E_g log J(g).

    One policy for both goals, as a network with too few parameters would be.
    """
    weights = np.array([0.7, 0.3])
    success = lambda p: np.array([p, 1 - p])
    of_return = scipy.optimize.minimize_scalar(lambda p: -weights @ success(p), bounds=(0, 1), method="bounded")
    of_logs = scipy.optimize.minimize_scalar(
        lambda p: -weights @ np.log(success(p)), bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-9}
    )
    return float(of_return.x), float(of_logs.x)


def exponential_preference(alpha: float) -> float:
    """log E exp(R / alpha) of the gamble less that of the sure return: positive if the gamble is taken  [M 4]."""
    gamble = CHANCE * np.exp(PRIZE / alpha) + (1 - CHANCE)
    return float(np.log(gamble) - SURE / alpha)


def measure() -> tuple[Figure, ...]:
    """The figures of twenty problems, and of two cases that are another objective."""
    table = orders()
    of_return, of_logs = blind_policies()
    turn: Any = scipy.optimize.brentq(exponential_preference, 0.5, 100.0)
    return (
        equals("p(O = 1) against J / alpha: largest difference", 0, table[:, 0].max(), 1e-10),
        equals("policies (of 1000) that the two rank otherwise", 0, table[:, 1].sum(), 0),
        equals("gradient of log p(O = 1) against that of J, over J: relative", 0, gradient_errors().max(), 1e-10),
        equals("one policy for two goals (0.7, 0.3): the best p by p(O = 1)", 1, of_return, 1e-4),
        equals("the same by E_g log p(O = 1 given g)", 0.7, of_logs, 1e-4),
        between("exp(R / alpha), alpha 1: preference for the worse gamble (nats)", 0.1, 1.0, exponential_preference(1)),
        between("the same, alpha 100", -1.0, 0.0, exponential_preference(100.0)),
        between("the alpha at which the preference turns", 1.0, 20.0, turn),
    )


def claim() -> Claim:
    """The equality, and the two neighbours that it does not hold for."""
    return Claim(
        key="evidence",
        title="Maximising the evidence is maximising the return",
        source="[M Proposition 1, 5], proof in B.1; [M 4] for what is compared",
        statement=(
            "If p(O = 1 | tau, g) is the return over alpha, then p(O = 1) = J / alpha: both rank policies alike, and "
            "the gradient of log p(O = 1) is that of J divided by J."
        ),
        conditions=(
            "rewards are at least 0, and one alpha, at least the largest return, serves all goals and policies",
            "the goal is latent: the logarithm stands outside of the mean over goals",
        ),
        verdict="holds",
        remark=(
            "The paper writes p(O = 1) = J; the factor 1 / alpha changes no maximiser. Observed goals, E_g log p(O = 1 "
            "| g), are another objective as soon as goals share parameters: it asks for some success at every goal. "
            "The exponential p(O = 1 | tau) ~ exp(R / alpha) of variational RL [M 4] is another one too where outcomes "
            "are random and returns are more than success or failure: it prefers a return of 1.9 with probability 1/2 "
            "(0.95 in the mean) to a sure 1, unless alpha is large."
        ),
        figures=measure(),
    )
