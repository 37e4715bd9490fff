"""A picture of the benchmark's curves: the cost of an update over members, batch, environments, ring and devices."""

from collections.abc import Mapping
from typing import Any

from hindsight_jax import checks, plotting
from hindsight_jax.plotting import BLUE, GREY, INK

TITLES = {
    "seeds": "members",
    "batch": "rows of a batch",
    "environments": "environments of a member",
    "ring": "transitions in the ring",
    "devices": "devices",
}


def draw(figures: Mapping[str, Any]) -> bytes:
    """A PNG with a panel for each curve in `figures`, and one for the grid beside seeds.

    Raises ValueError if there is no curve.

    Args:
      figures: as `measure.measure` returns them.
    """
    curves = curves_of(figures)
    if not curves:
        checks.fail("figures", "no curve", "a picture needs one", "Run the parts ring and scaling.")
    grid = figures.get("scaling", {}).get("grid")
    count = len(curves) + bool(grid)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = plotting.new_figure(3.8 * columns, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, curve) in zip(panels, curves.items(), strict=False):
        _panel(axis, curve, TITLES[name])
    if grid:
        bars = panels[len(curves)]
        plotting.style_axis(bars, grid="y")
        bars.bar(["seeds", "grid"], [grid["seeds"], grid["settings"]], color=[GREY, BLUE], width=0.5)
        bars.set_xlabel("48 seeds, or 12 settings of 4", color=INK)
    for axis in panels[count:]:
        axis.set_visible(False)
    figure.supylabel("microseconds per update of one member", fontsize=10, color=INK)
    figure.suptitle(f"{figures['config']}, {figures['seeds']} members unless stated otherwise", color=INK)
    return plotting.png(figure, dpi=90)


def curves_of(figures: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The curves by name, in the order of TITLES; that of `ring` is made of its part's microseconds.

    >>> curves_of({"ring": {"microseconds_per_update_1e4": 2.0, "ratio": 1.0}})
    {'ring': {'1e4': 2.0}}
    """
    prefix = "microseconds_per_update_"
    ring = {name.removeprefix(prefix): x for name, x in figures.get("ring", {}).items() if name.startswith(prefix)}
    found = dict(figures.get("scaling", {})) | ({"ring": ring} if ring else {})
    return {name: found[name] for name in TITLES if name in found}


def _panel(axis: Any, curve: Mapping[str, float], label: str) -> None:
    """Draws one curve over a logarithmic axis, with the number at each point."""
    plotting.style_axis(axis, grid="y")
    xs, ys = [float(x) for x in curve], list(curve.values())
    axis.plot(xs, ys, "o-", color=BLUE)
    for x, y in zip(xs, ys, strict=True):
        axis.annotate(f"{y:,.0f}", (x, y), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
    axis.set_xscale("log")
    axis.set_xticks(xs, list(curve))
    axis.minorticks_off()
    axis.set_ylim(0.0, 1.25 * max(ys))
    axis.margins(x=0.15)
    axis.set_xlabel(label, color=INK)
