"""Draws the picture of docs/idea.md: python -m experiments.site.idea docs/idea.png

Four panels: collect, store, hindsight, learn. The probabilities in the third are those of HDM's law on push.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hindsight_jax import plotting, relabel
from hindsight_jax.plotting import BLUE, COLOURS, GREY, INK

GOAL, STEP = COLOURS[1], COLOURS[2]  # of what is aimed at, and of the step that is learnt from
LAST, DRAWN_STEP, DRAWN_GOAL = (
    8,
    2,
    6,
)  # of the trajectory s_0 .. s_8: its end, s of the step, the state that is its goal
TITLES = ("1. collect", "2. store", "3. hindsight", "4. learn")


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the picture; returns 2 unless one path ending in .png is given."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if len(argv) != 1 or not argv[0].endswith(".png"):
        print(f"error: got {argv}, but it must be one path that ends in .png: docs/idea.png", file=sys.stderr)
        return 2
    pathlib.Path(argv[0]).write_bytes(plotting.png(figure()))
    return 0


def figure() -> Any:
    """The four panels, and the way back from the last to the first."""
    drawn = plotting.new_figure(12.0, 4.0, padding=None)
    for i, (title, draw) in enumerate(zip(TITLES, (collect, store, hindsight, learn), strict=True)):
        axis = drawn.add_axes((0.01 + 0.25 * i, 0.16, 0.225, 0.72))
        axis.set(xlim=(-0.06, 1.06), ylim=(0, 1))
        axis.axis("off")
        axis.set_title(title, fontsize=15, color=INK, loc="left")
        draw(axis)
    whole = drawn.add_axes((0, 0, 1, 1))
    whole.set(xlim=(0, 1), ylim=(0, 1))
    whole.axis("off")
    for i in range(3):
        _arrow(whole, (0.24 + 0.25 * i, 0.55), (0.258 + 0.25 * i, 0.55))
    for start, end, style in (((0.87, 0.17), (0.87, 0.07), "-"), ((0.87, 0.07), (0.12, 0.07), "-")):
        _arrow(whole, start, end, style)
    _arrow(whole, (0.12, 0.07), (0.12, 0.17))
    whole.text(0.5, 0.085, "a better policy", ha="center", fontsize=12, color=INK)
    return drawn


def path() -> np.ndarray:
    """[LAST + 1, 2]: where the states of the trajectory are drawn."""
    x = np.linspace(0.0, 0.95, LAST + 1)
    return np.stack([x, 0.55 + 0.16 * np.sin(5.0 * x)], axis=1)


def collect(axis: Any) -> None:
    """A trajectory that misses its goal."""
    _trajectory(axis, BLUE)
    axis.plot(0.9, 0.95, marker="*", markersize=17, color=GOAL)
    axis.text(0.82, 0.95, "goal g, missed", fontsize=12, color=GOAL, ha="right", va="center")
    _caption(axis, "the policy plays an episode")


def store(axis: Any) -> None:
    """A ring of trajectories, the newest marked."""
    for row in range(6):
        newest = row == 2
        for column in range(LAST + 1):
            colour = BLUE if newest else GREY
            axis.add_patch(_square(0.05 + 0.098 * column, 0.28 + 0.11 * row, colour))
    _caption(axis, "a ring holds whole trajectories")


def hindsight(axis: Any) -> None:
    """A step, its new goal, and the probability of each state to be that goal."""
    _trajectory(axis, GREY)
    states = path()
    axis.plot(*states[DRAWN_STEP : DRAWN_STEP + 2].T, marker="o", markersize=9, linewidth=3, color=STEP)
    axis.text(states[DRAWN_STEP, 0], states[DRAWN_STEP, 1] + 0.08, "(s, a, s')", fontsize=12, color=STEP, ha="center")
    axis.plot(*states[DRAWN_GOAL], marker="*", markersize=17, color=GOAL)
    axis.text(states[DRAWN_GOAL, 0], states[DRAWN_GOAL, 1] - 0.11, "goal", fontsize=12, color=GOAL, ha="center")
    chances = probabilities()
    axis.bar(states[:, 0], 0.3 * chances / chances.max(), width=0.055, bottom=0.08, color=GOAL, alpha=0.5)
    axis.plot([-0.04, 1.0], [0.08, 0.08], color=INK, linewidth=0.8)
    axis.text(-0.04, 0.23, "the law's\nchance of\neach state", fontsize=11, color=INK, va="center", ha="left")
    axis.text(0.5, 0.95, "a later state becomes the goal", fontsize=12, color=INK, ha="center", va="center")


def learn(axis: Any) -> None:
    """The loss of one step."""
    axis.text(0.5, 0.7, "loss(s, a, s', goal)", fontsize=16, color=INK, ha="center", va="center")
    axis.text(
        0.5, 0.45, "for one step;\nits mean over a batch\nmoves the network", fontsize=12, ha="center", va="center"
    )
    axis.add_patch(_square(0.02, 0.28, "none", 0.96, 0.56, edge=BLUE))
    _caption(axis, "a pure function of numbers")


def probabilities() -> np.ndarray:
    """f32[LAST + 1]: of each state to become the goal of the step at DRAWN_STEP, by HDM's law on push."""
    law = relabel.mixture((0.15, relabel.behaviour()), (0.51, relabel.next_state()), (0.34, relabel.future()))
    return np.asarray(jax.jit(lambda: law.pmf(DRAWN_STEP, LAST, LAST))())[1:]


def _trajectory(axis: Any, colour: str) -> None:
    states = path()
    axis.plot(*states.T, marker="o", markersize=8, linewidth=2, color=colour)


def _caption(axis: Any, text: str) -> None:
    axis.text(0.5, 0.12, text, fontsize=12, color=INK, ha="center", va="center")


def _square(x: float, y: float, face: str, width: float = 0.08, height: float = 0.075, edge: str = "none") -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=face, edgecolor=edge, linewidth=2)


def _arrow(axis: Any, start: tuple[float, float], end: tuple[float, float], style: str = "-|>") -> None:
    axis.annotate(
        "", end, start, arrowprops={"arrowstyle": style, "color": INK, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    )


if __name__ == "__main__":
    sys.exit(main())
