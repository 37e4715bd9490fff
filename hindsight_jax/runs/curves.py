"""Learning curves of a run, as the bytes of a PNG."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hindsight_jax import plotting, presets, statistics
from hindsight_jax.runs import glossary, summary
from hindsight_jax.runs.records import Record
from hindsight_jax.runs.summary import Table, by_setting, table

_MAX_DIAGNOSTICS = 3


def curves(records: Sequence[Record], title: str, confidence: float = 0.95) -> bytes:
    """A PNG of success at the end and at any step, and up to three diagnostics, over env steps per seed.

    Thin lines are seeds, the thick line is their mean, and the band is `statistics.interval` over seeds. One seed has
    no band, and the picture says so. Where a seed is NaN, the mean has a gap and the picture names the seed. A grid has
    a thick line for each setting and no thin ones, with bands up to four settings.

    Args:
      records: of metrics.jsonl; without any, the picture says "no evaluation yet".
      title: the first line, for example the preset's name.
      confidence: of the band, in (0, 1).

    Returns:
      The bytes of a PNG of about 1100 x 750 pixels.

    >>> record = dict(member=0, seed=7, env_steps=10, updates=5, success_end=0.5, success_any=0.5)
    >>> curves([record], "hdm_push")[1:4]
    b'PNG'
    """
    figure = plotting.new_figure(10.5, 7.0, padding=(0.12, 0.1))
    diagnostics = _diagnostics(records)
    grid = figure.add_gridspec(2 if diagnostics else 1, 6, height_ratios=[1.35, 1.0] if diagnostics else [1.0])
    groups = by_setting(records)
    for column, key in enumerate(("success_end", "success_any")):
        axis = figure.add_subplot(grid[0, 3 * column : 3 * column + 3])
        _panel(axis, key, groups, glossary.title(key), confidence)
        axis.set_ylim(-0.02, 1.02)
        axis.set_yticks(np.linspace(0.0, 1.0, 6))
    width = 6 // max(len(diagnostics), 1)
    for column, key in enumerate(diagnostics):
        axis = figure.add_subplot(grid[1, width * column : width * (column + 1)])
        _panel(axis, key, groups, glossary.title(key), confidence)
    counted = any("env_steps_taken" in record for record in records)
    steps = "env steps per seed that the schedule counts (offline: none is taken)" if counted else "env steps per seed"
    figure.supxlabel(steps, fontsize=10, color=plotting.INK)
    figure.suptitle(f"{title}\n{_caption(groups, confidence)}", fontsize=12, color=plotting.INK)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles and len(groups) > 1:
        figure.legend(handles, labels, loc="outside right upper", fontsize=8, frameon=False)
    elif handles:
        figure.axes[0].legend(handles, labels, loc="best", fontsize=9, frameon=False)
    return plotting.png(figure)


def _diagnostics(records: Sequence[Record]) -> list[str]:
    """The diagnostics to draw, in the glossary's order, then others; none that is never finite."""
    present = [key for key in summary.diagnostics(records) if np.isfinite(table(records, key).values).any()]
    return sorted(present, key=glossary.rank)[:_MAX_DIAGNOSTICS]


def _panel(axis: Any, key: str, groups: Sequence[Any], title: str, confidence: float) -> None:
    """One panel: seeds, their mean and its band; of several settings their means."""
    plotting.style_axis(axis, title)
    axis.xaxis.set_major_formatter(plotting.thousands)
    axis.locator_params(axis="x", nbins=6)
    tables = [(presets.label(setting), table(records, key)) for setting, records in groups]
    if not any(data.values.size for _, data in tables):
        axis.text(0.5, 0.5, "no evaluation yet", transform=axis.transAxes, ha="center", color=plotting.INK)
        return
    if len(tables) == 1:
        _seeds(axis, tables[0][1], confidence)
    else:
        plotting.draw_settings(axis, [_curve(data, words, confidence) for words, data in tables])
    _limits(axis, [data for _, data in tables])


def _seeds(axis: Any, data: Table, confidence: float) -> None:
    """A thin line for each seed, a thick line for their mean, and its band."""
    marker = "o" if len(data.env_steps) == 1 else None
    style = {"color": plotting.BLUE, "alpha": min(0.4, max(0.15, 4.0 / len(data.seeds))), "linewidth": 0.9}
    for index, values in enumerate(data.values if len(data.seeds) > 1 else ()):
        label = "each seed" if index == 0 else None
        axis.plot(data.env_steps, values, marker=marker, label=label, **style)
    label = "mean over seeds" if len(data.seeds) > 1 else f"seed {data.seeds[0]}"
    curve = _curve(data, label, confidence)
    plotting.draw_curve(axis, curve, plotting.BLUE, width=2.2, band=f"{100 * confidence:g} % interval")


def _curve(data: Table, label: str, confidence: float) -> plotting.Curve:
    """The mean over seeds, and its interval if there are several."""
    mean, low, high = statistics.interval(data.values, confidence, nan_policy="propagate")
    band = {"low": low, "high": high} if len(data.seeds) > 1 else {}
    return plotting.Curve(label, data.env_steps, mean, **band)


def _limits(axis: Any, tables: Sequence[Table]) -> None:
    """Sets the y range to that of the seeds: a band over few seeds is wide and would flatten them."""
    steps = np.concatenate([data.env_steps for data in tables])
    axis.set_xlim(min(0, steps.min()), max(steps.max(), 1))
    values = np.concatenate([data.values.reshape(-1) for data in tables])
    finite = values[np.isfinite(values)]
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
        axis.set_ylim(low - margin, high + margin)


def _caption(groups: Sequence[Any], confidence: float) -> str:
    """The success of the last evaluation in words; names seeds that are not finite."""
    tables = [table(records, "success_end") for _, records in groups]
    if not any(success.values.size for success in tables):
        return "no evaluation yet"
    if len(groups) > 1:
        means = [float(success.values[:, -1].mean()) for success in tables]
        best = max(range(len(means)), key=lambda i: means[i] if np.isfinite(means[i]) else -1.0)
        label = presets.label(groups[best][0])
        return f"{len(groups)} settings; success at the end {means[best]:.3f} with {label}, the best"
    success = tables[0]
    last = success.values[:, -1]
    failed = [seed for seed, value in zip(success.seeds, last, strict=True) if not np.isfinite(value)]
    if failed:
        return f"{len(last)} seeds; not finite at the end: {', '.join(map(str, failed))}, so there is no mean"
    mean, low, high = statistics.interval(last, confidence, rates=True)
    if len(last) == 1:
        return f"success at the end {mean:.3f}; one seed (seed {success.seeds[0]}), so no interval"
    return (
        f"success at the end {mean:.3f}, {100 * confidence:g} % interval [{low:.3f}, {high:.3f}] over {len(last)} seeds"
    )
