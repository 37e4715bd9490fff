"""Trains a population from the command line: python -m experiments.run --config=hdm_push [--help, --list]."""

import contextlib
import math
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from experiments import config as configs
from experiments import listing, progress
from hindsight_jax import presets


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 the run could not begin or go on, 2 bad arguments, 143 / 130 after SIGTERM / SIGINT."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = configs.parse(argv)
    except configs.UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.list or arguments.help:
        progress.say(listing.help_text(arguments.name) if arguments.help else listing.list_text())
        return 0
    workdir = arguments.workdir or pathlib.Path("runs", f"{arguments.name}-{time.strftime('%Y%m%d-%H%M%S')}")

    configure_jax(members_here(arguments))
    # Imported here: what trains takes seconds to import, and bad arguments must be refused at once.
    from experiments import hosts as processes
    from experiments import programs
    from experiments.interrupt import Interrupt
    from experiments.session import SessionError, refusals

    hosts = processes.Hosts()
    try:
        with refusals():
            hosts = processes.join(arguments.address)
        if arguments.explain:
            explain(arguments, hosts)
            return 0
        with Interrupt() as interrupt:
            code = programs.train(arguments, workdir, argv, hosts, interrupt)
    except SessionError as error:
        print(f"error: {error}", file=sys.stderr)
        if hosts.count > 1:
            processes.leave(1, hosts)
        return 1
    if hosts.is_first:
        again = f"; go on with: python -m experiments.run --resume --workdir={workdir}" if code else ""
        progress.say(f"{arguments.name}: results in {workdir}{again}")
    return code


def members_here(arguments: configs.Arguments) -> int:
    """Members of one program that this process trains, as far as the command line tells."""
    assert arguments.config is not None
    own, _ = presets.programs(arguments.grid)
    members = math.prod(map(len, own.values())) * configs.values(arguments.config)["seeds"]
    processes = (arguments.address and arguments.address.processes) or 1
    return max(members // processes, 1)


def explain(arguments: configs.Arguments, hosts: Any) -> None:
    """Prints what each program will need, and trains for some seconds to tell how long it will take; leaves nothing."""
    from experiments import plan, programs
    from experiments.session import refusals

    say = progress.say if hosts.is_first else lambda text: None
    for part, _ in programs.split(arguments, pathlib.Path()):
        assert part.name is not None
        assert part.config is not None
        values = configs.values(part.config)
        with refusals(), refusals(ValueError):
            experiment = presets.build(part.name, values)
            found = plan.make(part.name, values, part.grid, experiment)
            say(plan.text(found, part.grid))
            plan.check(found)
            say("\n".join(plan.expected(found, plan.trial(values, part.grid, experiment))))


def configure_jax(num_members: int | None = None) -> None:
    """Float32 products in full (a GPU would round them to TF32), a CPU's cores for so many members, and compiled code
    kept for the next start.
    """
    import jax

    from experiments import xla

    xla.configure(num_members)
    os.environ.setdefault("MUJOCO_GL", "disable")  # or mujoco looks for GL when it is imported
    if jax.config.jax_default_matmul_precision is None:  # JAX_DEFAULT_MATMUL_PRECISION sets it
        jax.config.update("jax_default_matmul_precision", "float32")
    if not jax.config.jax_compilation_cache_dir:  # JAX_COMPILATION_CACHE_DIR sets it
        with contextlib.suppress(RuntimeError):  # a user without a home, as containers have them, keeps nothing
            root = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
            jax.config.update("jax_compilation_cache_dir", str(root / "hindsight_jax"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


if __name__ == "__main__":
    sys.exit(main())
