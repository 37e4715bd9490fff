"""The picture of a study, from the runs that are done. Bars and bands are 95 % intervals over seeds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reproduce import compare, verdicts
from experiments.reproduce.studies import Cell, Study
from hindsight_jax import plotting, statistics
from hindsight_jax.plotting import COLOURS

Results = Mapping[str, Mapping[str, Any]]  # path of a run -> what `collect.digest` made
ENVIRONMENTS = Path(__file__).parents[1] / "results" / "environments.json"
WIDTH, HEIGHT = 3.4, 3.0  # inches of a panel
BASELINE = "GCSL"  # of Figure 7


def picture(study: Study, results: Results) -> bytes:
    """A PNG, with the runs of `results` alone."""
    cells = [cell for cell in study.cells if cell.run.path in results]
    draw = {"curves": curves, "sweep": sweep, "gain": gain, "ratio": ratio}[study.figure]
    return plotting.png(draw(study, cells, results), dpi=100)


def curves(study: Study, cells: list[Cell], results: Results) -> Any:
    """A panel for each column, a line for each row: success over env steps."""
    columns, colours = _unique(cell.column for cell in cells), _colours(study)
    figure, axes = _panels(columns)
    bands = {} if len(colours) <= plotting.MAX_BANDS else {"low": None, "high": None}
    for cell in cells:
        curve = compare.curve_of("", dict(results[cell.run.path]), "end")
        cycle = list(colours).index(cell.row) // len(COLOURS)  # where colours come again, lines have another style
        style = compare.STYLES[cycle % len(compare.STYLES)]
        plotting.draw_curve(axes[cell.column], curve._replace(label=cell.row, **bands), colours[cell.row], style=style)
    for axis in axes.values():
        axis.xaxis.set_major_formatter(plotting.thousands)
        axis.set_xlabel("env steps per seed")
    return _finished(figure, axes)


def sweep(study: Study, cells: list[Cell], results: Results) -> Any:
    """A panel for each swept field, a line for each row over its values; runs without the field are flat lines."""
    panels, colours = _unique(cell.panel for cell in cells), _colours(study)
    figure, axes = _panels(panels)
    for panel, axis in axes.items():
        mine = [cell for cell in study.cells if cell.panel == panel]
        values = _unique(cell.column for cell in mine if cell.column)
        for row in _unique(cell.row for cell in cells if cell.panel == panel):
            done = [cell for cell in cells if (cell.panel, cell.row) == (panel, row)]
            found = [_interval(results[cell.run.path]) for cell in done]
            if done[0].column:
                _points(axis, [values.index(cell.column) for cell in done], found, row, colours[row], "-o")
                continue
            axis.axhline(found[0].mean, color=colours[row], linestyle="--", linewidth=1.6, label=row)
            axis.axhspan(
                *np.nan_to_num(found[0][1:], nan=float(found[0].mean)), color=colours[row], alpha=0.12, linewidth=0
            )
        axis.set_xticks(range(len(values)), values)
        axis.set_xlabel(study.axis or panel)
    return _finished(figure, axes)


def gain(study: Study, cells: list[Cell], results: Results) -> Any:
    """For each column a bar for each row: success above the baseline's, as a share of the baseline's."""
    figure, axes = _panels([""], width=9.0)
    axis, rows = axes[""], [row for row in _unique(cell.row for cell in study.cells) if row != BASELINE]
    base = {cell.column: verdicts.success(results[cell.run.path]) for cell in cells if cell.row == BASELINE}
    columns, colours = _unique(base), _colours(study)
    for cell in cells:
        if cell.row == BASELINE or cell.column not in base or not base[cell.column].mean() > 0:
            continue  # nothing to normalise by
        share = (verdicts.success(results[cell.run.path]) - base[cell.column]) / base[cell.column].mean()
        place = columns.index(cell.column) + (rows.index(cell.row) - 0.5 * (len(rows) - 1)) * 0.8 / len(rows)
        found = statistics.interval(share, nan_policy="propagate")
        bars = None if np.isnan(found.low) else [[found.mean - found.low], [found.high - found.mean]]
        axis.bar(place, found.mean, 0.75 / len(rows), color=colours[cell.row], yerr=bars, capsize=2, ecolor="#555555")
    for row in rows:
        axis.bar(0, 0, color=colours[row], label=row)
    axis.axhline(0.0, color=plotting.SPINE, linewidth=0.8)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_ylabel(f"success above {BASELINE}'s, as a share of it")
    axis.legend(frameon=False, fontsize=9)
    return figure


def ratio(study: Study, cells: list[Cell], results: Results) -> Any:
    """A point for each run: success over the share of random episodes that change what is achieved."""
    tasks = json.loads(ENVIRONMENTS.read_text())["tasks"]
    figure, axes = _panels([""], width=7.0)
    axis, colours = axes[""], _colours(study)
    for i, (row, colour) in enumerate(colours.items()):
        mine = [cell for cell in cells if cell.row == row]
        places = [tasks[cell.column]["change_ratio"] + 0.006 * i for cell in mine]  # beside each other
        _points(axis, places, [_interval(results[cell.run.path]) for cell in mine], row, colour, "o")
    for task in _unique(cell.column for cell in cells):
        place = (tasks[task]["change_ratio"] - 0.012, 0.0)
        axis.annotate(task, place, fontsize=8, rotation=90, ha="center", color=plotting.INK)
    axis.set_xlim(0.0, 1.06)
    axis.set_xlabel("share of random episodes that change what is achieved")
    return _finished(figure, axes)


def _interval(result: Mapping[str, Any]) -> statistics.Interval:
    return statistics.interval(verdicts.success(result), nan_policy="propagate", rates=True)


def _points(axis: Any, places: Any, found: list[statistics.Interval], label: str, colour: str, style: str) -> None:
    """Means with their intervals; a run of one seed has no bar."""
    mean, low, high = (np.array([part[i] for part in found]) for i in range(3))
    bars = np.nan_to_num([mean - low, high - mean])
    axis.errorbar(
        list(places), mean, bars, fmt=style, color=colour, label=label, capsize=2, linewidth=1.6, markersize=4
    )


def _panels(names: list[str], width: float = 0.0) -> tuple[Any, dict[str, Any]]:
    """(a figure, name -> its panel)."""
    count = max(len(names), 1)
    figure = plotting.new_figure(width or max(WIDTH * count, 6.5), HEIGHT + 0.9)
    row = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for axis, name in zip(row, names or [""], strict=True):
        plotting.style_axis(axis, name)
    return figure, dict(zip(names or [""], row, strict=True))


def _finished(figure: Any, axes: dict[str, Any]) -> Any:
    """The axis of success, and one legend below all panels."""
    first = next(iter(axes.values()))
    first.set_ylim(-0.04, 1.04)
    first.set_ylabel("success at the end")
    named = {
        label: line for axis in axes.values() for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if named:
        columns = int(figure.get_figwidth() / (0.55 + 0.085 * max(map(len, named))))  # inches of a label
        figure.legend(
            named.values(), named, loc="outside lower center", ncols=max(columns, 1), frameon=False, fontsize=9
        )
    return figure


def _colours(study: Study) -> dict[str, str]:
    """A colour for each row, whether or not it is done."""
    return {row: COLOURS[i % len(COLOURS)] for i, row in enumerate(_unique(cell.row for cell in study.cells))}


def _unique(names: Any) -> list[str]:
    return list(dict.fromkeys(names))
