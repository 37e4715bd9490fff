"""Tables and summaries of the records of a run.

Dimension key: S seeds, E evaluations.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hindsight_jax import statistics
from hindsight_jax.runs.records import REQUIRED_KEYS, Record, without_clock


class Table(NamedTuple):
    """One diagnostic of every member, at the env steps that all members have reached."""

    seeds: list[int]  # [S], the seed of each member
    env_steps: np.ndarray  # i64[E], ascending
    values: np.ndarray  # f64[S, E], NaN where a record lacks the key


def diagnostics(records: Sequence[Record]) -> list[str]:
    """Names of the diagnostics in any record, sorted, without the keys of the clock and the fields of the grid."""
    keys = {key for record in records for key in without_clock(record) if not _is_grid_field(key)}
    return sorted(keys - set(REQUIRED_KEYS) - {"env_steps_taken"})


def by_setting(records: Sequence[Record]) -> list[tuple[dict[str, float], list[Record]]]:
    """(setting, its records) for each setting of a grid, in the order of members; one group, {}, without a grid.

    >>> record = dict(member=0, seed=7, env_steps=10, updates=5, success_end=0.5, success_any=0.5)
    >>> table = [record | {"agent.beta": 1.0}, record | {"member": 1, "agent.beta": 2.0}]
    >>> [setting for setting, _ in by_setting(table)]
    [{'agent.beta': 1.0}, {'agent.beta': 2.0}]
    """
    groups: dict[tuple[tuple[str, float], ...], list[Record]] = {}
    for record in sorted(records, key=lambda record: record["member"]):
        setting = tuple((key, record[key]) for key in record if _is_grid_field(key))
        groups.setdefault(setting, []).append(record)
    return [(dict(setting), group) for setting, group in groups.items()]


def _is_grid_field(key: str) -> bool:
    return key.partition(".")[0] in ("agent", "env", "replay", "relabel", "evaluation")


def table(records: Sequence[Record], key: str) -> Table:
    """One key over members and evaluations, at the env steps for which every member has a record.

    >>> record = dict(member=0, seed=7, env_steps=10, updates=5, success_end=0.5, success_any=0.75)
    >>> table([record, {**record, "member": 1, "seed": 8, "success_end": 0.25}], "success_end").values.tolist()
    [[0.5], [0.25]]
    """
    by_member: dict[int, dict[int, Record]] = {}
    for record in records:
        by_member.setdefault(record["member"], {})[record["env_steps"]] = record
    members = [by_member[member] for member in sorted(by_member)]
    steps = sorted(set.intersection(*(set(member) for member in members))) if members else []
    values = [[float(member[step].get(key, math.nan)) for step in steps] for member in members]
    seeds = [next(iter(member.values()))["seed"] for member in members]
    return Table(seeds, np.array(steps, np.int64), np.array(values, np.float64).reshape(len(members), len(steps)))


def shown_member(records: Sequence[Record]) -> int:
    """The member that policy.gif shows: the median seed of the best setting.

    Seeds are compared by success at the end of their last evaluation, settings by its mean over the seeds where it is
    finite. Member 0 if it is finite nowhere.

    >>> record = lambda member, beta, success: {"member": member, "agent.beta": beta, "success_end": success}
    >>> shown_member([record(0, 1.0, 0.9), record(1, 1.0, 0.1), record(2, 2.0, 0.6), record(3, 2.0, 0.8)])
    3
    """
    best_mean, shown = -1.0, 0
    for _, group in by_setting(records):
        last = {record["member"]: record["success_end"] for record in group}
        finite = sorted((success, member) for member, success in last.items() if math.isfinite(success))
        if finite:
            mean = sum(success for success, _ in finite) / len(finite)
            if mean > best_mean:
                best_mean, shown = mean, finite[len(finite) // 2][1]
    return shown


def summarise(records: Sequence[Record], confidence: float = 0.95) -> dict[str, Any]:
    """The last and the best evaluation of every seed: means with intervals, and the success of each seed.

    The last is that which every seed has. `best` is, for each seed, its evaluation with the highest success at the end,
    the earliest of several: the policies that `load(which="best")` gives. It is chosen in hindsight, from noisy
    evaluations, and so flatters the run: report the last, or evaluate the best policies anew (`hindsight-jax
    evaluate`). A seed whose success is not finite is listed in `failed_seeds`, and the means are then NaN.

    For a grid, `settings` holds the same for each setting, with its fields under `setting`, and `best_setting` is the
    setting with the highest mean at its last evaluation, chosen in hindsight too. There is no mean over settings.
    """
    groups = by_setting(records)
    if not any(setting for setting, _ in groups):
        return _summarise_setting(records, confidence)
    settings = [{"setting": setting} | _summarise_setting(group, confidence) for setting, group in groups]
    finite = [one for one in settings if one["success_end"] and math.isfinite(one["success_end"]["mean"])]
    best = max(finite, key=lambda one: one["success_end"]["mean"], default=None)
    env_steps = table(records, "success_end").env_steps
    return {
        "settings": settings,
        "best_setting": best["setting"] if best else None,
        "confidence": confidence,
        "env_steps": int(env_steps[-1]) if len(env_steps) else 0,
    }


def _summarise_setting(records: Sequence[Record], confidence: float) -> dict[str, Any]:
    """`summarise` for one setting."""
    end, anywhere = table(records, "success_end"), table(records, "success_any")
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
    summary["updates"] = max(record["updates"] for record in records if record["env_steps"] == summary["env_steps"])
    last = np.stack([end.values[:, -1], anywhere.values[:, -1]])
    summary["failed_seeds"] = [seed for seed, sums in zip(end.seeds, last.sum(0), strict=True) if not np.isfinite(sums)]
    summary["success_end"] = _mean_and_interval(end.values[:, -1], confidence)
    summary["success_any"] = _mean_and_interval(anywhere.values[:, -1], confidence)
    summary["best"] = _best(end, anywhere, confidence)
    return summary


def _best(end: Table, anywhere: Table, confidence: float) -> dict[str, Any] | None:
    """The best evaluation of each seed by success at the end; None if a seed has no finite one."""
    if not np.isfinite(end.values).any(axis=1).all():
        return None
    chosen = np.nanargmax(end.values, axis=1)
    picked = lambda values: values[np.arange(len(values)), chosen]
    return {
        "env_steps": end.env_steps[chosen].tolist(),
        "success_end": _mean_and_interval(picked(end.values), confidence),
        "success_any": _mean_and_interval(picked(anywhere.values), confidence),
    }


def _mean_and_interval(values: np.ndarray, confidence: float) -> dict[str, Any]:
    """Mean, interval and the value of every seed, from values [S]."""
    mean, low, high = statistics.interval(values, confidence, nan_policy="propagate", rates=True)
    return {"mean": float(mean), "low": float(low), "high": float(high), "per_seed": values.tolist()}
