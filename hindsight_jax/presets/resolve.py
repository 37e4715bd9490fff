"""Names such as hdm_push, and the complete configuration of each: a flat dict of dotted fields.

`<algorithm>_<environment>` has the schedule that all algorithms of the task share, the best that we know for
wall-clock; with `_paper`, where a paper has the pair, it has that paper's numbers and, where the paper is silent, its
released code's (docs/algorithms.md says which). What differs between the two stands in `tuning`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from hindsight_jax import checks, fields
from hindsight_jax.agents.base import default_hparams
from hindsight_jax.fields import COMMAND, Field, Value
from hindsight_jax.presets import fields as run_fields
from hindsight_jax.presets import rules
from hindsight_jax.presets.algorithms import AGENTS, ALGORITHMS
from hindsight_jax.presets.environments import ENVIRONMENTS
from hindsight_jax.presets.tuning import ANYWHERE, SCHEDULES, TUNED


def names() -> tuple[str, ...]:
    """Every name that `config` takes.

    >>> "hdm_push" in names() and "hdm_push_paper" in names() and "her_ddpg_flip_bit" not in names()
    True
    """
    known = []
    for algorithm in ALGORITHMS:
        for environment in ENVIRONMENTS:
            if not _misfit(algorithm, environment):
                name = f"{algorithm}_{environment}"
                known += [name, f"{name}_paper"] if _has_paper(algorithm, environment) else [name]
    return tuple(known)


def split(name: str) -> tuple[str, str, bool]:
    """(algorithm, environment, paper's schedule).

    Raises ValueError for an unknown name, and with the reason for a pair that does not fit.

    >>> split("her_01_push_paper")
    ('her_01', 'push', True)
    """
    if not isinstance(name, str):
        checks.fail("name", fields.short(name), "it must be a string", "Take one of presets.names().")
    base, paper = name.removesuffix("_paper"), name.endswith("_paper")
    for environment in ENVIRONMENTS:
        algorithm = base.removesuffix(f"_{environment}")
        if algorithm != base and algorithm in ALGORITHMS:
            _refuse_misfit(name, algorithm, environment)
            if paper and not _has_paper(algorithm, environment):
                rule = f"no paper has the pair, so there is no schedule to follow: {base} alone exists"
                checks.fail("name", fields.short(name), rule, f"Take {base}.")
            return algorithm, environment, paper
    remedy = f"{fields.did_you_mean(name, names())}List the names: {COMMAND} --list=all."
    checks.fail("name", fields.short(name), "there is no such name", remedy)


def fields_of(name: str, values: Mapping[str, Any] | None = None) -> dict[str, Field]:
    """The fields that have an effect in the run `name`, where some have other values than it gives them.

    They depend on options of the run (a temperature needs a soft backup), and not on numbers in which the members of
    one population may differ.

    >>> "agent.temperature" in fields_of("her_sql_push"), "agent.temperature" in fields_of("her_push")
    (True, False)
    >>> "agent.temperature" in fields_of("her_push", {"agent.backup": "mellow"})
    True
    """
    known, config = candidates(name), _preset(name) | dict(values or {})
    own = population_fields()
    options = lambda need: not any(field in own for field in need.alternatives)
    return {
        field: spec for field, spec in known.items() if all(need.holds(config) for need in spec.needs if options(need))
    }


def candidates(name: str) -> dict[str, Field]:
    """Every field that the agent and the task of the run `name` declare, whether or not it has an effect there.

    >>> "agent.temperature" in candidates("her_push"), "agent.temperature" in candidates("gcsl_push")
    (True, False)
    """
    algorithm, environment, _ = split(name)
    kind, task = AGENTS[ALGORITHMS[algorithm].agent], ENVIRONMENTS[environment]
    actions = {"env.actions": run_fields.ENV["actions"]} if len(task.actions) > 1 else {}
    ring = run_fields.RING if kind.batch == "transitions" else {}
    images = run_fields.IMAGES if kind.images else {}
    rewards = run_fields.REWARDS if kind.reads_rewards else {}
    agent = {f"agent.{name}": field for part in hyperparameters(kind.make) for name, field in part.items()}
    return _in_groups(run_fields.RUN | agent | ring | actions | dict(task.fields) | images | rewards)


def all_fields() -> dict[str, Field]:
    """Every field of any run; where agents differ in a default, it is the first one's.

    >>> {"seed", "agent.gamma_hdm", "agent.action_l2", "env.slip"} <= set(all_fields())
    True
    """
    agents = [part for kind in AGENTS.values() for part in hyperparameters(kind.make)]
    groups = [
        run_fields.RUN,
        *({f"agent.{name}": field for name, field in part.items()} for part in agents),
        run_fields.RING,
        run_fields.REWARDS,
        {f"env.{name}": field for name, field in run_fields.ENV.items()},
        run_fields.IMAGES,
        *(task.fields for task in ENVIRONMENTS.values()),
    ]
    known: dict[str, Field] = {}
    for group in groups:
        known |= {name: field for name, field in group.items() if name not in known}
    return _in_groups(known)


@functools.cache
def hyperparameters(make: Callable[..., Any]) -> tuple[dict[str, Field], dict[str, Field]]:
    """What a constructor of agents declares: (numbers that members may differ in, options of all members).

    >>> from hindsight_jax import agents
    >>> numbers, options = hyperparameters(agents.imitation)
    >>> list(numbers), list(options)[2:]
    (['learning_rate', 'epsilon', 'noise'], \
['scale_inputs', 'exploration', 'acting', 'std', 'averaging', 'last_stride', 'spatial_softmax'])
    """
    defaults = default_hparams(make)
    declared = fields.declared(type(defaults))
    own = {name: fields.checked(name, field, getattr(defaults, name)) for name, field in declared.items()}
    return {name: field._replace(default=own[name]) for name, field in declared.items()}, fields.declared(make)


def population_fields() -> tuple[str, ...]:
    """Fields that change no shape: the members of one population may differ in those that their run has.

    >>> "agent.gamma_hdm" in population_fields(), "agent.hidden_sizes" in population_fields()
    (True, False)
    """
    numbers = [name for kind in AGENTS.values() for name in hyperparameters(kind.make)[0]]
    return (*dict.fromkeys(f"agent.{name}" for name in numbers), *run_fields.MEMBERS_OWN)


def config(name: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The value of every field that has an effect in the run `name`, by dotted field; `overrides` are typed.

    Raises ValueError for an override of a field that the run has not or that has no effect, of a wrong type or out of
    range. Whether the values fit each other, `check` tells.

    >>> config("hdm_push_paper")["agent.gamma_hdm"]
    0.5
    >>> config("her_push", {"agent.gamma_hdm": 0.3})
    Traceback (most recent call last):
    ValueError: agent.gamma_hdm: got 0.3, but it has no effect here: it needs agent.imitation=indicator or \
agent.next_state=loss. Leave it out.
    """
    return changed(name, {}, overrides or {})


def changed(name: str, config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`config`, of the run `name`, with other values: a field that comes into effect by them has the run's own.

    A field that loses its effect is left out. Raises ValueError as `config` does for overrides.

    >>> soft = changed("her_push", config("her_push"), {"agent.backup": "mellow"})
    >>> soft["agent.temperature"], "agent.temperature" in config("her_push")
    (0.2, False)
    """
    known = candidates(name)
    values = _preset(name) | dict(config) | _typed_each(known, changes)
    for field in changes:
        _refuse_without_effect(field, known[field], values)
    return {field: values[field] for field in fields_of(name, values)}


def _refuse_without_effect(field: str, spec: Field, values: Mapping[str, Any]) -> None:
    """Raises ValueError if a need of the field does not hold among all values."""
    for need in spec.needs:
        if not need.holds(values):
            rule = f"it has no effect here: it needs {need}"
            checks.fail(field, fields.short(values[field]), rule, "Leave it out.")


def _preset(name: str) -> dict[str, Any]:
    """The value that the run gives each candidate, and the kind of its actions, whether or not that is a field."""
    algorithm, environment, paper = split(name)
    entry, task = ALGORITHMS[algorithm], ENVIRONMENTS[environment]
    values: dict[str, Any] = {field: spec.default for field, spec in candidates(name).items()}
    values["env.actions"] = next(kind for kind in entry.actions if kind in task.actions)
    ancestors = [ALGORITHMS[ancestor] for ancestor in _ancestors(algorithm)]
    for part in (
        *(ancestor.schedule for ancestor in ancestors),
        task.config,
        task.hdm if any(ancestor.paper == "hdm" for ancestor in ancestors) else {},
        task.hem if "hem" in _ancestors(algorithm) else {},
        *([] if paper else tuned(algorithm, environment)),
        entry.config,
    ):
        values |= part
    return values


def complete(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the run `name` from the value of every field that has an effect, each in its field's type.

    Raises ValueError for a field that is missing, unknown or without effect, of a wrong type or out of range, and for
    values that do not fit each other.

    >>> complete("hdm_push", config("hdm_push") | {"agent.beta": 1})["agent.beta"]
    1.0
    """
    if not isinstance(given, Mapping):
        remedy = "Start from presets.config(name)."
        checks.fail("config", fields.short(given), "it must map every field to a value", remedy)
    known = candidates(name)
    values = _typed_each(known, given)
    in_effect = fields_of(name, values)
    for field in values:
        if field not in in_effect:
            _refuse_without_effect(field, known[field], _preset(name) | values)
    for field in in_effect:
        if field not in given:
            checks.fail(field, "nothing", "every field must have a value", "Start from presets.config(name).")
    config = {field: values[field] for field in in_effect}
    check(name, config)
    return config


def _typed_each(known: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values, each in its field's type. ValueError for a field that is unknown, and a wrong value."""
    for field, value in given.items():
        if field not in known:
            if field in all_fields():
                checks.fail(field, fields.short(value), "this run has no use for it", "Leave it out.")
            remedy = f"{fields.did_you_mean(str(field), known)}List the fields: {COMMAND} --help."
            checks.fail(str(field), fields.short(value), "there is no such field", remedy)
    return {field: fields.checked(field, known[field], value) for field, value in given.items()}


def tuned(algorithm: str, environment: str) -> list[Mapping[str, Value]]:
    """The changes that the default makes in the paper's schedule: of the task, the kind of agent, and the algorithm.

    An algorithm that is like another has the other's changes, then its own. One with an agent of its own that is like
    none has none. On policy a collection is the batch, so its size is no part of what all algorithms share.
    """
    shared, changes = SCHEDULES.get(environment, {}), TUNED.get(environment, {})
    ancestors = _ancestors(algorithm)
    kind = ALGORITHMS[ancestors[0]].agent
    if kind in ALGORITHMS:  # registered together with a constructor
        shared = {}
    elif AGENTS[kind].batch == "trajectories":
        shared = {field: value for field, value in shared.items() if field != "env.num_envs"}
    own = ANYWHERE.get(kind, {}) | changes.get(kind, {})
    return [shared, own, *(changes.get(ancestor, {}) for ancestor in ancestors)]


def _ancestors(algorithm: str) -> list[str]:
    """The algorithm, and before it the one that it is like, and so on."""
    like = ALGORITHMS[algorithm].like
    return [*(_ancestors(like) if like else []), algorithm]


def horizon(name: str, config: Mapping[str, Any]) -> int:
    """Steps per episode: env.horizon, or the task's own where that is 0.

    >>> horizon("hem_flip_bit", config("hem_flip_bit") | {"env.size": 50})
    50
    """
    _, environment, _ = split(name)
    return config.get("env.horizon") or ENVIRONMENTS[environment].horizon or config["env.size"]


def check(name: str, config: Mapping[str, Any]) -> None:
    """The rules between the fields of a complete configuration. Raises ValueError with the numbers and the remedy."""
    algorithm, environment, _ = split(name)
    kinds, got = ALGORITHMS[algorithm].actions, config.get("env.actions")
    if got is not None and got not in kinds:
        rule = f"{algorithm} needs {' or '.join(kinds)} actions"
        checks.fail("env.actions", got, rule, f"Use {kinds[0]}, or another algorithm.")
    rules.check(
        {**config, "env.horizon": horizon(name, config)},
        imitates=AGENTS[ALGORITHMS[algorithm].agent].imitates,
        random=ENVIRONMENTS[environment].random or config.get("env.slip", 0.0) > 0.0,
    )


def describe(name: str) -> str:
    """One line of help."""
    algorithm, environment, paper = split(name)
    schedule = "; the paper's numbers, or its released code's" if paper else ""
    return f"{ENVIRONMENTS[environment].help}: {ALGORITHMS[algorithm].help}{schedule}"


def _has_paper(algorithm: str, environment: str) -> bool:
    """Whether one paper has both the algorithm and the task."""
    paper, task = ALGORITHMS[algorithm].paper, ENVIRONMENTS[environment]
    return paper is not None and paper == task.paper and (not task.tried or algorithm in task.tried)


def _misfit(algorithm: str, environment: str) -> bool:
    """Whether the algorithm can use none of the environment's kinds of action, or not its images."""
    return not set(ALGORITHMS[algorithm].actions) & set(ENVIRONMENTS[environment].actions) or _is_blind(
        algorithm, environment
    )


def _is_blind(algorithm: str, environment: str) -> bool:
    """Whether the environment is one of images, and the algorithm's agent can see none."""
    return bool(ENVIRONMENTS[environment].config.get("env.pixels")) and not AGENTS[ALGORITHMS[algorithm].agent].images


def _refuse_misfit(name: str, algorithm: str, environment: str) -> None:
    """ValueError with the reason, if the pair does not fit."""
    if _is_blind(algorithm, environment):
        rule = f"{algorithm} cannot learn from images"
        checks.fail(
            "name",
            fields.short(name),
            rule,
            f"Take another algorithm, or {ENVIRONMENTS[environment].task or environment}.",
        )
    if _misfit(algorithm, environment):
        needs, has = " or ".join(ALGORITHMS[algorithm].actions), " or ".join(ENVIRONMENTS[environment].actions)
        rule = f"{algorithm} needs {needs} actions and {environment} has {has} ones"
        checks.fail("name", fields.short(name), rule, "Take another algorithm or another task.")


def _in_groups(known: Mapping[str, Field]) -> dict[str, Field]:
    """The fields in the order of their groups: the run's own, then agent, env, replay, data, relabel, and the rest."""
    groups = ("", "agent", "env", "replay", "data", "relabel", "evaluation", "checkpoint")
    rank = lambda field: groups.index(field.rpartition(".")[0]) if field != "on_nan" else len(groups)
    return {field: known[field] for field in sorted(known, key=rank)}
