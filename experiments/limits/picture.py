"""The picture of docs/limits.md: a panel for each measurement."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hindsight_jax import plotting
from hindsight_jax.plotting import COLOURS, INK


def draw(figures: Mapping[str, Any]) -> bytes:
    """A PNG of the stored figures, by part."""
    figure = plotting.new_figure(12.0, 3.8)
    left, middle, right = figure.subplots(1, 3)
    _locks(left, figures["locks"])
    _bounds(middle, figures["bounds"])
    _gambles(right, figures["gambles"])
    return plotting.png(figure, dpi=90)


def _locks(axis: Any, found: Mapping[str, Any]) -> None:
    """Success over the change ratio, each lock a place on the axis."""
    plotting.style_axis(axis, "an object that play seldom moves")
    places = np.arange(len(found))
    for name, colour in (("gcsl", COLOURS[1]), ("hdm", COLOURS[0])):
        _errors(axis, places, [entry[name] for entry in found.values()], name, colour)
    hardest = list(found.values())[-1]
    for i, name in enumerate((name for name in hardest if name.startswith("hdm, ")), 2):
        _errors(axis, places[-1:], [hardest[name]], name, COLOURS[i])
    axis.set_xticks(places, [f"{entry['change_ratio']:.3f}" for entry in found.values()])
    axis.set_ylim(-0.05, 1.05)
    axis.set_xlabel("change ratio of random play", color=INK)
    axis.set_ylabel("success at the end", color=INK)
    axis.legend(fontsize="small")


def _bounds(axis: Any, found: Mapping[str, Any]) -> None:
    """The values by distance, beside the true ones."""
    plotting.style_axis(axis, "values that sink")
    distance = np.arange(1, len(found["true_value"]) + 1)
    axis.plot(distance, found["true_value"], color=INK, linestyle="--", label="true")
    for i, (label, entry) in enumerate(found["found"].items()):
        axis.plot(distance, entry["value_by_distance"], color=COLOURS[i], label=label)
    axis.set_xlabel("steps to the goal", color=INK)
    axis.set_ylabel("max Q", color=INK)
    axis.legend(fontsize="small")


def _gambles(axis: Any, found: Mapping[str, Any]) -> None:
    """Success of each row."""
    plotting.style_axis(axis, "luck", grid="x")
    places = np.arange(len(found))[::-1]
    means = [entry["success"]["mean"] for entry in found.values()]
    ends = [
        [abs(entry["success"][end] - entry["success"]["mean"]) for entry in found.values()] for end in ("low", "high")
    ]
    axis.barh(places, means, xerr=ends, color=COLOURS[0], height=0.6)
    axis.set_yticks(places, list(found))
    axis.set_xlim(0.0, 1.05)
    axis.set_xlabel("success; the sure way has 1", color=INK)


def _errors(axis: Any, places: np.ndarray, entries: list[Mapping[str, float]], label: str, colour: str) -> None:
    """Means with their intervals."""
    means = np.array([entry["mean"] for entry in entries])
    ends = np.array([[entry["mean"] - entry["low"], entry["high"] - entry["mean"]] for entry in entries]).T
    axis.errorbar(places, means, yerr=ends, fmt="o-", color=colour, capsize=3, label=label)
