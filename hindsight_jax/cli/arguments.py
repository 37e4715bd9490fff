"""The command line: names of `presets`, typed overrides, ranges, and for whatever else a message with its remedy.

    --config=hdm_push --config.seeds=8 --config.agent.gamma_hdm=0.6 --workdir=DIR [--resume]
    --config=hdm_push --config.grid='{"agent.gamma_hdm": [0.3, 0.5, 0.85], "agent.beta": [0.5, 1]}'

A thin layer over ml_collections, whose `config_flags` takes no bare name, accepts `lr=nan`, prints tracebacks on
unknown keys and ignores stray arguments. Which fields exist, and what they take, `presets.all_fields` says.
"""

import decimal
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ml_collections import ConfigDict

from hindsight_jax import fields, presets
from hindsight_jax.runs import config_file
from hindsight_jax.runs.config_file import RESUMABLE, Arguments, UsageError, load, make, values
from hindsight_jax.runs.processes import Address

_HOSTS = ("--coordinator", "--processes", "--process")
_VALUED = ("--config", "--workdir", "--config.grid", *_HOSTS)
_SWITCHES = ("--resume", "--list", "--help", "--explain", "--distributed")
_LIST = "List the names: python -m experiments.run --list."
_HELP = "See python -m experiments.run --help."
_NUMBER = re.compile(r"[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)([eE][+-]?\d{1,6})?", re.ASCII)
_INFINITY = {"inf": float("inf"), "+inf": float("inf"), "-inf": float("-inf")}
_BOOLEANS = {"true": True, "True": True, "1": True, "false": False, "False": False, "0": False}


def parse(argv: Sequence[str]) -> Arguments:
    """The arguments, without the program's name, in any order. Nothing is written, nothing printed.

    With --resume, name and values come from the work directory's config.json; of the fields, those in RESUMABLE alone
    may be given anew, total_steps only to grow.

    Raises:
      UsageError: whatever is unknown, missing, of the wrong type, out of range or contradictory.

    >>> arguments = parse(["--config=hdm_push", "--config.agent.gamma_hdm", "0.6", "--config.total_steps=2e5"])
    >>> arguments.name, arguments.config.agent.gamma_hdm, arguments.config.total_steps
    ('hdm_push', 0.6, 200000)
    """
    flags, overrides = _split(argv)
    name, workdir = flags.get("--config"), flags.get("--workdir")
    if name is not None:
        _refuse_unknown_name(name)
    if "--list" in flags or "--help" in flags:
        return Arguments(name, list="--list" in flags, help="--help" in flags)
    address = _address(flags)
    if "--resume" in flags:
        if workdir is None:
            raise UsageError("--resume: the run's directory is missing. Add --workdir=DIR.")
        return _resumed(Path(workdir), name, overrides, flags)._replace(address=address)
    if name is None:
        raise UsageError(f"--config: it is missing. Name what to run, such as --config=hdm_push. {_LIST}")
    config = _made(name, overrides)
    grid = _grid(name, config, flags["--config.grid"], overrides) if "--config.grid" in flags else {}
    where = Path(workdir) if workdir else None
    return Arguments(name, config, grid, where, explain="--explain" in flags, address=address)


def _split(argv: Sequence[str]) -> tuple[dict[str, str], dict[str, fields.Value]]:
    """Flags with their text ('' for switches), and typed overrides by field."""
    flags: dict[str, str] = {}
    overrides: dict[str, fields.Value] = {}
    rest = list(argv)
    while rest:
        key, equals, value = rest.pop(0).partition("=")
        key = "--help" if key == "-h" else key
        if key in _SWITCHES:
            if equals:
                raise UsageError(f"{key}: got {_short(value)}, but it takes no value. Write {key}, or leave it out.")
            flags[key] = ""
            continue
        field = key.removeprefix("--config.") if key.startswith("--config.") and key not in _VALUED else None
        if field is None and key not in _VALUED:
            _refuse_argument(key, equals + value)
        if field is not None and field not in presets.all_fields():
            _refuse_field(field)
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise UsageError(f"{key}: its value is missing. Write {key}={_example(field, key)}.")
            value = rest.pop(0)
        if field is None:
            if not value:
                raise UsageError(f"{key}: it is empty. Write {key}={_example(None, key)}.")
            _once(flags, key, value, key)
        else:
            _once(overrides, field, _typed(field, value), key)
    return flags, overrides


