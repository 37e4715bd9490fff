"""Confidence intervals over seeds, of means and of interquartile means.

Dimension key: S seeds (axis 0), K tasks, R resamples. NumPy in, NumPy float64 out; nothing here is traced.

No seed is ever dropped silently: an entry that is NaN or infinite raises a ValueError with the seed's index or, if the
caller asks for it, makes every result that depends on it NaN. One seed has no interval: `low` and `high` are NaN.
"""

import math
import numbers
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hindsight_jax import checks


class Interval(NamedTuple):
    """An estimate and the ends of its confidence interval; the ends are NaN if there is only one seed."""

    mean: np.ndarray  # the estimate: a mean, or an interquartile mean
    low: np.ndarray
    high: np.ndarray


def interval(x: ArrayLike, confidence: float = 0.95, *, nan_policy: str = "raise") -> Interval:
    """Mean over seeds (axis 0) and its Student t interval: mean +- t_{S-1} s / sqrt(S).

    Student's interval is exact for normal data at every S >= 2, which matters at the 3 to 10 seeds of common
    studies: there a percentile bootstrap of 95 % covers 74 % (S = 3) to 90 % (S = 10). Equal values give a width of 0.
    The ends are not clipped: those of a success rate may lie outside [0, 1].

    Args:
      x: [S, ...], seeds on axis 0; entries of the other axes are treated independently.
      confidence: the share of studies whose interval holds the true mean, in (0, 1).
      nan_policy: "raise" refuses NaN and infinity; "propagate" gives NaN wherever an entry of one seed is not finite.

    Returns:
      `Interval` with fields of shape [...]. With one seed, `low` and `high` are NaN.

    Raises:
      ValueError: no seeds, entries that are not numbers or (by default) not finite, confidence outside of (0, 1).

    >>> interval([0.5, 0.7, 0.9]).mean.round(3), interval([0.5, 0.7, 0.9]).low.round(3)  # 0.7 - 4.303 * 0.2 / sqrt(3)
    (np.float64(0.7), np.float64(0.203))
    """
    values, confidence = _seeds("x", x), _checked_confidence(confidence)
    if not isinstance(nan_policy, str) or nan_policy not in ("raise", "propagate"):
        checks.fail(
            "nan_policy",
            checks.describe(nan_policy),
            "it must be 'raise' or 'propagate'",
            "Use 'propagate' to get NaN for the columns with a failed seed.",
        )
    finite = np.isfinite(values)
    if nan_policy == "raise" and not finite.all():
        _refuse("x", finite)
    values = np.where(finite.all(axis=0), values, np.nan)
    num_seeds = values.shape[0]
    mean = values.mean(axis=0)
    if num_seeds == 1:
        return Interval(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    half = _t_quantile(num_seeds - 1, confidence) * values.std(axis=0, ddof=1) / np.sqrt(num_seeds)
    return Interval(mean, mean - half, mean + half)


def interquartile_mean(x: ArrayLike) -> float:
    """The mean of the middle half of n entries: floor(n / 4) are cut at either end. Equals rliable's `aggregate_iqm`.

    Runs and tasks are pooled, so an outlier counts by its rank and not by its size.

    Args:
      x: [S, ...], seeds on axis 0.

    Raises:
      ValueError: no entries, or entries that are not finite numbers.

    >>> interquartile_mean([0.0, 1.0, 2.0, 100.0])  # (1 + 2) / 2
    1.5
    """
    values = _seeds("x", x)
    if not np.isfinite(values).all():
        _refuse("x", np.isfinite(values))
    return float(_trimmed(values.reshape(1, -1))[0])


def bootstrap_iqm(x: ArrayLike, confidence: float = 0.95, *, num_resamples: int = 2000, seed: int = 0) -> Interval:
    """Interquartile mean over all seeds and tasks, with a stratified bootstrap interval: seeds are drawn within a task.

    The interval is IQM +- t_nu * sqrt(S / (S - 1)) * SE, where SE is the standard deviation over resamples, the factor
    undoes the bootstrap's shrinkage at few seeds, and nu are Welch-Satterthwaite's degrees of freedom
    (S - 1)(sum_k v_k)^2 / sum_k v_k^2, with v_k the variance if task k alone is resampled. For one task of up to 3
    seeds this is `interval`, up to the resampling noise. In simulations with 3, 5 and 10 seeds, 1 to 5 tasks, equal and
    unequal spreads, it covers 93 to 99 %; the usual percentile bootstrap covers 73 to 94 %.

    Args:
      x: [S] or [S, K], seeds by tasks.
      confidence: in (0, 1).
      num_resamples: R >= 100.
      seed: >= 0, the seed of the resampling; the same seed gives the same interval.

    Returns:
      `Interval` of scalars; with one seed, `low` and `high` are NaN.

    Raises:
      ValueError: an x of another rank, entries that are not finite numbers, confidence outside of (0, 1), fewer than
        100 resamples, a negative seed.

    >>> bootstrap_iqm([[0.5, 0.9], [0.6, 0.8], [0.7, 0.7]]).mean  # the mean of .6 .7 .7 .8, without .5 and .9
    np.float64(0.7)
    """
    values, confidence = _seeds("x", x), _checked_confidence(confidence)
    if values.ndim > 2:
        checks.fail("x", checks.describe(values), "it must be [S] or [S, K]", "Reshape the tasks to one axis.")
    if not np.isfinite(values).all():
        _refuse("x", np.isfinite(values))
    num_resamples = checks.whole("num_resamples", num_resamples, 100, checks.INT32_MAX, "Leave it out for 2000.")
    seed = checks.whole("seed", seed, 0, math.inf, "Leave it out for 0.")
    table = values.reshape(values.shape[0], -1)  # [S, K]
    num_seeds, num_tasks = table.shape
    estimate = _trimmed(table.reshape(1, -1))[0]
    if num_seeds == 1:
        return Interval(estimate, np.full_like(estimate, np.nan), np.full_like(estimate, np.nan))
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, num_seeds, size=(num_resamples, num_seeds, num_tasks))
    resampled = np.take_along_axis(table[None], draws, axis=1)  # [R, S, K]
    error = np.sqrt(_variance(resampled) * num_seeds / (num_seeds - 1))
    half = _t_quantile(_degrees_of_freedom(table, resampled), confidence) * error
    return Interval(estimate, estimate - half, estimate + half)


