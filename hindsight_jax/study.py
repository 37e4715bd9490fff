"""A study: one named run over seeds and hyper-parameters, in one call, as named arrays.

Dimension key: S seeds, E evaluations, M members of one population. A grid of n fields is n axes in front of S and E, in
the order in which it was given: [*grid, S, E].
"""

import dataclasses
import functools
import importlib
import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, fields, plotting, presets, statistics, training
from hindsight_jax.agents.base import Agent
from hindsight_jax.training.record import RATES

_SEEDS_ARE_AN_ARGUMENT = "seeds are an argument of train, and every study has their axis"


class Trained(NamedTuple):
    """The policies of one setting."""

    agent: Agent
    last: Any  # the agents' states after the last evaluation, [S, ...]
    best: Any  # those of each seed's evaluation with the highest success at the end, [S, ...]


@dataclasses.dataclass(frozen=True, repr=False)
class Study:
    """The results of `train`. `study["success_end"]` is the array [*grid, S, E] of that metric."""

    name: str
    config: dict[str, Any]  # field -> its value, of the fields that the grid leaves alone
    grid: dict[str, tuple[Any, ...]]  # field -> its values, an axis each
    seeds: tuple[int, ...]  # [S]
    metrics: dict[str, np.ndarray]  # f64[*grid, S, E] each; NaN after a setting's last evaluation
    num_programs: int  # how often the run was compiled: once for each combination of values that change shapes
    trained: dict[tuple[int, ...], Trained]  # by the setting's index in the grid

    def __repr__(self) -> str:
        """Name, shape and the range of success, on one line."""
        success = self.metrics["success_end"][np.isfinite(self.metrics["success_end"])]
        axes = [f"{len(axis)} {field}" for field, axis in self.grid.items()]
        shape = " x ".join([*axes, f"{len(self.seeds)} seed{'s' * (len(self.seeds) > 1)}"])
        spread = f"{success.min():.3f} to {success.max():.3f}" if success.size else "nowhere finite"
        return f"Study({self.name}: {shape}; success of all evaluations {spread})"

    def __len__(self) -> int:
        """The number of records."""
        return int(np.isfinite(self.metrics["env_steps"]).sum())

    def __getitem__(self, metric: str) -> np.ndarray:
        if metric not in self.metrics:
            rule = f"it must be one of {', '.join(sorted(self.metrics))}"
            checks.fail("metric", fields.short(metric), rule, fields.did_you_mean(str(metric), self.metrics))
        return self.metrics[metric]

    def interval(self, metric: str = "success_end", confidence: float = 0.95) -> statistics.Interval:
        """Mean over seeds and its interval, [*grid, E] each; NaN where a seed has no finite value.

        The interval of a success rate stays within [0, 1].
        """
        seeds_first = np.moveaxis(self[metric], -2, 0)
        return statistics.interval(seeds_first, confidence, nan_policy="propagate", rates=metric in RATES)

    def policy(
        self,
        setting: Mapping[str, Any] | None = None,
        seed: int | None = None,
        which: str = "last",
        explore: bool = False,
    ) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
        """What was trained, as a function (observation [*O], goal [*G], key) -> action [D], which may be jitted.

        Args:
          setting: field -> value, of every field of the grid; None without a grid.
          seed: one of `seeds`; the first by default.
          which: "last", or "best", the seed's at its evaluation with the highest success, chosen in hindsight.
          explore: True for the policy that collects.

        Raises:
          ValueError: a setting that is not in the grid, a seed that was not trained, or another word.
        """
        axes, given = self.grid, dict(setting or {})
        if set(given) != set(axes):
            remedy = "Give a value of each of its fields." if axes else "Leave it out."
            checks.fail("setting", fields.short(given), f"the grid's fields are {', '.join(axes) or 'none'}", remedy)
        index = tuple(_place(f"setting[{field!r}]", given[field], axis) for field, axis in axes.items())
        member = _place("seed", self.seeds[0] if seed is None else seed, self.seeds)
        if not isinstance(which, str) or which not in ("best", "last"):
            checks.fail("which", checks.short(which), "it must be best or last", "Use 'last'.")
        explore = checks.flag("explore", explore, "Pass True for the policy that collects.")
        found = self.trained[index]
        agent = jax.tree.map(lambda x: x[member], found.best if which == "best" else found.last)
        return functools.partial(_act, found.agent, agent, explore=explore)

    def records(self) -> list[dict[str, Any]]:
        """A flat dict for each setting, seed and evaluation: the grid's fields, seed, env_steps, every other metric."""
        records = []
        for index, setting in presets.settings(self.grid):
            for (s, seed), e in itertools.product(enumerate(self.seeds), range(self.metrics["env_steps"].shape[-1])):
                record = {metric: float(array[(*index, s, e)]) for metric, array in self.metrics.items()}
                if np.isfinite(record["env_steps"]):
                    records.append({**setting, "seed": seed, **record})
        return records

    def to_dataframe(self) -> Any:
        """`records` as a pandas.DataFrame. Raises ImportError without pandas, which the package does not require."""
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError("to_dataframe needs pandas: pip install pandas. Or use records().") from error
        return pandas.DataFrame(self.records())

    def plot(self, metric: str = "success_end", confidence: float = 0.95) -> Any:
        """A matplotlib Figure: the mean over seeds with its interval over env steps, a line for each setting.

        With two fields or more there is a panel for each value of the first. `figure.savefig(path)` writes it.
        """
        interval = self.interval(metric, confidence)
        steps = self.metrics["env_steps"][..., 0, :]
        panels = next(iter(self.grid.values())) if len(self.grid) > 1 else (None,)
        figure = plotting.new_figure(4.5 * len(panels) + 1.5, 4.0)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        curves: list[list[plotting.Curve]] = [[] for _ in panels]
        for index, values in presets.settings(self.grid):
            label = presets.label(dict(list(values.items())[len(self.grid) > 1 :]))  # without the panel's field
            drawn = [array[index] for array in (steps, interval.mean, interval.low, interval.high)]
            curves[index[0] if len(panels) > 1 else 0].append(plotting.Curve(label or None, *drawn))
        for axis, value, panel_curves in zip(axes, panels, curves, strict=True):
            title = "" if value is None else f": {presets.label({next(iter(self.grid)): value})}"
            plotting.style_axis(axis)
            plotting.draw_settings(axis, panel_curves)
            axis.set(title=self.name + title, xlabel="env steps")
            if self.grid:
                axis.legend(fontsize="small")
        axes[0].set_ylabel(metric)
        return figure


