"""Grids as text: --config.grid='{"agent.gamma_hdm": [0.3, 0.5, 0.85]}', and what config.json keeps of them."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hindsight_jax import fields, presets

if TYPE_CHECKING:
    from hindsight_jax import training

EXAMPLE = '{"agent.gamma_hdm": [0.3, 0.5, 0.85]}'


def parse(
    name: str, values: Mapping[str, Any], written: str, taken: Mapping[str, Any] | None = None
) -> dict[str, tuple[Any, ...]]:
    """The typed axes of a JSON object, field -> list of values; of a run with these complete values.

    `taken` are fields that were set on purpose, which may be no axis. Infinity is written inf, in quotes or not.

    Raises:
      ValueError: no such JSON, a key twice, or what `presets.check_grid` refuses.

    >>> parse("hdm_push", presets.config("hdm_push"), '{"agent.gamma_hdm": [0.5, "inf"]}')
    {'agent.gamma_hdm': (0.5, inf)}
    """
    try:
        document = json.loads(written, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"grid: got {fields.short(written)}, which is no JSON ({error}). Write {EXAMPLE}.") from None
    if not isinstance(document, dict) or not document:
        raise ValueError(f"grid: got {fields.short(written)}, but it must be an object of lists. Write {EXAMPLE}.")
    return from_json(name, values, document, taken)


def from_json(
    name: str, values: Mapping[str, Any], document: Mapping[str, Any], taken: Mapping[str, Any] | None = None
) -> dict[str, tuple[Any, ...]]:
    """Undoes `to_json`; every value is checked again."""
    entries = lambda axis: [fields.from_json(entry) for entry in axis] if isinstance(axis, list) else axis
    return presets.check_grid(name, values, {field: entries(axis) for field, axis in document.items()}, taken)


def to_json(grid: presets.Grid) -> dict[str, list[Any]]:
    """What strict JSON can hold: infinities are text, tuples are lists.

    >>> to_json({"agent.gamma_hdm": (0.5, float("inf"))})
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
