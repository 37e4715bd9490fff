"""Rows of metrics.jsonl: one per seed and evaluation, in strict JSON, and what a table of them says.

A row is a flat dict of numbers: `member, seed, env_steps, updates, success_end, success_any`, then any diagnostics.
Members of a grid have a key for each of its fields, such as `agent.gamma_hdm`, beside them: their setting.
Only keys that contain `second` depend on the clock. JSON has no NaN, so numbers that are not finite are the strings
"NaN", "Infinity" and "-Infinity"; reading gives the floats back, and every float survives the round trip bit for bit.
"""

import json
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hindsight_jax import checks, fields, statistics

INDEX_KEYS = ("member", "seed", "env_steps", "updates")
REQUIRED_KEYS = (*INDEX_KEYS, "success_end", "success_any")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Row = dict[str, Any]


class Table(NamedTuple):
    """One diagnostic of every member, at the env steps that all members have reached."""

    seeds: list[int]  # [S], the seed of each member
    env_steps: np.ndarray  # i64[E], ascending
    values: np.ndarray  # f64[S, E], NaN where a row lacks the key


def plain(value: Any) -> Any:
    """The value as strict JSON can hold it: NumPy and JAX scalars become Python's, NaN and infinities strings.

    Raises:
      ValueError: a value that JSON cannot hold.

    >>> plain({"gamma_hdm": math.inf, "layers": (256, 256)})
    {'gamma_hdm': 'Infinity', 'layers': [256, 256]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # arrays and their scalars
        return plain(value.tolist())
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        if math.isfinite(number):
            return number
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    checks.fail("value", repr(value), "it must be a number, text, list or mapping", "Convert it before it is written.")


def restored(value: Any) -> Any:
    """Undoes `plain` for numbers: the three strings become floats again, everywhere inside of the value.

    >>> restored({"gamma_hdm": "Infinity"})
    {'gamma_hdm': inf}
    """
    if isinstance(value, dict):
        return {key: restored(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [restored(entry) for entry in value]
    return _SPECIAL.get(value, value) if isinstance(value, str) else value


def encode(row: Mapping[str, Any]) -> str:
    """One line of metrics.jsonl: the required keys first, then diagnostics by name, then what the clock says.

    Raises:
      ValueError: a required key is missing, an index is not a whole number, or a value is not a number.

    >>> row = dict(member=0, seed=7, env_steps=10, updates=5, success_end=0.5, success_any=0.5)
    >>> encode({"td_loss": math.nan, **row})[-37:]
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
        if not (isinstance(value, (int, float)) or (isinstance(value, str) and value in _SPECIAL)):
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


def diagnostics(rows: Sequence[Row]) -> list[str]:
    """Names of the diagnostics that any row holds, sorted; the clock's keys and the grid's fields are left out."""
    found = {key for row in rows for key in without_clock(row) if not _is_of_a_setting(key)}
    return sorted(found - set(REQUIRED_KEYS))


def by_setting(rows: Sequence[Row]) -> list[tuple[dict[str, float], list[Row]]]:
    """The rows of each setting of a grid, and the setting, in the order of members; one group, {}, without a grid.

    >>> row = dict(member=0, seed=7, env_steps=10, updates=5, success_end=0.5, success_any=0.5)
    >>> [setting for setting, _ in by_setting([row | {"agent.beta": 1.0}, row | {"member": 1, "agent.beta": 2.0}])]
    [{'agent.beta': 1.0}, {'agent.beta': 2.0}]
    """
    groups: dict[tuple[tuple[str, float], ...], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["member"]):
        groups.setdefault(tuple((key, row[key]) for key in row if _is_of_a_setting(key)), []).append(row)
    return [(dict(setting), group) for setting, group in groups.items()]


def _is_of_a_setting(key: str) -> bool:
    return "." in key and key in fields.FIELDS  # seed is a field, too, and no axis


