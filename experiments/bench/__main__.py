"""The speed benchmark: python -m experiments.bench [--config=hdm_push_paper] [--seeds=4] [--output=FILE.json]
[--picture=FILE.png] [--parts environment ring run operations algorithms images peers scaling startup lowering safety].

On a GPU or TPU: python -m experiments.bench --parts accelerator --output=FILE.json.

Beside JaxGCRL, where a Python has it: python -m experiments.bench --parts jaxgcrl --peer-python=PATH [--peer-dir=CLONE]
[--peer-configs NAME ...] [--peer-steps=2500000] [--peer-seeds 0 ...] [--peer-minutes=60] --output=FILE.json.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disable")

from rich.console import Console
from rich.table import Table

from experiments.bench import accelerator, picture, sections
from experiments.bench.jaxgcrl import compare
from experiments.bench.measure import PARTS, BesidePeer, InSections, measure
from hindsight_jax import backend, presets
from hindsight_jax.runs.jax_flags import configure_jax


def main(argv: Sequence[str] | None = None) -> int:
    """Prints every table, and writes the figures and their picture where asked; the exit status.

    It is 1 if a section of the part `accelerator` or a run of `jaxgcrl` failed.
    """
    arguments = parse(argv)
    configure_jax(arguments.seeds)
    backend.start_or_exit()
    console = Console(file=sys.stdout, width=110)
    report = lambda title, part: show(console, title, part)
    write = lambda figures: sections.write(arguments.output, figures) if arguments.output else None
    figures = measure(arguments.config, arguments.seeds, arguments.parts, report, write, arguments.peer)
    if arguments.picture:
        arguments.picture.write_bytes(picture.draw(figures))
    found = figures.get("accelerator", {}) | figures.get("jaxgcrl", {}).get("runs", {})
    return int(accelerator.failed(found))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the arguments; exits with status 2 if they are invalid."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench", description="The speed benchmark.")
    on_push = [name for name in presets.names() if "_push" in name and "replay.capacity" in presets.fields_of(name)]
    parser.add_argument("--config", default="hdm_push_paper", choices=on_push, metavar="NAME")
    together = [name for name, part in PARTS.items() if not isinstance(part, (InSections, BesidePeer))]
    parser.add_argument("--parts", nargs="+", default=together, choices=[*PARTS])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--output", type=pathlib.Path, help="a JSON file for the figures")
    parser.add_argument("--picture", type=pathlib.Path, help="a PNG file for the curves of ring and scaling")
    add_peer(parser)
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        parser.error(f"--seeds: got {arguments.seeds}, but it must be at least 1")
    if arguments.output and not arguments.output.parent.is_dir():
        parser.error(f"--output: there is no folder {arguments.output.parent}; make it first")
    if arguments.picture and not {"ring", "scaling"} & set(arguments.parts):
        parser.error("--picture: it draws the parts ring and scaling; add one of them to --parts")
    arguments.peer = find_peer(parser, arguments)
    return arguments


def add_peer(parser: argparse.ArgumentParser) -> None:
    """The flags of the part `jaxgcrl`."""
    group = parser.add_argument_group("beside JaxGCRL", "of the part jaxgcrl")
    group.add_argument("--peer-python", metavar="PATH", help="the python of an environment with JaxGCRL's packages")
    group.add_argument(
        "--peer-dir", type=pathlib.Path, metavar="CLONE", help="JaxGCRL's folder, if not installed there"
    )
    group.add_argument("--peer-configs", nargs="+", default=compare.CONFIGS, metavar="NAME", help="our runs")
    group.add_argument("--peer-steps", type=int, default=compare.STEPS, help="env steps of each run")
    group.add_argument("--peer-seeds", nargs="+", type=int, default=[0], metavar="SEED", help="one after the other")
    group.add_argument("--peer-minutes", type=float, default=60.0, help="the time limit of each run")


def find_peer(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> compare.Peer | None:
    """What the part `jaxgcrl` runs; None if it was not asked for. Exits with status 2 if it cannot run."""
    if "jaxgcrl" not in arguments.parts:
        return None
    if not arguments.peer_python:
        parser.error(
            "--parts jaxgcrl: it needs JaxGCRL. Clone it, install it in a virtual environment of its own (it pins an"
            " earlier JAX), and name that environment's python by --peer-python=PATH"
        )
    values = (arguments.peer_configs, arguments.peer_steps, arguments.peer_seeds, arguments.peer_minutes)
    try:
        return compare.find(arguments.peer_python, arguments.peer_dir, *values)
    except ValueError as error:
        return parser.error(str(error))


def show(console: Console, title: str, figures: Mapping[str, Any]) -> None:
    """Prints one table: three decimals below 100, none above."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, text(value))
    console.print(table)


def text(value: Any) -> str:
    """A figure as a table shows it.

    >>> text(1.23456), text(1234567.8), text(None), text([2.0, 3.0])
    ('1.235', '1,234,568', 'None', '[2.0, 3.0]')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.3f}" if value < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
