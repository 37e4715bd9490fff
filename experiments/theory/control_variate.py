"""The comment after hEM's Theorem 1: how much a control variate helps REINFORCE, entry by entry and as a whole.

One step, k actions, k goals, reward 1 for the action that is the goal, uniform policy: the problem of `gradient_noise`.

Dimension key: k actions = goals; tables over the entries of the gradient are [k actions, k goals].
"""

import functools
from typing import NamedTuple

import numpy as np

from experiments.theory import drawing, gradient_noise, tabular
from experiments.theory.results import Claim, Figure, equals

SIZES = (4, 8, 16, 32, 64, 128)


class Moments(NamedTuple):
    """Of the estimator X = r d log pi and of the control variate Y = d log pi (whose mean is 0), by entry, [k, k]."""

    mean: np.ndarray  # of X
    variance: np.ndarray  # of X
    covariance: np.ndarray  # of X and Y
    spread: np.ndarray  # the variance of Y

    @property
    def rho_squared(self) -> np.ndarray:
        """The share of the variance that the best coefficient of each entry takes away."""
        return self.covariance**2 / (self.variance * self.spread)

    def left(self, coefficient: np.ndarray | float) -> np.ndarray:
        """The variance of X - coefficient Y."""
        return self.variance - 2 * coefficient * self.covariance + coefficient**2 * self.spread

    @property
    def best(self) -> np.ndarray:
        """The best coefficient of every entry."""
        return self.covariance / self.spread

    @property
    def best_common(self) -> float:
        """The best coefficient if all entries share it, as they do where it is a function of the state."""
        return float(self.covariance.sum() / self.spread.sum())

    def relative_error(self, coefficient: np.ndarray | float) -> float:
        """sqrt(E |X - coefficient Y - mean|^2) / |mean|, of the gradient as a whole."""
        return float(np.sqrt(self.left(coefficient).sum() / np.sum(self.mean**2)))


@functools.cache
def moments(k: int) -> Moments:
    """All k^2 outcomes (goal, action) enumerated; an outcome has gradients in the column of its goal alone."""
    scores, rewards = gradient_noise.all_scores(k), np.eye(k)
    mean = np.einsum("gb,gba->ag", rewards, scores) / k**2
    product = np.einsum("gb,gba->ag", rewards, scores**2) / k**2  # E X Y, and E X^2 since rewards are 0 and 1
    spread = np.einsum("gba->ag", scores**2) / k**2
    return Moments(mean=mean, variance=product - mean**2, covariance=product, spread=spread)


def entry_errors(k: int) -> tuple[float, float]:
    """Relative error with each entry's best coefficient, at a = g and at another action."""
    of = moments(k)
    errors = np.sqrt(of.left(of.best)) / np.abs(of.mean)
    return float(errors[0, 0]), float(errors[1, 0])


