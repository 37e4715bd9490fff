"""The commands beside training, such as `hindsight-jax show DIR`. Each is a module that is imported when it runs.

Each module's `main(argv)` takes the arguments after the command's name, and returns 0: done, 1: it failed, 2: bad
arguments.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from hindsight_jax import fields
from hindsight_jax.backend import BackendError

COMMANDS = {
    "show": "one HTML page of one or several runs: curves, diagnostics, videos, what differs",
    "compare": "which of several runs is better, with intervals, as text",
    "batch": "trains several runs one after another; goes on where it was stopped",
    "evaluate": "plays a run's policies on new goals, or on yours; --video draws them",
    "export": "writes a policy to an ONNX file, which runs without JAX",
}


class Parser(argparse.ArgumentParser):
    """argparse's, whose errors look as those of the flags: one line, exit code 2."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(prog=f"{fields.COMMAND} {name}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}. See {self.prog} --help.".replace("\n", "\\n"), file=sys.stderr)
        raise SystemExit(2)


def is_command(argv: Sequence[str]) -> bool:
    """Whether the command line names a command, rather than flags of a run."""
    return bool(argv) and argv[0] in COMMANDS


def run(argv: Sequence[str]) -> int:
    """Runs the command that the first argument names; the others are its own."""
    module = importlib.import_module(f"hindsight_jax.cli.{argv[0]}")
    try:
        return module.main(argv[1:])
    except SystemExit as end:  # argparse's, after --help or an error
        return int(end.code or 0)
    except (OSError, BackendError) as error:  # a file that vanished meanwhile, a disk that refuses; no device
        return failed(error, 1)


def failed(error: Exception, code: int = 2) -> int:
    """Prints the error on one line, though a path in it may hold the end of one, and returns the exit code."""
    print("error: " + str(error).replace("\n", "\\n"), file=sys.stderr)
    return code


def aligned(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Columns on the left, two blanks apart.

    >>> aligned([("a", "bc"), ("def", "g")])
    ['a    bc', 'def  g']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [(indent + "  ".join(map(str.ljust, row, widths))).rstrip() for row in rows]
