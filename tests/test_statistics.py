"""Goldens with their arithmetic, coverage of simulated studies, and seeds that are one, missing or NaN."""

import numpy as np
import pytest
from scipy import stats

from hindsight_jax import statistics


def test_golden_of_three_seeds():
    # mean (0.5 + 0.7 + 0.9) / 3 = 0.7; s = sqrt((0.04 + 0 + 0.04) / 2) = 0.2; t_2(0.975) = 4.302653;
    # half width 4.302653 * 0.2 / sqrt(3) = 0.496828
    mean, low, high = statistics.interval([0.5, 0.7, 0.9])
    np.testing.assert_allclose([mean, low, high], [0.7, 0.203172, 1.196828], atol=1e-6)


def test_golden_of_another_confidence():
    # t_1(0.75) = 1, s = sqrt(2), half width 1 * sqrt(2) / sqrt(2) = 1
    np.testing.assert_allclose(statistics.interval([1.0, 3.0], confidence=0.5), [2.0, 1.0, 3.0], atol=1e-9)


def test_agrees_with_scipy_on_every_trailing_axis():
    x = np.random.default_rng(0).normal(size=(6, 2, 3))
    mean, low, high = statistics.interval(x, 0.9)
    expected_low, expected_high = stats.t.interval(0.9, 5, x.mean(0), stats.sem(x, axis=0))
    assert mean.shape == (2, 3)
    np.testing.assert_allclose(low, expected_low)
    np.testing.assert_allclose(high, expected_high)


def test_the_interval_of_a_rate_stays_within_0_and_1():
    """0.9 and 1.0: mean 0.95, half 12.7062 * 0.05 = 0.635, so 0.315 to 1.585."""
    assert statistics.interval([0.9, 1.0]).high == pytest.approx(1.585, abs=1e-3)
    found = statistics.interval([[0.9, 0.1], [1.0, 0.0]], rates=True)
    np.testing.assert_allclose([found.low, found.high], [[0.315, 0.0], [1.0, 0.685]], atol=1e-3)
    assert statistics.bootstrap_iqm([0.9, 1.0]).high > 1.0
    assert statistics.bootstrap_iqm([0.9, 1.0], rates=True).high == 1.0
    for of in (statistics.interval, statistics.bootstrap_iqm):
        with pytest.raises(
            ValueError, match=r"x: got entries from 0\.5 to 30 with rates=True, but rates lie in \[0, 1\]"
        ):
            of([0.5, 30.0], rates=True)


@pytest.mark.parametrize("paired", [False, True])
def test_a_difference_is_scipy_s_t_test_s(paired):
    first, second = np.array([0.9, 0.7, 0.8]), np.array([0.5, 0.6, 0.2])
    test = stats.ttest_rel(first, second) if paired else stats.ttest_ind(first, second, equal_var=False)
    expected = test.confidence_interval(0.9)
    found = statistics.difference(first, second, 0.9, paired=paired)
    np.testing.assert_allclose(found, [first.mean() - second.mean(), expected.low, expected.high])


def test_a_difference_of_equal_seeds_or_of_one():
    assert statistics.difference([0.9, 0.9], [0.5, 0.5, 0.5]) == (0.4, 0.4, 0.4)
    assert np.isnan(statistics.difference([0.9], [0.5, 0.6]).low)
    with pytest.raises(ValueError, match=r"^x: got 2 tasks"):
        statistics.difference(np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match=r"^y: got 2 seeds, but paired, it must have x's 3"):
        statistics.difference(np.ones(3), np.ones(2), paired=True)


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 8, 20])
def test_intervals_cover_95_percent_of_2000_studies(num_seeds):
    studies = np.random.default_rng(num_seeds).normal(0.6, 0.1, size=(num_seeds, 2000))
    _, low, high = statistics.interval(studies)
    assert 0.93 <= np.mean((low <= 0.6) & (high >= 0.6)) <= 0.97


@pytest.mark.parametrize("num_seeds", [4, 8])
def test_intervals_of_success_rates_cover_too(num_seeds):
    # seeds differ (Beta(20, 10), mean 2/3) and each is measured over 200 episodes
    generator = np.random.default_rng(num_seeds)
    rates = generator.binomial(200, generator.beta(20, 10, size=(num_seeds, 2000))) / 200
    _, low, high = statistics.interval(rates)
    assert 0.93 <= np.mean((low <= 2 / 3) & (high >= 2 / 3)) <= 0.97


