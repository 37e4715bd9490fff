"""Makes a run's config, a flat dict of every value by dotted field; writes it and its grid to config.json and back.

config.json holds the config nested, {"agent": {"gamma": 0.98}}, and the grid as {"agent.gamma_hdm": [0.3, 0.5]}.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hindsight_jax import checks, fields, presets
from hindsight_jax.runs import imports

if TYPE_CHECKING:
    from hindsight_jax import training

GRID_EXAMPLE = '{"agent.gamma_hdm": [0.3, 0.5, 0.85]}'
# Fields that a resumed run may change: its numbers so far do not depend on them.
# data.file is a place; whether it holds the same bytes, the session compares.
RESUMABLE = ("total_steps", "checkpoint.seconds", "checkpoint.keep", "on_nan", "data.file")
# Groups of fields in which a run may differ from that which it begins from.
_CONTINUABLE = ("agent", "relabel", "evaluation", "checkpoint")
# Fields that earlier versions had not, with the value that they then had in effect.
ADDED: dict[str, fields.Value] = {
    "agent.imitation_weight": 1.0,
    "agent.std": 0.0,
    "agent.acting": "mode",
    "agent.averaging": 0,
    "agent.activation": "relu",
    "agent.first_weights": "fan_in",
    "agent.gate": "none",
    "agent.num_critics": 1,
    "agent.smooth_targets": False,
    "agent.policy_period": 1,
    "agent.scale_q": False,
    "relabel.law": "future",
    "relabel.absorbing": False,
    "env.pixels": 0,
}


def resolve(
    name: str, overrides: Mapping[str, Any] | None = None, config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Makes and checks the config of the run `name`, with typed overrides by dotted field of its preset or of `config`.

    Raises ValueError: an unknown name or field, a value without effect, of the wrong type or out of range, or fields
    that do not fit together.

    >>> resolve("hdm_push", {"agent.hidden_sizes": [256, 256]})["agent.hidden_sizes"]
    (256, 256)
    """
    config = presets.changed(name, config or {}, overrides or {})
    presets.check(name, config)
    return config


def to_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """Nests the config and makes it strict JSON: tuples become lists, infinities text.

    >>> to_json(resolve("hdm_push", {"agent.gamma_hdm": float("inf")}))["agent"]["gamma_hdm"]
    'Infinity'
    """
    nested: dict[str, Any] = {}
    for field, value in config.items():
        *groups, last = field.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = fields.to_json(value)
    return nested


def from_json(name: str, nested: Mapping[str, Any]) -> dict[str, Any]:
    """Undoes `to_json`. Checks every value again; only the fields in RESUMABLE and ADDED may be missing.

    A field that has no effect among the others is left out: earlier versions stored those too.

    Raises ValueError for a missing, unknown or wrong field.
    """
    flat = {field: fields.from_json(value) for field, value in dotted(nested).items()}
    known = presets.fields_of(name, flat)
    flat = {field: value for field, value in flat.items() if field in known or field not in presets.candidates(name)}
    for field, spec in known.items():
        if field not in flat and (field in RESUMABLE or field in ADDED):
            flat[field] = ADDED.get(field, spec.default)
        if field not in flat:
            remedy = "Resume it with the commit that the file names."
            checks.fail(field, "nothing", "it is missing: another version made the file", remedy)
    return presets.complete(name, flat)


