"""What the tasks are before any training: python -m experiments.environments [--tasks push door]
[--episodes=1000] [--rounds=8] [--load=FILE] [--output=FILE] [--plot=PNG] [--page=MD]; a picture of all tasks:
python -m experiments.environments --gallery=PNG; what policies see of some, as images: --inputs=PNG; and the goals that
navigation's discrete actions can reach, by the number of dimensions: --navigation 2 5 10 20.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disable")

import jax
from rich.console import Console
from rich.table import Table

from experiments.bench.timing import ROUNDS
from experiments.environments import gallery, inputs, report
from experiments.environments.measure import measure
from hindsight_jax import backend, envs
from hindsight_jax.envs import registry
from hindsight_jax.runs import jax_flags, provenance
from hindsight_jax.runs.chance import reachable_share


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints the tables, and writes the files asked for; the exit status."""
    jax_flags.avoid_deadlock()
    arguments = parse(argv)
    backend.start_or_exit()
    if arguments.gallery:
        arguments.gallery.write_bytes(gallery.draw({name: envs.make(name) for name in arguments.tasks}))
        return 0
    if arguments.inputs:
        arguments.inputs.write_bytes(inputs.draw([name for name in inputs.TASKS if name in arguments.tasks]))
        return 0
    if arguments.navigation:
        show_navigation(arguments.navigation)
        return 0
    source = {"episodes": arguments.episodes} | provenance.describe(sys.argv[1:] if argv is None else argv)
    if arguments.load:
        figures = json.loads(arguments.load.read_text())
        if arguments.tasks:
            again = arguments.tasks if arguments.rounds else [f"{name}, shares" for name in arguments.tasks]
            figures["again"] = figures.get("again", {}) | dict.fromkeys(again, source)
    else:
        figures = source | {"tasks": {}}
    unknown = set(arguments.tasks) - set(figures["tasks"])
    if unknown and not arguments.rounds:
        print(f"--rounds: got 0, but {arguments.load} has no speeds of {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    for name in arguments.tasks:
        kept = {} if arguments.rounds else figures["tasks"][name]
        figures["tasks"][name] = kept | measure(name, arguments.episodes, arguments.rounds)
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
    parser.add_argument("--tasks", nargs="+", choices=registry.OF_PAPERS, metavar="TASK", help=which)
    parser.add_argument("--episodes", type=int, default=1000, help="of the random policy, per task")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of timing; the fastest is kept; 0 keeps --load's")
    parser.add_argument("--load", type=pathlib.Path, help="figures of an earlier --output, for all tasks but --tasks")
    parser.add_argument("--output", type=pathlib.Path, help="a JSON file for the figures")
    parser.add_argument("--plot", type=pathlib.Path, help="a PNG of the figures")
    parser.add_argument("--page", type=pathlib.Path, help="a Markdown page whose table of figures is rewritten")
    parser.add_argument("--inputs", type=pathlib.Path, help="a PNG of what policies see; nothing is measured")
    parser.add_argument("--gallery", type=pathlib.Path, help="a PNG of all tasks, a tile each; nothing is measured")
    parser.add_argument(
        "--navigation",
        nargs="+",
        type=int,
        metavar="K",
        help="print the share of goals that navigation's discrete "
        "actions can reach in K dimensions; nothing else is measured",
    )
    arguments = parser.parse_args(argv)
    if arguments.tasks is None:
        arguments.tasks = [] if arguments.load else list(registry.OF_PAPERS)
    _check(parser, arguments)
    return arguments


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Exits with status 2 if the arguments are out of range or contradict each other."""
    least = {"episodes": 1, "rounds": 0 if arguments.load else 1}
    for name, low in least.items():
        if getattr(arguments, name) < low:
            parser.error(f"--{name}: got {getattr(arguments, name)}, but it must be at least {low}")
    if min(arguments.navigation or [1]) < 1:
        parser.error(f"--navigation: got {min(arguments.navigation)}, but it must be at least 1")
    for name in ("gallery", "inputs", "navigation"):
        if getattr(arguments, name) and (arguments.load or arguments.output or arguments.plot or arguments.page):
            parser.error(f"--{name}: it measures no task; leave out --load, --output, --plot and --page, or call twice")
    if arguments.inputs and not set(arguments.tasks) & set(inputs.TASKS):
        parser.error(f"--inputs: it draws {', '.join(inputs.TASKS)}; add one of them to --tasks")
    for name in ("load", "page"):
        path = getattr(arguments, name)
        if path and not path.is_file():
            parser.error(f"--{name}: got {path}, but there is no such file")


def show_navigation(sizes: Sequence[int]) -> None:
    """Prints the share of 100,000 goals that discrete actions can reach from a random start, for each size."""
    for size in sizes:
        env = envs.make("navigation", size=size, actions="discrete")
        share = jax.jit(reachable_share, static_argnums=(0, 2))(env, jax.random.key(0), 100_000)
        print(f"navigation, K = {size}, discrete actions: {float(share):.4f} of the goals can be reached")


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
