"""Which of several runs is better: means with intervals, differences seed by seed, and the probability of improvement.

Dimension key: S seeds, E evaluations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hindsight_jax import checks, presets, statistics
from hindsight_jax.runs import summary
from hindsight_jax.runs.sources import Line
from hindsight_jax.statistics import Interval

LAST = 5  # evaluations that `recent` averages over, since one evaluation is noisy
NO_INTERVAL = Interval(np.array(np.nan), np.array(np.nan), np.array(np.nan))


class Standing(NamedTuple):
    """How one line ended: the same numbers as in its summary.json."""

    label: str
    seeds: list[int]
    env_steps: int  # of the last evaluation that every seed has; 0 without any
    last: Interval  # of success, at that evaluation
    recent: Interval  # the mean of the last LAST evaluations
    per_seed: list[float]  # [S], at the last evaluation
    failed_seeds: list[int]  # not finite there


class Difference(NamedTuple):
    """How far one line is above another."""

    label: str
    other: str
    paired: bool  # seed by seed
    last: Interval  # at the last evaluation of either
    recent: Interval  # of the means of the last LAST evaluations
    improvement: Interval  # the probability that it is better, by `recent`


def success(line: Line, measure: str = "success_end") -> np.ndarray:
    """[S, E], at the evaluations that every seed has. Raises ValueError for another measure."""
    if measure not in ("success_end", "success_any"):
        checks.fail("measure", checks.short(measure), "it must be success_end or success_any", "Use success_end.")
    return summary.table(line.records, measure).values


def standing(line: Line, measure: str = "success_end") -> Standing:
    """How the line ended. NaN where a seed is not finite, or where there is no evaluation yet."""
    table, values = summary.table(line.records, measure), success(line, measure)
    if not values.size:
        return Standing(line.label, table.seeds, 0, NO_INTERVAL, NO_INTERVAL, [], [])
    of = lambda x: statistics.interval(x, nan_policy="propagate", rates=True)
    end = values[:, -1]
    failed = [seed for seed, value in zip(table.seeds, end, strict=True) if not np.isfinite(value)]
    recent = of(values[:, -LAST:].mean(axis=1))
    return Standing(line.label, table.seeds, int(table.env_steps[-1]), of(end), recent, end.tolist(), failed)


def difference(line: Line, other: Line, measure: str = "success_end") -> Difference:
    """How far `line` is above `other`: seed by seed where both have the same seeds, else by Welch's interval.

    Equal seeds share the goals of their evaluations where these come after the same number of epochs. Every number is
    NaN if a seed of either is not finite, or one of them has no evaluation yet. Raises ValueError for two tasks.
    """
    if _task(line) != _task(other):
        remedy = "Compare runs whose names end in the same task, with the same values of env."
        checks.fail("other", other.label, f"{line.label} is of another task", remedy)
    first, second = success(line, measure), success(other, measure)
    seeds = [summary.table(one.records, measure).seeds for one in (line, other)]
    paired = seeds[0] == seeds[1]
    ends = [(values[:, -1:], values[:, -LAST:].mean(axis=1)) for values in (first, second) if values.size]
    if len(ends) < 2 or not all(np.isfinite(recent).all() for _, recent in ends):
        return Difference(line.label, other.label, paired, NO_INTERVAL, NO_INTERVAL, NO_INTERVAL)
    last, recent = zip(*ends, strict=True)
    return Difference(
        line.label,
        other.label,
        paired,
        statistics.difference(*last, paired=paired),
        statistics.difference(*recent, paired=paired),
        statistics.probability_of_improvement(*recent, paired=paired),
    )


def best(lines: Sequence[Line], measure: str = "success_end") -> Line | None:
    """The line with the highest mean over its last evaluations, chosen in hindsight; None if none is finite."""
    means = [(float(standing(line, measure).recent.mean), -i) for i, line in enumerate(lines)]
    finite = [entry for entry in means if np.isfinite(entry[0])]
    return lines[-max(finite)[1]] if finite else None


def by_task(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines of each task, in the order of the first: no line is compared with one of another task."""
    groups: list[list[Line]] = []
    for line in lines:
        same = next((group for group in groups if _task(group[0]) == _task(line)), None)
        if same is None:
            groups.append([line])
        else:
            same.append(line)
    return groups


def spread(found: Interval, digits: int = 3) -> str:
    """'0.866 (0.791 to 0.941)'; of one seed the mean alone, '-' without one.

    >>> spread(Interval(np.array(0.5), np.array(0.25), np.array(0.75)), 2)
    '0.50 (0.25 to 0.75)'
    """
    if not np.isfinite(found.mean):
        return "-"
    ends = f" ({found.low:.{digits}f} to {found.high:.{digits}f})" if np.isfinite(found.low) else ""
    return f"{found.mean:.{digits}f}{ends}"


def _task(line: Line) -> tuple[str, dict[str, Any]]:
    """What an evaluation plays: the task, its values and the number of episodes.

    A task of a module that this process has not imported goes by the whole name of the run.
    """
    name, config = line.source.document["name"].removesuffix("_paper"), line.source.document["config"]
    task = next((task for task in presets.ENVIRONMENTS if name.endswith(f"_{task}")), name)
    values = {field: value for field, value in config["env"].items() if field != "num_envs"}
    return task, {**values, "episodes": config["evaluation"]["episodes"]}
