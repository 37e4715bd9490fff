"""Measures when hindsight imitation cannot work: python -m experiments.limits [--seeds=100,101,102] [part ..].

The parts are locks, bounds and gambles; those that are not named stay as they were stored. Writes
experiments/results/limits.json and docs/limits.png, the source of docs/limits.md. The exit status is 2 for invalid
arguments.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Sequence

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # networks of a few thousand weights

from experiments.limits import measure, picture, summary, tasks
from hindsight_jax import backend
from hindsight_jax.runs import strict_json

ROOT = pathlib.Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.limits", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"all by default; of {', '.join(measure.PARTS)}")
    parser.add_argument("--seeds", default="100,101,102", type=_seeds, help="two or more, separated by commas")
    parser.add_argument("--results", default=ROOT / "experiments" / "results", type=pathlib.Path, help="a folder")
    parser.add_argument("--pictures", default=ROOT / "docs", type=pathlib.Path, help="a folder")
    arguments = parser.parse_args(argv)
    for folder in (arguments.results, arguments.pictures):
        if not folder.is_dir():
            parser.error(f"got {folder}, but it must be a folder that is there")
    for part in arguments.parts:
        if part not in measure.PARTS:
            parser.error(f"part: got {part!r}, but it must be one of {', '.join(measure.PARTS)}; leave it out for all")
    path = arguments.results / "limits.json"
    if arguments.parts and not path.exists():
        parser.error(f"part: got {' '.join(arguments.parts)}, but {path} has no others to keep; leave it out for all")
    backend.start_or_exit()
    tasks.register()
    figures = json.loads(path.read_text()) if arguments.parts else {"seeds": {}}
    for part in arguments.parts or measure.PARTS:
        figures[part] = strict_json.plain(measure.PARTS[part](arguments.seeds, print))
        figures["seeds"][part] = list(arguments.seeds)
    path.write_text(json.dumps(figures, indent=1) + "\n")
    (arguments.pictures / "limits.png").write_bytes(picture.draw(figures))
    print("\n".join(summary.lines(figures)))
    return 0


def _seeds(text: str) -> tuple[int, ...]:
    """The numbers of a list."""
    seeds = tuple(int(part) for part in text.split(","))
    if len(set(seeds)) < 2:
        raise argparse.ArgumentTypeError(f"got {text}, but an interval needs two different seeds or more")
    return seeds


if __name__ == "__main__":
    sys.exit(main())
