"""Charts of a report: their numbers are those of the records, and what is not finite leaves a gap."""

import math

import numpy as np
import plotly.graph_objects
import pytest
from one_record import record

from hindsight_jax.runs.report import charts
from hindsight_jax.runs.sources import Line


def line(label, *curves, **extra):
    """A line of seeds 7, 8, ...: a curve of success at the end each, at 100, 200, ... env steps."""
    values = [(m, i, value) for m, curve in enumerate(curves) for i, value in enumerate(curve)]
    return Line(label, None, {}, [record(m, 100 * (i + 1), value, **extra) for m, i, value in values])


def traces(chart, meta):
    return [trace for trace in chart.figure["data"] if trace.get("meta") == meta]


def test_a_line_is_its_seeds_their_band_and_their_mean():
    """At 100: 0.2 and 0.4, mean 0.3, half 12.7062 * 0.1 = 1.27, cut off at 0 and 1."""
    chart = charts.chart("success_end", [line("a", [0.2, 0.5], [0.4, 0.5])])
    assert [trace["y"] for trace in traces(chart, "seed")] == [[0.2, 0.5], [0.4, 0.5]]
    (mean,) = traces(chart, "mean")
    assert (mean["x"], mean["y"], mean["name"]) == ([100, 200], [0.3, 0.5], "a")
    low, high = [trace for trace in chart.figure["data"] if "meta" not in trace]
    assert (low["y"], high["y"]) == ([0.0, 0.5], [1.0, 0.5])
    assert mean["text"][0] == "0.3 (0 to 1)<br>after 100 env steps<br>seeds 0.2 0.4"


def test_the_mean_weight_of_a_soft_gate_is_not_cut_off_as_a_share_is():
    """20 and 22: mean 21, half 12.7062 * 1."""
    both = Line("a", None, {}, [record(m, 100, 0.5, imitated_fraction=20.0 + 2 * m) for m in (0, 1)])
    low, high = [t["y"] for t in charts.chart("imitated_fraction", [both]).figure["data"] if "meta" not in t]
    assert (low, high) == ([pytest.approx(8.294, abs=1e-3)], [pytest.approx(33.706, abs=1e-3)])


def test_one_seed_has_no_band_and_one_evaluation_a_marker():
    chart = charts.chart("success_end", [line("a", [0.2])])
    (only,) = chart.figure["data"]
    assert (only["y"], only["mode"], only["text"]) == ([0.2], "lines+markers", ["0.2<br>after 100 env steps"])


def test_what_is_not_finite_is_a_gap():
    chart = charts.chart("q_mean", [line("a", [0.2, 0.3], [0.4, 0.5])])
    assert chart.figure["data"] == []  # no record has it
    (mean,) = traces(charts.chart("success_end", [line("a", [0.2, 0.5], [0.4, math.nan])]), "mean")
    assert mean["y"] == [0.3, None]


def test_equal_success_is_drawn_once():
    same = [{**one, "success_any": one["success_end"]} for one in line("a", [0.2, 0.5]).records]
    assert [chart.key for chart in charts.charts([line("a", [0.2])])[0]] == ["success_end", "success_any"]
    assert [chart.key for chart in charts.charts([Line("a", None, {}, same)])[0]] == ["success_end"]


def test_diagnostics_are_in_the_order_of_the_glossary_and_finite_somewhere():
    metrics = {"my_own": 1.0, "td_loss": 2.0, "q_mean": -1.0, "actor_loss": math.nan, "frozen": 0}
    _, diagnostics = charts.charts([line("a", [0.2, 0.3], **metrics)])
    assert [chart.key for chart in diagnostics] == ["q_mean", "td_loss", "my_own"]
    assert [chart.title for chart in diagnostics] == ["mean Q of a batch", "TD loss", "my_own"]
    assert diagnostics[0].meaning
    assert not diagnostics[2].meaning


@pytest.mark.parametrize("count", [1, 9])
def test_plotly_knows_every_property(count):
    """Its Python classes refuse one that its script would ignore. Nine lines are told apart by their dashes."""
    lines = [line(str(i), [0.1, 0.2], [0.3, 0.4]) for i in range(count)]
    chart = charts.chart("success_end", lines)
    plotly.graph_objects.Figure(chart.figure)
    styles = {(trace["line"]["color"], trace["line"]["dash"]) for trace in traces(chart, "mean")}
    assert len(styles) == count
    assert np.isfinite([value for trace in traces(chart, "mean") for value in trace["y"]]).all()
