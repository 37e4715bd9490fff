"""The speed benchmark: python -m experiments.bench [--config=hdm_push_paper] [--seeds=4] [--output=FILE.json]
[--picture=FILE.png] [--parts environment ring run algorithms images peers scaling startup lowering safety].
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

os.environ.setdefault("MUJOCO_GL", "disable")

from rich.console import Console
from rich.table import Table

from experiments.bench import picture
from experiments.bench.measure import PARTS, measure
from hindsight_jax import backend, presets
from hindsight_jax.runs.jax_flags import configure_jax


def main(argv: Sequence[str] | None = None) -> int:
    """Prints every table, and writes the figures and their picture where asked; the exit status."""
    arguments = parse(argv)
    configure_jax(arguments.seeds)
    backend.start_or_exit()
    console = Console(file=sys.stdout, width=110)
    figures = measure(
        arguments.config, arguments.seeds, arguments.parts, lambda title, part: show(console, title, part)
    )
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")
    if arguments.picture:
        arguments.picture.write_bytes(picture.draw(figures))
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the arguments; exits with status 2 if they are invalid."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench", description="The speed benchmark.")
    on_push = [name for name in presets.names() if "_push" in name and "replay.capacity" in presets.fields_of(name)]
    parser.add_argument("--config", default="hdm_push_paper", choices=on_push, metavar="NAME")
    parser.add_argument("--parts", nargs="+", default=[*PARTS], choices=[*PARTS])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--output", type=pathlib.Path, help="a JSON file for the figures")
    parser.add_argument("--picture", type=pathlib.Path, help="a PNG file for the curves of ring and scaling")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        parser.error(f"--seeds: got {arguments.seeds}, but it must be at least 1")
    if arguments.picture and not {"ring", "scaling"} & set(arguments.parts):
        parser.error("--picture: it draws the parts ring and scaling; add one of them to --parts")
    return arguments


def show(console: Console, title: str, figures: Mapping[str, float]) -> None:
    """Prints one table: three decimals below 100, none above."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3f}" if value < 100 else f"{value:,.0f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
