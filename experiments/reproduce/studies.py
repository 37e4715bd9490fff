"""What a study is, as data: its runs, the table or picture that they make, and the claims that they test.

A run belongs to one study and may be a cell of others: Figure 7 of HDM draws the runs of its Table 1. It trains in
DIR/STUDY/LABEL. `hdm_studies` and `hem_studies` hold the studies of the two papers.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from hindsight_jax import presets
from hindsight_jax.runs import config_file

Budget = Literal["quick", "default", "paper"]
BUDGETS: tuple[Budget, ...] = ("quick", "default", "paper")
_NOTHING: Mapping[str, Any] = MappingProxyType({})

# A run in miniature; each run takes those of the fields that it has. Its numbers say nothing.
QUICK: Mapping[str, Any] = MappingProxyType(
    {
        "seeds": 2,
        "total_steps": 160,
        "agent.hidden_sizes": (8, 8),
        "agent.batch_size": 8,
        "agent.updates_per_epoch": 2,
        "agent.group_size": 0,
        "env.horizon": 5,
        "replay.warmup": 4,
        "replay.capacity": 100,
        "evaluation.episodes": 4,
        "evaluation.every": 40,
    }
)


class Run(NamedTuple):
    """A population of seeds of one named run."""

    study: str  # whose folder it is in
    label: str  # of its folder
    name: str  # of the run, such as "hdm_push"
    values: Mapping[str, Any] = _NOTHING  # field -> value, in every budget: what makes it this run
    tuned: Mapping[str, Any] = _NOTHING  # the same, in the default budget alone
    seeds: int = 5  # 0, 1, ...

    @property
    def path(self) -> str:
        """STUDY/LABEL: its work directory below the driver's."""
        return f"{self.study}/{self.label}"


class Cell(NamedTuple):
    """A run's place in a study's table and picture."""

    run: Run
    row: str  # what is compared: an algorithm
    column: str  # under what: a task, or the value of a sweep; "": a line over the whole sweep
    panel: str = ""  # of a picture with several sweeps


class Claim(NamedTuple):
    """What a paper, or we, say about runs. It is tested for each pair; `verdicts` has the rules.

    above: the first run's success is above the second's. level: they differ by less than `by`. reaches: the first
    run's success is above `by`.
    """

    text: str
    kind: Literal["above", "level", "reaches"]
    pairs: tuple[tuple[str, str], ...]  # paths of runs; of "reaches" the second is ""
    by: float = 0.0


class Study(NamedTuple):
    """Runs, and what they are for."""

    name: str  # of its folder, its JSON file, its picture, and on the command line
    title: str
    source: str  # "HDM, Table 1"
    asks: str  # what it is to show, in a sentence
    cells: tuple[Cell, ...]
    figure: Literal["curves", "sweep", "gain", "ratio"]
    claims: tuple[Claim, ...]
    quick: tuple[str, ...]  # paths of the runs that the quick budget trains
    printed: Mapping[tuple[str, str], tuple[float, float]] = MappingProxyType(
        {}
    )  # (row, column) -> the paper's mean and spread
    has_paper: bool = True  # whether there is a paper's schedule for it
    axis: str = ""  # of a sweep

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of a cell, once, in the order of the cells; some may be another study's."""
        return tuple({cell.run.path: cell.run for cell in self.cells}.values())


def name_of(run: Run, budget: Budget) -> str | None:
    """The name to train, or None if the budget is the paper's and no paper has the run.

    >>> name_of(Run("s", "a", "hdm_push"), "paper"), name_of(Run("s", "a", "her_flip_bit"), "paper")
    ('hdm_push_paper', None)
    """
    if budget != "paper":
        return run.name
    return f"{run.name}_paper" if f"{run.name}_paper" in presets.names() else None


def config_of(run: Run, budget: Budget) -> dict[str, Any]:
    """Every value of the run, by dotted field. ValueError if one of them is wrong.

    >>> config = config_of(Run("s", "a", "hdm_push", {"agent.gamma_hdm": 0.3}), "quick")
    >>> config["agent.gamma_hdm"], config["seeds"], config["total_steps"]
    (0.3, 2, 160)
    """
    return config_file.resolve(known_name_of(run, budget), overrides_of(run, budget))


def known_name_of(run: Run, budget: Budget) -> str:
    """`name_of`, which must have one. ValueError if no paper has the run, and the budget is the paper's."""
    name = name_of(run, budget)
    if name is None:
        raise ValueError(f"{run.path}: no paper has {run.name}, so it is no part of the paper's budget.")
    return name


def overrides_of(run: Run, budget: Budget) -> dict[str, Any]:
    """What the command line sets of the run besides its name."""
    values: dict[str, Any] = {"seeds": run.seeds} | dict(run.values)
    if budget == "default":
        return values | dict(run.tuned)
    if budget == "paper":
        return values
    small = dict(QUICK) | {"env.num_envs": 4 if values.get("env.num_envs", 0) > 20 else 2}
    if "env.size" in values:
        small["env.size"] = 3 if values["env.size"] <= 25 else 4
    present = presets.fields_of(run.name, presets.config(run.name, values))
    return {field: value for field, value in (values | small).items() if field in present}


def runs_of(study: Study, budget: Budget) -> tuple[Run, ...]:
    """The runs that the budget trains for the study."""
    if budget == "quick":
        return tuple(run for run in study.runs if run.path in study.quick)
    if budget == "paper" and not study.has_paper:
        return ()
    return tuple(run for run in study.runs if name_of(run, budget))


def grid_cells(study: str, rows: Mapping[str, str], tasks: tuple[str, ...], **more: Any) -> tuple[Cell, ...]:
    """A cell for each algorithm, row -> algorithm, on each task: labels ALGORITHM_TASK.

    >>> [cell.run.path for cell in grid_cells("s", {"HDM": "hdm"}, ("push", "door"))]
    ['s/hdm_push', 's/hdm_door']
    """
    return tuple(
        Cell(Run(study, f"{algorithm}_{task}", f"{algorithm}_{task}", **more), row, task)
        for row, algorithm in rows.items()
        for task in tasks
    )
