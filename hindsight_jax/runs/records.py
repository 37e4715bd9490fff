"""Records, the lines of metrics.jsonl: one per member and evaluation, in strict JSON.

A record is a flat dict of numbers: `member, seed, env_steps, updates, success_end, success_any`, then any diagnostics.
An offline run takes no env step: its `env_steps` are those that its schedule counts, and `env_steps_taken` is 0.
Members of a grid also have a key for each of its fields, such as `agent.gamma_hdm`: their setting. Only keys that
contain `second` depend on the clock. JSON has no NaN, so numbers that are not finite are the strings "NaN", "Infinity"
and "-Infinity"; reading gives the floats back, and every float survives the round trip bit for bit.
"""

import json
from collections.abc import Mapping
from typing import Any

from hindsight_jax import checks
from hindsight_jax.runs.strict_json import SPECIAL, plain, restored

INDEX_KEYS = ("member", "seed", "env_steps", "updates")
REQUIRED_KEYS = (*INDEX_KEYS, "success_end", "success_any")

Record = dict[str, Any]


def encode(record: Mapping[str, Any]) -> str:
    """One line of metrics.jsonl: the required keys first, then diagnostics by name, then the keys of the clock.

    Raises:
      ValueError: a required key is missing, an index is not a whole number, or a value is not a number.

    >>> record = dict(member=0, seed=7, env_steps=10, updates=5, success_end=0.5, success_any=0.5)
    >>> encode({"td_loss": float("nan"), **record})[-37:]
    '"success_any": 0.5, "td_loss": "NaN"}'
    """
    missing = [key for key in REQUIRED_KEYS if key not in record]
    if missing:
        rule = f"it must have {', '.join(REQUIRED_KEYS)}"
        checks.fail("record", f"no {', '.join(missing)}", rule, "Add the missing keys.")
    others = sorted(set(record) - set(REQUIRED_KEYS), key=lambda key: ("second" in key, key))
    line = {key: plain(record[key]) for key in (*REQUIRED_KEYS, *others)}
    for key, value in line.items():
        if not (isinstance(value, (int, float)) or (isinstance(value, str) and value in SPECIAL)):
            remedy = "Write one record per member, of scalars only."
            checks.fail(f"record[{key!r}]", repr(record[key]), "it must be one number", remedy)
    for key in INDEX_KEYS:
        if isinstance(line[key], bool) or not isinstance(line[key], int):
            checks.fail(f"record[{key!r}]", repr(record[key]), "it must be a whole number", "Pass an integer.")
    return json.dumps(line, allow_nan=False)


def decode(line: str) -> Record:
    """The record of one line, NaN and infinities included.

    Raises:
      ValueError: not a JSON object with the required keys.
    """
    record = json.loads(line)
    if not isinstance(record, dict) or any(key not in record for key in REQUIRED_KEYS):
        raise ValueError(f"not a record: {line[:80]!r}")
    return restored(record)


def without_clock(record: Mapping[str, Any]) -> Record:
    """The record without the keys that depend on the clock: two runs of the same seed agree on the rest.

    >>> without_clock({"success_end": 0.5, "unix_seconds": 1.7e9})
    {'success_end': 0.5}
    """
    return {key: value for key, value in record.items() if "second" not in key}
