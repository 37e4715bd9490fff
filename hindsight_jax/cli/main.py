"""Trains a population from the command line: python -m experiments.run --config=hdm_push [--help, --list]."""

import math
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from hindsight_jax import presets
from hindsight_jax.cli import arguments as configs
from hindsight_jax.cli import help
from hindsight_jax.runs import config_file, streams
from hindsight_jax.runs.jax_flags import configure_jax


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 the run could not begin or go on, 2 bad arguments, 143 / 130 after SIGTERM / SIGINT."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = configs.parse(argv)
    except config_file.UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.list or arguments.help:
        streams.print_line(help.help_text(arguments.name) if arguments.help else help.list_text())
        return 0
    workdir = arguments.workdir or pathlib.Path("runs", f"{arguments.name}-{time.strftime('%Y%m%d-%H%M%S')}")

    configure_jax(members_here(arguments))
    # Imported here: what trains takes seconds to import, and bad arguments must be refused at once.
    from hindsight_jax.runs import launch
    from hindsight_jax.runs import processes as processes
    from hindsight_jax.runs.session import SessionError, refusals
    from hindsight_jax.runs.signals import GracefulExit

    hosts = processes.Processes()
    try:
        with refusals():
            hosts = processes.join(arguments.address)
        if arguments.explain:
            explain(arguments, hosts)
            return 0
        with GracefulExit() as interrupt:
            code = launch.train(arguments, workdir, argv, hosts, interrupt)
    except SessionError as error:
        print(f"error: {error}", file=sys.stderr)
        if hosts.count > 1:
            processes.leave(1, hosts)
        return 1
    if hosts.is_first:
        again = f"; go on with: python -m experiments.run --resume --workdir={workdir}" if code else ""
        streams.print_line(f"{arguments.name}: results in {workdir}{again}")
    return code


def members_here(arguments: config_file.Arguments) -> int:
    """Members of one program that this process trains, as far as the command line tells."""
    assert arguments.config is not None
    own, _ = presets.programs(arguments.grid)
    members = math.prod(map(len, own.values())) * config_file.values(arguments.config)["seeds"]
    processes = (arguments.address and arguments.address.processes) or 1
    return max(members // processes, 1)


def explain(arguments: config_file.Arguments, hosts: Any) -> None:
    """Prints what each program will need, and trains for some seconds to tell how long it will take; leaves nothing."""
    from hindsight_jax.runs import estimate, launch
    from hindsight_jax.runs.session import refusals

    say = streams.print_line if hosts.is_first else lambda text: None
    for part, _ in launch.split(arguments, pathlib.Path()):
        assert part.name is not None
        assert part.config is not None
        values = config_file.values(part.config)
        with refusals(), refusals(ValueError):
            setup = presets.build(part.name, values)
            estimated = estimate.estimate_run(part.name, values, part.grid, setup)
            say("\n".join(estimate.size_lines(estimated, part.grid)))
            estimate.check_memory(estimated)
            say("\n".join(estimate.time_lines(estimated, estimate.run_trial(values, part.grid, setup))))


if __name__ == "__main__":
    sys.exit(main())
