"""The figures of `experiments.environments`, as rows of text, as a picture, and as the table of a Markdown page."""

from collections.abc import Iterator
from typing import Any

from hindsight_jax import checks, plotting

COLUMNS = (
    "task",
    *("start", "end", "any", "changed", "reachable"),  # _SHARES
    *("steps/s, 1", "64", "256", "1024"),  # batches
    *("of raw, 64", "256"),
    "compile, s",
    "images/s",
)
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"  # around the page's table
TARGET_SPEED, TARGET_RATIO = 10_000, 0.85  # at a batch of 256 on two cores
_SHARES = (
    ("success_start", "solved at the start", "|", "#999999"),
    ("success_end", "random: solved at the end", ".", "#1f5fa8"),
    ("success_any", "random: solved at any step", "o", "#1f5fa8"),
    ("change_ratio", "random: achieved goal changed", "D", "#c44536"),
    ("reachable", "goals within reach", "s", "#2f8f4e"),
)
_SHADES = {"1": "#c6dbef", "64": "#6baed6", "256": "#2171b5", "1024": "#08306b"}
_INK, _GREY = "#333333", "#d9d9d9"

Tasks = dict[str, dict[str, Any]]


def rows(tasks: Tasks) -> Iterator[list[str]]:
    """The cells of every task, one for each of COLUMNS; a dash where there is no raw loop."""
    share = lambda value: f"{value:.3f}"
    count = lambda value: f"{value:,.0f}"
    ratio = lambda value: "-" if value is None else f"{value:.2f}"
    for name, figures in tasks.items():
        speed = figures["speed"]
        yield [
            name,
            *(share(figures[key]) for key, *_ in _SHARES),
            *(count(speed[batch]["env_steps_per_second"]) for batch in _SHADES),
            *(ratio(speed[batch]["ratio"]) for batch in ("64", "256")),
            f"{speed['256']['compile_seconds']:.1f}",
            count(figures["images_per_second"]),
        ]


def table(tasks: Tasks) -> str:
    """The rows in Markdown."""
    lines = [COLUMNS, ("---", *["---:"] * (len(COLUMNS) - 1)), *rows(tasks)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def rewritten(page: str, tasks: Tasks) -> str:
    """The page with this table between its two marks. Raises ValueError if they are not there, once and in order."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        checks.fail("page", "no such place", f"it must hold {BEGIN} and then {END}, once each", "Add both lines.")
    return f"{before}{BEGIN}\n{table(tasks)}\n{END}{after}"


def plot(tasks: Tasks) -> bytes:
    """A PNG: shares of episodes and goals, env steps/s at every batch, and their ratio to raw mjx.step."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 1.9 + 0.36 * len(tasks)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    shares, speeds, ratios = figure.subplots(1, 3, sharey=True, width_ratios=[1.25, 1.0, 0.75])
    for row, values in enumerate(tasks.values()):
        for key, label, marker, colour in _SHARES:
            hollow = {"markerfacecolor": "none", "markersize": 9} if key == "success_any" else {}
            shares.plot(values[key], row, marker, color=colour, label=None if row else label, clip_on=False, **hollow)
        for batch, colour in _SHADES.items():
            speed = values["speed"][batch]
            label = None if row else f"batch {batch}"
            speeds.plot(speed["env_steps_per_second"], row, "o", color=colour, label=label)
            if speed["ratio"] is not None:
                ratios.plot(speed["ratio"], row, "o", color=colour, clip_on=False)
    speeds.set_xscale("log")
    speeds.axvline(TARGET_SPEED, color=_INK, linewidth=0.8, linestyle="--")
    ratios.axvline(TARGET_RATIO, color=_INK, linewidth=0.8, linestyle="--")
    ratios.set_xlim(left=0.0)
    shares.set_yticks(range(len(tasks)), list(tasks))
    shares.set_ylim(len(tasks) - 0.5, -0.5)
    titles = ("share of random episodes, and of goals", "env steps per second", "of a loop over raw mjx.step")
    for axis, title in zip((shares, speeds, ratios), titles, strict=True):
        _dress(axis, title)
    for axis in (shares, speeds):
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, fontsize=8, frameon=False)
    return plotting.png(figure)


def _dress(axis: Any, title: str) -> None:
    """The looks of one panel."""
    axis.set_title(title, fontsize=10, color=_INK, loc="left")
    axis.grid(True, axis="both", color=_GREY, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(labelsize=9, colors=_INK, length=0)
