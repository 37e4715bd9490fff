"""Argument validation shared by all agents: constructors, and the inputs of init, act and update.

Each of the functions of an agent has its static options as its first argument, and `options.spec` is its EnvSpec.

Dimension key: B batch, N trajectories, T horizon, O observation dims, G goal dims, D action dims.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hindsight_jax import checks, fields, types
from hindsight_jax.agents.base import accept_any, check_hparams, check_numbers, default_hparams

_STATE_REMEDY = "Pass what init or update of this agent returned."
_Constructor = TypeVar("_Constructor", bound=Callable[..., Any])


def constructor(make: _Constructor) -> _Constructor:
    """A decorator for make(spec, *, hparams=Hparams(), ...) -> Agent: arguments are checked before `make` is called.

    `spec` must be an EnvSpec, and `hparams` of its default's type and in the ranges that this declares. A parameter
    that declares what it takes (`fields.Allowed`) gets its value in the declared type: a list becomes a tuple,
    np.int64(256) becomes 256. The agent's `check` knows the declared ranges of `hparams`, unless `make` gives the agent
    another.

    Raises ValueError for another argument, and at once if `make` has no such `hparams`.
    """
    signature, declared, default = inspect.signature(make), fields.declared(make), default_hparams(make)
    kind = type(default)
    check_numbers(default)

    @functools.wraps(make)
    def checked(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(*arguments, **named)
        given = bound.arguments
        checks.instance("spec", given.get("spec"), types.EnvSpec, "Pass env.spec.")
        hparams = given.get("hparams", default)
        checks.instance("hparams", hparams, kind, f"Write {kind.__name__}(...).")
        check_numbers(hparams)
        for name, field in declared.items():
            if name in given:
                given[name] = _typed(name, field, given[name])
        agent = make(*bound.args, **bound.kwargs)
        return agent._replace(check=functools.partial(check_hparams, kind)) if agent.check is accept_any else agent

    return checked  # type: ignore[return-value]


def _typed(name: str, field: fields.Field, value: Any) -> Any:
    """The value in the field's type; or (), no hidden layers, for which the command line has no text."""
    if isinstance(field.default, tuple) and isinstance(value, tuple) and not value:
        return value
    return fields.checked(name, field, value)


def init(options: Any, defaults: Any, key: Any, hparams: Any = None) -> None:
    """Checks the arguments of an agent's init but for `hparams`, which `override` checks."""
    del options, defaults, hparams
    checks.typed_key("key", key)


def act(state_kind: type) -> Callable[..., None]:
    """The check of act(options, state, observation, goal, key, explore)."""

    def check(options: Any, state: Any, observation: Any, goal: Any, key: Any, explore: Any) -> None:
        check_state(state_kind, state)
        check_inputs(options.spec, observation, goal)
        checks.typed_key("key", key)
        checks.flag("explore", explore, "It is static: bind it with functools.partial before jax.jit.")

    return check


def update(state_kind: type, check_batch: Callable[[types.EnvSpec, Any], None]) -> Callable[..., None]:
    """The check of update(options, state, batch, key); `check_batch` is one of the two below."""

    def check(options: Any, state: Any, batch: Any, key: Any) -> None:
        check_state(state_kind, state)
        check_batch(options.spec, batch)
        checks.typed_key("key", key)

    return check


def check_state(kind: type, state: Any) -> None:
    """A state of this kind of agent."""
    if not isinstance(state, kind):
        checks.fail("state", type(state).__name__, f"it must be {kind.__name__}", _STATE_REMEDY)


def check_inputs(spec: types.EnvSpec, observation: Any, goal: Any) -> None:
    """One observation and one goal, as the spec says."""
    for name, value, shape, kind in (
        ("observation", observation, spec.observation_shape, _observed(spec)),
        ("goal", goal, spec.seen_goal_shape, checks.pixels if _goal_images(spec) else checks.floating),
    ):
        checks.shape(name, value, shape, "Map act over a batch with jax.vmap.")
        kind(name, value)


def check_transitions(spec: types.EnvSpec, batch: types.Transition) -> None:
    """One leading axis [B], B >= 1, and what the spec says behind it."""
    remedy = "Draw it with Replay.sample."
    if not isinstance(batch, types.Transition):
        checks.fail("batch", type(batch).__name__, "it must be a Transition", remedy)
    checks.rank("batch.reward", batch.reward, 1, remedy)
    observation, goal = (spec.observation_shape, _observed(spec)), (spec.goal_shape, checks.floating)
    rows = {
        "observation": observation,
        "action": _actions(spec),
        "next_observation": observation,
        "goal": goal,
        "achieved_goal": goal,
        "next_achieved_goal": goal,
        "reward": ((), checks.floating),
        "discount": ((), checks.floating),
        "is_next": ((), checks.boolean),
        "relabelled": ((), checks.boolean),
        "offset": ((), checks.integer),
        "start_reward": ((), checks.floating),
    }
    if _goal_images(spec):
        rows["goal_image"] = (spec.seen_goal_shape, checks.pixels)
    _check_rows(batch, batch.reward.shape[0], rows, remedy)


def check_trajectories(spec: types.EnvSpec, batch: types.Trajectory) -> None:
    """One leading axis [N], N >= 1, and the spec's horizon and shapes behind it."""
    remedy = "Collect it with training.rollout."
    if not isinstance(batch, types.Trajectory):
        checks.fail("batch", type(batch).__name__, "it must be a Trajectory", remedy)
    checks.rank("batch.length", batch.length, 1, remedy)
    horizon, (action, kind) = spec.horizon, _actions(spec)
    rows = {
        "observation": ((horizon + 1, *spec.observation_shape), checks.floating),
        "achieved_goal": ((horizon + 1, *spec.goal_shape), checks.floating),
        "action": ((horizon, *action), kind),
        "desired_goal": (spec.goal_shape, checks.floating),
        "length": ((), checks.integer),
        "terminal": ((), checks.boolean),
    }
    _check_rows(batch, batch.length.shape[0], rows, remedy)


def _observed(spec: types.EnvSpec) -> Callable[..., None]:
    """The check of an observation's dtype."""
    return checks.floating if spec.images is None else checks.pixels


def _goal_images(spec: types.EnvSpec) -> bool:
    """A policy is shown goals as images."""
    return spec.images is not None and spec.images.goals


def _actions(spec: types.EnvSpec) -> tuple[tuple[int, ...], Callable[..., None]]:
    """The shape of an action, and the check of its dtype."""
    kind = checks.floating if isinstance(spec.action, types.Box) else checks.integer
    return (spec.action.num_dims,), kind


def _check_rows(batch: Any, count: int, rows: Mapping[str, tuple[tuple[int, ...], Any]], remedy: str) -> None:
    """Every field has a leading axis of `count` >= 1 rows of this shape and this kind of dtype; others are None."""
    if count < 1:
        checks.fail("batch", "no rows", "it must hold at least one", remedy)
    for name, (shape, kind) in rows.items():
        checks.shape(f"batch.{name}", getattr(batch, name), (count, *shape), remedy)
        kind(f"batch.{name}", getattr(batch, name))
    for name in batch._fields:
        if name not in rows and getattr(batch, name) is not None:
            got = checks.describe(getattr(batch, name))
            checks.fail(f"batch.{name}", got, "it must be None: the spec's goals are no images", remedy)
