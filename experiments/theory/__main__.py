"""Measures every claim, prints a summary and writes the page: python -m experiments.theory [--output=DIR] [claim ..].

The exit status is 1 if a figure is out of its tolerance, and 2 for invalid arguments.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

os.environ.setdefault(
    "JAX_PLATFORMS", "cpu"
)  # tiny problems in float64: an accelerator is slower and rounds differently

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.theory import page
from experiments.theory.claims import CLAIMS
from experiments.theory.results import Claim
from hindsight_jax import backend


def main(argv: Sequence[str] | None = None) -> int:
    """Measures the claims that `argv` names, all by default, and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.theory", description="The mathematics of the papers on problems that are exact."
    )
    parser.add_argument("claims", nargs="*", metavar="claim", help=f"all by default; of {', '.join(CLAIMS)}")
    parser.add_argument(
        "--output", default=pathlib.Path("runs/theory"), type=pathlib.Path, help="a folder, made if need be"
    )
    arguments = parser.parse_args(argv)
    for name in arguments.claims:
        if name not in CLAIMS:
            parser.error(f"claim: got {name!r}, but it must be one of {', '.join(CLAIMS)}; leave it out for all")
    backend.start_or_exit()
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(
            f"--output: got {arguments.output}, but it must be a folder that can be written ({error.strerror})"
        )
    claims = [measure() for name, measure in CLAIMS.items() if name in (arguments.claims or CLAIMS)]
    written = page.write(claims, arguments.output)
    show(Console(file=sys.stdout, width=120), claims)
    print(f"written: {written}")
    return 0 if all(claim.holds for claim in claims) else 1


def show(console: Console, claims: Sequence[Claim]) -> None:
    """Prints the summary, and every figure that does not hold."""
    table = Table(title="theory", title_justify="left")
    for column in ("claim", "source", "verdict", "figures that hold"):
        table.add_column(column)
    for claim in claims:
        table.add_row(*(escape(text) for text in (claim.title, claim.source, claim.verdict, page.count(claim))))
    console.print(table)
    for claim in claims:
        for figure in claim.figures:
            if not figure.holds:
                text = f"{claim.key}: {figure.name}: expected {figure.expected_text}, measured {figure.measured:.6g}"
                console.print(escape(text), style="bold red", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
