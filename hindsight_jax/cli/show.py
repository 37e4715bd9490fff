"""`hindsight-jax show DIR [LABEL=DIR ...]`: writes one HTML page of runs, which needs nothing but a browser."""

from collections.abc import Sequence
from pathlib import Path

from hindsight_jax.cli import commands
from hindsight_jax.runs import sources, streams
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.report import page


def main(argv: Sequence[str]) -> int:
    """Writes the page and prints where; returns 2 if a directory holds no run, 1 if the page cannot be written."""
    parser = commands.Parser("show", "One HTML page of one or several runs; of a directory of runs, of all in it.")
    parser.add_argument("runs", nargs="+", metavar="[LABEL=]DIR", help="a run's directory, or one that holds several")
    parser.add_argument("--output", type=Path, help="the page: DIR/report.html of one run, else report.html here")
    parser.add_argument("--title", default="", help="by default the names of the runs")
    arguments = parser.parse_args(argv)
    try:
        found = sources.read(arguments.runs)
    except (ValueError, WorkDirError) as error:
        return commands.failed(error)
    output = arguments.output or (found[0].path / page.NAME if len(found) == 1 else Path(page.NAME))
    try:
        page.write(found, output, arguments.title)
    except WorkDirError as error:
        return commands.failed(error, 1)
    streams.print_line(f"{len(found)} run{'s' * (len(found) > 1)}: {output}")
    return 0
