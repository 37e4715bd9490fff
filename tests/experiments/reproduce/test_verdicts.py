"""Verdicts by hand: the interval decides, never the mean."""

import math

import numpy as np
import pytest

from experiments.reproduce import verdicts
from experiments.reproduce.studies import Claim


def run(*seeds):
    return {"success_end": [[seed] for seed in seeds]}


def word(kind, first, second=(), by=0.0):
    claim = Claim("it is so", kind, (("s/a", "s/b" if second else ""),), by)
    results = {"s/a": run(*first)} | ({"s/b": run(*second)} if second else {})
    return verdicts.verdict(claim, results).word


# Three seeds: the half width is t_2(0.975) = 4.303 times s / sqrt(3), so 2.484 s.
@pytest.mark.parametrize(
    ("kind", "first", "second", "by", "expected"),
    [
        ("above", (0.6, 0.7, 0.8), (0.5, 0.6, 0.7), 0.0, "holds"),  # each by 0.1: no spread at all
        ("above", (0.5, 0.6, 0.7), (0.6, 0.7, 0.8), 0.0, "does not hold"),
        ("above", (0.6, 0.8, 0.9), (0.5, 0.6, 0.6), 0.0, "open"),  # 0.1, 0.2, 0.3: 0.2 +- 0.248
        ("above", (0.7, 0.8, 0.9), (0.5, 0.6, 0.8), 0.0, "holds"),  # 0.2, 0.2, 0.1: 0.167 +- 0.143
        ("above", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 0.0, "open"),  # equal is not above, and not below
        ("level", (0.5, 0.51, 0.52), (0.51, 0.51, 0.51), 0.05, "holds"),  # 0 +- 0.0248
        ("level", (0.5, 0.52, 0.54), (0.52, 0.52, 0.52), 0.049, "open"),  # 0 +- 0.0497
        ("level", (0.9, 0.9, 0.9), (0.8, 0.8, 0.8), 0.05, "does not hold"),
        ("level", (0.8, 0.8, 0.8), (0.9, 0.9, 0.9), 0.05, "does not hold"),
        ("reaches", (1.0, 1.0, 1.0), (), 0.9, "holds"),
        ("reaches", (0.95, 0.9, 1.0), (), 0.9, "open"),
        ("reaches", (0.1, 0.1, 0.1), (), 0.9, "does not hold"),
        ("above", (0.9,), (0.1,), 0.0, "open"),  # one seed has no interval
        ("above", (0.9, 0.9, math.nan), (0.1, 0.1, 0.1), 0.0, "open"),  # nor have seeds of which one failed
    ],
)
def test_rules(kind, first, second, by, expected):
    assert word(kind, first, second, by) == expected


def test_a_claim_holds_if_every_pair_does_and_fails_with_one():
    good, bad, vague = ("s/high", "s/low"), ("s/low", "s/high"), ("s/high", "s/wide")
    results = {"s/high": run(0.9, 0.9, 0.9), "s/low": run(0.1, 0.1, 0.1), "s/wide": run(0.1, 0.9, 0.8)}
    verdict = lambda *pairs: verdicts.verdict(Claim("so", "above", pairs), results).word
    assert verdict(good) == verdict(good, good) == "holds"
    assert verdict(good, vague) == "open"
    assert verdict(good, vague, bad) == "does not hold"
    assert verdict(good, ("s/high", "s/missing")) == "open"


def test_pairs_tell_the_difference_and_the_chance():
    claim = Claim("so", "above", (("s/a", "s/b"),))
    (pair,) = verdicts.verdict(claim, {"s/a": run(0.6, 0.8, 0.9), "s/b": run(0.5, 0.6, 0.6)}).pairs
    np.testing.assert_allclose(pair.apart, [0.2, 0.2 - 0.248414, 0.2 + 0.248414], atol=1e-6)
    assert pair.chance.mean == pytest.approx(8 / 9)  # 0.6 is above one and ties with two; the others are above all
    (missing,) = verdicts.verdict(claim, {"s/a": run(0.6, 0.8)}).pairs
    assert missing.apart is None
    assert missing.chance is None


def test_the_chance_over_pairs_is_their_mean_if_no_run_is_in_two():
    results = {
        "s/a": run(0.6, 0.8, 0.9),
        "s/b": run(0.5, 0.6, 0.6),
        "s/c": run(0.2, 0.2, 0.2),
        "s/d": run(0.9, 0.9, 0.9),
    }
    chance = lambda *pairs: verdicts.verdict(Claim("so", "above", pairs), results).chance
    assert chance(("s/a", "s/b")).mean == pytest.approx(8 / 9)
    assert chance(("s/a", "s/b"), ("s/c", "s/d")).mean == pytest.approx(4 / 9)  # of 8/9 and 0
    assert chance(("s/a", "s/b"), ("s/a", "s/d")) is None
    assert chance(("s/a", "s/b"), ("s/c", "s/missing")) is None


def test_success_is_the_mean_of_the_last_five_evaluations():
    curves = {"success_end": [[0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.9, 1.0, 1.0, 1.0, 1.0, math.nan]]}
    np.testing.assert_allclose(verdicts.success(curves), [0.3, math.nan])
    np.testing.assert_allclose(verdicts.success({"success_end": [[0.25, 0.75]]}), [0.5])
