"""Tables and summaries of the records of a run.

Dimension key: S seeds, E evaluations."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hindsight_jax import statistics
from hindsight_jax.runs.records import REQUIRED_KEYS, Row, without_clock


class Table(NamedTuple):
    """One diagnostic of every member, at the env steps that all members have reached."""

    seeds: list[int]  # [S], the seed of each member
    env_steps: np.ndarray  # i64[E], ascending
    values: np.ndarray  # f64[S, E], NaN where a row lacks the key


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
    return key.partition(".")[0] in ("agent", "env", "replay", "relabel", "evaluation")


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
