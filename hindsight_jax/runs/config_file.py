"""Grids as text: --config.grid='{"agent.gamma_hdm": [0.3, 0.5, 0.85]}', and what config.json keeps of them."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hindsight_jax import fields, presets
from hindsight_jax.runs.processes import Address

if TYPE_CHECKING:
    from hindsight_jax import training

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ml_collections import ConfigDict

if TYPE_CHECKING:
    from hindsight_jax import training


# What a resumed run may be given anew: its numbers so far do not depend on it.
RESUMABLE = ("total_steps", "checkpoint.seconds", "checkpoint.keep", "on_nan")


class UsageError(ValueError):
    """The command line cannot be followed: the message says what, what was got, the rule, and the remedy."""


class Arguments(NamedTuple):
    """What the command line asks for: a text, or else a run, which then has a name and every value."""

    name: str | None = None  # of the preset
    config: ConfigDict | None = None  # nested and locked; None with list or help
    grid: presets.Grid = MappingProxyType({})  # what the members differ in beside their seeds
    workdir: Path | None = None  # None: the caller chooses; given with resume
    resume: bool = False
    list: bool = False  # print `listing.list_text()`
    help: bool = False  # print `listing.help_text(name)`
    explain: bool = False  # print what the run will need, and end
    address: Address | None = None  # where the run's other processes are; None: there are none


def make(name: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """The values of the preset `name` with typed overrides by dotted field, checked, as a locked ConfigDict.

    Raises:
      UsageError: an unknown name or field, a value of the wrong type or out of range, fields that do not fit together.

    >>> make("hdm_push", {"agent.hidden_sizes": (256, 256)}).agent.hidden_sizes
    (256, 256)
    """
    try:
        resolved = presets.config(name)
        resolved = fields.complete(resolved | dict(overrides or {}), presets.fields_of(name))
        presets.check(name, resolved)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return ConfigDict(_nested(resolved)).lock()


def resolve(name: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every value of the run `name` by dotted field, with typed overrides, checked."""
    return values(make(name, overrides))


def to_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config nested, as strict JSON holds it: tuples are lists, infinities text."""
    return _nested({field: fields.to_json(value) for field, value in config.items()})


def values(config: ConfigDict) -> dict[str, Any]:
    """Every value by dotted field, for `presets.build`.

    >>> values(make("hdm_push")) == presets.config("hdm_push")
    True
    """
    flat = _flat(config.to_dict())
    return {field: flat[field] for field in fields.FIELDS if field in flat}


def to_json_dict(config: ConfigDict) -> dict[str, Any]:
    """Nested values that strict JSON can hold: tuples as lists, infinities as "Infinity", as `rows.plain` writes them.

    >>> to_json_dict(make("hdm_push", {"agent.gamma_hdm": float("inf")}))["agent"]["gamma_hdm"]
    'Infinity'
    """
    return _nested({field: fields.to_json(value) for field, value in values(config).items()})


def from_json_dict(name: str, nested: Mapping[str, Any]) -> ConfigDict:
    """Undoes `to_json_dict`; every value is checked again, and every field that numbers depend on must be there.

    Raises:
      UsageError: a missing, unknown or wrong field.
    """
    presets.split(name)
    known = presets.fields_of(name)
    flat = {field: fields.FIELDS[field].default for field in RESUMABLE if field in known}  # younger than some files
    flat |= {field: fields.from_json(value) for field, value in _flat(nested).items()}
    missing = [field for field in known if field not in flat]
    if missing:
        raise UsageError(f"{missing[0]}: it is missing. The file was made by another version: use the commit it names.")
    return make(name, flat)


def load(path: Path) -> tuple[str, ConfigDict, presets.Grid]:
    """Name, values and grid from the config.json that `workdir.WorkDir.write_config` wrote at `path`.

    Raises:
      UsageError: no such file, no JSON object, or values that this version does not take.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        remedy = "Check --workdir, or start without --resume."
        raise UsageError(f"{path}: cannot be read ({error.strerror}). {remedy}") from None
    except (ValueError, RecursionError):
        document: Any = None
    whole = isinstance(document, dict) and isinstance(document.get("config"), dict)
    if not whole or not isinstance(document.get("name"), str):
        raise UsageError(f"{path}: is no JSON object with name and config; it is damaged. Put back a copy.")
    try:
        name, config = document["name"], from_json_dict(document["name"], document["config"])
        return name, config, grid_from_json(name, values(config), document.get("grid", {}))
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path}: {error}") from None


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"agent.gamma": 1} -> {"agent": {"gamma": 1}}."""
    nested: dict[str, Any] = {}
    for field, value in flat.items():
        *groups, last = field.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return nested


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Undoes `_nested`."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


GRID_EXAMPLE = '{"agent.gamma_hdm": [0.3, 0.5, 0.85]}'


def parse_grid(
    name: str, values: Mapping[str, Any], written: str, taken: Mapping[str, Any] | None = None
) -> dict[str, tuple[Any, ...]]:
    """The typed axes of a JSON object, field -> list of values; of a run with these complete values.

    `taken` are fields that were set on purpose, which may be no axis. Infinity is written inf, in quotes or not.

    Raises:
      ValueError: no such JSON, a key twice, or what `presets.check_grid` refuses.

    >>> parse_grid("hdm_push", presets.config("hdm_push"), '{"agent.gamma_hdm": [0.5, "inf"]}')
    {'agent.gamma_hdm': (0.5, inf)}
    """
    try:
        document = json.loads(written, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"grid: got {fields.short(written)}, which is no JSON ({error}). Write {GRID_EXAMPLE}."
        ) from None
    if not isinstance(document, dict) or not document:
        raise ValueError(f"grid: got {fields.short(written)}, but it must be an object of lists. Write {GRID_EXAMPLE}.")
    return grid_from_json(name, values, document, taken)


def grid_from_json(
    name: str, values: Mapping[str, Any], document: Mapping[str, Any], taken: Mapping[str, Any] | None = None
) -> dict[str, tuple[Any, ...]]:
    """Undoes `grid_to_json`; every value is checked again."""
    entries = lambda axis: [fields.from_json(entry) for entry in axis] if isinstance(axis, list) else axis
    return presets.check_grid(name, values, {field: entries(axis) for field, axis in document.items()}, taken)


def grid_to_json(grid: presets.Grid) -> dict[str, list[Any]]:
    """What strict JSON can hold: infinities are text, tuples are lists.

    >>> grid_to_json({"agent.gamma_hdm": (0.5, float("inf"))})
    {'agent.gamma_hdm': [0.5, 'Infinity']}
    """
    return {field: [fields.to_json(value) for value in axis] for field, axis in grid.items()}


def members(values: Mapping[str, Any], grid: presets.Grid) -> "training.Members":
    """Settings x seeds of a run with these values, the seeds fastest."""
    from hindsight_jax import training  # here: it takes seconds, and bad arguments must be refused at once

    seeds = range(values["seed"], values["seed"] + values["seeds"])
    return training.members(seeds, [setting for _, setting in presets.settings(grid)])


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{fields.short(key)} comes twice")
        found[key] = value
    return found
