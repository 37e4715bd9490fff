"""The command `hindsight-jax`: trains a population by name, hindsight-jax --config=hdm_push [--help, --list], or runs
one of `commands.COMMANDS`.
"""

import math
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hindsight_jax import presets
from hindsight_jax.cli import commands, help
from hindsight_jax.cli.arguments import Arguments, parse
from hindsight_jax.cli.flags import UsageError
from hindsight_jax.runs import streams
from hindsight_jax.runs.jax_flags import configure_jax

if TYPE_CHECKING:
    from hindsight_jax.runs.processes import Processes


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; 0: done, 1: the run failed, 2: bad arguments, 143 or 130: after SIGTERM or SIGINT."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if commands.is_command(argv):
        return commands.run(argv)
    try:
        arguments = parse(argv)
    except UsageError as error:
        return commands.failed(error)
    if arguments.help or arguments.list is not None:
        streams.print_line(help.help_text(arguments.name) if arguments.help else help.list_text(arguments.list or ""))
        return 0
    return run(arguments, argv)


def run(arguments: Arguments, argv: Sequence[str]) -> int:
    """Trains or explains a run; returns the exit code."""
    configure_jax(members_here(arguments))
    # Imported here: it takes seconds, and bad arguments must be refused at once.
    from hindsight_jax.runs import launch, processes
    from hindsight_jax.runs.refusals import SessionError, refusals
    from hindsight_jax.runs.signals import GracefulExit

    joined = processes.Processes()
    try:
        with refusals():
            joined = processes.join(arguments.address)
        if arguments.explain:
            explain(arguments, joined)
            return 0
        with GracefulExit() as interrupt:
            return launch.train(
                arguments.name,
                arguments.config,
                arguments.grid,
                arguments.workdir,
                resume=arguments.resume,
                verbose=arguments.verbose,
                parent=arguments.parent,
                argv=argv,
                processes=joined,
                interrupt=interrupt,
            )
    except SessionError as error:
        code = commands.failed(error, 1)
        if joined.count > 1:
            processes.leave(code, joined)
        return code
    except SystemExit as end:  # of a second signal: the interpreter would wait for the threads of a save that hangs
        processes.leave(int(end.code or 0), joined)


def members_here(arguments: Arguments) -> int:
    """Counts the members of one program on this process, as far as the command line tells."""
    own, _ = presets.programs(arguments.grid)
    members = math.prod(map(len, own.values())) * arguments.config["seeds"]
    processes = (arguments.address and arguments.address.processes) or 1
    return max(members // processes, 1)


def explain(arguments: Arguments, processes: "Processes") -> None:
    """Prints of each program the memory, what chance does on its task and, after a trial, the time; leaves no file."""
    from hindsight_jax.runs import chance, estimate, launch
    from hindsight_jax.runs.refusals import refusals

    say = streams.print_line if processes.is_first else lambda text: None
    for part in launch.split(arguments.name, arguments.config, arguments.grid, pathlib.Path()):
        with refusals(), refusals(ValueError):
            setup = presets.build(arguments.name, part.config)
            estimated = estimate.estimate_run(arguments.name, part.config, part.grid, setup)
            say("\n".join(estimate.size_lines(estimated, part.grid)))
            estimate.check_memory(estimated)
            say("\n".join(chance.report(setup.env)))
            say("\n".join(estimate.time_lines(estimated, estimate.run_trial(part.config, part.grid, setup))))


if __name__ == "__main__":
    sys.exit(main())
