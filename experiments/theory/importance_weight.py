"""The off-policy weight of HDM's energy-based loss: [D 54] is the gradient of [D 53], for the right marginal policy.

Dimension key: S states = G goals, A actions. Goals are uniform; tables are [S, A, G].
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing, tabular
from experiments.theory.results import Claim, Figure, between, equals
from hindsight_jax import losses

SCALES, NUM_PROBLEMS = (0.5, 1.0, 1.5, 2.0), 10  # of the entries of Q


def exponential_marginal(q: jax.Array) -> jax.Array:
    """pi^(a | s) = E_g exp Q / sum_a E_g exp Q, [S, A], as [D 57] takes it."""
    return jax.nn.softmax(jax.nn.logsumexp(q, axis=2), axis=1)


def policy_marginal(q: jax.Array) -> jax.Array:
    """pi^(a | s) = E_g pi(a | s, g), [S, A], as the paper defines it."""
    return jnp.mean(jax.nn.softmax(q, axis=1), axis=2)


class Data(NamedTuple):
    """The dynamics and the visitation of mu, in the dtype of Q."""

    transition: jax.Array  # [S, A, S]
    rho: jax.Array  # [S, A]
    gamma: jax.Array  # []


def multi_step_loss(data: Data, q: jax.Array, marginal: jax.Array) -> jax.Array:
    """[D 53], term by term: log E exp Q(s, a, g) - gamma E weight(s', a', g) Q(s, a, g), weight and pi stopped."""
    fixed = jax.lax.stop_gradient(q)
    pi = jax.nn.softmax(fixed, axis=1)
    likelihood = jnp.exp(fixed) / jnp.mean(jnp.exp(fixed), axis=2, keepdims=True)  # p+(g | s', a') / rho+(g)  [D 21]
    weight = likelihood * jax.lax.stop_gradient(marginal)[:, :, None] / pi  # [D 55]
    expected = jnp.sum(pi * weight, axis=1)  # over a', [S, G]
    pulled = jnp.mean(jnp.tensordot(data.transition, expected, 1) * q, axis=2)
    pushed = jax.nn.logsumexp(q, axis=2) - jnp.log(q.shape[2])
    return jnp.sum(data.rho * (pushed - data.gamma * pulled))


def weighted_loss(data: Data, q: jax.Array) -> jax.Array:
    """[D 54] by our `energy_weight`: E over (s, a, s') of mean_g w_g Q(s, a, g)."""
    joint = data.rho[:, :, None] * data.transition
    return jnp.sum(joint * jnp.mean(weight_table(data, q) * q[:, :, None, :], axis=3))


def weight_table(data: Data, q: jax.Array) -> jax.Array:
    """`losses.energy_weight` of every (s, a, s'): [S, A, S, G]."""
    one = lambda now, after: losses.energy_weight(now, after, data.gamma)
    by_next = jax.vmap(one, (None, 0))
    return jax.vmap(jax.vmap(by_next, (0, None)), (0, None))(q, jnp.swapaxes(q, 1, 2))


@jax.jit
@jax.vmap
def gradients(data: Data, q: jax.Array) -> dict[str, jax.Array]:
    """The gradients of [D 54] and of [D 53] with either marginal, and |mean_g w - (1 - gamma)|; over problems."""
    of_53 = lambda marginal: jax.grad(multi_step_loss, argnums=1)(data, q, marginal)
    mean = jnp.mean(weight_table(data, q), axis=3)
    return {
        "ours": jax.grad(weighted_loss, argnums=1)(data, q),
        "silent": of_53(exponential_marginal(q)),
        "defined": of_53(policy_marginal(q)),
        "drift": jnp.max(jnp.abs(mean - (1 - data.gamma))),
    }


def random_problems(scale: float, dtype: Any) -> tuple[Data, jax.Array]:
    """Ten problems and a Q for each, with a leading axis."""
    columns = []
    for seed in range(NUM_PROBLEMS):
        generator = np.random.default_rng(seed)
        problem = tabular.random_problem(generator, num_states=5, num_actions=3, gamma=0.9)
        q = scale * generator.normal(size=(5, 3, 5))
        columns.append((problem.transition, tabular.visitation(problem, problem.mu), problem.gamma, q))
    transition, rho, gamma, q = (jnp.asarray(np.array(column), dtype) for column in zip(*columns, strict=True))
    return Data(transition, rho, gamma), q


@functools.cache
def table(single: bool) -> np.ndarray:
    """[4 scales, 10 problems, 3]: relative errors of [D 54] against [D 53] with each marginal, and of mean_g w."""
    errors = []
    with jax.enable_x64(not single):
        for scale in SCALES:
            of = {
                name: np.asarray(value)
                for name, value in gradients(*random_problems(scale, jnp.float32 if single else jnp.float64)).items()
            }
            off = lambda name, i, of=of: tabular.relative(of[name][i] - of["ours"][i], of[name][i])
            errors.append([(off("silent", i), off("defined", i), of["drift"][i]) for i in range(NUM_PROBLEMS)])
    return np.array(errors)


def measure() -> tuple[Figure, ...]:
    """The figures of ten problems at four scales of Q."""
    double, single = table(False), table(True)
    silent, defined, drift = (double[..., i].max() for i in range(3))
    return (
        equals("[D 54] against [D 53], pi^ as in [D 57]: float64, relative", 0, silent, 1e-10),
        equals("the same in float32", 0, single[..., 0].max(), 1e-5),
        equals("mean_g w - (1 - gamma): float64", 0, drift, 1e-10),
        equals("the same in float32", 0, single[..., 2].max(), 1e-5),
        between("pi^ = E_g pi: median error, Q ~ N(0, 1)", 0.06, 0.29, float(np.median(double[1, :, 1]))),
        between("pi^ = E_g pi: median error, Q ~ 2 N(0, 1)", 0.06, 0.29, float(np.median(double[3, :, 1]))),
        between("pi^ = E_g pi: smallest error", 1e-3, 0.5, double[..., 1].min()),
        between("pi^ = E_g pi: largest error", 0.06, 0.5, defined),
    )


def claim() -> Claim:
    """The weight, and the marginal policy that it needs."""
    return Claim(
        key="importance_weight",
        title="The multi-step weight is the gradient of [D 53], with an unusual marginal policy",
        source="[D 25, 53-59], appendix B.3",
        statement=(
            "Minimising [D 53] is the same as minimising [D 54], whose weight of Q(s, a, g) is "
            "exp Q / E exp Q at (s, a), less gamma times the same for sum_a exp Q at s'."
        ),
        conditions=(
            "weight and policy are stopped, and pi = softmax Q",
            "pi^(a | s) is E_g exp Q / sum_a E_g exp Q, as [D 57] takes it",
        ),
        verdict="holds for the marginal of [D 57], not for the one defined",
        remark=(
            "The paper defines pi^ as E_g pi(a | s, g). [D 57] replaces it by E_g exp Q / sum_a E_g exp Q, in which "
            "goals with large values weigh more; with the definition itself the gradient is another one. Our "
            "`losses.energy_weight` is [D 25], hence means the marginal of [D 57]. Its mean over goals is 1 - gamma, "
            "so together with the next-state term of [D 24] a constant added to Q changes nothing."
        ),
        figures=measure(),
        caption="The gradient of [D 54] against that of [D 53] with the marginal policy as defined; ten problems each.",
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (axis,) = drawing.panels(1, width=6.5)
    values = table(False)[..., 1]
    for row, scale in enumerate(SCALES):
        drawing.diagonal(
            axis, np.full(NUM_PROBLEMS, scale), values[row], "pi^ = E_g pi, a problem" if not row else "", 1
        )
    drawing.line(axis, SCALES, np.median(values, axis=1), "median", 1)
    drawing.line(axis, SCALES, table(False)[..., 0].max(1), "pi^ as in [D 57], largest", 0)
    axis.set_xticks(SCALES)
    drawing.label(axis, "[D 54] against [D 53]", "standard deviation of Q", "relative error of the gradient")
    drawing.legend(axis, "upper left")
    return drawing.png(figure)
