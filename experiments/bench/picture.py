"""The bench's curves as one picture: what an update costs over members, batch, environments, ring and devices."""

import io
from collections.abc import Mapping
from typing import Any

_BLUE, _GREY, _INK = "#1f5fa8", "#d9d9d9", "#333333"
TITLES = {
    "seeds": "members",
    "batch": "rows of a batch",
    "environments": "environments of a member",
    "ring": "transitions in the ring",
    "devices": "devices",
}


def picture(figures: Mapping[str, Any]) -> bytes:
    """A PNG of a panel for each curve in `figures`, and of the grid beside seeds, as `bench` writes them.

    Raises ValueError if there is no curve.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = curves_of(figures)
    if not curves:
        raise ValueError("figures: got no curve, but a picture needs one. Run the parts ring and scaling.")
    grid = figures.get("scaling", {}).get("grid")
    count = len(curves) + bool(grid)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.8 * columns, 2.9 * rows), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, curve) in zip(panels, curves.items(), strict=False):
        _panel(axis, curve, TITLES[name])
    if grid:
        bars = panels[len(curves)]
        bars.bar(["seeds", "grid"], [grid["seeds"], grid["settings"]], color=[_GREY, _BLUE], width=0.5)
        bars.set_xlabel("48 seeds, or 12 settings of 4", color=_INK)
    for axis in panels[count:]:
        axis.set_visible(False)
    figure.supylabel("microseconds per update of one member", fontsize=10, color=_INK)
    figure.suptitle(f"{figures['config']}, {figures['seeds']} members where nothing else is said", color=_INK)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return stream.getvalue()


def curves_of(figures: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The curves by name, in the order of TITLES; `ring`'s are the microseconds of its part.

    >>> curves_of({"ring": {"microseconds_per_update_1e4": 2.0, "ratio": 1.0}})
    {'ring': {'1e4': 2.0}}
    """
    prefix = "microseconds_per_update_"
    ring = {name.removeprefix(prefix): x for name, x in figures.get("ring", {}).items() if name.startswith(prefix)}
    found = dict(figures.get("scaling", {})) | ({"ring": ring} if ring else {})
    return {name: found[name] for name in TITLES if name in found}


def _panel(axis: Any, curve: Mapping[str, float], label: str) -> None:
    """One curve over a logarithmic axis, from zero on, with the number at each point."""
    xs, ys = [float(x) for x in curve], list(curve.values())
    axis.plot(xs, ys, "o-", color=_BLUE)
    for x, y in zip(xs, ys, strict=True):
        axis.annotate(f"{y:,.0f}", (x, y), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
    axis.set_xscale("log")
    axis.set_xticks(xs, list(curve))
    axis.minorticks_off()
    axis.set_ylim(0.0, 1.25 * max(ys))
    axis.margins(x=0.15)
    axis.set_xlabel(label, color=_INK)
    axis.grid(axis="y", color=_GREY, linewidth=0.6)
