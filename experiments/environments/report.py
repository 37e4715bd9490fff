"""The figures of `experiments.environments`, as rows of text, as a picture, and as the table of a Markdown page."""

from collections.abc import Iterator
from typing import Any

from hindsight_jax import checks, plotting
from hindsight_jax.plotting import BLUE, INK

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
    ("success_end", "random: solved at the end", ".", BLUE),
    ("success_any", "random: solved at any step", "o", BLUE),
    ("change_ratio", "random: achieved goal changed", "D", "#c44536"),
    ("reachable", "goals within reach", "s", "#2f8f4e"),
)
_SHADES = {"1": "#c6dbef", "64": "#6baed6", "256": "#2171b5", "1024": "#08306b"}

Tasks = dict[str, dict[str, Any]]


def rows(tasks: Tasks) -> Iterator[list[str]]:
    """The cells of each task, one for each of COLUMNS; a dash where a task has no raw loop."""
    for name, figures in tasks.items():
        speed = figures["speed"]
        ratios = [speed[batch]["ratio"] for batch in ("64", "256")]
        yield [
            name,
            *(f"{figures[key]:.3f}" for key, *_ in _SHARES),
            *(f"{speed[batch]['env_steps_per_second']:,.0f}" for batch in _SHADES),
            *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
            f"{speed['256']['compile_seconds']:.1f}",
            f"{figures['images_per_second']:,.0f}",
        ]


def table(tasks: Tasks) -> str:
    """The rows in Markdown."""
    lines = [COLUMNS, ("---", *["---:"] * (len(COLUMNS) - 1)), *rows(tasks)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def rewritten(page: str, tasks: Tasks) -> str:
    """The page with this table between BEGIN and END. Raises ValueError unless it holds each once, in this order."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        rule = f"it must hold {BEGIN} and then {END}, once each"
        checks.fail("page", "no place for the table", rule, "Add both lines.")
    return f"{before}{BEGIN}\n{table(tasks)}\n{END}{after}"


def plot(tasks: Tasks) -> bytes:
    """A PNG: shares of episodes and goals, env steps/s at every batch, and their ratio to raw mjx.step."""
    figure = plotting.new_figure(11.5, 1.9 + 0.36 * len(tasks))
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
    speeds.axvline(TARGET_SPEED, color=INK, linewidth=0.8, linestyle="--")
    ratios.axvline(TARGET_RATIO, color=INK, linewidth=0.8, linestyle="--")
    ratios.set_xlim(left=0.0)
    shares.set_yticks(range(len(tasks)), list(tasks))
    shares.set_ylim(len(tasks) - 0.5, -0.5)
    titles = ("share of random episodes, and of goals", "env steps per second", "of a loop over raw mjx.step")
    for axis, title in zip((shares, speeds, ratios), titles, strict=True):
        plotting.style_axis(axis, title, hidden=("top", "right", "left"))
        axis.tick_params(length=0)
    for axis in (shares, speeds):
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, fontsize=8, frameon=False)
    return plotting.png(figure)
