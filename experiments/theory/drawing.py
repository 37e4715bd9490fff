"""The pictures of the theory page: one style, as the bytes of a PNG.

Drawn with matplotlib's Figure and its Agg canvas: no pyplot, no window. Colours are Okabe and Ito's, which colour-blind
readers can tell apart; lines differ in their markers as well.
"""

from typing import Any

from hindsight_jax import plotting

MAX_BYTES = 150_000
INK, GREY = "#333333", "#999999"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS, MARKERS = (BLUE, ORANGE, GREEN, PURPLE), ("o", "s", "^", "D")


def panels(count: int, width: float = 10.0, height: float = 3.9) -> tuple[Any, list[Any]]:
    """A figure with `count` panels side by side, sizes in inches at 100 dots."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08), facecolor="white")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, count, squeeze=False)[0])
    for axis in axes:
        axis.grid(True, color="#e0e0e0", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(GREY)
        axis.tick_params(labelsize=9, colors=INK, length=3)
    return figure, axes


def label(axis: Any, title: str, x: str, y: str) -> None:
    """The title of a panel and of its axes, with their units."""
    axis.set_title(title, fontsize=11, color=INK, loc="left")
    axis.set_xlabel(x, fontsize=10, color=INK)
    axis.set_ylabel(y, fontsize=10, color=INK)


def line(axis: Any, x: Any, y: Any, name: str, index: int, dashed: bool = False) -> None:
    """A line whose colour and marker say which it is."""
    style = {"color": COLOURS[index % 4], "marker": MARKERS[index % 4], "markersize": 5, "linewidth": 1.6}
    axis.plot(x, y, label=name, linestyle="--" if dashed else "-", **style)


def reference_line(axis: Any, x: Any, y: Any, name: str) -> None:
    """A grey dashed line for what theory says."""
    axis.plot(x, y, label=name, color=INK, linestyle=":", linewidth=1.4)


def diagonal(axis: Any, x: Any, y: Any, name: str, index: int) -> None:
    """A cloud of points, to be read against the diagonal."""
    axis.plot(
        x,
        y,
        label=name,
        linestyle="none",
        color=COLOURS[index % 4],
        marker=MARKERS[index % 4],
        markersize=4.5,
        alpha=0.75,
    )


def legend(axis: Any, where: str = "best") -> None:
    """What the lines are."""
    axis.legend(fontsize=9, frameon=False, loc=where, labelcolor=INK)


def png(figure: Any) -> bytes:
    """The figure at 100 dots an inch."""
    return plotting.png(figure, dpi=100)
