"""What the tasks are before any training: python -m experiments.environments [--tasks push door]
[--episodes=1000] [--rounds=8] [--load=FILE] [--output=FILE] [--plot=PNG] [--page=MD]; and a picture of all tasks:
python -m experiments.environments --gallery=PNG.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disable")

from rich.console import Console
from rich.table import Table

from experiments.bench.timing import ROUNDS
from experiments.environments import gallery, report
from experiments.environments.measure import measure
from hindsight_jax import envs
from hindsight_jax.runs import jax_flags, provenance


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints the tables, and writes the files asked for; the exit status."""
    jax_flags.avoid_deadlock()
    arguments = parse(argv)
    if arguments.gallery:
        arguments.gallery.write_bytes(gallery.draw({name: envs.make(name) for name in arguments.tasks}))
        return 0
    source = {"episodes": arguments.episodes} | provenance.describe(sys.argv[1:] if argv is None else argv)
    if arguments.load:
        figures = json.loads(arguments.load.read_text())
        if arguments.tasks:
            figures["again"] = figures.get("again", {}) | dict.fromkeys(arguments.tasks, source)
    else:
        figures = source | {"tasks": {}}
    figures["tasks"] |= {name: measure(name, arguments.episodes, arguments.rounds) for name in arguments.tasks}
    show(Console(file=sys.stdout, width=140), figures["tasks"])
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=1) + "\n")
    if arguments.plot:
        arguments.plot.write_bytes(report.plot(figures["tasks"]))
    if arguments.page:
        arguments.page.write_text(report.rewritten(arguments.page.read_text(), figures["tasks"]))
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the arguments; exits with status 2 if they are invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.environments", description="What the tasks are before any training."
    )
    which = "to measure or to draw; by default all, and with --load none"
    parser.add_argument("--tasks", nargs="+", choices=envs.names(), metavar="TASK", help=which)
    parser.add_argument("--episodes", type=int, default=1000, help="of the random policy, per task")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of timing; the fastest is kept")
    parser.add_argument("--load", type=pathlib.Path, help="figures of an earlier --output, for all tasks but --tasks")
    parser.add_argument("--output", type=pathlib.Path, help="a JSON file for the figures")
    parser.add_argument("--plot", type=pathlib.Path, help="a PNG of the figures")
    parser.add_argument("--page", type=pathlib.Path, help="a Markdown page whose table of figures is rewritten")
    parser.add_argument("--gallery", type=pathlib.Path, help="a PNG of all tasks, a tile each; nothing is measured")
    arguments = parser.parse_args(argv)
    if arguments.tasks is None:
        arguments.tasks = [] if arguments.load else list(envs.names())
    for name in ("episodes", "rounds"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: got {getattr(arguments, name)}, but it must be at least 1")
    if arguments.gallery and (arguments.load or arguments.output or arguments.plot or arguments.page):
        parser.error("--gallery: it measures nothing; leave out --load, --output, --plot and --page, or call twice")
    for name in ("load", "page"):
        path = getattr(arguments, name)
        if path and not path.is_file():
            parser.error(f"--{name}: got {path}, but there is no such file")
    return arguments


def show(console: Console, tasks: dict[str, Any]) -> None:
    """Prints the figures of all tasks, in two tables that fit the console."""
    for title, part in (("a random policy, shares", slice(1, 6)), ("speed", slice(6, None))):
        table = Table("task", title=title, title_justify="left")
        for column in report.COLUMNS[part]:
            table.add_column(column, justify="right")
        for name, *cells in report.rows(tasks):
            table.add_row(name, *[name, *cells][part])
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