def train(
    name: str,
    *,
    seeds: int | Sequence[int] = 4,
    grid: Mapping[str, Sequence[Any]] | None = None,
    overrides: Mapping[str, Any] | None = None,
    total_steps: int | None = None,
    report: Callable[[str], None] | None = None,
    members_at_once: int | None = None,
) -> Study:
    """Trains the named run for every setting of a grid and every seed, and evaluates each as it goes.

    Fields that change no shape (`presets.population_fields`) are axes of one vmapped population, compiled once; for any
    other field the run is compiled anew for each of its values. A member's numbers do not depend on the rest of the
    grid, up to the order of floating-point sums, and all settings of a seed share their evaluation's goals.

    Args:
      name: of the run, such as "hdm_push" (presets.names()).
      seeds: how many, from 0 on, or which.
      grid: field -> its values: {"agent.gamma_hdm": [0.3, 0.5, 0.85]}. All combinations are run.
      overrides: other fields to set, field -> value, for all members.
      total_steps: env steps per member; by default the run's own.
      report: called with a line after each evaluation, for example `print`.
      members_at_once: settings x seeds of one program that are trained together; the next begin when these are done.
        By default as many as fit into half of the free memory, which for most runs is all.

    Returns:
      A `Study`: `study["success_end"]` is f64[*grid, S, E], and so are env_steps, updates, success_any, distance_end
      and the learner's metrics, each the mean since the evaluation before. A member whose numbers are not finite is
      frozen: a UserWarning names it and its first bad tensor, `study["frozen"]` is 1 and its successes are NaN from
      there on, and the others are not touched.

    Raises:
      ValueError: an unknown name, field or value, an empty axis, a setting whose values do not fit each other,
        or a member that does not fit into the memory; before anything runs.
      FloatingPointError: a member froze, and `overrides` holds "on_nan": "halt".

    >>> study = train(
    ...     "her_flip_bit",
    ...     seeds=2,
    ...     grid={"agent.epsilon": [0.1, 0.2, 0.3]},
    ...     overrides={"env.size": 4, "evaluation.episodes": 8, "evaluation.every": 160},
    ...     total_steps=400,
    ... )
    >>> study["success_end"].shape, study["env_steps"][0, 0].tolist()
    ((3, 2, 2), [240.0, 400.0])
    """
    if report is not None:
        checks.function("report", report, "Pass print, say, or leave it out.")
    fixed, axes, chosen_seeds = _checked(name, seeds, grid, overrides, total_steps)
    varied, shaping = presets.programs(axes)
    programs = [
        [part for part in presets.settings(axes) if part[1].items() >= own.items()]
        for _, own in presets.settings(shaping)
    ]
    # Build everything first: a bad setting must fail now, not after hours of training.
    setups = [presets.build(name, presets.changed(name, fixed, program[0][1])) for program in programs]
    sizes = [_members_at_once(setup, members_at_once) for setup in setups]
    halts = fixed["on_nan"] == "halt"
    parts: dict[tuple[int, ...], dict[str, np.ndarray]] = {}
    trained: dict[tuple[int, ...], Trained] = {}
    for number, (program, setup) in enumerate(zip(programs, setups, strict=True)):
        say = report and _reporter(report, name, program[0][1], shaping, (number, len(programs)), fixed["total_steps"])
        members = training.members(chosen_seeds, [chosen for _, chosen in program])
        population_of = functools.cache(functools.partial(_population, setup))  # parts of one size share theirs
        parted = members.chunks(sizes[number])
        found = [_trained(setup, population_of, part, tuple(varied), say, halts) for part in parted]
        columns, *agents = zip(*found, strict=True)
        columns = {metric: np.concatenate([part[metric] for part in columns]) for metric in columns[0]}
        last, best = (jax.tree.map(lambda *parts: jnp.concatenate(parts), *each) for each in agents)
        for i, (index, _) in enumerate(program):
            mine = lambda x, i=i: x[i * len(chosen_seeds) : (i + 1) * len(chosen_seeds)]
            parts[index] = {metric: mine(column) for metric, column in columns.items()}
            trained[index] = Trained(setup.agent, jax.tree.map(mine, last), jax.tree.map(mine, best))
    return Study(
        name=name,
        config={field: value for field, value in fixed.items() if field not in (*axes, "seed", "seeds")},
        grid=axes,
        seeds=chosen_seeds,
        metrics=_stacked(parts, [len(axis) for axis in axes.values()]),
        num_programs=len(programs),
        trained=trained,
    )


