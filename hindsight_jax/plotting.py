"""One style for every picture: figures, axes, colours, lines with intervals, and the bytes of a PNG.

Figures use matplotlib's Agg canvas: no pyplot, no window, and no global state that another plot would see. matplotlib
is imported when a figure is made.

Dimension key: E evaluations.
"""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

BLUE, INK, GREY, SPINE = "#1f5fa8", "#333333", "#d9d9d9", "#999999"  # of a single line, text, the grid, the axes
# Okabe and Ito's colours and two more; readers with any form of colour blindness can tell the first seven apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6914")
MAX_BANDS = 4  # of a panel; more would hide each other


class Curve(NamedTuple):
    """The mean over seeds, and its interval where there is one."""

    label: str | None
    steps: np.ndarray  # [E], env steps
    mean: np.ndarray  # [E]; NaN leaves a gap
    low: np.ndarray | None = None  # [E]
    high: np.ndarray | None = None  # [E]


def new_figure(width: float, height: float, padding: tuple[float, float] | None = (0.04167, 0.04167)) -> Any:
    """An empty white matplotlib Figure of width x height inches.

    Args:
      padding: horizontal and vertical inches around each panel, in a layout that makes room for titles and legends.
        None: no layout; the caller places the axes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = None if padding is None else ConstrainedLayoutEngine(w_pad=padding[0], h_pad=padding[1])
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def style_axis(axis: Any, title: str = "", grid: str = "both", hidden: Sequence[str] = ("top", "right")) -> None:
    """A panel's title, grid (of "x", "y" or "both"), hidden spines and ticks."""
    axis.set_title(title, fontsize=11, color=INK, loc="left")
    axis.grid(True, axis=grid, color=GREY, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[:].set_color(SPINE)
    axis.spines[list(hidden)].set_visible(False)
    axis.tick_params(labelsize=9, colors=INK, length=3)


def draw_curve(axis: Any, curve: Curve, colour: Any, *, style: str = "-", width: float = 1.8, band: str = "") -> None:
    """Draws a curve as a line, with its interval as a band; `band` is the band's label. One point gets a marker."""
    marker = "o" if len(curve.steps) == 1 else None
    axis.plot(curve.steps, curve.mean, style, color=colour, linewidth=width, marker=marker, label=curve.label)
    if curve.low is not None:
        axis.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0, label=band or None)


def draw_settings(axis: Any, curves: Sequence[Curve]) -> None:
    """Draws a curve for each setting of a grid, from dark to light; bands only of MAX_BANDS settings or fewer."""
    import matplotlib

    colours = [BLUE] if len(curves) == 1 else matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, len(curves)))
    for curve, colour in zip(curves, colours, strict=True):
        draw_curve(axis, curve if len(curves) <= MAX_BANDS else curve._replace(low=None, high=None), colour)


def png(figure: Any, dpi: int = 105) -> bytes:
    """The figure as a PNG of 128 colours, a third of the size of one in full colour, and without a date."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    with Image.open(buffer) as image:
        indexed = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    indexed.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def thousands(value: float, position: int | None = None) -> str:
    """A label of an axis of env steps, as matplotlib's formatters call it: 150000 -> '150k', 1500000 -> '1.5M'.

    >>> thousands(150_000.0), thousands(1_500_000.0), thousands(0.0)
    ('150k', '1.5M', '0')
    """
    del position
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{suffix}"
    return f"{value:g}"
