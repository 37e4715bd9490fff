"""Theorems 1 and 2 of hEM: the relative error of REINFORCE's gradient, on behaviour goals and on hindsight goals.

The problem has one step and one state; there are k actions and k goals, and the reward is 1 if the action is the goal.

Dimension key: k actions = goals; k^2 outcomes (goal, action), all of them enumerated.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing, tabular
from experiments.theory.results import Claim, Figure, equals
from hindsight_jax import losses

SIZES = (4, 8, 16, 32, 64, 128, 256)


class Moments(NamedTuple):
    """Mean and variance of the one-sample estimator of every entry of the gradient, [k actions, k goals]."""

    mean: np.ndarray
    variance: np.ndarray

    @property
    def relative_error(self) -> np.ndarray:
        """sqrt(MSE) / abs(mean); the estimator is unbiased, so its MSE is its variance."""
        return np.sqrt(self.variance) / np.abs(self.mean)


def reinforce_moments(k: int) -> Moments:
    """Goal and action are uniform: k^2 outcomes, of which k are rewarded."""
    scores = all_scores(k)
    rewards = np.eye(k)  # [goal, action]
    # an outcome's gradient is reward times score in the column of its goal, and 0 in the others
    mean = np.einsum("gb,gba->ag", rewards, scores) / k**2
    second = np.einsum("gb,gba->ag", rewards**2, scores**2) / k**2
    return Moments(mean, second - mean**2)


def hindsight_moments(k: int) -> Moments:
    """The action is uniform and the goal is the action: k outcomes, all rewarded, each with weight 1/k."""
    gradients = np.einsum("gga->ga", all_scores(k)) / k  # [goal = action, entry]
    mean, second = gradients.T / k, gradients.T**2 / k
    return Moments(mean, second - mean**2)


def all_scores(k: int) -> np.ndarray:
    """The gradient of log pi(b | g) in the logits L[:, g] at the uniform policy, [k goals, k actions b, k entries]."""
    with jax.enable_x64(True):
        return np.asarray(_score_table(jnp.zeros((k, k), jnp.float64)))


@jax.jit
def _score_table(logits: jax.Array) -> jax.Array:
    score = lambda row, b: -jax.grad(lambda row: losses.behaviour_cloning(losses.log_prob(row, b)))(row)
    actions = jnp.arange(logits.shape[0])
    return jax.lax.map(lambda row: jax.vmap(lambda b: score(row, b))(actions), logits)


@functools.cache
def errors() -> dict[str, np.ndarray]:
    """For each k: the largest relative error over the k^2 entries, their spread, and the hindsight estimator's bias."""
    table: dict[str, list[float]] = {name: [] for name in ("on", "on, spread", "in", "in, spread", "bias")}
    for k in SIZES:
        on, hindsight = reinforce_moments(k), hindsight_moments(k)
        table["on"].append(on.relative_error.max())
        table["on, spread"].append(np.ptp(on.relative_error) / on.relative_error.max())
        table["in"].append(hindsight.relative_error.max())
        table["in, spread"].append(np.ptp(hindsight.relative_error) / hindsight.relative_error.max())
        table["bias"].append(tabular.relative(hindsight.mean - on.mean, on.mean))
    return {name: np.array(values) for name, values in table.items()}


def measure() -> tuple[Figure, ...]:
    """The figures for k = 4, 8, .., 256."""
    table, k = errors(), np.array(SIZES, float)
    eight = reinforce_moments(8).variance[0, 0]
    return (
        equals(
            "REINFORCE against sqrt(k^2 - 1), largest relative difference",
            0,
            _largest_difference(table["on"], np.sqrt(k**2 - 1)),
            1e-10,
        ),
        equals("hindsight against sqrt(k - 1)", 0, _largest_difference(table["in"], np.sqrt(k - 1)), 1e-10),
        equals("entries of one gradient differ by (REINFORCE)", 0, table["on, spread"].max(), 1e-10),
        equals("entries of one gradient differ by (hindsight)", 0, table["in, spread"].max(), 1e-10),
        equals("mean of the hindsight estimator against REINFORCE's", 0, table["bias"].max(), 1e-10),
        equals("slope over k, REINFORCE", 1.006, tabular.slope(k, table["on"]), 5e-4),
        equals("slope over k, hindsight", 0.530, tabular.slope(k, table["in"]), 5e-4),
        equals(
            "variance at a = g, k = 8: 1/k^2 - 2/k^3 + 2/k^5 - 1/k^6",
            1 / 64 - 2 / 512 + 2 / 8**5 - 1 / 8**6,
            eight,
            1e-15,
        ),
    )


def _largest_difference(values: np.ndarray, exact: np.ndarray) -> float:
    """Relative to `exact`."""
    return float(np.max(np.abs(values / exact - 1)))


def claim() -> Claim:
    """The relative errors, and their growth."""
    return Claim(
        key="gradient_noise",
        title="Hindsight goals make the gradient's relative error sqrt(k - 1) instead of sqrt(k^2 - 1)",
        source="[M Theorems 1 and 2], proofs in B.2 and B.3",
        statement=(
            "With k actions, k goals and a reward for the one action that is the goal, one sample of REINFORCE's "
            "gradient has a relative error of about k, and one sample on hindsight goals of about sqrt(k)."
        ),
        conditions=(
            "one step, one state",
            "the policy and the goals are uniform",
            "the hindsight estimator has the weight 1/k",
        ),
        verdict="exact for every entry",
        remark=(
            "The theorems give the leading order; at the uniform policy the errors are exactly sqrt(k^2 - 1) and "
            "sqrt(k - 1), the same for every entry of the gradient. All k^2 outcomes are enumerated, since at k = 256 "
            "a sample of k steps holds about one reward."
        ),
        figures=measure(),
        caption="Relative error of one sample of the gradient, over k; dotted: sqrt(k^2 - 1) and sqrt(k - 1).",
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (axis,) = drawing.panels(1, width=6.5)
    table, k = errors(), np.array(SIZES, float)
    drawing.line(axis, k, table["on"], "REINFORCE, behaviour goals", 0)
    drawing.line(axis, k, table["in"], "hindsight goals", 1)
    drawing.reference_line(axis, k, np.sqrt(k**2 - 1), "exact")
    drawing.reference_line(axis, k, np.sqrt(k - 1), "")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    drawing.label(axis, "one sample of the gradient", "k, actions and goals", "relative error (no unit)")
    drawing.legend(axis, "upper left")
    return drawing.png(figure)