def _checked(name: str, seeds: Any, grid: Any, overrides: Any, total_steps: Any):
    """(every fixed value, the axes, the seeds), all typed and in range; the values of every setting fit each other."""
    for argument, given in (("grid", grid), ("overrides", overrides)):
        if given is not None and not isinstance(given, Mapping):
            checks.fail(argument, fields.short(given), "it must be a dict of fields", "Write {field: ...}.")
    overrides = dict(overrides or {})
    for field in ("seed", "seeds"):
        if field in overrides:
            remedy = "Use seeds=range(first, last + 1)."
            checks.fail(f"overrides[{field!r}]", overrides[field], _SEEDS_ARE_AN_ARGUMENT, remedy)
    steps = {} if total_steps is None else {"total_steps": total_steps}
    # Whether the values fit each other, each setting of the grid tells.
    fixed = presets.config(
        name, {field: value for field, value in overrides.items() if field not in (grid or {})} | steps
    )
    seeds = _checked_seeds(seeds)
    axes = presets.check_grid(name, fixed, dict(grid or {}), taken=overrides)
    return fixed, axes, seeds


def _checked_seeds(seeds: Any) -> tuple[int, ...]:
    count = checks.plain(seeds)
    if isinstance(count, int) and not isinstance(count, bool):
        return tuple(range(checks.positive_int("seeds", count, "Give how many, or a sequence of seeds.")))
    remedy = "Give how many, or a sequence of different seeds such as range(20, 25)."
    return presets.entries(
        "seeds", presets.all_fields()["seed"], seeds, "it must be a count or a sequence of integers", remedy
    )