def measure() -> tuple[Figure, ...]:
    """The figures for k = 4, 8, .., 128."""
    k, of = np.array(SIZES, float), [moments(size) for size in SIZES]
    at, off = np.array([m.rho_squared[0, 0] for m in of]), np.array([m.rho_squared[1, 0] for m in of])
    spread = max(np.ptp(np.diag(m.rho_squared)) + np.ptp(m.rho_squared[~np.eye(len(m.mean), dtype=bool)]) for m in of)
    errors = np.array([entry_errors(size) for size in SIZES]).T
    whole = lambda coefficient: np.array([m.relative_error(coefficient(m)) for m in of])
    off_by = lambda values, exact: float(np.max(np.abs(values / exact - 1)))
    squared = (k - 1) ** 2 / k + (k**2 - 1) * (1 - off) / k  # (k - 1) / k of the squared mean lies at a = g
    return (
        equals("rho^2 at a = g, the k entries, against k / (k + 1): relative", 0, off_by(at, k / (k + 1)), 1e-10),
        equals("rho^2 elsewhere against k / ((k - 1)(k^2 - 1))", 0, off_by(off, k / ((k - 1) * (k**2 - 1))), 1e-8),
        equals("entries of one kind differ by", 0, spread, 1e-10),
        equals(
            "error at a = g with its best coefficient, against sqrt(k - 1)", 0, off_by(errors[0], np.sqrt(k - 1)), 1e-8
        ),
        equals("slope over k of the error at a = g", 0.537, tabular.slope(k, errors[0]), 1e-3),
        equals("slope elsewhere", 1.018, tabular.slope(k, errors[1]), 1e-3),
        equals("one coefficient for all entries: its best, times k", 1, of[-1].best_common * SIZES[-1], 1e-10),
        equals(
            "whole gradient, one coefficient, against sqrt(k^2 - k - 1)",
            0,
            off_by(whole(lambda m: m.best_common), np.sqrt(k**2 - k - 1)),
            1e-8,
        ),
        equals(
            "whole gradient, a coefficient for each entry: by formula",
            0,
            off_by(whole(lambda m: m.best), np.sqrt(squared)),
            1e-8,
        ),
        equals(
            "whole gradient: slope over k, one coefficient",
            1.047,
            tabular.slope(k, whole(lambda m: m.best_common)),
            1e-3,
        ),
        equals("the same, a coefficient for each entry", 0.543, tabular.slope(k, whole(lambda m: m.best)), 1e-3),
    )


def claim() -> Claim:
    """What control variates can do here, and what they cannot."""
    return Claim(
        key="control_variate",
        title="A control variate helps the k entries at a = g as much as hindsight, and the others hardly",
        source="[M appendix B.2], comment on control variates after Theorem 1",
        statement=(
            "With the control variate d log pi and the best coefficient for each entry, rho^2 is nearly 1 for k of "
            "the k^2 entries and negligible for the others, so the growth of the relative error stays."
        ),
        conditions=(
            "one step, one state; policy and goals are uniform",
            "a coefficient for each entry, computed from exact moments; a baseline has one for each state",
        ),
        verdict="holds entry by entry, with the two cases the other way round",
        remark=(
            "The paper prints rho^2 = 1 for actions other than the goal and 1/k^2 else; it is the entries at a = g "
            "that gain (k of k^2, as its next sentence says): rho^2 = k / (k + 1) exactly, and their error falls to "
            "sqrt(k - 1), that of hindsight goals. The others keep theirs, of order k. They are small, however: of the "
            "squared norm of the mean gradient they hold 1/k. So the error of the gradient *as a whole* "
            "grows as sqrt(2 k) with a coefficient for each entry, which the paper does not say. In practice there is "
            "one coefficient for each state: its best value here is the value function, 1/k, and then the error is "
            "sqrt(k^2 - k - 1) in place of sqrt(k^2 - 1): nothing is gained, as the paper concludes."
        ),
        figures=measure(),
        caption=(
            "Left: relative error of an entry with its own best coefficient. Right: that of the whole gradient, with "
            "no control variate (dotted), with one coefficient for all entries, and with one for each."
        ),
        draw=_draw,
    )


def _draw() -> bytes:
    figure, (left, right) = drawing.panels(2)
    k = np.array(SIZES, float)
    errors = np.array([entry_errors(size) for size in SIZES]).T
    drawing.line(left, k, errors[1], "entries at a != g", 0)
    drawing.line(left, k, errors[0], "entries at a = g", 1)
    drawing.line(right, k, [moments(n).relative_error(moments(n).best_common) for n in SIZES], "one coefficient", 0)
    drawing.line(right, k, [moments(n).relative_error(moments(n).best) for n in SIZES], "one for each entry", 1)
    for axis in (left, right):
        drawing.reference_line(axis, k, np.sqrt(k**2 - 1), "no control variate")
        drawing.reference_line(axis, k, np.sqrt(k - 1), "hindsight goals")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        drawing.legend(axis, "upper left")
    drawing.label(left, "an entry of the gradient", "k, actions and goals", "relative error (no unit)")
    drawing.label(right, "the whole gradient", "k, actions and goals", "relative error (no unit)")
    return drawing.png(figure)
