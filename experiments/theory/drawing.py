"""The pictures of the theory page. Lines differ in their colours and in their markers."""

from typing import Any

import numpy as np

from hindsight_jax import plotting
from hindsight_jax.plotting import COLOURS, INK

MAX_BYTES = 150_000
MARKERS = ("o", "s", "^", "D")


def panels(count: int, width: float = 10.0, height: float = 3.9) -> tuple[Any, list[Any]]:
    """A figure with `count` panels side by side; width and height in inches of 100 dots."""
    figure, rows = grid(1, count, width, height)
    return figure, rows[0]


def grid(rows: int, columns: int, width: float, height: float) -> tuple[Any, list[list[Any]]]:
    """A figure with rows of panels; width and height in inches of 100 dots."""
    figure = plotting.new_figure(width, height, padding=(0.1, 0.08))
    axes = [list(row) for row in figure.subplots(rows, columns, squeeze=False)]
    for row in axes:
        for axis in row:
            plotting.style_axis(axis)
    return figure, axes


def label(axis: Any, title: str, x: str, y: str) -> None:
    """Writes the panel's title and the names of its axes, with their units."""
    axis.set_title(title, fontsize=11, color=INK, loc="left")
    axis.set_xlabel(x, fontsize=10, color=INK)
    axis.set_ylabel(y, fontsize=10, color=INK)


def line(axis: Any, x: Any, y: Any, name: str, index: int, dashed: bool = False) -> None:
    """Draws a line in the colour and marker of `index`."""
    style = {"color": COLOURS[index % 4], "marker": MARKERS[index % 4], "markersize": 5, "linewidth": 1.6}
    axis.plot(x, y, label=name, linestyle="--" if dashed else "-", **style)


def reference_line(axis: Any, x: Any, y: Any, name: str) -> None:
    """Draws a dotted line for the value that the theory predicts."""
    axis.plot(x, y, label=name, color=INK, linestyle=":", linewidth=1.4)


def diagonal(axis: Any, x: Any, y: Any, name: str, index: int) -> None:
    """Draws points, to be compared with the diagonal."""
    style = {"color": COLOURS[index % 4], "marker": MARKERS[index % 4], "markersize": 4.5, "alpha": 0.75}
    axis.plot(x, y, label=name, linestyle="none", **style)


def ground(axis: Any, values: Any, extent: tuple[float, ...] | None = None) -> None:
    """Paints a map [rows, columns]: pale green for the least value to white, grey where it is NaN; no ticks."""
    import matplotlib

    colours = matplotlib.colors.LinearSegmentedColormap.from_list("ground", ("#BFE3D5", "#FFFFFF"))
    axis.imshow(values, cmap=colours.with_extremes(bad="#B8B8B8"), extent=extent, interpolation="nearest")
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.set_xticks([])
    axis.set_yticks([])


def arrows(axis: Any, x: Any, y: Any, right: Any, up: Any, colour: str) -> None:
    """Draws arrows from (x, y), of lengths (right, up) in the units of the axes."""
    style = {"width": 0.007, "headwidth": 4.0, "headlength": 4.0, "headaxislength": 3.6, "zorder": 3}
    size = np.broadcast_to(right, np.shape(x)), np.broadcast_to(up, np.shape(y))
    axis.quiver(x, y, *size, color=colour, angles="xy", scale_units="xy", scale=1.0, **style)


def legend(axis: Any, where: str = "best") -> None:
    """Adds the legend."""
    axis.legend(fontsize=9, frameon=False, loc=where, labelcolor=INK)


def png(figure: Any) -> bytes:
    """The figure at 100 dots an inch."""
    return plotting.png(figure, dpi=100)
