"""The charts of a report, as figures of Plotly: a mean over seeds with its band, and the seeds, over env steps.

Dimension key: S seeds, E evaluations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hindsight_jax import plotting, statistics
from hindsight_jax.runs import glossary, summary
from hindsight_jax.runs.sources import Line
from hindsight_jax.runs.summary import Table
from hindsight_jax.training.record import RATES

DASHES = ("solid", "dash", "dot", "dashdot")  # after all colours are used once
_SEEDS_IN_TEXT = 12  # of a hover text; more would fill the screen


class Chart(NamedTuple):
    """One metric of every line."""

    key: str
    title: str
    meaning: str
    figure: dict[str, Any]  # data and layout


def charts(lines: Sequence[Line]) -> tuple[list[Chart], list[Chart]]:
    """(success, diagnostics): success at the end and, where it differs anywhere, at any step; then what else there is.

    A metric that is finite nowhere has no chart, nor has `frozen`: the page names frozen members in words.
    """
    ends = [[summary.table(line.records, key).values for line in lines] for key in ("success_end", "success_any")]
    same = all(np.array_equal(end, anywhere, equal_nan=True) for end, anywhere in zip(*ends, strict=True))
    keys = {key for line in lines for key in summary.diagnostics(line.records)} - {"frozen"}
    drawn = [key for key in sorted(keys, key=glossary.rank) if _is_finite_somewhere(key, lines)]
    success = [chart(key, lines) for key in ("success_end", *(() if same else ("success_any",)))]
    return success, [chart(key, lines) for key in drawn]


def chart(key: str, lines: Sequence[Line]) -> Chart:
    """One metric: for each line its seeds, its band and its mean, which share a group of the legend."""
    traces = []
    for number, line in enumerate(lines):
        table = summary.table(line.records, key)
        if np.isfinite(table.values).any():
            traces += _traces(key, number, line.label, table)
    offline = any("env_steps_taken" in record for line in lines for record in line.records)
    steps = "env steps per seed that the schedule counts" if offline else "env steps per seed"
    return Chart(key, glossary.title(key), glossary.meaning(key), {"data": traces, "layout": _layout(key, steps)})


def _traces(key: str, number: int, label: str, table: Table) -> list[dict[str, Any]]:
    """Seeds, the two ends of the band, and the mean, in the order in which they are drawn."""
    colour = plotting.COLOURS[number % len(plotting.COLOURS)]
    dash = DASHES[number // len(plotting.COLOURS) % len(DASHES)]
    common = {"x": table.env_steps.tolist(), "legendgroup": label, "showlegend": False, "hoverinfo": "skip"}
    mean, low, high = statistics.interval(table.values, nan_policy="propagate", rates=key in RATES)
    marks = {"mode": "lines+markers" if len(table.env_steps) == 1 else "lines"}
    traces: list[dict[str, Any]] = []
    if len(table.seeds) > 1:
        thin = {"color": colour, "width": 1}
        traces += [{**common, **marks, "y": _plain(seed), "line": thin, "opacity": 0.35} for seed in table.values]
        for trace in traces:
            trace["meta"] = "seed"
        edge, fill = {"mode": "lines", "line": {"width": 0}}, {"fill": "tonexty", "fillcolor": _faint(colour)}
        traces += [{**common, **edge, "y": _plain(low)}, {**common, **edge, **fill, "y": _plain(high)}]
    text = [_hover(table, column, *values) for column, values in enumerate(zip(mean, low, high, strict=True))]
    line = {"color": colour, "width": 2.5, "dash": dash}
    named = {"name": label, "text": text, "hoverinfo": "text+name", "showlegend": True, "meta": "mean"}
    return [*traces, {**common, **marks, "y": _plain(mean), "line": line, **named}]


def _hover(table: Table, column: int, mean: float, low: float, high: float) -> str:
    """'0.866 (0.791 to 0.941) after 250,000 env steps; seeds 0.90 0.92 ...'"""
    spread = f" ({low:.3g} to {high:.3g})" if np.isfinite(low) else ""
    seeds = [f"{value:.3g}" for value in table.values[:, column]]
    each = f"<br>seeds {' '.join(seeds)}" if 1 < len(seeds) <= _SEEDS_IN_TEXT else ""
    return f"{mean:.3g}{spread}<br>after {table.env_steps[column]:,} env steps{each}"


def _layout(key: str, steps: str) -> dict[str, Any]:
    axis = {"gridcolor": plotting.GREY, "zeroline": False, "linecolor": plotting.SPINE, "automargin": True}
    bounds = {"range": [-0.02, 1.02]} if key in ("success_end", "success_any") else {}
    return {
        "xaxis": {**axis, "title": {"text": steps}, "rangemode": "tozero"},
        "yaxis": {**axis, **bounds},
        "margin": {"l": 50, "r": 12, "t": 8, "b": 45},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "font": {"color": plotting.INK, "size": 12},
        "hovermode": "closest",
        "showlegend": False,
    }


def _is_finite_somewhere(key: str, lines: Sequence[Line]) -> bool:
    return any(np.isfinite(summary.table(line.records, key).values).any() for line in lines)


def _plain(values: np.ndarray) -> list[float | None]:
    """Six digits of each number, None where it is not finite: JSON has no NaN."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def _faint(colour: str) -> str:
    """'rgba(0,114,178,0.15)' of '#0072B2'."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"
