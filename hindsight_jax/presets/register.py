"""An algorithm or a task of a user's own gets names, ranges, help, and all that a named run has."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from hindsight_jax import checks, fields
from hindsight_jax.fields import Field, Value
from hindsight_jax.presets import fields as run_fields
from hindsight_jax.presets import resolve
from hindsight_jax.presets.tables import AGENTS, ALGORITHMS, ENVIRONMENTS, AgentKind, Algorithm, Environment

_ACTIONS = ("discrete", "continuous")
_OF_THE_PACKAGE = frozenset(ALGORITHMS), frozenset(ENVIRONMENTS), frozenset(AGENTS)


def register_algorithm(
    name: str,
    *,
    agent: str | Callable[..., Any],
    help: str,
    actions: Sequence[str] = ("discrete",),
    config: Mapping[str, Value] | None = None,
    schedule: Mapping[str, Value] | None = None,
    like: str | None = None,
    batch: Literal["transitions", "trajectories"] = "transitions",
    reads_rewards: bool = False,
    replace: bool = False,
) -> None:
    """Gives an algorithm a name with every task that has its kind of action: `<name>_push`, and so on.

    Args:
      name: lower case, digits and underscores.
      agent: a kind of agent that the table has ("q_learning", "imitation", "actor_critic", "policy_gradient"), or a
        constructor make(spec, *, hparams=Hparams(), ...) -> agents.Agent. The entries of Hparams, a NamedTuple, and the
        constructor's parameters become the fields `agent.*` if they declare what they take:
        `Annotated[type, fields.Allowed(help, low, high)] = default`. A parameter called `distance` or `success` gets
        the environment's function.
      help: a line for --list and --help.
      actions: the kinds of action that it can use, the preferred one first.
      config: values that define the algorithm, by dotted field; nothing tunes these.
      schedule: values that a task's own and tuned numbers may change.
      like: an algorithm whose schedule and tuned numbers it takes, where it has those fields.
      batch: what a constructor's agents learn from; a kind that the table has knows.
      reads_rewards: whether a constructor's agents read rewards and discounts, so that runs have relabel.reward_*.
      replace: overwrite an algorithm that was registered before.

    Raises:
      ValueError: a name that is taken, malformed or ambiguous, an unknown kind, or values that no run of it takes.

    >>> from hindsight_jax import presets
    >>> presets.register_algorithm(
    ...     "hdm_future",
    ...     agent="q_learning",
    ...     help="HDM without more goals of the next state",
    ...     config={"relabel.next_state": 0.0},
    ...     like="hdm",
    ...     replace=True,
    ... )
    >>> presets.config("hdm_future_push")["relabel.next_state"]
    0.0
    """
    _check_name(name, ALGORITHMS, _OF_THE_PACKAGE[0], replace)
    _check_help(help)
    _check_actions(actions)
    if like is not None and like not in ALGORITHMS:
        checks.fail("like", repr(like), f"it must be one of {', '.join(ALGORITHMS)}")
    kind_name, kind = _agent_kind(agent, batch, reads_rewards)
    config, schedule = dict(config or {}), dict(schedule or {})
    before = dict(AGENTS), dict(ALGORITHMS)
    AGENTS[kind_name] = kind
    ALGORITHMS[name] = Algorithm(
        agent=kind_name, actions=tuple(actions), help=help, config=config, schedule=schedule, like=like
    )
    try:
        _check_ambiguity()
        _check_values(f"{name}_", (("config", config), ("schedule", schedule)))
    except ValueError:
        for table, old in zip((AGENTS, ALGORITHMS), before, strict=True):
            table.clear()
            table.update(old)  # as if nothing had been registered
        raise


def register_environment(
    name: str,
    make: Callable[..., Any],
    *,
    help: str,
    actions: Sequence[str] | None = None,
    horizon: int | None = None,
    config: Mapping[str, Value] | None = None,
    replace: bool = False,
) -> None:
    """Gives a task a name with every algorithm that can use its actions: `hdm_<name>`, and so on.

    The keyword parameters of `make` become the fields `env.*` if they are called as those of other tasks (`size`,
    `horizon`, `threshold`, `bins`, `slip`, `start`, `actions`) or declare what they take:
    `Annotated[type, fields.Allowed(help, low, high)] = default`. `envs.make(name, ...)` knows the task, too.

    Args:
      name: lower case, digits and underscores.
      make: a subclass of `envs.GoalEnv`, or a function that returns a task.
      help: a line for --list and --help.
      actions: the kinds of action that it has, the preferred one first; by default those of a parameter `actions`, its
        default first, or else discrete ones.
      horizon: steps per episode, of a task that has no parameter `horizon` with a default.
      config: values that all algorithms have on it, by dotted field, such as {"total_steps": 100_000}.
      replace: overwrite a task that was registered before.

    Raises:
      ValueError: a name that is taken, malformed or ambiguous, a `make` that cannot be called, a horizon that is
        nowhere to be found, or values that no run of it takes.

    See docs/add_your_own_task.md.
    """
    from hindsight_jax import envs

    _check_name(name, ENVIRONMENTS, _OF_THE_PACKAGE[1], replace)
    _check_help(help)
    checks.function("make", make, "Pass a subclass of envs.GoalEnv, or a function that returns one.")
    parameters = inspect.signature(make).parameters
    default_of = lambda key: parameters[key].default if key in parameters else inspect.Parameter.empty
    if actions is None:
        first = default_of("actions")
        actions = (first, *(kind for kind in _ACTIONS if kind != first)) if first in _ACTIONS else ("discrete",)
    _check_actions(actions)
    steps = default_of("horizon") if horizon is None else horizon
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        rule = "it must be the task's number of steps, an integer >= 1"
        checks.fail("horizon", steps, rule, "Pass horizon=50, or give the task's parameter `horizon` a default.")
    entry = Environment(
        actions=tuple(actions), help=help, fields=_env_fields(make), horizon=steps, config=dict(config or {})
    )
    before = dict(ENVIRONMENTS)
    ENVIRONMENTS[name] = entry
    try:
        _check_ambiguity()
        _check_values(f"_{name}", (("config", entry.config),))
        envs.register(name, make, replace=replace)
    except ValueError:
        ENVIRONMENTS.clear()
        ENVIRONMENTS.update(before)  # as if nothing had been registered
        raise


def _env_fields(make: Callable[..., Any]) -> dict[str, Field]:
    """The env.* fields of a task's constructor, with its own defaults; `horizon` has 0, for the task's own."""
    found = {f"env.{name}": field for name, field in fields.declared(make).items()}
    for name, parameter in inspect.signature(make).parameters.items():
        known = run_fields.ENV.get(name)
        if name == "actions" or known is None or f"env.{name}" in found:
            continue
        if parameter.default is inspect.Parameter.empty:
            checks.fail(f"make's {name}", "no default", "a parameter that becomes a field must have one")
        default = 0 if name == "horizon" else fields.checked(f"make's {name}", known, parameter.default)
        found[f"env.{name}"] = known._replace(default=default)
    return found


def _agent_kind(agent: Any, batch: Any, reads_rewards: Any) -> tuple[str, AgentKind]:
    """The name of the kind and the kind, which a constructor makes."""
    if isinstance(agent, str):
        if agent not in AGENTS:
            remedy = "Or pass a constructor of agents."
            checks.fail("agent", repr(agent), f"it must be one of {', '.join(AGENTS)}", remedy)
        return agent, AGENTS[agent]
    checks.function("agent", agent, "Pass make(spec, *, hparams=Hparams(), ...), or the name of a kind.")
    if batch not in ("transitions", "trajectories"):
        checks.fail("batch", repr(batch), "it must be transitions or trajectories")
    checks.flag("reads_rewards", reads_rewards, "Say whether update reads batch.reward and batch.discount.")
    hparams = inspect.signature(agent).parameters.get("hparams")
    if hparams is None or not hasattr(hparams.default, "_fields"):
        rule = "it must have a parameter `hparams` whose default is a NamedTuple of numbers"
        checks.fail("agent", fields.short(agent), rule, "Write make(spec, *, hparams=Hparams(), ...).")
    resolve.hyperparameters(agent)  # refuses a declared parameter without a default
    name = getattr(agent, "__name__", type(agent).__name__)
    if name in _OF_THE_PACKAGE[2] and AGENTS[name].make is not agent:
        checks.fail("agent", name, "a kind of agent of the package has that name", "Rename the constructor.")
    return name, AgentKind(agent, batch, reads_rewards)


def _check_name(name: Any, table: Mapping[str, Any], of_the_package: frozenset[str], replace: bool) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or name.endswith("_paper"):
        rule = "it must be lower-case letters, digits and single underscores, and not end in _paper"
        checks.fail("name", fields.short(name), rule, "Write my_task, say.")
    if name in of_the_package:
        checks.fail("name", repr(name), "the package has that name", "Choose another.")
    if name in table and not replace:
        checks.fail("name", repr(name), "it is registered already", "Choose another, or pass replace=True.")


def _check_help(help: Any) -> None:
    if not isinstance(help, str) or not help.strip() or "\n" in help:
        checks.fail("help", fields.short(help), "it must be one line of text")


def _check_actions(actions: Any) -> None:
    good = isinstance(actions, Sequence) and not isinstance(actions, str) and len(actions) > 0
    if not good or any(kind not in _ACTIONS for kind in actions) or len(set(actions)) < len(actions):
        checks.fail("actions", fields.short(actions), 'it must hold "discrete", "continuous" or both')


def _check_ambiguity() -> None:
    """No two pairs of an algorithm and a task have one name."""
    pairs: dict[str, tuple[str, str]] = {}
    for pair in ((algorithm, task) for algorithm in ALGORITHMS for task in ENVIRONMENTS):
        if other := pairs.get("_".join(pair)):
            rule = f"{' + '.join(pair)} and {' + '.join(other)} would have one name"
            checks.fail("name", "_".join(pair), rule, "Choose another.")
        pairs["_".join(pair)] = pair


def _check_values(part: str, given: Sequence[tuple[str, Mapping[str, Value]]]) -> None:
    """Every given value is one of a field that some run with this part in its name has."""
    runs = [name for name in resolve.names() if name.startswith(part) or name.endswith(part)]
    if not runs:
        checks.fail("actions", "no kind that fits", "some algorithm and task must share a kind of action")
    known: dict[str, Field] = {}
    for name in runs:
        known |= resolve.fields_of(name)
    for argument, values in given:
        for field, value in values.items():
            if field not in known:
                remedy = fields.did_you_mean(field, known)
                checks.fail(f"{argument}[{field!r}]", fields.short(value), "no run of it has such a field", remedy)
            fields.checked(f"{argument}[{field!r}]", known[field], value)
