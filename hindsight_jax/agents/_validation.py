"""The doors of every agent: what its constructor and its three functions are given is checked here, once for all.

Dimension key: B batch, N trajectories, T horizon, O observation dims, G goal dims, D action dims.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax

from hindsight_jax import checks, networks, types
from hindsight_jax.agents.base import Agent

_STATE_REMEDY = "Pass what init or update of this agent returned."


def check_arguments(spec: Any, values: Any, kind: type, hidden_sizes: Any, **flags: Any) -> None:
    """ValueError if these arguments of a constructor are none: `values` is None or of this kind, flags are booleans."""
    if not isinstance(spec, types.EnvSpec):
        checks.fail("spec", checks.describe(spec), "it must be an EnvSpec", "Pass env.spec.")
    if values is not None and not isinstance(values, kind):
        checks.fail("values", checks.describe(values), f"it must be {kind.__name__}", f"Write {kind.__name__}(...).")
    networks.check_hidden_sizes(hidden_sizes)
    for name, flag in flags.items():
        checks.flag(name, flag, "It is static, and so cannot be traced.")


def guarded(
    spec: types.EnvSpec,
    state_kind: type,
    batch: Literal["transitions", "trajectories"],
    *,
    init: Callable[..., Any],
    act: Callable[..., jax.Array],
    update: Callable[..., Any],
    check: Callable[[Mapping[str, Any]], None],
) -> Agent:
    """The agent of these functions, each behind a check of its arguments: ValueError for what does not fit the spec."""
    check_batch = check_transitions if batch == "transitions" else check_trajectories

    def checked_init(key: jax.Array, values: Mapping[str, Any] | None = None) -> Any:
        checks.typed_key("key", key)
        return init(key, values)

    def checked_act(state: Any, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool) -> jax.Array:
        check_state(state_kind, state)
        check_situation(spec, observation, goal)
        checks.typed_key("key", key)
        checks.flag("explore", explore, "It is static: bind it with functools.partial before jax.jit.")
        return act(state, observation, goal, key, explore)

    def checked_update(state: Any, batch: Any, key: jax.Array) -> Any:
        check_state(state_kind, state)
        check_batch(spec, batch)
        checks.typed_key("key", key)
        return update(state, batch, key)

    return Agent(checked_init, checked_act, checked_update, batch, check)


def check_state(kind: type, state: Any) -> None:
    """A state of this kind of agent."""
    if not isinstance(state, kind):
        checks.fail("state", type(state).__name__, f"it must be {kind.__name__}", _STATE_REMEDY)


def check_situation(spec: types.EnvSpec, observation: jax.Array, goal: jax.Array) -> None:
    """One observation and one goal, as the spec says."""
    for name, value, shape in (
        ("observation", observation, spec.observation_shape),
        ("goal", goal, spec.goal_shape),
    ):
        checks.shape(name, value, shape, "Map act over a batch with jax.vmap.")
        checks.floating(name, value)


def check_transitions(spec: types.EnvSpec, batch: types.Transition) -> None:
    """One leading axis [B], B >= 1, and what the spec says behind it."""
    remedy = "Draw it with Replay.sample."
    if not isinstance(batch, types.Transition):
        checks.fail("batch", type(batch).__name__, "it must be a Transition", remedy)
    checks.rank("batch.reward", batch.reward, 1, remedy)
    observation, goal = (spec.observation_shape, checks.floating), (spec.goal_shape, checks.floating)
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
    }
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


def _actions(spec: types.EnvSpec) -> tuple[tuple[int, ...], Callable[..., None]]:
    """The shape of an action, and the check of its dtype."""
    kind = checks.floating if isinstance(spec.action, types.Box) else checks.integer
    return (spec.action.num_dims,), kind


def _check_rows(batch: Any, count: int, rows: Mapping[str, tuple[tuple[int, ...], Any]], remedy: str) -> None:
    """Every field of the batch has a leading axis of `count` >= 1 rows of this shape and this kind of dtype."""
    if count < 1:
        checks.fail("batch", "no rows", "it must hold at least one", remedy)
    for name, (shape, kind) in rows.items():
        checks.shape(f"batch.{name}", getattr(batch, name), (count, *shape), remedy)
        kind(f"batch.{name}", getattr(batch, name))
