"""Comparisons by hand: of seeds in pairs, of unequal seeds, of runs that failed, and never of two tasks."""

import math

import numpy as np
import pytest
from one_record import record

from hindsight_jax import statistics
from hindsight_jax.runs import comparison
from hindsight_jax.runs.sources import Line, Source

CONFIG = {"env": {"num_envs": 4, "threshold": 0.05}, "evaluation": {"episodes": 200}}


def line(label, *curves, name="hdm_push", first=0, env=None):
    """A line of seeds `first` + 7, ... : a curve of success each."""
    document = {"name": name, "config": CONFIG | {"env": CONFIG["env"] | (env or {})}}
    values = [(m + first, i, value) for m, curve in enumerate(curves) for i, value in enumerate(curve)]
    return Line(
        label, Source(label, None, document, [], {}, "finished"), {}, [record(m, i + 1, v) for m, i, v in values]
    )


def test_a_standing_is_the_last_evaluation_and_the_mean_of_the_last_five():
    found = comparison.standing(line("a", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 0.3, 0.4, 0.5, 0.6, 0.7]))
    assert (found.label, found.seeds, found.env_steps, found.failed_seeds) == ("a", [7, 8], 6, [])
    assert (float(found.last.mean), found.per_seed) == (0.6, [0.5, 0.7])
    np.testing.assert_allclose(found.recent.mean, 0.4)  # 0.3 and 0.5
    assert comparison.standing(line("a", [0.5]), "success_any").per_seed == [0.55]


def test_a_seed_that_is_not_finite_is_named_and_leaves_no_mean():
    found = comparison.standing(line("a", [0.1, math.nan], [0.2, 0.3]))
    assert found.failed_seeds == [7]
    assert math.isnan(found.last.mean)


def test_equal_seeds_are_compared_in_pairs_and_others_by_welch():
    """0.3 in both pairs; without pairs the spread within the runs makes the interval wide."""
    better, worse = line("a", [0.9], [0.6]), line("b", [0.6], [0.3])
    paired = comparison.difference(better, worse)
    assert paired.paired
    np.testing.assert_allclose(paired.last, [0.3, 0.3, 0.3])
    apart = comparison.difference(better, line("b", [0.6], [0.3], first=5))
    assert not apart.paired
    np.testing.assert_allclose(apart.last, statistics.difference([0.9, 0.6], [0.6, 0.3]))
    assert apart.improvement.mean == 0.875  # three pairs of four won, and one a tie


def test_runs_of_different_lengths_are_compared_at_the_end_of_each():
    np.testing.assert_allclose(comparison.difference(line("a", [0.1, 0.9]), line("b", [0.4])).last.mean, 0.5)


def test_nothing_is_said_of_a_run_with_a_failed_seed_or_without_an_evaluation():
    for other in (line("b", [0.2, math.nan], [0.2, 0.3]), line("c")):
        found = comparison.difference(line("a", [0.5], [0.6]), other)
        assert math.isnan(found.last.mean)
        assert math.isnan(found.improvement.mean)


def test_two_tasks_are_not_compared():
    lines = [
        line("a", [0.5]),
        line("b", [0.6], name="her_push"),
        line("c", [0.9], name="her_door"),
        line("d", [0.9], env={"threshold": 0.1}),
        line("e", [0.2], name="hdm_push_paper", env={"num_envs": 1}),
    ]
    assert [[one.label for one in group] for group in comparison.by_task(lines)] == [["a", "b", "e"], ["c"], ["d"]]
    with pytest.raises(ValueError, match=r"^other: got c, but a is of another task"):
        comparison.difference(lines[0], lines[2])


def test_the_best_is_the_first_of_the_highest_mean():
    lines = [line("nan", [math.nan]), line("a", [0.1, 0.9]), line("b", [0.5, 0.5]), line("c", [0.2, 0.2])]
    assert comparison.best(lines).label == "a"
    assert comparison.best(lines[:1]) is None
