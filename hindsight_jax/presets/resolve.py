"""The rows: algorithm x environment -> every value of a run, under a name such as hdm_push.

`<algorithm>_<environment>` is the best that we know for wall-clock; with `_paper`, where a paper has the pair, it is
that paper's schedule to the letter. Everything that differs between the two stands in TUNED, and in BUILD_NOTES.md.
"""

from collections.abc import Mapping
from typing import Any

from hindsight_jax import checks, fields
from hindsight_jax.fields import FIELDS, Field, Value
from hindsight_jax.presets import rules
from hindsight_jax.presets.tables import ALGORITHMS, ENVIRONMENTS
from hindsight_jax.presets.tuning import TUNED


def names() -> tuple[str, ...]:
    """Every name that `config` takes.

    >>> "hdm_push" in names() and "hdm_push_paper" in names() and "her_ddpg_flip_bit" not in names()
    True
    """
    found = []
    for algorithm, row in ALGORITHMS.items():
        for environment, task in ENVIRONMENTS.items():
            if not _misfit(algorithm, environment):
                name = f"{algorithm}_{environment}"
                found += [name, f"{name}_paper"] if row.paper == task.paper else [name]
    return tuple(found)


def split(name: str) -> tuple[str, str, bool]:
    """(algorithm, environment, paper's schedule).

    Raises ValueError for an unknown name, and with the reason for a pair that does not fit.

    >>> split("her_01_push_paper")
    ('her_01', 'push', True)
    """
    if not isinstance(name, str):
        checks.fail("name", fields.short(name), "it must be a string", "Take one of presets.names().")
    base, paper = name.removesuffix("_paper"), name.endswith("_paper")
    for algorithm, row in ALGORITHMS.items():
        for environment, task in ENVIRONMENTS.items():
            if base == f"{algorithm}_{environment}":
                _refuse_misfit(name, algorithm, environment)
                if paper and row.paper != task.paper:
                    rule = f"no paper has the pair, so there is no schedule to follow: {base} alone exists"
                    checks.fail("name", fields.short(name), rule, f"Take {base}.")
                return algorithm, environment, paper
    remedy = f"{fields.did_you_mean(name, names())}List the names: {fields.COMMAND} --list=all."
    checks.fail("name", fields.short(name), "there is no such name", remedy)


def fields_of(name: str) -> dict[str, Field]:
    """The fields that the run `name` has: those that its agent and its task read.

    >>> "agent.gamma_hdm" in fields_of("hdm_push"), "agent.gamma_hdm" in fields_of("gcsl_push")
    (True, False)
    """
    algorithm, environment, _ = split(name)
    kind, task = ALGORITHMS[algorithm].agent, ENVIRONMENTS[environment]
    taken = {"env.num_envs", *task.fields} | ({"env.actions"} if len(task.actions) > 1 else set())
    mine = lambda field, spec: field in taken if field.startswith("env.") else not spec.agents or kind in spec.agents
    return {field: spec for field, spec in FIELDS.items() if mine(field, spec)}


def config(name: str) -> dict[str, Any]:
    """Every value of the run `name`, by dotted field.

    >>> config("hdm_push_paper")["agent.gamma_hdm"]
    0.5
    """
    algorithm, environment, paper = split(name)
    row, task = ALGORITHMS[algorithm], ENVIRONMENTS[environment]
    known = fields_of(name)
    values: dict[str, Any] = {field: spec.default for field, spec in known.items()}
    values["env.actions"] = next(kind for kind in row.actions if kind in task.actions)
    numbers = {**task.values, **(task.hdm if row.paper == "hdm" else {})}
    for part in (row.schedule, numbers, *([] if paper else tuned(algorithm, environment)), row.values):
        values |= part
    return {field: values[field] for field in known}


def tuned(algorithm: str, environment: str) -> list[dict[str, Value]]:
    """What the default changes in the paper's schedule of a pair: its kind of agent's changes, then its own."""
    changes = TUNED.get(environment, {})
    return [changes.get(ALGORITHMS[algorithm].agent, {}), changes.get(algorithm, {})]


def horizon(name: str, values: Mapping[str, Any]) -> int:
    """Steps per episode: env.horizon, or the task's own where that is 0.

    >>> horizon("hem_flip_bit", config("hem_flip_bit") | {"env.size": 50})
    50
    """
    _, environment, _ = split(name)
    return values["env.horizon"] or ENVIRONMENTS[environment].horizon or values["env.size"]


def check(name: str, values: Mapping[str, Any]) -> None:
    """The rules between the fields of a complete dict of values. Raises ValueError with the numbers and the remedy."""
    algorithm, _, _ = split(name)
    kinds, got = ALGORITHMS[algorithm].actions, values.get("env.actions")
    if got is not None and got not in kinds:
        rule = f"{algorithm} needs {' or '.join(kinds)} actions"
        checks.fail("env.actions", got, rule, f"Use {kinds[0]}, or another algorithm.")
    rules.check({**values, "env.horizon": horizon(name, values)})


def describe(name: str) -> str:
    """One line of help."""
    algorithm, environment, paper = split(name)
    schedule = "; the paper's schedule to the letter" if paper else ""
    return f"{ENVIRONMENTS[environment].help}: {ALGORITHMS[algorithm].help}{schedule}"


def _misfit(algorithm: str, environment: str) -> bool:
    """Whether the algorithm can use none of the environment's kinds of action."""
    return not set(ALGORITHMS[algorithm].actions) & set(ENVIRONMENTS[environment].actions)


def _refuse_misfit(name: str, algorithm: str, environment: str) -> None:
    """ValueError with the reason, if the pair does not fit."""
    if _misfit(algorithm, environment):
        needs, has = " or ".join(ALGORITHMS[algorithm].actions), " or ".join(ENVIRONMENTS[environment].actions)
        rule = f"{algorithm} needs {needs} actions and {environment} has {has} ones"
        checks.fail("name", fields.short(name), rule, "Take another algorithm or another task.")
