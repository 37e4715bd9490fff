"""Whether a claim holds, by the interval of what it compares and never by a mean alone.

Success is that at the end of an episode, of each seed, as the mean of its run's last five evaluations: one evaluation
is 200 episodes, whose luck is 0.03. Runs are compared seed by seed, since equal seeds have the same goals; 95 %
intervals are Student's.

    above    holds if the whole interval of the difference is above 0, and does not hold if the whole of it is below
    level    holds if it lies within +-by, and does not hold if it lies outside
    reaches  holds if the interval of the run's success lies above `by`, and does not hold if it lies below

All else is open: too few seeds, or runs that are not done, or a seed that failed. A claim about several pairs holds if
it holds for each, and does not hold if it fails for one. Each pair has its own 95 %: of many claims that are right, one
in forty is called wrong by chance.

Dimension key: S seeds.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.reproduce.studies import Claim
from hindsight_jax import statistics

LAST = 5  # evaluations
Word = Literal["holds", "open", "does not hold"]


class Pair(NamedTuple):
    """What was found of one pair."""

    better: str
    worse: str  # "" where a run is compared with a number
    apart: statistics.Interval | None  # of the difference, or of the success; None: not run
    chance: statistics.Interval | None  # that a seed of the first is above one of the second
    word: Word


class Verdict(NamedTuple):
    """What was found of a claim."""

    claim: Claim
    pairs: tuple[Pair, ...]
    chance: statistics.Interval | None  # that a seed is above, the mean over the pairs; None if they share runs
    word: Word


def success(result: Mapping[str, Any]) -> np.ndarray:
    """f64[S]: the mean of the last evaluations of each seed, NaN if one of them is."""
    return np.array(result["success_end"], np.float64)[:, -LAST:].mean(axis=1)


def verdict(claim: Claim, results: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """Tests the claim on the runs that are there, path -> what `collect.digest` made.

    >>> run = lambda *seeds: {"success_end": [[seed] for seed in seeds]}
    >>> found = {"s/a": run(0.8, 0.9, 0.85), "s/b": run(0.5, 0.6, 0.5), "s/c": run(0.8, 0.5, 0.95)}
    >>> claim = Claim("a is above", "above", (("s/a", "s/b"), ("s/a", "s/c")))
    >>> [pair.word for pair in verdict(claim, found).pairs], verdict(claim, found).word
    (['holds', 'open'], 'open')
    """
    pairs = tuple(_pair(claim, better, worse, results) for better, worse in claim.pairs)
    words = {pair.word for pair in pairs}
    whole: Word = "does not hold" if "does not hold" in words else "open" if "open" in words else "holds"
    return Verdict(claim, pairs, _chance(claim, pairs, results), whole)


def _chance(
    claim: Claim, pairs: tuple[Pair, ...], results: Mapping[str, Mapping[str, Any]]
) -> statistics.Interval | None:
    """Over all pairs, which must be independent of each other, as tasks are: no run stands in two of them."""
    paths = [path for pair in claim.pairs for path in pair]
    if any(pair.chance is None for pair in pairs) or len(set(paths)) < len(paths):
        return None
    first, second = (np.stack([success(results[pair[side]]) for pair in claim.pairs], axis=1) for side in range(2))
    return statistics.probability_of_improvement(first, second)


def _pair(claim: Claim, better: str, worse: str, results: Mapping[str, Mapping[str, Any]]) -> Pair:
    """What the runs say of one pair."""
    if better not in results or (worse and worse not in results):
        return Pair(better, worse, None, None, "open")
    first = success(results[better])
    second = success(results[worse]) if worse else np.zeros_like(first)
    apart = statistics.interval(first - second, nan_policy="propagate", rates=not worse)
    finite = np.isfinite(first).all() and np.isfinite(second).all()
    chance = statistics.probability_of_improvement(first, second) if worse and finite else None
    return Pair(better, worse, apart, chance, word_of(claim, apart))


def word_of(claim: Claim, apart: statistics.Interval) -> Word:
    """The rule of the claim's kind; an interval that is NaN settles nothing."""
    low, high = float(apart.low), float(apart.high)
    if claim.kind == "level":
        inside, outside = -claim.by < low and high < claim.by, low > claim.by or high < -claim.by
    else:
        inside, outside = low > claim.by, high < claim.by
    return "holds" if inside else "does not hold" if outside else "open"