def _degrees_of_freedom(table: np.ndarray, resampled: np.ndarray) -> float:
    """Welch-Satterthwaite over tasks, between S - 1 and K (S - 1); table [S, K], resampled [R, S, K]."""
    num_seeds, num_tasks = table.shape
    variances = np.empty(num_tasks)
    for task in range(num_tasks):
        alone = np.broadcast_to(table, resampled.shape).copy()
        alone[:, :, task] = resampled[:, :, task]
        variances[task] = _variance(alone)
    if not variances.any():
        return float(num_seeds - 1)
    return float((num_seeds - 1) * variances.sum() ** 2 / np.square(variances).sum())


def _variance(resampled: np.ndarray) -> float:
    """The variance over resamples of their interquartile means, [R, S, K] -> scalar."""
    return float(_trimmed(resampled.reshape(len(resampled), -1)).var(ddof=1))


def _trimmed(rows: np.ndarray) -> np.ndarray:
    """The interquartile mean of every row, [R, n] -> [R]."""
    # scipy.stats.trim_mean adds in another order, which changes the last digits
    cut = rows.shape[1] // 4
    return np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1)


def _t_quantile(degrees: float, confidence: float) -> float:
    """Student's t such that a share `confidence` of the mass lies within +- t."""
    from scipy.special import stdtrit  # imports faster than scipy.stats

    return float(stdtrit(degrees, 0.5 + 0.5 * confidence))


def _seeds(name: str, x: ArrayLike) -> np.ndarray:
    """Converts x to float64[S, ...], with S >= 1 and no empty axis."""
    remedy = "Pass an array [S, ...] with every value of every seed."
    checks.plain_array(name, x)
    try:
        entries = np.asarray(x)
    except (TypeError, ValueError):
        checks.fail(name, "a ragged list", "it must be an array of real numbers", remedy)
    # None marks a missing seed, and becomes NaN
    or_none = entries.dtype.kind == "O" and all(isinstance(e, (numbers.Real, type(None))) for e in entries.flat)
    if not or_none and entries.dtype.kind in tuple("cOSUMm"):
        checks.fail(name, f"entries of dtype {entries.dtype}", "it must be an array of real numbers", remedy)
    values = entries.astype(np.float64)
    if values.ndim == 0 or values.size == 0:
        checks.fail(name, checks.describe(values), "it must hold at least one seed on axis 0", remedy)
    return values


def _refuse(name: str, finite: np.ndarray) -> None:
    """Raises ValueError with the indices of the seeds that have an entry which is not finite."""
    seeds = np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1)).tolist()
    checks.fail(
        name,
        f"NaN or infinity at index {seeds} of axis 0",
        "every seed must be finite",
        "Report these seeds as failed; leave them out only if the study's rules say so.",
    )


def _checked_confidence(confidence: float) -> float:
    """The confidence as a Python float; ValueError unless 0 < confidence < 1."""
    above, below = math.nextafter(0.0, 1.0), math.nextafter(1.0, 0.0)
    rule = "it must lie in (0, 1)"
    return checks.number("confidence", confidence, above, below, "Use 0.95 for 95 %.", rule, np.float64)