def load(path: Path) -> tuple[str, dict[str, Any], presets.Grid]:
    """Reads name, config and grid from the config.json that `WorkDir.write_config` wrote at `path`.

    Imports the modules of the run's --import first.

    Raises ValueError: no such file, no JSON object, a module that fails, or values that this version does not take.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        remedy = "Check --workdir, or start without --resume."
        raise ValueError(f"{path}: cannot be read ({error.strerror}). {remedy}") from None
    except (ValueError, RecursionError):
        document: Any = None
    whole = isinstance(document, dict) and isinstance(document.get("config"), dict)
    if not whole or not isinstance(document.get("name"), str):
        raise ValueError(f"{path}: it is not a JSON object with name and config, so it is damaged. Put back a copy.")
    try:
        imports.import_modules(document.get("imports", []))
        _refuse_older_beta(dotted(document["config"]), document.get("grid", {}))
        name, config = document["name"], from_json(document["name"], document["config"])
        return name, config, grid_from_json(name, config, document.get("grid", {}))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from None


def parse_grid(
    name: str, config: Mapping[str, Any], written: str, taken: Mapping[str, Any] | None = None
) -> dict[str, tuple[Any, ...]]:
    """Parses a grid written in JSON, an object of field -> list of values, into typed axes.

    `taken` are fields that were set on purpose, which may be no axis. Infinity is written inf, in quotes or not.

    Raises ValueError: no JSON object, a key twice, or a grid that `presets.check_grid` refuses.

    >>> parse_grid("hdm_push", presets.config("hdm_push"), '{"agent.gamma_hdm": [0.5, "inf"]}')
    {'agent.gamma_hdm': (0.5, inf)}
    """
    remedy = f"Write {GRID_EXAMPLE}."
    try:
        document = json.loads(written, object_pairs_hook=_unique_keys, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"grid: got {fields.short(written)}, which is not JSON ({error}). {remedy}") from None
    if not isinstance(document, dict) or not document:
        checks.fail("grid", fields.short(written), "it must be an object of lists", remedy)
    return grid_from_json(name, config, document, taken)


def _number(written: str) -> int | float:
    """The number, whole ones as integers: 1e3 counts a thousand, as it does behind a flag."""
    number = float(written)
    return int(number) if number.is_integer() else number


def grid_from_json(
    name: str, config: Mapping[str, Any], document: Mapping[str, Any], taken: Mapping[str, Any] | None = None
) -> dict[str, tuple[Any, ...]]:
    """Undoes `grid_to_json`; checks every value again."""
    entries = lambda axis: [fields.from_json(entry) for entry in axis] if isinstance(axis, list) else axis
    return presets.check_grid(name, config, {field: entries(axis) for field, axis in document.items()}, taken)


def grid_to_json(grid: presets.Grid) -> dict[str, list[Any]]:
    """Makes the grid strict JSON: infinities become text, tuples lists.

    >>> grid_to_json({"agent.gamma_hdm": (0.5, float("inf"))})
    {'agent.gamma_hdm': [0.5, 'Infinity']}
    """
    return {field: [fields.to_json(value) for value in axis] for field, axis in grid.items()}


def continuable(field: str, grid: presets.Grid) -> bool:
    """Whether a run that begins from another may have another value of this field.

    One that changes a shape may not either, but that shows in the state.
    """
    return field not in grid and (field in RESUMABLE or field.partition(".")[0] in _CONTINUABLE)


def dotted(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names of nested values.

    >>> dotted({"seed": 0, "agent": {"gamma": 1}})
    {'seed': 0, 'agent.gamma': 1}
    """
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def folder_of(setting: Mapping[str, Any]) -> str:
    """The name of a program's directory: the values that give it shapes of its own.

    >>> folder_of({"agent.hidden_sizes": (4, 4)})
    'agent.hidden_sizes=4,4'
    """
    return ",".join(f"{field}={fields.text(value)}" for field, value in setting.items())


def num_members(config: Mapping[str, Any], grid: presets.Grid) -> int:
    """Settings x seeds."""
    return math.prod(map(len, grid.values())) * config["seeds"]


def members(config: Mapping[str, Any], grid: presets.Grid) -> "training.Members":
    """Lists the members of a run: settings x seeds, the seeds fastest."""
    from hindsight_jax import training  # here: it takes seconds, and bad arguments must be refused at once

    seeds = range(config["seed"], config["seed"] + config["seeds"])
    return training.members(seeds, [setting for _, setting in presets.settings(grid)])


def _refuse_older_beta(stored: Mapping[str, Any], grid: Any) -> None:
    """Raises ValueError for a beta other than 1 in a file from before relabel.absorbing: it meant another weight."""
    older, beta = "relabel.absorbing" not in stored, stored.get("agent.beta", 1.0)
    got = grid.get("agent.beta", beta) if isinstance(grid, Mapping) else beta
    if older and got != 1.0:
        rule = "another version made the file, in which it weighed imitation alone: now agent.imitation_weight does"
        checks.fail("agent.beta", got, rule, "Resume it with the commit that the file names.")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes an object of JSON's pairs; raises ValueError if a key comes twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{fields.short(key)} comes twice")
        found[key] = value
    return found