@pytest.mark.seldom
@pytest.mark.parametrize(
    ("num_seeds", "spread"),
    [(3, [1.0]), (10, [1.0]), (3, [0.01, 0.05, 0.08, 0.04, 0.05]), (5, [0.05] * 5), (10, [0.01, 0.05, 0.08])],
)
def test_bootstrap_intervals_cover(num_seeds, spread):
    # 2,000 studies; for a lone task the truth is its mean by symmetry, for several it is the IQM of many seeds
    generator = np.random.default_rng(7)
    centre = np.array([0.9, 0.6, 0.65, 0.85, 0.3])[: len(spread)]
    draw = lambda n: centre + np.array(spread) * generator.normal(size=(n, len(spread)))
    truth = statistics.interquartile_mean(draw(400_000))
    inside = 0
    for study in range(2000):
        _, low, high = statistics.bootstrap_iqm(draw(num_seeds), num_resamples=150, seed=study)
        inside += low <= truth <= high
    assert 0.93 <= inside / 2000 <= 0.97


def test_bootstrap_of_three_seeds_and_one_task_is_the_t_interval():
    x = [0.5, 0.7, 0.9]  # the IQM of three entries is their mean
    np.testing.assert_allclose(
        statistics.bootstrap_iqm(x, num_resamples=200_000), statistics.interval(x), atol=0.005, rtol=0
    )


def test_bootstrap_is_deterministic_and_resamples_within_a_task():
    x = np.array([[0.0, 10.0], [0.0, 10.0], [0.0, 10.0]])  # seeds agree within every task: no spread at all
    np.testing.assert_array_equal(statistics.bootstrap_iqm(x), [5.0, 5.0, 5.0])
    y = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(statistics.bootstrap_iqm(y, seed=3), statistics.bootstrap_iqm(y, seed=3))
    assert statistics.bootstrap_iqm(y, seed=3).low != statistics.bootstrap_iqm(y, seed=4).low


def test_interquartile_mean_goldens():
    assert statistics.interquartile_mean([7.0]) == 7.0
    assert statistics.interquartile_mean([0.0, 1.0, 5.0]) == 2.0  # floor(3 / 4) = 0 are cut
    assert statistics.interquartile_mean([[100.0, 2.0], [0.0, 4.0]]) == 3.0  # (2 + 4) / 2
    assert statistics.interquartile_mean(range(9)) == 4.0  # (2 + 3 + 4 + 5 + 6) / 5


@pytest.mark.parametrize("size", [1, 4, 5, 10, 37])
def test_interquartile_mean_is_scipys_trimmed_mean(size):
    x = np.random.default_rng(size).normal(size=(size, 3))
    np.testing.assert_allclose(statistics.interquartile_mean(x), stats.trim_mean(x.ravel(), 0.25), rtol=1e-12)


def test_interquartile_mean_is_rliables():
    metrics = pytest.importorskip("rliable.metrics")
    x = np.random.default_rng(0).normal(size=(10, 6))
    np.testing.assert_allclose(statistics.interquartile_mean(x), metrics.aggregate_iqm(x), rtol=1e-12)


def test_one_seed_has_no_interval():
    mean, low, high = statistics.interval([[0.25, 0.75]])
    np.testing.assert_array_equal(mean, [0.25, 0.75])
    assert np.isnan(low).all()
    assert np.isnan(high).all()
    estimate = statistics.bootstrap_iqm([[0.25, 0.75]])
    assert estimate.mean == 0.5
    assert np.isnan(estimate.low)
    assert np.isnan(estimate.high)


@pytest.mark.parametrize("function", [statistics.interval, statistics.interquartile_mean, statistics.bootstrap_iqm])
@pytest.mark.parametrize("bad", [np.nan, None])
def test_a_seed_that_is_not_finite_is_refused_by_name(function, bad):
    with pytest.raises(ValueError, match=r"index \[2\]"):
        function([0.5, 0.6, bad, 0.7])


def test_nan_spreads_only_where_it_is_asked_for_and_only_to_its_own_column():
    x = [[0.5, 0.1], [np.nan, 0.3], [np.inf, 0.2]]
    mean, low, high = statistics.interval(x, nan_policy="propagate")
    np.testing.assert_allclose(mean, [np.nan, 0.2])
    assert np.isnan([low[0], high[0]]).all()
    assert np.isfinite([low[1], high[1]]).all()
    with pytest.raises(ValueError, match="nan_policy"):
        statistics.interval(x, nan_policy="omit")


