"""Draws several runs in one picture: success over env steps, mean and interval over seeds, from `collect`'s JSON.

    python -m experiments.reproduce.compare experiments/results/flip_bit.json docs/flip_bit.png [--only LABEL ...]
        [--against LABEL]

--against prints how far one run is above each other, paired by seed, since equal seeds have the same goals at each
evaluation.

Dimension key: S seeds, E evaluations.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hindsight_jax import checks, plotting, statistics
from hindsight_jax.plotting import COLOURS

STYLES = ("-", "--", "-.", ":")  # after all colours are used once
LAST = 5  # evaluations that a difference is averaged over, beside the last one alone
LABELS = {"end": "success at the end", "any": "success at any step"}


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the picture; the exit status is 2 if the file or one of the runs does not exist."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.reproduce.compare", description="One picture of several runs."
    )
    parser.add_argument("results", type=Path, help="a JSON file of experiments.reproduce.collect")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--only", nargs="+", metavar="LABEL", help="the runs of these labels, in this order")
    parser.add_argument("--against", metavar="LABEL", help="print how far this run is above the others, seed by seed")
    parser.add_argument("--measure", choices=sorted(LABELS), default="any")
    parser.add_argument("--title", default="")
    parser.add_argument("--log", action="store_true", help="a logarithmic axis, for runs of different lengths")
    arguments = parser.parse_args(argv)
    try:
        results = chosen(json.loads(arguments.results.read_text()), arguments.only)
        pairs = differences(results, arguments.against, arguments.measure) if arguments.against else []
    except (OSError, ValueError) as error:
        print(f"{arguments.results}: {error}", file=sys.stderr)
        return 2
    arguments.picture.write_bytes(picture(results, arguments.measure, arguments.title, arguments.log))
    print(*pairs, sep="\n", end="\n" if pairs else "")
    return 0


def chosen(results: dict[str, Any], labels: Sequence[str] | None) -> dict[str, Any]:
    """The runs of these labels, in the order of the labels; None: all runs.

    Raises ValueError for a label that no run has.

    >>> list(chosen({"hem, K 2": {}, "her, K 2": {}, "hem, K 20": {}}, ["her, K 2", "hem, K 2"]))
    ['her, K 2', 'hem, K 2']
    """
    if labels is None:
        return results
    for label in labels:
        if label not in results:
            rule = f"it must be the label of a run: {'; '.join(results)}" if results else "the file holds no run"
            checks.fail("--only", repr(label), rule, "Quote a label that holds spaces.")
    return {label: results[label] for label in labels}


def differences(results: dict[str, Any], label: str, measure: str = "end") -> list[str]:
    """A table: how far the run of this label is above each other run of the same seeds, mean and 95 % interval.

    Differences are of equal seeds, at the last evaluation and as the mean of the last LAST.

    Raises ValueError for a label that no run has.

    >>> run = lambda *curves: {"seeds": list(range(len(curves))), "success_end": curves}
    >>> print(*differences({"a": run([0.5, 0.9], [0.5, 0.7]), "b": run([0.5, 0.6], [0.1, 0.4])}, "a"), sep="\\n")
    | a above | last evaluation | mean of the last 5 |
    |---|---|---|
    | b | 0.300 (0.300 to 0.300) | 0.250 (-1.021 to 1.521) |
    """
    (first,) = chosen(results, [label]).values()
    rows = [f"| {label} above | last evaluation | mean of the last {LAST} |", "|---|---|---|"]
    for other, result in results.items():
        if other != label and result["seeds"] == first["seeds"]:
            apart = np.array(first[f"success_{measure}"])[:, -LAST:] - np.array(result[f"success_{measure}"])[:, -LAST:]
            found = [statistics.interval(values) for values in (apart[:, -1], apart.mean(axis=1))]
            rows.append(f"| {other} | {' | '.join(f'{i.mean:.3f} ({i.low:.3f} to {i.high:.3f})' for i in found)} |")
    return rows


def picture(results: dict[str, Any], measure: str = "any", title: str = "", log: bool = False) -> bytes:
    """A PNG: a line for each run, the mean over its seeds, and a band, their 95 % interval. One seed has no band."""
    figure = plotting.new_figure(8.0, 4.6)
    axis = figure.add_subplot()
    plotting.style_axis(axis)
    for i, (label, result) in enumerate(results.items()):
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]
        plotting.draw_curve(axis, curve_of(label, result, measure), colour, style=style, width=2.0)
    axis.set_ylim(-0.02, 1.02)
    if log:
        axis.set_xscale("log")
    else:
        axis.set_xlim(left=0)
    axis.set_xlabel("env steps per seed")
    axis.set_ylabel(LABELS[measure])
    if results:
        axis.legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, title="at the end of the run"
        )
    seeds = sorted({len(result["seeds"]) for result in results.values()})
    axis.set_title(f"{title}\nmean and 95 % interval over {' or '.join(map(str, seeds))} seeds".strip(), fontsize=10)
    return plotting.png(figure, dpi=100)


def curve_of(label: str, result: dict[str, Any], measure: str) -> plotting.Curve:
    """The mean over seeds of one run's success and its interval within [0, 1]; the label has the last mean."""
    values = np.array(result[f"success_{measure}"])  # [S, E]
    mean, low, high = statistics.interval(values, nan_policy="propagate", rates=True)
    band = {"low": np.maximum(low, 0), "high": np.minimum(high, 1)} if len(values) > 1 else {}
    return plotting.Curve(f"{label}: {mean[-1]:.2f}", np.array(result["env_steps"]), mean, **band)


if __name__ == "__main__":
    sys.exit(main())
