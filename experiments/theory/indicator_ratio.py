"""How good HDM's indicator [D 31] is for the condition [D 30] that it stands for, on a maze with exact tables.

Dimension key: S cells = G goals, A moves; tables are [S, A, G]. Goals are uniform.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from experiments.theory import drawing, energy_fixed_point, indicator, maze, tabular
from experiments.theory.results import Claim, Figure, between, equals
from hindsight_jax import losses

SHOWN = (0.95, 0.85, 0.75, 0.5, 0.4)
CURVE = (0.3, 0.35, 0.37, 0.38, 0.4, 0.42, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99)


def weights(q: np.ndarray) -> np.ndarray:
    """`losses.energy_weight` of every step of the maze, [S, A, G]; below 0 where [D 30] pushes Q(s, a, g) up."""
    after = maze.maze().after
    with jax.enable_x64(True):
        table = jnp.asarray(q)
        return np.asarray(_weights(table, jnp.swapaxes(table, 1, 2), jnp.asarray(after)))


@jax.jit
def _weights(q: jax.Array, by_goal: jax.Array, after: jax.Array) -> jax.Array:
    of_state = lambda row, nexts: jax.vmap(
        lambda now, x: losses.energy_weight(now, by_goal[x], jnp.asarray(maze.GAMMA))
    )(row, nexts)
    return jax.lax.map(lambda pair: of_state(*pair), (q, after))


@functools.cache
def pushed_up() -> np.ndarray:
    """[D 30] at the converged Q, bool[S, A, G]."""
    return weights(maze.converged_q()) < 0


class _Parts:
    """Logarithms of the four factors of [D 30] at the converged Q."""

    def __init__(self) -> None:
        q, after = maze.converged_q(), maze.maze().after
        self.q = q
        self.mean = (scipy.special.logsumexp(q, axis=1) - np.log(q.shape[1]))[after]  # of mean_a exp Q(s', a, g)
        self.most = q.max(1)[after]
        mean_goal = lambda x: scipy.special.logsumexp(x, axis=-1, keepdims=True) - np.log(q.shape[2])
        self.below_q, self.below_mean = mean_goal(q), mean_goal(self.mean)  # the denominators


@functools.cache
def parts() -> _Parts:
    """The factors, once."""
    return _Parts()


def without_denominators() -> np.ndarray:
    """exp Q(s, a, g) < gamma mean_a exp Q(s', a, g)."""
    return parts().q < np.log(maze.GAMMA) + parts().mean


def with_maximum() -> np.ndarray:
    """[D 30] with max_a in place of mean_a at s', denominators kept."""
    of = parts()
    return of.q - of.below_q < np.log(maze.GAMMA) + of.most - of.below_mean


def agreement(left: np.ndarray, right: np.ndarray) -> float:
    """The share of (s, a, g) at which two conditions say the same."""
    return float(np.mean(left == right))


def kappa(left: np.ndarray, right: np.ndarray) -> float:
    """Cohen's kappa: agreement above that of independent conditions with the same shares, 1 for the same condition.

    >>> kappa(np.array([True, True, False, False]), np.array([True, False, True, False]))
    0.0
    """
    both = left.mean() * right.mean() + (1 - left.mean()) * (1 - right.mean())
    return (agreement(left, right) - float(both)) / (1 - float(both))


def weights_at_rest() -> np.ndarray:
    """The weights for a Q at which [D 24] rests, whose marginal policy is uniform, [S, A, G]."""
    after = maze.maze().after
    num_states, num_actions = after.shape
    even = np.full(after.shape, 1 / num_actions)
    problem = tabular.Problem(maze.maze().transition, even, np.full(num_states, 1 / num_states), maze.GAMMA)
    return weights(energy_fixed_point.table_of(problem, even))


def measure() -> tuple[Figure, ...]:
    """The figures over all (s, a, g) of the maze, at gamma 0.98."""
    kinds, wanted, rest = maze.kinds(), pushed_up(), weights_at_rest()
    gap = parts().below_q - parts().below_mean
    of = {value: indicator.picked(value) for value in CURVE}
    return (
        equals("[D 30]: picked of the optimal actions", 0.583, wanted[kinds.optimal].mean(), 5e-4),
        equals("[D 30]: picked of the other actions", 0.756, wanted[kinds.other].mean(), 5e-4),
        equals("[D 30]: picked of the actions that arrive", 0, wanted[kinds.reaching].mean(), 0),
        *(
            equals(
                f"[D 31] at {value} says what [D 30] says: share of (s, a, g)",
                expected,
                agreement(of[value], wanted),
                6e-5,
            )
            for value, expected in zip(SHOWN, (0.6939, 0.6939, 0.6926, 0.6775, 0.4428), strict=True)
        ),
        equals("picking everything that does not arrive", 0.694, agreement(~kinds.reaching, wanted), 5e-4),
        between("kappa at 0.85", -0.05, 0.1, kappa(of[0.85], wanted)),
        between("largest kappa of 18 values of gamma_hdm", 0.2, 0.5, max(kappa(x, wanted) for x in of.values())),
        equals("[D 30] without its denominators: agreement", 0.963, agreement(without_denominators(), wanted), 5e-4),
        between(
            "log of the denominators' ratio: 90th percentile of the size", 0.0, 0.15, np.quantile(np.abs(gap), 0.9)
        ),
        equals("[D 30] with max_a in place of mean_a: agreement", 0.694, agreement(with_maximum(), wanted), 5e-4),
        between("log mean_a exp Q - max_a Q at s': median (nats)", -0.8, -0.2, np.median(parts().mean - parts().most)),
        equals(
            "a Q at which [D 24] rests: |w| where nothing arrives, largest",
            0,
            np.abs(rest[~kinds.reaching]).max(),
            1e-10,
        ),
        equals("the same where it arrives: (1 - gamma) 148", 2.96, rest[kinds.reaching].min(), 1e-8),
    )


def claim() -> Claim:
    """The two steps from [D 30] to [D 31], and where they fail."""
    return Claim(
        key="indicator_ratio",
        title="The indicator is a poor stand-in for the condition that it is derived from",
        source="[D 25, 30, 31], section 4.4",
        statement=(
            "[D 31] is [D 30] after two approximations: the denominators, means over goals, are 'roughly the same' "
            "and cancel, and the mean of exp Q over actions at s' is replaced by the maximum, with gamma_hdm below "
            "gamma to make up for it."
        ),
        conditions=(
            "the maze of the next claim, deterministic, at gamma 0.98, with Q-learning's exact Q",
            "every (s, a, g) counts alike",
        ),
        verdict="the denominators do cancel; the maximum is a poor stand-in at every gamma_hdm",
        remark=(
            "How far the mean of exp Q lies below the maximum depends on how much the actions at s' differ, which no "
            "one factor makes up for: at 0.75 and above [D 31] agrees with [D 30] as often as picking everything that "
            "does not arrive does, and near 0.5, where it does best, kappa is below 0.4. Nor is [D 30] a filter of "
            "good actions at this Q: it picks fewer of the optimal ones than of the others. At a Q of its own, where "
            "[D 24] rests, the weight is a residual that has gone to 0: [D 30] holds for no action, and in practice "
            "for those that the noise of learning puts below. So the indicator is best read as a rule of its own, as "
            "the next claim does."
        ),
        figures=measure(),
        caption=(
            "Agreement of [D 31] with [D 30] over gamma_hdm (dotted: picking everything that does not arrive), and "
            "what [D 31] picks of the optimal actions and of the others; dashed: what [D 30] picks of them."
        ),
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (left, right) = drawing.panels(2)
    kinds, wanted = maze.kinds(), pushed_up()
    of = [indicator.picked(value) for value in CURVE]
    drawing.line(left, CURVE, [agreement(x, wanted) for x in of], "agreement", 0)
    drawing.line(left, CURVE, [kappa(x, wanted) for x in of], "kappa (0: as by chance)", 1)
    drawing.reference_line(left, [0.3, 1.0], [agreement(~kinds.reaching, wanted)] * 2, "all that do not arrive")
    drawing.label(left, "[D 31] beside [D 30]", "gamma_hdm", "share of (s, a, g); kappa")
    for index, (name, kind) in enumerate((("optimal", kinds.optimal), ("other", kinds.other))):
        drawing.line(right, CURVE, [x[kind].mean() for x in of], f"{name} actions, [D 31]", index)
        right.axhline(wanted[kind].mean(), color=drawing.COLOURS[index], linestyle="--", linewidth=1.2)
    drawing.label(right, "what is picked", "gamma_hdm", "share of the actions picked")
    for axis, where in ((left, "upper left"), (right, "lower right")):
        axis.set_ylim(-0.05, 1.05)
        drawing.legend(axis, where)
    return drawing.png(figure)
