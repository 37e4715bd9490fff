"""Turns the command line's text into a validated run: its name, a flat config, a grid, and the action to take.

--config=hdm_push --config.seeds=8 --config.agent.gamma_hdm=0.6 --workdir=DIR [--resume]
--from=DIR --config.agent.learning_rate=1e-4 --config.total_steps=500000
--config=hdm_push --config.grid='{"agent.gamma_hdm": [0.3, 0.5, 0.85], "agent.beta": [0.5, 1]}'
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from hindsight_jax import fields, presets
from hindsight_jax.cli import flags
from hindsight_jax.cli.flags import UsageError
from hindsight_jax.runs import config_file, imports
from hindsight_jax.runs.config_file import RESUMABLE
from hindsight_jax.runs.processes import Address

_PROCESSES = ("coordinator", "processes", "process")


class Arguments(NamedTuple):
    """A request of the command line: print a text, or train a run, which then has a name and a config."""

    name: str = ""
    config: Mapping[str, Any] = MappingProxyType({})  # every value by dotted field; empty with list or help
    grid: presets.Grid = MappingProxyType({})  # fields in which members differ, beside their seeds
    workdir: Path | None = None  # None: the caller chooses one; never None with resume
    resume: bool = False
    parent: Path | None = None  # the run that this one begins from
    list: str | None = None  # print `help.list_text(list)`
    help: bool = False  # print `help.help_text(name)`
    explain: bool = False  # print the memory and the time that the run will take
    verbose: bool = False  # print a line for each evaluation
    address: Address | None = None  # of the run's other processes; None: this is the only one


def parse(argv: Sequence[str]) -> Arguments:
    """Parses arguments, in any order and without the program's name, and imports the modules of --import.

    With --resume, name and config come from the work directory's config.json; of the fields, those in RESUMABLE alone
    may be given anew, total_steps only to grow.

    Raises UsageError for an argument that is unknown, missing, of the wrong type, out of range or contradictory.

    >>> arguments = parse(["--config=hdm_push", "--config.agent.gamma_hdm", "0.6", "--config.total_steps=2e5"])
    >>> arguments.name, arguments.config["agent.gamma_hdm"], arguments.config["total_steps"]
    ('hdm_push', 0.6, 200000)
    """
    of_runs = flags.of_runs()
    rest = of_runs.parse([argument for argument in argv if argument != "--"])
    given = of_runs.given()
    _import(given)
    of_fields = flags.of_fields(given.get("config", ""))  # after the imports, which may add fields
    stray = of_fields.parse(rest) or [argument for argument in argv if argument == "--"]
    if stray:
        flags.refuse(stray[0], [name for name in (*of_runs, *of_fields) if len(name) > 1])
    overrides = {flag.removeprefix("config."): value for flag, value in of_fields.given().items()}
    prints = given.get("list") is not None or given.get("help")
    if "config" in given and (prints or not given.get("resume")):
        _refuse_unknown_name(given["config"])
    if prints:
        if given.get("list"):
            _refuse_unknown_list(given["list"])
        return Arguments(given.get("config", ""), list=given.get("list"), help=bool(given.get("help")))
    make = _resumed if given.get("resume") else _continued if "from" in given else _new
    arguments = make(given, overrides)
    switches = {switch: bool(given.get(switch)) for switch in ("explain", "verbose")}
    return arguments._replace(**switches, address=_address(given))


def _import(given: Mapping[str, Any]) -> None:
    """Calls `imports.import_modules`; its errors name the flag."""
    try:
        imports.import_modules(given.get("import", []))
    except ValueError as error:
        raise UsageError(f"--{error}") from None


def _new(given: Mapping[str, Any], overrides: Mapping[str, fields.Value]) -> Arguments:
    """Makes the arguments of a new run."""
    if "config" not in given:
        remedy = f"Name what to run, such as --config=hdm_push. List the names: {fields.COMMAND} --list=all."
        raise UsageError(f"--config: it is missing. {remedy}")
    name, workdir = given["config"], given.get("workdir")
    config = _resolved(name, overrides)
    grid = _grid(name, config, given["config.grid"], overrides) if "config.grid" in given else {}
    return Arguments(name, config, grid, Path(workdir) if workdir else None)


def _resumed(given: Mapping[str, Any], overrides: Mapping[str, fields.Value]) -> Arguments:
    """Makes the arguments of the work directory's run; only the fields in RESUMABLE may be overridden."""
    if "from" in given:
        raise UsageError("--from: it begins a new run, and --resume goes on with one. Leave one of them out.")
    if "workdir" not in given:
        raise UsageError("--resume: the run's directory is missing. Add --workdir=DIR.")
    workdir = Path(given["workdir"])
    try:
        name, config, grid = config_file.load(workdir / "config.json")
    except ValueError as error:
        raise UsageError(str(error)) from None
    if given.get("config", name) != name:
        _refuse_unknown_name(given["config"])  # now that the run's modules are imported
        remedy = "Leave --config out, or choose another --workdir without --resume."
        raise UsageError(f"--config: got {given['config']}, but {workdir} holds a run of {name}. {remedy}")
    for field, value in overrides.items():
        _refuse_change(field, value, config.get(field, value))
    if "config.grid" in given and _grid(name, config, given["config.grid"], {}) != grid:
        kept = json.dumps(config_file.grid_to_json(grid)) if grid else "none"
        raise UsageError(f"--config.grid: got another grid than the run to resume has: {kept}. Leave it out.")
    if overrides:
        config = _resolved(name, overrides, config)
    return Arguments(name, config, grid, workdir, resume=True)