def _once(found: dict[str, Any], key: str, value: Any, shown: str) -> None:
    """Stores a value; refuses a second one that differs."""
    if key in found and found[key] != value:
        both = f"{_short(fields.text(found[key]))} and {_short(fields.text(value))}"
        raise UsageError(f"{shown}: got both {both}, but it has one value. Leave one out.")
    found[key] = value


def _typed(field: str, written: str) -> fields.Value:
    """The value that the text stands for, in the field's type and range."""
    default = presets.all_fields()[field].default
    value: Any = written
    if isinstance(default, bool):
        value = _BOOLEANS.get(written, written)
    elif isinstance(default, tuple):
        inner = re.fullmatch(r"\((.*)\)|\[(.*)\]|([^()\[\]]*)", written, re.DOTALL)
        parts = "".join(inner.groups("")).removesuffix(",").split(",") if inner else [written]
        numbers = tuple(_number(part.strip(), whole=True) for part in parts)
        value = written if any(isinstance(number, str) for number in numbers) else numbers
    elif not isinstance(default, str):
        value = _number(written, whole=isinstance(default, int))
    try:
        return fields.checked(field, presets.all_fields()[field], value)
    except ValueError as error:
        raise UsageError(f"--config.{error}") from None


def _number(written: str, whole: bool) -> int | float | str:
    """The number that the text is, exactly for integers; the text itself if it is none, or one beyond the floats."""
    if not _NUMBER.fullmatch(written):
        return written if whole else _INFINITY.get(written, written)
    if float(written) in _INFINITY.values():
        return written
    if not whole:
        return float(written)
    exact = decimal.Decimal(written)
    return int(exact) if exact == exact.to_integral_value() else written


def _refuse_unknown_name(name: str) -> None:
    """With the reason, for a pair of algorithm and task that does not fit."""
    try:
        presets.split(name)
    except ValueError as error:
        message = str(error).removeprefix("name: ").replace("Did you mean ", "Did you mean --config=")
        raise UsageError(f"--config: {message}") from None


def _refuse_field(field: str) -> NoReturn:
    """Names the nearest field, or the fields of a group."""
    group = [known for known in presets.all_fields() if known.startswith(field + ".")]
    if group:
        some = ", ".join(f"--config.{known}" for known in group[:3])
        raise UsageError(f"--config.{field}: it is a group, so it has no value. Set its fields: {some}, ... {_HELP}")
    suggestion = fields.did_you_mean(field, presets.all_fields(), "--config.")
    raise UsageError(f"--config.{_cut(field)}: there is no such field. {suggestion}{_HELP}")


def _refuse_argument(key: str, rest: str) -> NoReturn:
    """For what is neither flag nor field: names the nearest of both."""
    bare = key.lstrip("-")
    if bare in presets.names() and not rest:
        raise UsageError(f"{bare}: a name alone is no argument. Write --config={bare}.")
    flags = [flag.lstrip("-") for flag in (*_VALUED, *_SWITCHES)]
    field = fields.did_you_mean(bare.removeprefix("config."), presets.all_fields(), "--config.")
    suggestion = field if bare.startswith("config.") else fields.did_you_mean(bare, flags, "--") or field
    what = "there is no such flag" if key.startswith("-") else "it belongs to no flag"
    raise UsageError(f"{_cut(key) or repr(key)}: {what}. {suggestion}{_HELP}")


def _made(name: str, overrides: Mapping[str, fields.Value]) -> ConfigDict:
    """`make`, with errors that name fields as the command line does."""
    try:
        return make(name, overrides)
    except UsageError as error:
        raise UsageError(f"--config.{error}") from None


