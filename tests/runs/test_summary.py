"""Tables and summaries of records, by arithmetic; the seed that is shown."""

import math

import numpy as np
from one_record import record

from hindsight_jax.runs import summary as run_summary


def test_table_keeps_the_evaluations_that_every_member_has():
    data = [
        record(1, 100, 0.3),
        record(0, 100, 0.1),
        record(0, 200, 0.2),
        record(1, 200, 0.4, q=2.0),
        record(0, 300, 0.9),
    ]
    table = run_summary.table(data, "success_end")
    assert table.seeds == [7, 8]
    assert table.env_steps.tolist() == [100, 200]
    assert table.values.tolist() == [[0.1, 0.2], [0.3, 0.4]]
    np.testing.assert_array_equal(run_summary.table(data, "q").values, [[np.nan, np.nan], [np.nan, 2.0]])
    assert run_summary.table([], "q").values.shape == (0, 0)


def test_diagnostics_are_neither_required_nor_the_clocks():
    assert run_summary.diagnostics([record(q_mean=1.0, seconds_eval=2.0), record(loss=1.0)]) == ["loss", "q_mean"]


def test_summary_by_arithmetic():
    data = [record(0, 100, 0.5), record(1, 100, 0.7), record(0, 200, 0.3), record(1, 200, 0.5), record(0, 300, 1.0)]
    summary = run_summary.summarise(data)
    # the last evaluation that both have is at 200: mean 0.4, s = 0.1 sqrt(2), t_1(0.975) = 12.7062, half 1.27062,
    # which leaves [0, 1]
    assert summary["env_steps"] == 200
    assert summary["updates"] == 100
    assert summary["num_evaluations"] == 2
    assert summary["success_end"]["per_seed"] == [0.3, 0.5]
    np.testing.assert_allclose(
        [summary["success_end"][key] for key in ("mean", "low", "high")], [0.4, 0.0, 1.0], atol=1e-5
    )
    assert summary["success_any"]["per_seed"] == [0.35, 0.55]
    assert summary["failed_seeds"] == []


def test_best_is_each_seed_s_own_evaluation_and_the_earliest_of_several():
    """What `load(which="best")` gives: seed 7 at 200; seed 8 at 100, not at 300, which is as good."""
    curves = {0: (0.1, 0.6, 0.5), 1: (0.7, 0.2, 0.7)}
    data = [record(m, 100 * (i + 1), value) for m, curve in curves.items() for i, value in enumerate(curve)]
    best = run_summary.summarise(data)["best"]
    assert best["env_steps"] == [200, 100]
    assert best["success_end"]["per_seed"] == [0.6, 0.7]
    np.testing.assert_allclose(best["success_end"]["mean"], 0.65)
    np.testing.assert_allclose(best["success_any"]["per_seed"], [0.65, 0.75])


def test_summary_of_one_seed_has_no_interval():
    spread = run_summary.summarise([record(0, 100, 0.5)])["success_end"]
    assert spread["mean"] == 0.5
    assert math.isnan(spread["low"])
    assert math.isnan(spread["high"])


def test_summary_names_a_nan_seed_and_keeps_the_best_before_it():
    data = [record(0, 100, 0.5), record(1, 100, 0.7), record(0, 200, 0.3), record(1, 200, math.nan)]
    summary = run_summary.summarise(data)
    assert summary["failed_seeds"] == [8]
    assert math.isnan(summary["success_end"]["mean"])
    assert summary["best"]["env_steps"] == [100, 100]


def test_summary_of_no_records():
    summary = run_summary.summarise([])
    assert summary["success_end"] is None
    assert summary["num_evaluations"] == 0


def test_the_video_is_of_the_best_setting_s_median_seed():

    def record(member, beta, success):
        return {"member": member, "agent.beta": beta, "success_end": success}

    table = [record(0, 1.0, 0.9), record(1, 1.0, 0.2), record(2, 2.0, 0.5), record(3, 2.0, 0.7), record(4, 2.0, 0.8)]
    assert run_summary.shown_member(table) == 3  # means 0.55 and 0.667
    assert run_summary.shown_member([record(0, 1.0, math.nan), record(1, 2.0, 0.0)]) == 1
    assert run_summary.shown_member([record(0, 1.0, math.nan)]) == 0