def _continued(given: Mapping[str, Any], overrides: Mapping[str, fields.Value]) -> Arguments:
    """Makes the arguments of a new run that begins where another stands; only what `continuable` takes may differ."""
    parent = Path(given["from"])
    try:
        name, config, grid = config_file.load(parent / "config.json")
    except ValueError as error:
        raise UsageError(f"--from: {str(error).replace('--workdir', '--from')}") from None
    if given.get("config", name) != name:
        raise UsageError(f"--config: got {given['config']}, but {parent} holds a run of {name}. Leave --config out.")
    if presets.programs(grid)[1]:
        raise UsageError(f"--from: {parent} holds the programs of a grid. Name one of the directories below it.")
    if "config.grid" in given:
        raise UsageError("--config.grid: a run that begins from another has its grid. Leave it out.")
    for field, value in overrides.items():
        if not config_file.continuable(field, grid) and value != config.get(field, value):
            kept = flags.cut(fields.text(config.get(field, "-")))
            rule = "its state depends on it, or its grid has it; agent.*, relabel.* and evaluation.* may differ"
            raise UsageError(f"--config.{field}: the run of --from has {kept}, and {rule}. Leave it out.")
    workdir = given.get("workdir")
    return Arguments(name, _resolved(name, overrides, config), grid, Path(workdir) if workdir else None, parent=parent)


def _refuse_change(field: str, value: fields.Value, stored: fields.Value) -> None:
    """Raises UsageError if a resumed run may not take this value."""
    shrinks = field == "total_steps" and value < stored  # type: ignore[operator]  # both are integers
    if value != stored and (shrinks or field not in RESUMABLE):
        rule = "it may only grow" if shrinks else f"only {' and '.join(RESUMABLE)} may change"
        got, kept = flags.cut(fields.text(value)), flags.cut(fields.text(stored))
        raise UsageError(
            f"--config.{field}: got {got}, but the run to resume has {kept}, and {rule}. Leave it out, or start anew "
            "without --resume."
        )


def _refuse_unknown_name(name: str) -> None:
    """Raises UsageError, with the reason where an algorithm does not fit a task."""
    try:
        presets.split(name)
    except ValueError as error:
        message = str(error).removeprefix("name: ").replace("Did you mean ", "Did you mean --config=")
        raise UsageError(f"--config: {message}") from None


def _refuse_unknown_list(word: str) -> None:
    """Raises UsageError for a word that --list does not take."""
    known = (*presets.ENVIRONMENTS, *presets.ALGORITHMS, "all")
    if word not in known:
        near = fields.did_you_mean(word, known, "--list=") or f"See {fields.COMMAND} --list."
        raise UsageError(f"--list: got {flags.short(word)}, but it must be a task, an algorithm or all. {near.strip()}")


def _resolved(
    name: str, overrides: Mapping[str, fields.Value], config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Calls `config_file.resolve`; its errors name fields as the command line does."""
    try:
        return config_file.resolve(name, overrides, config)
    except ValueError as error:
        raise UsageError(f"--config.{error}") from None


def _grid(name: str, config: Mapping[str, Any], written: str, taken: Mapping[str, Any]) -> presets.Grid:
    """Calls `config_file.parse_grid`; its errors name the flag."""
    try:
        return config_file.parse_grid(name, config, written, taken)
    except ValueError as error:
        raise UsageError(f"--config.grid: {str(error).removeprefix('grid: ')}") from None


def _address(given: Mapping[str, Any]) -> Address | None:
    """Finds the other processes from --distributed, or from the three flags that go together."""
    have = [flag for flag in _PROCESSES if flag in given]
    if not have and not given.get("distributed"):
        return None
    if "workdir" not in given and not given.get("explain"):
        raise UsageError("--workdir: it is missing, and all processes must have the same one. Add --workdir=DIR.")
    if not have:
        return Address()
    for flag in _PROCESSES:
        if flag not in given:
            every = ", ".join(f"--{flag}" for flag in _PROCESSES)
            raise UsageError(f"--{flag}: it is missing beside --{have[0]}. Give {every}, or --distributed alone.")
    last = given["processes"] - 1
    if given["process"] > last:
        rule = f"it must be an integer in [0, {last}], since --processes is {last + 1}"
        raise UsageError(f"--process: got {given['process']}, but {rule}. Count from 0.")
    return Address(given["coordinator"], given["processes"], given["process"])
