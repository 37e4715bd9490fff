"""`hindsight-jax export DIR OUTPUT`: writes a trained policy to an ONNX file, and plays it back."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hindsight_jax.cli import commands
from hindsight_jax.runs import streams
from hindsight_jax.runs.jax_flags import configure_jax

if TYPE_CHECKING:
    from hindsight_jax.interop.export import Exported

PLAYED, NEEDED = 1000, 990  # random inputs, and on how many of them the actions must agree: near-ties are rarer


def main(argv: Sequence[str]) -> int:
    """Runs the command with what follows the word `export`; 0: done, 1: it failed, 2: bad arguments."""
    arguments = parser().parse_args(argv)
    configure_jax()
    # Imported here: it takes seconds, and bad arguments must be refused at once.
    from hindsight_jax.backend import BackendError
    from hindsight_jax.checkpoints.checkpoints import CheckpointError

    try:
        from hindsight_jax.interop.export import export

        exported = export(arguments.workdir, arguments.output, member=arguments.member, which=arguments.which)
        streams.print_line(summary(exported))
        return play_back(exported)
    except (ValueError, ImportError, OSError, CheckpointError, BackendError) as error:
        return commands.failed(error, 1)


def parser() -> commands.Parser:
    """The command's arguments."""
    made = commands.Parser(
        "export", "Write a trained policy to an ONNX file, which runs without JAX, and play it back by onnxruntime."
    )
    made.add_argument("workdir", metavar="DIR", help="the directory of the run")
    made.add_argument("output", metavar="OUTPUT", help="the file, such as policy.onnx; one that is there is replaced")
    made.add_argument("--member", type=int, default=0, help="the run's member, from 0, the default")
    made.add_argument(
        "--which", choices=("best", "last"), default="best", help="at its best evaluation, the default, or at the end"
    )
    return made


def summary(exported: "Exported") -> str:
    """One line on what the file holds."""
    metadata, size = exported.metadata, exported.path.stat().st_size
    when = "at its best evaluation" if metadata["which"] == "best" else "at the end"
    who = f"member {metadata['member']} of {metadata['name']} {when}"
    return f"{exported.path}: {who}, after {metadata['env_steps']:,} env steps; {size / 1e3:,.0f} kB"


def play_back(exported: "Exported") -> int:
    """Compares the file with JAX, if onnxruntime is installed; returns the exit code."""
    from hindsight_jax.interop.export import agreement

    try:
        agreed = agreement(exported, PLAYED)
    except ImportError as error:
        streams.print_line(f"not played back: {error}")
        return 0
    found = f"onnxruntime gives JAX's action on {agreed:,} of {PLAYED:,} random inputs"
    if agreed < NEEDED:
        print(f"error: {exported.path}: {found}, which rounding does not explain. Do not use it.", file=sys.stderr)
        return 1
    streams.print_line(found)
    return 0