def _address(flags: Mapping[str, str]) -> Address | None:
    """Where the other processes are, from --distributed and the three flags that go together."""
    given = [flag for flag in _HOSTS if flag in flags]
    if not given and "--distributed" not in flags:
        return None
    if "--workdir" not in flags and "--explain" not in flags:
        raise UsageError("--workdir: it is missing, and all processes must have the same one. Add --workdir=DIR.")
    if not given:
        return Address()
    if len(given) < len(_HOSTS):
        missing = next(flag for flag in _HOSTS if flag not in flags)
        raise UsageError(
            f"{missing}: it is missing beside {given[0]}. Give {', '.join(_HOSTS)}, or --distributed alone."
        )
    coordinator = flags["--coordinator"]
    if not re.fullmatch(r"[^\s:]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}", coordinator):
        raise UsageError(
            f"--coordinator: got {_short(coordinator)}, but it must be HOST:PORT of process 0. Correct it."
        )
    processes = _count("--processes", flags, 1, 4096)
    return Address(coordinator, processes, _count("--process", flags, 0, processes - 1))


def _count(flag: str, flags: Mapping[str, str], low: int, high: int) -> int:
    value = _number(flags[flag], whole=True)
    if not isinstance(value, int) or not low <= value <= high:
        raise UsageError(
            f"{flag}: got {_short(flags[flag])}, but it must be an integer in [{low}, {high}]. Correct it."
        )
    return value


def _grid(name: str, config: ConfigDict, written: str, taken: Mapping[str, Any]) -> presets.Grid:
    """`grids.parse`, with errors that name the flag."""
    try:
        return config_file.parse_grid(name, values(config), written, taken)
    except ValueError as error:
        message = str(error).removeprefix("grid: ")
        raise UsageError(f"--config.grid: {message}") from None


def _resumed(
    workdir: Path, name: str | None, overrides: Mapping[str, fields.Value], flags: Mapping[str, str]
) -> Arguments:
    """The work directory's run; overrides must be as stored, except for RESUMABLE."""
    stored_name, stored, grid = load(workdir / "config.json")
    if name is not None and name != stored_name:
        remedy = "Leave --config out, or choose another --workdir without --resume."
        raise UsageError(f"--config: got {name}, but {workdir} holds a run of {stored_name}. {remedy}")
    before = values(stored)
    for field, value in overrides.items():
        if field not in before:
            continue  # the run has no use for it: `_made` says so
        shrinks = field == "total_steps" and value < before[field]
        if value != before[field] and (shrinks or field not in RESUMABLE):
            rule = "it may only grow" if shrinks else f"only {' and '.join(RESUMABLE)} may change"
            got, kept = _cut(fields.text(value)), _cut(fields.text(before[field]))
            raise UsageError(
                f"--config.{field}: got {got}, but the run to resume has {kept}, and {rule}. Leave it out, or start "
                "anew without --resume."
            )
    if "--config.grid" in flags and _grid(stored_name, stored, flags["--config.grid"], {}) != grid:
        kept = json.dumps(config_file.grid_to_json(grid)) if grid else "none"
        raise UsageError(f"--config.grid: got another one than the run to resume, which has {kept}. Leave it out.")
    config = _made(stored_name, before | dict(overrides))
    return Arguments(stored_name, config, grid, workdir, resume=True, explain="--explain" in flags)


def _example(field: str | None, key: str) -> str:
    if field is not None:
        return fields.text(presets.all_fields()[field].default)
    examples = {"--config": "hdm_push", "--workdir": "DIR", "--config.grid": f"'{config_file.GRID_EXAMPLE}'"}
    return (examples | {"--coordinator": "HOST:PORT", "--processes": "2", "--process": "0"})[key]


def _cut(written: str) -> str:
    """Text for a message: printable, on one line, and no longer than fits."""
    shown = written if written.isprintable() else repr(written)[1:-1]
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _short(written: str) -> str:
    """The same in quotes."""
    return f"'{_cut(written)}'"
