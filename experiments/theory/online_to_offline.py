"""Lemma 4.1 of HDM: the residual under pi's own visits from data of another policy, discounted or not.

Dimension key: S states, A actions, G = S goals, T steps of a trajectory.
"""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing, tabular
from experiments.theory.results import Claim, Figure, between, equals
from hindsight_jax import relabel, replay, types

NUM_PROBLEMS = 10
NUM_CELLS, HORIZON = 10, 50  # of the chain
NUM_DRAWS = 20_000  # pairs (s_t, s_{t+1}) from the ring


def both_sides(problem: tabular.Problem, pi: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """The mean residual under pi's visits; and its estimate from mu's states and next states, with actions of pi.

    Goals are uniform and independent of the start.
    """
    p_q = tabular.backed_up(problem, pi, q)
    num_goals = q.shape[-1]
    online = np.sum(tabular.goal_visitation(problem, pi) * (q - problem.gamma * p_q)) / num_goals
    rho = tabular.visitation(problem, problem.mu)
    values = np.einsum("s,sg->", rho.sum(1), tabular.state_values(pi, q))
    offline = (values - problem.gamma * np.einsum("sa,sag->", rho, p_q)) / num_goals
    return float(online), float(offline)


def values_over_time(problem: tabular.Problem, pi: np.ndarray, q: np.ndarray, horizon: int) -> np.ndarray:
    """v_t = E V(s_t, g) along mu's trajectories, t = 0 .. T, for uniform goals, [T+1]."""
    values = tabular.state_values(pi, q).mean(1)
    step = np.einsum("sa,sax->sx", problem.mu, problem.transition)
    rho, means = problem.start, []
    for _ in range(horizon + 1):
        means.append(float(rho @ values))
        rho = rho @ step
    return np.array(means)


def replay_side(v: np.ndarray, gamma: float) -> float:
    """The right side with (trajectory, t) uniform over a buffer: mean_{t<T} (v_t - gamma v_{t+1})."""
    return float(np.mean(v[:-1] - gamma * v[1:]))


def replay_error(v: np.ndarray, gamma: float) -> tuple[float, float]:
    """The two terms of `replay_side`'s error: (1 - gamma) (mean_{t<T} v_t - v_0), and gamma (v_0 - v_T) / T."""
    horizon = len(v) - 1
    return float((1 - gamma) * (v[:-1].mean() - v[0])), float(gamma * (v[0] - v[-1]) / horizon)


def chain_values(gamma: float, horizon: int = HORIZON) -> np.ndarray:
    """v_t on a chain of 10 cells, moving right from the left end to the goal at the right end, -1 a step before it."""
    steps_left = np.maximum(NUM_CELLS - 1 - np.arange(horizon + 1), 0)
    return -(1 - gamma**steps_left) / (1 - gamma)


def ring_side(gamma: float) -> float:
    """`replay_side` of the chain, estimated by draws from a ring that holds its one trajectory."""
    cells = jnp.minimum(jnp.arange(HORIZON + 1), NUM_CELLS - 1).astype(jnp.float32)[:, None]
    trajectory = types.Trajectory(
        observation=cells,
        achieved_goal=cells,
        action=jnp.ones((HORIZON, 1), jnp.int32),
        desired_goal=cells[-1],
        length=jnp.int32(HORIZON),
        terminal=jnp.bool_(False),
    )
    ring = replay.make_ring(trajectory, capacity=1)
    state = jax.jit(ring.add)(ring.init(), jax.tree.map(lambda x: x[None], trajectory))
    sample = jax.jit(lambda key: ring.sample(state, key, NUM_DRAWS, relabel.behaviour(), relabel.reward_by_index()))
    batch = sample(jax.random.key(0))
    values = chain_values(gamma)[:NUM_CELLS]
    at = lambda observation: values[np.asarray(observation[:, 0], int)]
    return float(np.mean(at(batch.observation) - gamma * at(batch.next_observation)))


def random_case(seed: int) -> tuple[tabular.Problem, np.ndarray, np.ndarray]:
    """A problem, a goal-conditioned policy, and a Q that is independent of both."""
    generator = np.random.default_rng(seed)
    problem = tabular.random_problem(generator, num_states=5, num_actions=3, gamma=generator.uniform(0.5, 0.98))
    q = 10 * generator.normal(size=(5, 3, 5))
    return problem, generator.dirichlet(np.ones(3), (5, 5)), q


def measure() -> tuple[Figure, ...]:
    """The figures of random problems, and of the chain."""
    cases = [random_case(seed) for seed in range(NUM_PROBLEMS)]
    sides = np.array([both_sides(*case) for case in cases])
    starts = [(1 - case[0].gamma) * values_over_time(*case, horizon=0)[0] for case in cases]
    formula = []
    for problem, pi, q in cases:
        v = values_over_time(problem, pi, q, HORIZON)
        formula.append(replay_side(v, problem.gamma) - (1 - problem.gamma) * v[0] - sum(replay_error(v, problem.gamma)))
    chain, slower = chain_values(0.9), chain_values(0.98)
    first, second = replay_error(slower, 0.98)
    return (
        equals("both sides, discounted visits: largest difference", 0, np.abs(sides[:, 0] - sides[:, 1]).max(), 1e-10),
        equals("both sides against (1 - gamma) E V(s_0, g)", 0, np.abs(sides[:, 0] - starts).max(), 1e-10),
        equals("buffer: error against its formula", 0, np.abs(formula).max(), 1e-10),
        equals("chain, gamma 0.9, T 50: under pi's visits", -0.613, 0.1 * chain[0], 5e-4),
        equals("chain, gamma 0.9, T 50: over the buffer", -0.180, replay_side(chain, 0.9), 5e-4),
        equals("the same by draws from the ring", -0.180, ring_side(0.9), 0.01),
        equals("chain, gamma 0.98, T 50: the terms' sum over the first", 0, (first + second) / first, 0.1),
        between("the first term alone, over the value sought", -1, -0.5, first / (0.02 * slower[0])),
    )


def claim() -> Claim:
    """The lemma, and its error over a buffer."""
    return Claim(
        key="online_to_offline",
        title="Residuals under the policy's own visits, from anybody's data",
        source="[D Lemma 4.1], proof in B.1",
        statement=(
            "For any function Q the expected Bellman residual over the visits of the goal-conditioned policy equals "
            "E [Q(s, a~, g) - gamma P Q(s, a, g)] over the visits of any behaviour, with a~ from the policy: both are "
            "(1 - gamma) E V(s_0, g)."
        ),
        conditions=(
            "both visitations are discounted, with the same gamma",
            "both start from the same law, and the goal is independent of the start",
        ),
        verdict="holds for discounted visits",
        remark=(
            "A replay buffer holds steps uniformly, not discounted. There the right side is off by exactly "
            "(1 - gamma) (mean_{t<T} v_t - v_0) + gamma (v_0 - v_T) / T with v_t = E V(s_t, g). The paper notes that "
            "trajectories are not drawn in the discounted manner, and then applies the lemma to a buffer."
        ),
        figures=measure(),
        caption=(
            "The chain of ten cells: what the lemma gives, what a buffer of one trajectory of T steps gives, and the "
            "two terms of the difference at T = 50. Near gamma 0.98 they nearly cancel; elsewhere they do not."
        ),
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (left, right) = drawing.panels(2)
    horizons = np.array([5, 9, 15, 25, 50, 100, 200])
    sides = [replay_side(chain_values(0.9, int(t)), 0.9) for t in horizons]
    drawing.line(left, horizons, sides, "over the buffer, any gamma", 0)
    for index, gamma in enumerate((0.9, 0.98)):
        exact = np.full(len(horizons), (1 - gamma) * chain_values(gamma)[0])
        drawing.line(left, horizons, exact, f"lemma, gamma {gamma:g}: {exact[0]:.3f}", index + 1, dashed=True)
    left.set_xscale("log")
    drawing.label(left, "the chain, over the buffer's horizon", "T, steps", "expected residual, reward a step")
    drawing.legend(left)
    gammas = np.array([0.8, 0.85, 0.9, 0.925, 0.95, 0.965, 0.98, 0.99, 0.995])
    terms = np.array([replay_error(chain_values(gamma), gamma) for gamma in gammas])
    drawing.line(right, gammas, terms[:, 0], "(1 - gamma) (mean v - v_0)", 0)
    drawing.line(right, gammas, terms[:, 1], "gamma (v_0 - v_T) / T", 1)
    drawing.line(right, gammas, terms.sum(1), "their sum, the error", 2)
    drawing.label(right, "the two terms at T = 50", "gamma", "reward a step")
    drawing.legend(right)
    return drawing.png(figure)
