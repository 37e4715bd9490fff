"""A user's own algorithms and tasks: names, ranges and help, and everything else that a named run has."""

import contextlib
import inspect
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from hindsight_jax import checks, fields
from hindsight_jax.agents.base import default_hparams
from hindsight_jax.fields import Field, Value
from hindsight_jax.presets import fields as run_fields
from hindsight_jax.presets import resolve
from hindsight_jax.presets.algorithms import AGENTS, ALGORITHMS, AgentKind, Algorithm
from hindsight_jax.presets.environments import ENVIRONMENTS, Environment

_ACTIONS = ("discrete", "continuous")
_BUILT_IN = frozenset({*ALGORITHMS, *ENVIRONMENTS, *AGENTS, "all"})  # --list=all


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
    images: bool = False,
    replace: bool = False,
) -> None:
    """Gives an algorithm a name with every task that has its kind of action: `<name>_push`, and so on.

    Args:
      name: lower case, digits and underscores.
      agent: one of `presets.AGENTS`, such as "q_learning" or "actor_critic", the name of an algorithm that was
        registered with a constructor, or a constructor make(spec, *, hparams=Hparams(), ...) -> agents.Agent. The
        entries of Hparams, a NamedTuple, and the constructor's parameters become the fields `agent.*` if they declare
        what they take: `Annotated[type, fields.Allowed(help, low, high)] = default`. A parameter called `distance` or
        `success` gets the environment's function.
      help: a line for --list and --help.
      actions: the kinds of action that it can use, the preferred one first.
      config: values that define the algorithm, by dotted field; nothing tunes these.
      schedule: values that a task's own and tuned numbers may change.
      like: an algorithm whose schedule and tuned numbers it takes, where it has those fields.
      batch: what the agents of a constructor learn from. Only for a constructor, as the next two.
      reads_rewards: whether its agents read rewards and discounts, so that runs have the fields relabel.reward_*.
      images: whether its agents see images, where the spec has `images`, so that runs have the fields env.pixels,
        env.frames and env.goals, and `<name>_push_pixels` is one.
      replace: overwrite an algorithm that was registered before.

    Raises:
      ValueError: a name that is taken, malformed or ambiguous, an unknown agent, or values that no run of it takes.
        Nothing is registered then.

    With HDM's agent and numbers, for example, but no goals of the next state beyond those of the future:

        presets.register_algorithm(
            "hdm_future",
            agent="q_learning",
            help="HDM on goals of the future alone",
            config={"relabel.next_state": 0.0},
            like="hdm",
        )
        setup = presets.build("hdm_future_push", presets.config("hdm_future_push"))
    """
    _check_name(name, ALGORITHMS, replace)
    _check_help(help)
    _check_actions(actions)
    _check_like(name, like)
    if isinstance(agent, str):
        _check_known_kind(agent, batch, reads_rewards, images)
        added = {}
    else:
        added = {name: _agent_kind(agent, batch, reads_rewards, images)}
    kind = agent if isinstance(agent, str) else name
    with _all_or_nothing():
        AGENTS.update(added)
        entry = ALGORITHMS[name] = Algorithm(agent=kind, actions=tuple(actions), help=help, config={}, like=like)
        _check_ambiguity()
        _check_members_own()
        known = _fields_of([run for run in resolve.names() if resolve.split(run)[0] == name])
        config, schedule = _typed("config", config, known), _typed("schedule", schedule, known)
        ALGORITHMS[name] = entry._replace(config=config, schedule=schedule)


