"""One picture of several runs: success over env steps, mean and interval over seeds, from a JSON file of `collect`.

    python -m experiments.reproduce.compare experiments/results/flip_bit.json docs/flip_bit.png [--only PREFIX ...]

Dimension key: S seeds, E evaluations.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hindsight_jax import statistics
from hindsight_jax.plotting import png

# Okabe and Ito's colours, which the colour-blind tell apart, and a line style each, for paper without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6914")
STYLES = ("-", "--", "-.", ":")
LABELS = {"end": "success at the end", "any": "success at any step"}


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the picture; 2 if the file or the runs asked for are not there."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.reproduce.compare", description="One picture of several runs."
    )
    parser.add_argument("results", type=Path, help="a JSON file of experiments.reproduce.collect")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--only", nargs="+", metavar="PREFIX", help="the runs whose label begins so, in this order")
    parser.add_argument("--measure", choices=sorted(LABELS), default="any")
    parser.add_argument("--title", default="")
    parser.add_argument("--log", action="store_true", help="a logarithmic axis of env steps, for runs of many lengths")
    arguments = parser.parse_args(argv)
    try:
        results = chosen(json.loads(arguments.results.read_text()), arguments.only)
    except (OSError, ValueError) as error:
        print(f"{arguments.results}: {error}", file=sys.stderr)
        return 2
    arguments.picture.write_bytes(picture(results, arguments.measure, arguments.title, arguments.log))
    return 0


def chosen(results: dict[str, Any], prefixes: Sequence[str] | None) -> dict[str, Any]:
    """The runs whose label begins with one of the prefixes, in the order of these; all of them without.

    Raises ValueError for a prefix of none.

    >>> list(chosen({"hem, K 2": {}, "her, K 2": {}, "hem, K 10": {}}, ["her", "hem"]))
    ['her, K 2', 'hem, K 2', 'hem, K 10']
    """
    if prefixes is None:
        return results
    kept: dict[str, Any] = {}
    for prefix in prefixes:
        found = {label: result for label, result in results.items() if label.startswith(prefix)}
        if not found:
            raise ValueError(f"no run's label begins with {prefix!r}; there are {', '.join(results) or 'none'}")
        kept |= found
    return kept


def picture(results: dict[str, Any], measure: str = "any", title: str = "", log: bool = False) -> bytes:
    """A PNG: a line for each run, the mean over its seeds, and a band, their 95 % interval. One seed has no band."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    for i, (label, result) in enumerate(results.items()):
        steps, values = np.array(result["env_steps"]), np.array(result[f"success_{measure}"])  # [E], [S, E]
        mean, low, high = statistics.interval(values, nan_policy="propagate")
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]
        axis.plot(steps, mean, style, color=colour, linewidth=2.0, label=f"{label}: {mean[-1]:.2f}")
        if len(values) > 1:
            axis.fill_between(steps, np.maximum(low, 0), np.minimum(high, 1), color=colour, alpha=0.15, linewidth=0)
    axis.set_ylim(-0.02, 1.02)
    if log:
        axis.set_xscale("log")
    else:
        axis.set_xlim(left=0)
    axis.set_xlabel("env steps per seed")
    axis.set_ylabel(LABELS[measure])
    axis.grid(True, color="#DDDDDD", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if results:
        axis.legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, title="at the end of the run"
        )
    seeds = sorted({len(result["seeds"]) for result in results.values()})
    axis.set_title(f"{title}\nmean and 95 % interval over {' or '.join(map(str, seeds))} seeds".strip(), fontsize=10)
    return png(figure, dpi=100)


if __name__ == "__main__":
    sys.exit(main())