def _members_at_once(setup: presets.Setup, wanted: int | None) -> int:
    """How many members are trained together: what is wanted, or what fits into half of the free memory."""
    if wanted is not None:
        return checks.positive_int("members_at_once", wanted, "Leave it out to train as many together as fit.")
    one, free = training.memory_use(setup.run).total, training.free_memory()
    if free is not None and one > free // 2:
        rule = f"a member needs {one:,} bytes, and half of the free memory, {free // 2:,}, is for activations"
        checks.fail("replay.capacity", "a ring of that size", rule, "Lower replay.capacity, or free some memory.")
    return sys.maxsize if free is None else max(free // 2 // one, 1)


def _population(setup: presets.Setup, num_members: int) -> training.Population:
    """Over this process's devices: several processes train the same, each for itself."""
    return training.make_population(setup.run, training.devices_of(setup.run, num_members, jax.local_devices()))


def _trained(
    setup: presets.Setup,
    population_of: Callable[[int], training.Population],
    members: training.Members,
    varied: Sequence[str],
    say: Callable[[int, np.ndarray], None] | None,
    halts: bool,
) -> tuple[dict[str, np.ndarray], Any, Any]:
    """One population of settings x seeds, trained to its end: (metric -> f64[M, E], last agents, best agents)."""
    keys, values = members.keys(), members.overrides(varied)
    population = population_of(len(keys))
    population.compile(keys, values)
    state = population.init(keys, values)
    evaluations: list[dict[str, np.ndarray]] = []
    frozen: set[int] = set()
    while (epoch := int(state.epochs)) < setup.num_epochs:
        every = setup.epochs_between_evaluations
        state = population.advance(state, min(every - epoch % every, setup.num_epochs - epoch))
        state, columns = population.record(state, population.evaluate(state, keys))
        row = training.normalize_metrics(jax.tree.map(lambda x: np.asarray(x, np.float64), jax.device_get(columns)))
        for member in sorted(set(np.flatnonzero(row["frozen"]).tolist()) - frozen):
            _report_frozen(setup, members, state, member, halts)
            frozen.add(member)
        evaluations.append(row)
        if say:
            say(int(row["env_steps"][0]), row["success_end"])
    columns = {metric: np.stack([row[metric] for row in evaluations], axis=1) for metric in evaluations[0]}
    return columns, jax.device_get(state.members.agent), jax.device_get(state.best.agent)


def _act(agent: Agent, state: Any, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool) -> jax.Array:
    return agent.act(state, observation, goal, key, explore)


def _place(name: str, value: Any, axis: Sequence[Any]) -> int:
    """Where a value stands on its axis; ValueError if it does not."""
    for place, known in enumerate(axis):
        if known == (tuple(value) if isinstance(value, list) else value):
            return place
    checks.fail(
        name, fields.short(value), f"it must be one of {', '.join(map(fields.text, axis))}", "Take one of them."
    )


def _report_frozen(
    setup: presets.Setup, members: training.Members, state: training.PopulationState, member: int, halts: bool
) -> None:
    """Warns that a member stopped, and why; FloatingPointError if the study shall."""
    who = presets.label({"seed": members.seeds[member], **members.settings[member]})
    fault = setup.run.diagnose(training.local_member(state.members, member))
    if halts:
        raise FloatingPointError(f"{who}: {fault}. With 'on_nan': 'freeze' the others go on.")
    message = f"{who} is frozen, and has no success from here on: {fault}. Other members go on, untouched."
    warnings.warn(message, stacklevel=4)


def _reporter(
    report: Callable[[str], None],
    name: str,
    chosen: Mapping[str, Any],
    shaping: Iterable[str],
    part: tuple[int, int],
    total: int,
) -> Callable[[int, np.ndarray], None]:
    """What is called after an evaluation with the env steps and the successes [M]."""
    number, count = part
    which = "".join(f", {field} {fields.text(chosen[field])}" for field in shaping)
    title = f"{name} ({number + 1} of {count} programs{which})" if count > 1 else name

    def say(env_steps: int, success: np.ndarray) -> None:
        spread = f"success {success.min():.3f} to {success.max():.3f}"
        report(f"{title}: {min(env_steps, total):,} of {total:,} env steps, {spread}")

    return say


def _stacked(parts: Mapping[tuple[int, ...], Mapping[str, np.ndarray]], sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """Settings' arrays [S, E] as [*grid, S, E], NaN where a setting has fewer evaluations, or no such metric."""
    metrics = list(dict.fromkeys(metric for part in parts.values() for metric in part))
    num_seeds = len(next(iter(parts.values()))["env_steps"])
    longest = max(part["env_steps"].shape[1] for part in parts.values())
    out = {metric: np.full((*sizes, num_seeds, longest), np.nan) for metric in metrics}
    for index, part in parts.items():
        for metric, array in part.items():
            out[metric][index][:, : array.shape[1]] = array
    return out
