"""`hindsight-jax batch`: trains several runs one after another, from names or a small file; the same command goes on.

    hindsight-jax batch hdm_push her_push her_hbc_push --config.seeds=5 --workdir=runs/night
    hindsight-jax batch night.toml --workdir=runs/night

A file lists runs; `config` is a name or several, every other key is a field:

    [defaults]
    seeds = 5

    [[run]]
    config = ["hdm_push", "her_push"]

    [[run]]
    label = "weights"                 # of its directory; by default the name
    config = "hdm_push"
    import = "my_module"              # as --import
    relabel.behaviour = 0.3
    grid = { "agent.beta" = [0.5, 1, 2] }
"""

import argparse
import json
import re
import signal
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from hindsight_jax import fields
from hindsight_jax.cli import commands
from hindsight_jax.cli.arguments import parse
from hindsight_jax.cli.flags import UsageError
from hindsight_jax.runs import batch, config_file, sources, streams
from hindsight_jax.runs.batch import Job
from hindsight_jax.runs.progress import duration
from hindsight_jax.runs.report import page

_KEYS = ("config", "label", "grid", "import")  # of a run in a file; all others are fields


def main(argv: Sequence[str], runner: batch.Runner | None = None) -> int:
    """Trains what is not done; 0: all done, 1: a run failed, 2: bad arguments, 130 or 143: after Ctrl-C or SIGTERM."""
    arguments, flags = parse_arguments(argv)
    workdir = arguments.workdir
    try:
        jobs = jobs_of(arguments.what, flags, workdir)
        if arguments.list:
            return _list(jobs)
        workdir.mkdir(parents=True, exist_ok=True)
    except (UsageError, ValueError) as error:
        return commands.failed(error)
    except OSError as error:
        return commands.failed(error, 1)
    previous = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        failed = _train(jobs, runner or batch.subprocess_runner())
    except KeyboardInterrupt:
        streams.print_line("stopped; the same command goes on from here")
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)
        _show(jobs, workdir)
    for label, trouble in failed.items():
        print(f"error: {label}: {trouble}", file=sys.stderr)
    return 1 if failed else 0


def parse_arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """(the command's own arguments, those that every run gets); ends with exit code 2 if they are invalid."""
    parser = commands.Parser("batch", "Trains several runs one after another; what is done is skipped.")
    parser.add_argument(
        "what", nargs="+", metavar="NAME or FILE.toml", help="names such as hdm_push; files that list runs"
    )
    parser.add_argument("--workdir", type=Path, required=True, metavar="DIR", help="runs train in DIR/LABEL")
    parser.add_argument("--list", action="store_true", help="print how far each run is, and end")
    parser.epilog = "Every run gets what else begins with --config. or --import."
    arguments, rest = parser.parse_known_args(argv)
    for flag in rest:
        if not re.match(r"--(config\.|import=)", flag) or "=" not in flag:
            parser.error(f"{flag}: it is no flag of batch, nor --config.FIELD=VALUE")
    return arguments, rest


def jobs_of(what: Sequence[str], flags: Sequence[str], workdir: Path) -> list[Job]:
    """Every run of the names and files, checked as the command line checks it.

    Raises ValueError: a file that cannot be read, an unknown name, field or value, or a label twice.
    """
    jobs: list[Job] = []
    for word in what:
        entries = read(Path(word)) if word.endswith(".toml") else [Entry(word, word)]
        jobs += [_job(entry, flags, workdir) for entry in entries]
    labels = [job.label for job in jobs]
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"label: got {label!r} twice, but each run has a directory of its own. Give them labels.")
    return jobs


class Entry(NamedTuple):
    """A run, as a file or the command line names it."""

    label: str
    name: str
    values: Mapping[str, Any] = MappingProxyType({})  # by dotted field
    grid: Mapping[str, Any] = MappingProxyType({})
    modules: Sequence[str] = ()  # of --import


def read(path: Path) -> list[Entry]:
    """Every run of a file.

    Raises ValueError: no such file, no TOML, or a key of another type than it must have.
    """
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}).") from None
    stray = set(document) - {"defaults", "run"}
    if stray or not isinstance(document.get("run"), list):
        raise ValueError(f"{path}: it must have tables [[run]], and may have [defaults]; got {sorted(document)}.")
    defaults = document.get("defaults", {})
    own = lambda table: config_file.dotted({key: value for key, value in table.items() if key not in _KEYS})
    entries = []
    for number, run in enumerate(document["run"], start=1):
        names, modules = _listed(run.get("config", [])), _listed(run.get("import", defaults.get("import", [])))
        if not names:
            raise ValueError(f'{path}: run {number}: config is missing. Write config = "hdm_push".')
        values, label = own(defaults) | own(run), run.get("label", "")
        for name in names:
            both = " ".join(part for part in (label, name) if part) if len(names) > 1 else label or name
            entries.append(Entry(both, name, values, run.get("grid", {}), modules))
    return entries


def _listed(value: Any) -> list[Any]:
    """A list, of one thing where it is none."""
    return value if isinstance(value, list) else [value]


def _job(entry: Entry, flags: Sequence[str], workdir: Path) -> Job:
    """A run with its flags; a flag of the command line goes before a value of a file."""
    label, name, values, grid, modules = entry
    if not re.fullmatch(r"[\w.,=-][\w .,=-]*", label):
        raise ValueError(f"label: got {label!r}, but it must be a directory's name: letters, digits, blanks and ._,=-.")
    given = {flag.partition("=")[0] for flag in flags}
    own = [f"--config.{field}={_text(value)}" for field, value in values.items() if f"--config.{field}" not in given]
    axes = [f"--config.grid={json.dumps(grid)}"] if grid else []
    written = [*(f"--import={module}" for module in modules), f"--config={name}", *own, *flags, *axes]
    try:
        parsed = parse(written)
    except UsageError as error:
        raise ValueError(f"{label}: {error}") from None
    return Job(label, workdir / label, name, parsed.config, parsed.grid, written)


def _train(jobs: Sequence[Job], runner: batch.Runner) -> dict[str, str]:
    """Label -> trouble, of the runs that failed."""
    failed: dict[str, str] = {}
    for number, outcome in enumerate(batch.train(jobs, runner=runner, say=streams.print_line), start=1):
        if outcome.trouble == batch.LOCKED:
            streams.print_line(f"{outcome.job.label}: left to the process that trains it")
        elif outcome.trouble:
            failed[outcome.job.label] = outcome.trouble
            streams.print_line(f"{outcome.job.label}: {outcome.trouble}")
        else:
            took = duration(batch.progress_of(outcome.job).seconds)
            streams.print_line(f"{outcome.job.label}: done, {took} of work; {number} of {len(jobs)} runs")
    return failed


def _list(jobs: Sequence[Job]) -> int:
    """Prints how far each run is."""
    found = [(job, batch.progress_of(job)) for job in jobs]
    for line in commands.aligned([(job.label, now.state, f"{now.share:.0%}", str(job.path)) for job, now in found]):
        streams.print_line(line)
    return 0


def _show(jobs: Sequence[Job], workdir: Path) -> None:
    """One page of all runs that have begun."""
    begun = [f"{job.label}={job.path}" for job in jobs if (job.path / "config.json").exists()]
    if not begun:
        return
    try:
        page.write(sources.read(begun), workdir / page.NAME, workdir.name)
        streams.print_line(f"report: {workdir / page.NAME}")
    except (ValueError, OSError) as error:
        print(f"warning: {error}", file=sys.stderr)


def _text(value: Any) -> str:
    """A value of a file as a flag writes it."""
    return fields.text(tuple(value) if isinstance(value, list) else value)
