"""Speed against limits, in one run: python -m experiments.bench [--config=hdm_push_paper] [--seeds=4]
[--parts environment ring run algorithms peers scaling start caution] [--output=FILE.json] [--picture=FILE.png].

What is measured beside what: the environment beside the raw `mjx.step` loop at the same batch, the learner's useful
floating-point operations beside a matrix product's on the same machine, an update on a large ring beside a small one,
the parts of an epoch beside each other, and an update of every algorithm beside the time that its own useful operations
would take at the matrix product's speed; other people's code that does the same work, where it is installed (`peers`);
how an update's cost scales with members, batch, environments and devices (`scaling`); how long a run takes to begin
(`start`); and what the checks for NaN and the checkpoints take of it (`caution`). Each pair is measured in turn and the
best of several rounds is kept, since machines are shared and noisy: compare figures of one run only.

Dimension key: M members (seeds), U updates of an epoch, B batch.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from experiments.bench.epoch import measure_run
from experiments.bench.ring import measure_ring

os.environ.setdefault("MUJOCO_GL", "disable")

from rich.console import Console
from rich.table import Table

from experiments.bench import peers, picture, safety_cost, scaling, startup, update_cost
from experiments.environments import speed as env_speed
from hindsight_jax import presets
from hindsight_jax.runs import provenance
from hindsight_jax.runs.jax_flags import configure_jax

ENV_BATCH = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Prints every table, and writes the figures as JSON if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench", description="Speed against limits, in one run."
    )
    ring = [name for name in presets.names() if "replay.capacity" in presets.fields_of(name) and "_push" in name]
    parser.add_argument("--config", default="hdm_push_paper", choices=ring, metavar="NAME")
    parser.add_argument("--parts", nargs="+", default=[*PARTS, *ROWS], choices=[*PARTS, *ROWS])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--output", help="a JSON file for the figures")
    parser.add_argument("--picture", help="a PNG file for the curves of ring and scaling")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        parser.error(f"--seeds: got {arguments.seeds}, but it must be at least 1")
    if arguments.picture and not {"ring", "scaling"} & set(arguments.parts):
        parser.error("--picture: its curves are those of the parts ring and scaling; add one of them to --parts")
    configure_jax(arguments.seeds)
    figures = measure(arguments.config, arguments.seeds, arguments.parts, Console(file=sys.stdout, width=110))
    if arguments.output:
        with open(arguments.output, "w") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")
    if arguments.picture:
        pathlib.Path(arguments.picture).write_bytes(picture.picture(figures))
    return 0


def measure(name: str, seeds: int, parts: Sequence[str], console: Console) -> dict[str, Any]:
    """The figures of every part, each printed when it is there."""
    figures: dict[str, Any] = {"config": name, "seeds": seeds} | provenance.describe()
    values, setup = presets.config(name), None
    for part in parts:
        if part in PARTS:
            setup = setup or presets.build(name, values)
            figures[part] = PARTS[part](name, setup, values, seeds)
            show(console, part, figures[part])
        else:
            figures[part] = ROWS[part](name, seeds)
            for title, row in figures[part].items():
                show(console, f"{part}: {title}", row)
    return figures


def measure_environment(name: str, setup: presets.Setup, values: dict[str, Any], seeds: int) -> dict[str, float]:
    """Env steps/s at a batch of 64, and of a loop over nothing but mjx.step with the same controls."""
    del name, values, seeds
    speed = env_speed.measure(setup.env, [ENV_BATCH])[ENV_BATCH]
    return {name: value for name, value in speed._asdict().items() if name != "compile_seconds"}


PARTS: dict[str, Callable[[str, presets.Setup, dict[str, Any], int], dict[str, float]]] = {
    "environment": measure_environment,
    "ring": measure_ring,
    "run": measure_run,
}


def measure_algorithms(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """What an update of every algorithm costs on push."""
    del name
    costs = update_cost.measure([f"{row}_push" for row in presets.ALGORITHMS], seeds)
    return {name: cost._asdict() for name, cost in costs.items()}


def measure_peers(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """Other people's code that does the same work, where it is installed (extra `bench`)."""
    del name
    return {"ours and theirs": peers.measure(seeds)}


# Parts of several tables, which need no setup built.
ROWS: dict[str, Callable[[str, int], dict[str, dict[str, float]]]] = {
    "algorithms": measure_algorithms,
    "peers": measure_peers,
    "scaling": scaling.measure,
    "start": startup.measure,
    "caution": safety_cost.measure,
}


def show(console: Console, title: str, figures: dict[str, float]) -> None:
    """One table."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3f}" if value < 100 else f"{value:,.0f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
