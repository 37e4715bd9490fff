"""Where HDM's energy-based loss [D 24] comes to rest, and the off-policy rewriting [D 51] that it is made of.

Dimension key: S states = G goals, A actions; tables are [S, A, G], marginal policies [S, A]. Goals are uniform, so
rho+ = 1 / G in the loss.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing, importance_weight, tabular
from experiments.theory.results import Claim, Figure, between, equals
from hindsight_jax import losses

NUM_PROBLEMS, NUM_STATES, NUM_ACTIONS, GAMMA = 10, 5, 3, 0.8
NUM_STEPS, STEP = 3000, 4.0  # of gradient descent; the loss is a mean over 5 x 3 pairs and 5 goals


def problem(seed: int) -> tabular.Problem:
    """Random dynamics and behaviour."""
    return tabular.random_problem(np.random.default_rng(seed), NUM_STATES, NUM_ACTIONS, GAMMA)


def energy_loss(data: importance_weight.Data, q: jax.Array) -> jax.Array:
    """[D 24] by our losses: the next-state term with beta = 1 at gamma, and the weighted multi-step term."""
    reach = functools.partial(losses.next_state, gamma_hdm=data.gamma, beta=1.0)
    of_next = jax.vmap(jax.vmap(jax.vmap(reach)))(q)  # of every (s, a, s'), which is a goal
    single = jnp.sum(data.rho[:, :, None] * data.transition * of_next)
    return single + importance_weight.weighted_loss(data, q)


@jax.jit
def gradient(data: importance_weight.Data, q: jax.Array) -> jax.Array:
    """Of [D 24], [S, A, G]."""
    return jax.grad(energy_loss, argnums=1)(data, q)


@jax.jit
def descend(data: importance_weight.Data, q: jax.Array) -> jax.Array:
    """The table after many steps of gradient descent, each pair's step divided by its rho."""
    scale = STEP / data.rho[:, :, None]
    return jax.lax.fori_loop(0, NUM_STEPS, lambda _, q: q - scale * jax.grad(energy_loss, argnums=1)(data, q), q)


def data_of(problem: tabular.Problem) -> importance_weight.Data:
    """What the losses need, in float64."""
    rho = tabular.visitation(problem, problem.mu)
    return importance_weight.Data(*(jnp.asarray(x) for x in (problem.transition, rho, problem.gamma)))


def table_of(problem: tabular.Problem, marginal: np.ndarray) -> np.ndarray:
    """Q(s, a, g) = log [p+(g | s, a) / rho+(g)] + log marginal(a | s), with p+ of the marginal policy."""
    return np.log(tabular.future_states(problem, marginal) * NUM_STATES) + np.log(marginal)[:, :, None]


def marginal_of(q: np.ndarray) -> np.ndarray:
    """pi^(a | s) = E_g exp Q / sum_a E_g exp Q."""
    return np.asarray(importance_weight.exponential_marginal(jnp.asarray(q)))