def test_probability_of_improvement_goldens():
    # pairs won: 2 of .7's three, 2 and a tie of .8's, 3 of .9's: 7.5 / 9
    mean, low, high = statistics.probability_of_improvement([0.7, 0.8, 0.9], [0.5, 0.6, 0.8])
    assert mean == pytest.approx(7.5 / 9)
    assert 0.0 < low < mean < high < 1.0
    # seed by seed all three are won: Clopper and Pearson's lower end of 3 of 3 is 0.025^(1/3)
    paired = statistics.probability_of_improvement([0.7, 0.8, 0.9], [0.5, 0.6, 0.8], paired=True)
    np.testing.assert_allclose(paired, [1.0, 0.025 ** (1 / 3), 1.0])
    # 5 above 5: at p = 0.56244, v = 0.56244 * 0.43756 (1 + 4 (0.43756 / 1.43756 + 0.56244 / 1.56244)) / 25 = 0.0360,
    # and t_8(0.975) sqrt(v) = 2.30600 * 0.18975 = 0.43756 = 1 - p
    apart = statistics.probability_of_improvement([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])
    np.testing.assert_allclose(apart, [1.0, 0.56244, 1.0], atol=1e-5)
    # of equal runs every pair is a tie
    assert statistics.probability_of_improvement([0.5, 0.5], [0.5, 0.5], paired=True).mean == 0.5


def test_five_paired_wins_settle_nothing_and_six_do():
    """A sign test's p is 2 / 2^5 = 0.0625, and 2 / 2^6 = 0.03125."""
    for count, settles in ((5, False), (6, True)):
        found = statistics.probability_of_improvement(np.ones(count), np.zeros(count), paired=True)
        assert (found.low > 0.5) == settles


@pytest.mark.parametrize("paired", [False, True])
def test_the_other_run_s_probability_is_the_rest(paired):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 6, 3)).round(1)
    first = statistics.probability_of_improvement(x, y, paired=paired)
    second = statistics.probability_of_improvement(y, x, paired=paired)
    np.testing.assert_allclose(
        [second.mean, second.high, second.low], 1 - np.array([first.mean, first.low, first.high])
    )
    shuffled = statistics.probability_of_improvement(x[::-1], y, paired=paired)
    assert (shuffled == first) != paired  # only pairs depend on the order


def test_tasks_are_averaged_and_their_distances_add_in_squares():
    x, y = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    below = 1.0 - 0.025**0.5  # 2 of 2 reach down to 0.025^(1/2), and 0 of 2 up to the rest
    found = statistics.probability_of_improvement(x, y, paired=True)
    np.testing.assert_allclose(found, [0.5, 0.5 - below / 2, 0.5 + below / 2])


def improvement_covers(paired, num_seeds, apart, spread):
    """Of 300 studies of x ~ N(apart, 1) and y ~ N(0, spread): the truth is Phi(apart / sqrt(1 + spread^2))."""
    generator = np.random.default_rng(3)
    truth = stats.norm.cdf(np.array(apart) / np.sqrt(1 + np.square(spread))).mean()
    inside = 0
    for _ in range(300):
        x = generator.normal(apart, 1.0, size=(num_seeds, len(apart)))
        y = generator.normal(0.0, spread, size=(num_seeds, len(apart)))
        _, low, high = statistics.probability_of_improvement(x, y, paired=paired)
        inside += low <= truth <= high
    return inside / 300


@pytest.mark.parametrize("paired", [False, True])
def test_intervals_of_improvement_cover(paired):
    assert improvement_covers(paired, 5, [0.0, 0.5, 1.0, 2.0, 3.0], [1.0, 2.0, 1.0, 0.5, 1.0]) >= 0.93


@pytest.mark.seldom
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("num_seeds", [3, 5, 10])
@pytest.mark.parametrize(("apart", "spread"), [(0.0, 1.0), (1.0, 1.0), (2.0, 3.0), (3.0, 1.0)])
def test_intervals_of_improvement_cover_lone_tasks(paired, num_seeds, apart, spread):
    assert improvement_covers(paired, num_seeds, [apart], [spread]) >= 0.93


@pytest.mark.parametrize("paired", [False, True])
def test_one_seed_has_no_interval_of_improvement(paired):
    found = statistics.probability_of_improvement([0.7], [0.5], paired=paired)
    assert found.mean == 1.0
    assert np.isnan([found.low, found.high]).all()


def test_runs_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ValueError, match=r"^y: got 2 tasks, but x has 1"):
        statistics.probability_of_improvement([0.5, 0.6], [[0.5, 0.1], [0.6, 0.2]])
    with pytest.raises(ValueError, match=r"^y: got 3 seeds, but paired, it must have x's 2"):
        statistics.probability_of_improvement([0.5, 0.6], [0.5, 0.6, 0.7], paired=True)
    with pytest.raises(ValueError, match=r"^y: got NaN or infinity at index \[1\]"):
        statistics.probability_of_improvement([0.5, 0.6], [0.5, np.nan])
