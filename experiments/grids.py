"""Grids as text: --config.grid='{"agent.gamma_hdm": [0.3, 0.5, 0.85]}', and what config.json keeps of them."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from hindsight_jax import fields, presets

EXAMPLE = '{"agent.gamma_hdm": [0.3, 0.5, 0.85]}'
_INFINITE = {"Infinity": float("inf"), "-Infinity": float("-inf"), "inf": float("inf"), "-inf": float("-inf")}


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
    axes = {
        field: [_value(entry) for entry in axis] if isinstance(axis, list) else axis for field, axis in document.items()
    }
    return presets.check_grid(name, values, axes, taken)


def to_json(grid: presets.Grid) -> dict[str, list[Any]]:
    """What strict JSON can hold: infinities are text, tuples are lists.

    >>> to_json({"agent.gamma_hdm": (0.5, float("inf"))})
    {'agent.gamma_hdm': [0.5, 'Infinity']}
    """
    names = {value: text for text, value in list(_INFINITE.items())[:2]}
    plain = lambda value: list(value) if isinstance(value, tuple) else names.get(value, value)
    return {field: [plain(value) for value in axis] for field, axis in grid.items()}


def _value(entry: Any) -> Any:
    """One value as JSON has it: lists are tuples of whole numbers, and infinity may be text."""
    if isinstance(entry, list):
        return tuple(entry)
    return _INFINITE.get(entry, entry) if isinstance(entry, str) else entry


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse_twice(pairs)
    return found


def _refuse_twice(pairs: list[tuple[str, Any]]) -> NoReturn:
    keys = [key for key, _ in pairs]
    twice = next(key for key in keys if keys.count(key) > 1)
    raise ValueError(f"{fields.short(twice)} comes twice")
