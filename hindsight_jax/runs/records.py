"""Rows of metrics.jsonl: one per seed and evaluation, in strict JSON, and what a table of them says.

A row is a flat dict of numbers: `member, seed, env_steps, updates, success_end, success_any`, then any diagnostics.
Members of a grid have a key for each of its fields, such as `agent.gamma_hdm`, beside them: their setting.
Only keys that contain `second` depend on the clock. JSON has no NaN, so numbers that are not finite are the strings
"NaN", "Infinity" and "-Infinity"; reading gives the floats back, and every float survives the round trip bit for bit.
"""

import json
from collections.abc import Mapping
from typing import Any

from hindsight_jax import checks
from hindsight_jax.runs.strict_json import SPECIAL, plain, restored

INDEX_KEYS = ("member", "seed", "env_steps", "updates")
REQUIRED_KEYS = (*INDEX_KEYS, "success_end", "success_any")

Row = dict[str, Any]


def encode(row: Mapping[str, Any]) -> str:
    """One line of metrics.jsonl: the required keys first, then diagnostics by name, then what the clock says.

    Raises:
      ValueError: a required key is missing, an index is not a whole number, or a value is not a number.

    >>> row = dict(member=0, seed=7, env_steps=10, updates=5, success_end=0.5, success_any=0.5)
    >>> encode({"td_loss": float("nan"), **row})[-37:]
    '"success_any": 0.5, "td_loss": "NaN"}'
    """
    missing = [key for key in REQUIRED_KEYS if key not in row]
    if missing:
        checks.fail(
            "row", f"no {', '.join(missing)}", f"it must have {', '.join(REQUIRED_KEYS)}", "Add what is missing."
        )
    others = sorted(set(row) - set(REQUIRED_KEYS), key=lambda key: ("second" in key, key))
    line = {key: plain(row[key]) for key in (*REQUIRED_KEYS, *others)}
    for key, value in line.items():
        if not (isinstance(value, (int, float)) or (isinstance(value, str) and value in SPECIAL)):
            checks.fail(
                f"row[{key!r}]", repr(row[key]), "it must be one number", "Write one row per seed, of scalars only."
            )
    for key in INDEX_KEYS:
        if isinstance(line[key], bool) or not isinstance(line[key], int):
            checks.fail(f"row[{key!r}]", repr(row[key]), "it must be a whole number", "Pass an integer.")
    return json.dumps(line, allow_nan=False)


def decode(line: str) -> Row:
    """The row of one line, NaN and infinities included.

    Raises:
      ValueError: not a JSON object with the required keys.
    """
    row = json.loads(line)
    if not isinstance(row, dict) or any(key not in row for key in REQUIRED_KEYS):
        raise ValueError(f"not a row: {line[:80]!r}")
    return restored(row)


def without_clock(row: Mapping[str, Any]) -> Row:
    """The row less the keys that depend on the clock: what two runs of the same seed must agree on.

    >>> without_clock({"success_end": 0.5, "unix_seconds": 1.7e9})
    {'success_end': 0.5}
    """
    return {key: value for key, value in row.items() if "second" not in key}
