"""f-divergence Q-learning: the residual at the optimum, and the minimum, which is minus the divergence.

Dimension key: S states = G goals, A actions. The policy is fixed; the minimum is over Q.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing, tabular
from experiments.theory.results import Claim, Figure, between, equals
from hindsight_jax import losses

R = -1.0
NUM_PERTURBATIONS = 40
SMOOTH = tuple(name for name in losses.DIVERGENCES if name != "total_variation")

# D_f(p, q) written out, for distributions without zeros
CLOSED_FORMS = {
    "kl": lambda p, q: np.sum(p * np.log(p / q)),
    "reverse_kl": lambda p, q: np.sum(q * np.log(q / p)),
    "jensen_shannon": lambda p, q: 0.5 * np.sum(p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))),
    "squared_hellinger": lambda p, q: np.sum((np.sqrt(p) - np.sqrt(q)) ** 2),
    "pearson_chi2": lambda p, q: np.sum((p - q) ** 2 / q),
    "total_variation": lambda p, q: 0.5 * np.sum(np.abs(p - q)),
    "quadratic": lambda p, q: 0.5 * np.sum((p - q) ** 2 / q),
}


class Case(NamedTuple):
    """A problem, a policy, and the two distributions over (s, a, goal)."""

    problem: tabular.Problem
    pi: np.ndarray  # [S, G, A]
    goals: np.ndarray  # [G], of behaviour goals
    p_pi: np.ndarray  # [S, A, G], rho+(g) rho_pi(s, a | g)
    p_mu: np.ndarray  # [S, A, G], rho_mu(s, a) p+(s+ | s, a)


@functools.cache
def case(seed: int = 0) -> Case:
    """A random problem with three states, two actions and gamma 0.8."""
    generator = np.random.default_rng(seed)
    problem = tabular.random_problem(generator, num_states=3, num_actions=2, gamma=0.8)
    pi, goals = generator.dirichlet(np.ones(2), (3, 3)), generator.dirichlet(np.ones(3))
    p_mu = tabular.visitation(problem, problem.mu)[:, :, None] * tabular.future_states(problem, problem.mu)
    p_pi = goals * tabular.goal_visitation(problem, pi)
    return Case(problem=problem, pi=pi, goals=goals, p_pi=p_pi, p_mu=p_mu)


def loss(data: Case, q: jax.Array, f: str, sampled: bool = False) -> jax.Array:
    """[D 18] by `losses.divergence`, in expectation over (s, a, s', s+, g); P Q is exact, or V at a sampled s'."""
    problem = data.problem
    values = jnp.einsum("sga,sag->sg", data.pi, q)
    p_q = jnp.einsum("sax,xg->sag", problem.transition, values)
    after = values[None, None] if sampled else p_q[:, :, None]  # [S, A, S', G]
    residual = q[:, :, None] - problem.gamma * after
    rho = tabular.visitation(problem, problem.mu)
    next_state = problem.transition if sampled else np.ones((*rho.shape, 1))
    weight = np.einsum("sap,sax,g->saxpg", data.p_mu, next_state, data.goals)
    shape = weight.shape
    q_policy = jnp.broadcast_to(values[:, None, None, None], shape)
    next_v = jnp.broadcast_to(p_q[:, :, None, None], shape)
    residual = jnp.broadcast_to(residual[..., None], shape)
    of_one = functools.partial(losses.divergence, discount=jnp.asarray(problem.gamma), f=f, r=R)
    terms = jax.vmap(of_one)(residual.ravel(), q_policy.ravel(), next_v.ravel())
    return jnp.sum(weight.ravel() * terms)


@jax.jit
def _slopes(ratio: jax.Array) -> dict[str, jax.Array]:
    """f'(ratio) for every divergence."""
    return {f: jax.grad(lambda t, d=d: jnp.sum(d.generator(t)))(ratio) for f, d in losses.DIVERGENCES.items()}


def best_residual(data: Case, f: str) -> np.ndarray:
    """r - f'(p_pi / p_mu), [S, A, G]. Call it under jax.enable_x64."""
    slope = np.asarray(_slopes(data.p_pi / data.p_mu)[f])
    # the slope of total variation is an end of f*'s domain, which rounding must not leave
    return R - slope * (1 - 1e-12 if f == "total_variation" else 1.0)


def q_of_residual(data: Case, residual: np.ndarray) -> np.ndarray:
    """The Q that solves Q - gamma P Q = residual, by one linear system for each goal."""
    problem, (num_states, num_actions, num_goals) = data.problem, residual.shape
    size, columns = num_states * num_actions, []
    for g in range(num_goals):
        step = np.einsum("sax,xb->saxb", problem.transition, data.pi[:, g]).reshape(size, size)
        columns.append(np.linalg.solve(np.eye(size) - problem.gamma * step, residual[:, :, g].ravel()))
    return np.stack(columns, -1).reshape(residual.shape)


class Optimum(NamedTuple):
    """The loss at its optimum."""

    divergence: float  # D_f(p_pi, p_mu), written out
    value: float  # of the loss
    gradient: float  # the largest absolute entry
    rise: float  # least rise of the loss over random perturbations of Q
    bias: float  # rise of the loss if s' is sampled


@functools.cache
def optimum(f: str) -> Optimum:
    """The loss of one divergence at the Q whose residual is `best_residual`."""
    data, generator = case(), np.random.default_rng(1)
    with jax.enable_x64(True):
        q = q_of_residual(data, best_residual(data, f))
        moved = q + 0.02 * generator.normal(size=(NUM_PERTURBATIONS, *q.shape))
        value, gradient, others, biased = (np.asarray(x) for x in _readings(f, q, moved))
    return Optimum(
        divergence=float(CLOSED_FORMS[f](data.p_pi, data.p_mu)),
        value=float(value),
        gradient=float(np.abs(gradient).max()),
        rise=float(others.min() - value),
        bias=float(biased - value),
    )


@functools.partial(jax.jit, static_argnums=0)
def _readings(f: str, q: jax.Array, moved: jax.Array) -> tuple[jax.Array, ...]:
    """The loss and its gradient at q, the losses at `moved` [n, S, A, G], and the loss with a sampled s'."""
    of_q = functools.partial(loss, case(), f=f)
    return *jax.value_and_grad(of_q)(q), jax.lax.map(of_q, moved), of_q(q, sampled=True)


def measure() -> tuple[Figure, ...]:
    """The figures of every divergence in `losses.DIVERGENCES`, on one problem."""
    optima = {f: optimum(f) for f in losses.DIVERGENCES}
    figures = [
        equals(f"{f}: minimum + D_f(p_pi, p_mu), where D_f is {o.divergence:.4f}", 0, o.value + o.divergence, 1e-10)
        for f, o in optima.items()
    ]
    too_high = {f: optima[f].bias / optima[f].divergence for f in ("kl", "quadratic")}
    figures += [
        equals("largest gradient at the optimum, smooth rows", 0, max(optima[f].gradient for f in SMOOTH), 1e-10),
        equals("rows that a perturbation of Q improves", 0, sum(o.rise < 0 for o in optima.values()), 0),
        between("kl with a sampled s' in f*: rise of the loss over D_f", 0.01, 100, too_high["kl"]),
        between("quadratic with a sampled s': the same", 0.01, 100, too_high["quadratic"]),
    ]
    return tuple(figures)


def claim() -> Claim:
    """The minimum of the loss, for every divergence."""
    return Claim(
        key="divergence_optimum",
        title="The minimum of f-divergence Q-learning is minus the divergence",
        source="[D 5, 15-19], [D 43-47]",
        statement=(
            "For a fixed policy the loss E f*(r - residual) - r + E [Q(s, a~, g) - gamma P Q(s, a, g)] has its minimum "
            "over Q at the residual r - f'(p_pi / p_mu), and it is -D_f(p_pi, p_mu)."
        ),
        conditions=(
            "discounted (s, a), goals by `geometric(gamma)`, behaviour goals independent of the start",
            "P Q is exact: a sampled s' is biased through f*",
        ),
        verdict="holds for every row",
        remark=(
            "The paper allows almost any convex f*; those with a bounded domain need the shift by r, which changes the "
            "residual and not the divergence. On sampled transitions f* sees Q(s, a, s+) - gamma V(s', s+) in place of "
            "its mean over s', and since f* is convex the loss is too high: exact for deterministic dynamics only."
        ),
        figures=measure(),
        caption=(
            "Left: residual at the optimum over the density ratio (points: the problem's own pairs). Right: the loss "
            "along one direction through the optimum, above its minimum."
        ),
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (left, right) = drawing.panels(2, height=4.3)
    data = case()
    ratio = (data.p_pi / data.p_mu).ravel()
    order = np.argsort(ratio)
    direction = np.random.default_rng(3).normal(size=data.p_mu.shape)
    steps = np.linspace(-0.06, 0.06, 9)
    with jax.enable_x64(True):
        for index, f in enumerate(SMOOTH):
            residual = best_residual(data, f)
            drawing.line(left, ratio[order], residual.ravel()[order], f, index, dashed=index > 3)
            q, of_q = q_of_residual(data, residual), jax.jit(functools.partial(loss, data, f=f))
            values = np.array([float(of_q(jnp.asarray(q + step * direction))) for step in steps])
            drawing.line(right, steps, values + optimum(f).divergence, f, index, dashed=index > 3)
    left.set_xscale("log")
    drawing.label(left, "r - f'(p_pi / p_mu), r = -1", "p_pi / p_mu (no unit)", "residual, reward a step")
    drawing.legend(left)
    drawing.label(right, "a minimum, of -D_f", "step along a random direction of Q (reward)", "loss + D_f")
    return drawing.png(figure)