def table(rows: Sequence[Row], key: str) -> Table:
    """One key over members and evaluations, at the env steps for which every member has a row.

    >>> row = dict(member=0, seed=7, env_steps=10, updates=5, success_end=0.5, success_any=0.75)
    >>> table([row, {**row, "member": 1, "seed": 8, "success_end": 0.25}], "success_end").values.tolist()
    [[0.5], [0.25]]
    """
    by_member: dict[int, dict[int, Row]] = {}
    for row in rows:
        by_member.setdefault(row["member"], {})[row["env_steps"]] = row
    members = [by_member[member] for member in sorted(by_member)]
    steps = sorted(set.intersection(*(set(member) for member in members))) if members else []
    values = [[float(member[step].get(key, math.nan)) for step in steps] for member in members]
    seeds = [next(iter(member.values()))["seed"] for member in members]
    return Table(seeds, np.array(steps, np.int64), np.array(values, np.float64).reshape(len(members), len(steps)))


def summarise(rows: Sequence[Row], confidence: float = 0.95) -> dict[str, Any]:
    """The last and the best evaluation that every seed has: means with intervals, and what each seed reached.

    `best` is the evaluation of the highest mean success at the end. It is chosen in hindsight, so it flatters the run:
    report the last. A seed whose success is not finite is listed in `failed_seeds`, and the means are then NaN.

    Of a grid, `settings` holds the same for each setting, with its fields under `setting`, and `best_setting` the one
    of the highest mean at its last evaluation, chosen in hindsight too; means over all settings would say nothing.
    """
    groups = by_setting(rows)
    if any(setting for setting, _ in groups):
        found = [{"setting": setting} | _summarised(group, confidence) for setting, group in groups]
        finite = [one for one in found if one["success_end"] and math.isfinite(one["success_end"]["mean"])]
        best = max(finite, key=lambda one: one["success_end"]["mean"], default=None)
        reached = table(rows, "success_end").env_steps
        return {
            "settings": found,
            "best_setting": best["setting"] if best else None,
            "confidence": confidence,
            "env_steps": int(reached[-1]) if len(reached) else 0,
        }
    return _summarised(rows, confidence)


def _summarised(rows: Sequence[Row], confidence: float) -> dict[str, Any]:
    """`summarise` of one setting."""
    end, anywhere = table(rows, "success_end"), table(rows, "success_any")
    num_evaluations = len(end.env_steps)
    summary: dict[str, Any] = {
        "seeds": end.seeds,
        "num_evaluations": num_evaluations,
        "confidence": confidence,
        "env_steps": int(end.env_steps[-1]) if num_evaluations else 0,
        "updates": 0,
        "success_end": None,
        "success_any": None,
        "best": None,
        "failed_seeds": [],
    }
    if not num_evaluations:
        return summary
    summary["updates"] = max(row["updates"] for row in rows if row["env_steps"] == summary["env_steps"])
    last = np.stack([end.values[:, -1], anywhere.values[:, -1]])
    summary["failed_seeds"] = [seed for seed, sums in zip(end.seeds, last.sum(0), strict=True) if not np.isfinite(sums)]
    summary["success_end"] = _spread(end.values[:, -1], confidence)
    summary["success_any"] = _spread(anywhere.values[:, -1], confidence)
    means = statistics.interval(end.values, nan_policy="propagate").mean
    if np.isfinite(means).any():
        best = int(np.nanargmax(means))
        summary["best"] = {
            "env_steps": int(end.env_steps[best]),
            "success_end": _spread(end.values[:, best], confidence),
            "success_any": _spread(anywhere.values[:, best], confidence),
        }
    return summary


def _spread(values: np.ndarray, confidence: float) -> dict[str, Any]:
    """Mean, interval and the value of every seed, [S] -> numbers."""
    mean, low, high = statistics.interval(values, confidence, nan_policy="propagate")
    return {"mean": float(mean), "low": float(low), "high": float(high), "per_seed": values.tolist()}