def future_of(q: np.ndarray) -> np.ndarray:
    """rho+(g) exp Q / E_g exp Q, the future that Q stands for  [D 21]."""
    weight = np.exp(q - q.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def other_marginals(problem: tabular.Problem, seed: int) -> list[np.ndarray]:
    """Uniform, the behaviour's, a random one, and one that is nearly certain."""
    generator = np.random.default_rng([seed, 1])
    shape = (NUM_STATES, NUM_ACTIONS)
    certain = 0.98 * np.eye(NUM_ACTIONS)[generator.integers(0, NUM_ACTIONS, NUM_STATES)] + 0.02 / NUM_ACTIONS
    return [np.full(shape, 1 / NUM_ACTIONS), problem.mu, generator.dirichlet(np.ones(NUM_ACTIONS), NUM_STATES), certain]


def rest(seed: int) -> tuple[float, float, float]:
    """(largest gradient at `table_of` of four marginals, the least beside them, largest error of the marginal)."""
    with jax.enable_x64(True):
        world = problem(seed)
        data, noise = (
            data_of(world),
            0.1 * np.random.default_rng([seed, 2]).normal(size=(NUM_STATES, NUM_ACTIONS, NUM_STATES)),
        )
        size = lambda q: float(jnp.abs(gradient(data, jnp.asarray(q))).max())
        tables = [(pi, table_of(world, pi)) for pi in other_marginals(world, seed)]
        return (
            max(size(q) for _, q in tables),
            min(size(q + noise) for _, q in tables),
            max(float(np.abs(marginal_of(q) - pi).max()) for pi, q in tables),
        )


@functools.cache
def descents(seed: int) -> tuple[float, float, float, float]:
    """Gradient descent from two random tables: (error of the future at rest against that of the table's own marginal,
    distance of the two marginals, that of the two futures, drift of sum_g Q); each a largest absolute difference.
    """
    with jax.enable_x64(True):
        world, generator = problem(seed), np.random.default_rng([seed, 3])
        starts = 2 * generator.normal(size=(2, NUM_STATES, NUM_ACTIONS, NUM_STATES))
        ends = [np.asarray(descend(data_of(world), jnp.asarray(start))) for start in starts]
        marginals, futures = [marginal_of(q) for q in ends], [future_of(q) for q in ends]
        error = [np.abs(p - tabular.future_states(world, pi)).max() for p, pi in zip(futures, marginals, strict=True)]
        apart = lambda pair: float(np.abs(pair[0] - pair[1]).max())
        return (
            float(max(error)),
            apart(marginals),
            apart(futures),
            float(np.abs((np.array(ends) - starts).sum(-1)).max()),
        )


def rewriting(seed: int) -> tuple[float, float]:
    """[D 51] against E_{p+} Q(s, a, s+) with p+ of a random marginal policy: (relative error, the same with goal-
    conditioned actions a' ~ pi(. | s', g) whose mean over goals is that policy).
    """
    world, generator = problem(seed), np.random.default_rng([seed, 4])
    pi = generator.dirichlet(np.ones(NUM_ACTIONS), (NUM_STATES, NUM_STATES))  # [S, G, A]
    marginal, q = pi.mean(1), generator.normal(size=(NUM_STATES, NUM_ACTIONS, NUM_STATES))
    future, rho = tabular.future_states(world, marginal), np.full(NUM_STATES, 1 / NUM_STATES)
    direct = np.einsum("sag,sag->sa", future, q)
    at_once = (1 - GAMMA) * np.einsum("sax,sax->sa", world.transition, q)
    later = lambda actions: GAMMA * np.einsum("sax,xgb,g,xbg,sag->sa", world.transition, actions, rho, future / rho, q)
    goal_blind = np.repeat(marginal[:, None], NUM_STATES, axis=1)
    return (
        tabular.relative(at_once + later(goal_blind) - direct, direct),
        tabular.relative(at_once + later(pi) - direct, direct),
    )


def measure() -> tuple[Figure, ...]:
    """The figures of ten random problems."""
    seeds = range(NUM_PROBLEMS)
    resting, after = np.array([rest(seed) for seed in seeds]), np.array([descents(seed) for seed in seeds])
    rewritten = np.array([rewriting(seed) for seed in seeds])
    return (
        equals("[D 51] with a' ~ pi^ against E_p+ Q: largest relative error", 0, rewritten[:, 0].max(), 1e-10),
        between("[D 51] with a' ~ pi(a' given s', g) instead: median error", 0.01, 1.0, np.median(rewritten[:, 1])),
        equals("gradient of [D 24] at the ratio of any of 4 marginals", 0, resting[:, 0].max(), 1e-10),
        between("the same at a table 0.1 beside it: smallest of them", 1e-4, 1.0, resting[:, 1].min()),
        equals("marginal of that table against the one chosen", 0, resting[:, 2].max(), 1e-10),
        equals("descent from random tables: future against p+ of its own pi^", 0, after[:, 0].max(), 1e-6),
        between("two descents on one problem: distance of their pi^, smallest", 0.05, 1.0, after[:, 1].min()),
        between("distance of their futures, smallest", 1e-3, 1.0, after[:, 2].min()),
        equals("drift of sum_g Q(s, a, g) in a descent", 0, after[:, 3].max(), 1e-8),
    )


def claim() -> Claim:
    """The fixed points, and the freedom that is left in them."""
    return Claim(
        key="energy_fixed_point",
        title="The energy-based loss rests at the future of a marginal policy that it does not choose",
        source="[D 20, 21, 24, 25, 51, 52], section 4.2 and appendix B.3",
        statement=(
            "E_p+ Q can be had from off-policy data by [D 51]; minimising [D 24] makes exp Q / E_g exp Q the ratio "
            "p+(g | s, a) / rho+(g) of the policy's future."
        ),
        conditions=(
            "the weight is stopped, and the gradient is exact (the mean over s' is taken)",
            "p+ is the future of a policy without goals, pi^, from the step after (s, a) on",
            "rho+ is above 0 wherever p+ is",
        ),
        verdict="holds for every marginal policy, hence for none in particular",
        remark=(
            "At rest exp Q / E_g exp Q obeys the recursion [D 4] of the future under pi^(a | s) = E_g exp Q / "
            "sum_a E_g exp Q. But pi^ is made of what the ratio leaves free: Q + c(s, a) has the same ratio, and pi^ = "
            "softmax c. So each policy has its resting table, Q = log(p+ / rho+) + log pi^; since the weights' mean "
            "over goals cancels the next-state term, descent never moves sum_g Q(s, a, g), and the initial table "
            "decides. Nothing in [D 24] prefers a pi^ that reaches goals: with pi^ = mu the softmax of Q is the "
            "posterior of mu's actions given a goal ahead, hindsight imitation [D 12]. Improvement has to come from "
            "the other terms of [D 14]."
        ),
        figures=measure(),
        caption=(
            "One problem, two descents. Left: the future of the first, against p+ of its own pi^ and of the other's. "
            "Right: the two marginal policies, a point for each (s, a)."
        ),
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (left, right) = drawing.panels(2)
    with jax.enable_x64(True):
        world, generator = problem(0), np.random.default_rng([0, 3])
        starts = 2 * generator.normal(size=(2, NUM_STATES, NUM_ACTIONS, NUM_STATES))
        ends = [np.asarray(descend(data_of(world), jnp.asarray(start))) for start in starts]
        marginals = [marginal_of(q) for q in ends]
    found = future_of(ends[0]).ravel()
    for index, (name, pi) in enumerate((("its own pi^", marginals[0]), ("the other's pi^", marginals[1]))):
        drawing.diagonal(left, tabular.future_states(world, pi).ravel(), found, f"p+ of {name}", index)
    drawing.diagonal(right, marginals[0].ravel(), marginals[1].ravel(), "a pair (s, a)", 0)
    for axis, ends_at in ((left, 0.4), (right, 1.0)):
        drawing.reference_line(axis, [0, ends_at], [0, ends_at], "equal")
        drawing.legend(axis, "upper left")
    drawing.label(left, "what the first descent learns", "p+(g | s, a)", "exp Q / E exp Q, times rho+")
    drawing.label(right, "marginal policies at rest", "pi^(a | s), first descent", "pi^(a | s), second descent")
    return drawing.png(figure)