def register_environment(
    name: str,
    make: Callable[..., Any],
    *,
    help: str,
    actions: Sequence[str] | None = None,
    horizon: int | None = None,
    config: Mapping[str, Value] | None = None,
    random: bool = False,
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
      random: whether its dynamics are random; then agent.hindsight_bound, which would count luck as skill, is refused.
      replace: overwrite a task that was registered before.

    Raises:
      ValueError: a name that is taken, malformed or ambiguous, a `make` that cannot be called, a horizon that is
        nowhere to be found, or values that no run of it takes.

    See docs/add_your_own_task.md.
    """
    from hindsight_jax import envs

    _check_name(name, ENVIRONMENTS, replace)
    _check_help(help)
    checks.function("make", make, "Pass a subclass of envs.GoalEnv, or a function that returns one.")
    random = checks.flag("random", random, "Say whether two equal actions in equal states may have different results.")
    kinds = _default_actions(make) if actions is None else actions
    _check_actions(kinds)
    steps = _default(make, "horizon") if horizon is None else horizon
    rule = "it must be the task's number of steps, an integer >= 1"
    remedy = "Pass horizon=50, or give the task's parameter `horizon` a default."
    steps = checks.whole("horizon", steps, 1, math.inf, remedy, rule)
    entry = Environment(
        actions=tuple(kinds), help=help, fields=_env_fields(make), horizon=steps, config={}, random=random
    )
    with _all_or_nothing():
        ENVIRONMENTS[name] = entry
        _check_ambiguity()
        known = _fields_of([run for run in resolve.names() if resolve.split(run)[1] == name])
        ENVIRONMENTS[name] = entry._replace(config=_typed("config", config, known))
        envs.register(name, make, replace=replace)


@contextlib.contextmanager
def _all_or_nothing() -> Iterator[None]:
    """Restores the tables if an error is raised within."""
    tables: list[dict[str, Any]] = [table for table in (AGENTS, ALGORITHMS, ENVIRONMENTS)]  # noqa: C416 - for pyright
    before = [dict(table) for table in tables]
    try:
        yield
    except BaseException:
        for table, old in zip(tables, before, strict=True):
            table.clear()
            table.update(old)
        raise


def _default(make: Callable[..., Any], name: str) -> Any:
    """The default of a parameter; None if it has none."""
    parameter = inspect.signature(make).parameters.get(name)
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default


def _default_actions(make: Callable[..., Any]) -> tuple[str, ...]:
    """Both kinds of a parameter `actions`, its default first; without one, discrete actions."""
    first = _default(make, "actions")
    return (first, *(kind for kind in _ACTIONS if kind != first)) if first in _ACTIONS else ("discrete",)


def _env_fields(make: Callable[..., Any]) -> dict[str, Field]:
    """The env.* fields of a task's constructor, with its own defaults; `horizon` has 0, for the task's own."""
    found = {f"env.{name}": field for name, field in fields.declared(make).items()}
    for name, parameter in inspect.signature(make).parameters.items():
        known = run_fields.ENV.get(name)
        if name == "actions" or known is None or f"env.{name}" in found:
            continue
        if parameter.default is inspect.Parameter.empty:
            rule = f"the parameter becomes the field env.{name}, which must have one"
            checks.fail(f"make's {name}", "no default", rule, f"Write {name}=VALUE.")
        default = 0 if name == "horizon" else fields.checked(f"make's {name}", known, parameter.default)
        found[f"env.{name}"] = known._replace(default=default)
    return found


def _check_known_kind(agent: str, batch: Any, reads_rewards: Any, images: Any) -> None:
    """ValueError unless the table has this kind of agent, and knows alone what it learns from."""
    if agent not in AGENTS:
        checks.fail("agent", repr(agent), f"it must be a constructor or one of {', '.join(AGENTS)}")
    own = (("batch", batch, "transitions"), ("reads_rewards", reads_rewards, False), ("images", images, False))
    for argument, value, default in own:
        if value != default:
            checks.fail(argument, repr(value), "only a constructor of your own has it", "Leave it out.")


def _agent_kind(agent: Any, batch: Any, reads_rewards: Any, images: Any) -> AgentKind:
    """The kind of agent that a constructor makes."""
    checks.function("agent", agent, "Pass make(spec, *, hparams=Hparams(), ...), or the name of a kind.")
    if batch not in ("transitions", "trajectories"):
        checks.fail("batch", repr(batch), "it must be transitions or trajectories")
    reads_rewards = checks.flag(
        "reads_rewards", reads_rewards, "Say whether update reads batch.reward and batch.discount."
    )
    images = checks.flag("images", images, "Say whether its networks take uint8 images where spec.images is set.")
    default_hparams(agent)
    numbers, options = resolve.hyperparameters(agent)
    of_the_run = {field.removeprefix("agent.") for field in run_fields.RING if field.startswith("agent.")}
    for name in options.keys() & (numbers.keys() | of_the_run) or numbers.keys() & of_the_run:
        checks.fail("agent", f"a declaration of {name}", "the name is declared already", "Give it another.")
    return AgentKind(agent, batch, reads_rewards, images=images)


def _check_members_own() -> None:
    """A field of agents is either a number of members for all kinds of agent, or an option for all."""
    own = set(resolve.population_fields())
    for kind in AGENTS.values():
        for name in resolve.hyperparameters(kind.make)[1]:
            if f"agent.{name}" in own:
                rule = "of some agents the entry of hparams is called so, and of others a parameter of the constructor"
                checks.fail(f"agent.{name}", "two meanings", rule, "Rename it.")


def _check_name(name: Any, table: Mapping[str, Any], replace: bool) -> None:
    """A new name for this table."""
    checks.flag("replace", replace, "Pass True to overwrite what was registered under this name.")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        rule = "it must be lower-case letters, digits and single underscores"
        checks.fail("name", fields.short(name), rule, "For example my_task.")
    if name.split("_")[-1] == "paper":
        checks.fail("name", repr(name), "names that end in paper are the papers' schedules", "Choose another.")
    if name in _BUILT_IN:
        checks.fail("name", repr(name), "the package has that name", f"For example my_{name}.")
    if name not in table and name in {*ALGORITHMS, *ENVIRONMENTS}:
        checks.fail("name", repr(name), "an algorithm and a task must not share one", "Choose another.")
    if name in table and not replace:
        checks.fail("name", repr(name), "it is registered already", "Choose another, or pass replace=True.")


def _check_help(help: Any) -> None:
    """One line of text."""
    if not isinstance(help, str) or not help.strip() or not help.isprintable():
        checks.fail("help", fields.short(help), "it must be one line of text")


def _check_actions(actions: Any) -> None:
    """One or both kinds of action."""
    good = isinstance(actions, Sequence) and not isinstance(actions, str) and len(actions) > 0
    if not good or any(kind not in _ACTIONS for kind in actions) or len(set(actions)) < len(actions):
        checks.fail("actions", fields.short(actions), 'it must be ("discrete",), ("continuous",) or both in a tuple')


def _check_like(name: str, like: Any) -> None:
    """None, or an algorithm that is not like this one itself."""
    if like is None:
        return
    if not isinstance(like, str) or like not in ALGORITHMS:
        checks.fail("like", fields.short(like), f"it must be one of {', '.join(ALGORITHMS)}")
    ancestor: str | None = like
    while ancestor is not None:
        if ancestor == name:
            checks.fail("like", repr(like), f"its numbers come from {name} itself", "Take another, or leave it out.")
        ancestor = ALGORITHMS[ancestor].like


def _check_ambiguity() -> None:
    """No two pairs of an algorithm and a task have one name."""
    pairs: dict[str, tuple[str, str]] = {}
    for pair in itertools.product(ALGORITHMS, ENVIRONMENTS):
        if other := pairs.get("_".join(pair)):
            rule = f"{' + '.join(pair)} and {' + '.join(other)} would have one name"
            checks.fail("name", "_".join(pair), rule, "Choose another.")
        pairs["_".join(pair)] = pair


def _fields_of(runs: Sequence[str]) -> dict[str, Field]:
    """The fields of any of these runs, of which there must be some."""
    if not runs:
        checks.fail("actions", "no kind that fits", "some algorithm and task must share a kind of action")
    return {field: spec for run in runs for field, spec in resolve.fields_of(run).items()}


def _typed(argument: str, given: Mapping[str, Value] | None, known: Mapping[str, Field]) -> dict[str, Value]:
    """The given values in their fields' types. ValueError for a field that is not known."""
    if given is not None and not isinstance(given, Mapping):
        checks.fail(argument, fields.short(given), "it must map fields to values", "Write {field: value}.")
    for field, value in (given or {}).items():
        if field not in known:
            remedy = fields.did_you_mean(str(field), known)
            checks.fail(f"{argument}[{field!r}]", fields.short(value), "no run of it has such a field", remedy)
    return {
        field: fields.checked(f"{argument}[{field!r}]", known[field], value) for field, value in (given or {}).items()
    }
