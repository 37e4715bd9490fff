"""Checks of the arguments of tasks, and of what a task's own methods return.

Those that a method carries (`checks.validated`) take the method's arguments, the task first.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks
from hindsight_jax.envs import _quiet_imports

with _quiet_imports.without_warp_message():
    from brax.envs.base import State


def choose(name: str, value: Any, options: Mapping[str, Any]) -> Any:
    """The option of that name; ValueError that lists them for another name."""
    if not isinstance(value, str) or value not in options:
        rule = f"it must be one of {', '.join(map(repr, options))}"
        checks.fail(name, repr(value), rule, f"Pass {next(iter(options))!r}, for example.")
    return options[value]


def threshold(value: Any, remedy: str) -> float:
    """The threshold, a real number, positive and finite, as a Python float."""
    above, rule = math.nextafter(0.0, 1.0), "it must be a finite number > 0"
    return checks.number("threshold", value, above, sys.float_info.max, remedy, rule)


def check_observation(env: Any, observation: Any) -> None:
    """The observation is floating, and its shape ends in the spec's."""
    checks.floating("observation", observation)
    _check_end("observation", observation, env.spec.observation_shape, "Pass observations of this task.")


def check_goals(env: Any, achieved: Any, desired: Any) -> None:
    """Both are floating, of one shape, which ends in that of a goal: neither is broadcast."""
    checks.floating("achieved", achieved)
    checks.floating("desired", desired)
    _check_end("achieved", achieved, env.spec.goal_shape, "Pass goals of this task.")
    checks.shape("desired", desired, jnp.shape(achieved), "Give each row of a batch its own goal.")


def check_goal(env: Any, goal: Any) -> None:
    """One goal of the task."""
    checks.floating("goal", goal)
    checks.shape("goal", goal, env.spec.goal_shape, "Map it over goals with jax.vmap.")


def check_is_start(env: Any, start: Any) -> None:
    """Numbers of a start; the task checks how many."""
    del env
    checks.floating("start", start)


def check_start_and_goal(env: Any, start: Any, goal: Any) -> None:
    """One observation of the task, and one goal."""
    checks.floating("start", start)
    checks.shape("start", start, env.spec.observation_shape, "Map it over observations with jax.vmap.")
    check_goal(env, goal)


def check_key(env: Any, key: Any) -> None:
    """One typed key."""
    del env
    checks.typed_key("key", key)


def check_state(env: Any, state: Any, action: Any = None) -> None:
    """One (unbatched) state of this task: its pipeline_state is as `reset` returns it. The task checks the action."""
    del action
    remedy = "Pass what reset or step of this task returned; map step with jax.vmap."
    if not isinstance(state, State):
        checks.fail("state", type(state).__name__, "it must be a State", remedy)
    check_same("state.pipeline_state", state.pipeline_state, env._carried, remedy)


def check_pipeline_state(env: Any, pipeline_state: Any) -> None:
    """What a task's state carries has one goal of the task, and arrays or numbers beside it."""
    if not hasattr(pipeline_state, "goal"):
        remedy = "Pass envs.PipelineState(physics, goal), or a dataclass of flax.struct with that field."
        checks.fail("pipeline_state", type(pipeline_state).__name__, "it must have a field `goal`", remedy)
    remedy = f"That is spec.goal_shape of {type(env).__name__}."
    checks.floating("pipeline_state.goal", pipeline_state.goal)
    checks.shape("pipeline_state.goal", pipeline_state.goal, env.spec.goal_shape, remedy)
    for path, leaf in jax.tree_util.tree_leaves_with_path(pipeline_state):
        checks.array(f"pipeline_state{jax.tree_util.keystr(path)}", leaf)


def check_next(env: Any, state: Any, pipeline_state: Any, observation: Any, valid: Any) -> None:
    """The arguments of `next_state`, which a task's own code passes."""
    if not isinstance(state, State):
        checks.fail("state", type(state).__name__, "it must be a State", "Pass the state that `step` was given.")
    check_pipeline_state(env, pipeline_state)
    remedy = "`step` must keep the structure, shapes and dtypes that `reset` gives, for one environment."
    check_same("pipeline_state", pipeline_state, state.pipeline_state, remedy)
    checks.floating("observation", observation)
    shape = env.spec.observation_shape
    checks.shape("observation", observation, shape, f"That is spec.observation_shape of {type(env).__name__}.")
    checks.boolean("valid", valid)
    checks.shape("valid", valid, (), "It says whether the one action is in the action set.")


def check_result(env: Any, method: str, value: Any, shape: Sequence[int], remedy: str) -> None:
    """What a task's own method returned has this shape."""
    checks.shape(f"{type(env).__name__}.{method}", value, shape, remedy)


def check_same(name: str, value: Any, expected: Any, remedy: str) -> None:
    """Two trees have the same structure, shapes and dtypes; the message names the leaf that differs."""
    if jax.tree.structure(value) != jax.tree.structure(expected):
        paths = [
            {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)}
            for tree in (value, expected)
        ]
        differ = ", ".join(sorted(paths[0] ^ paths[1])[:3])
        rule = f"it must be a {type(expected).__name__} as reset of this task gives it"
        checks.fail(name, type(value).__name__, f"{rule}; they differ in {differ}" if differ else rule, remedy)
    named = jax.tree_util.tree_leaves_with_path(expected)
    for (path, like), leaf in zip(named, jax.tree.leaves(value), strict=True):
        leaf_name = f"{name}{jax.tree_util.keystr(path)}"
        checks.shape(leaf_name, leaf, jnp.shape(like), remedy)
        dtypes = jnp.result_type(leaf), jnp.result_type(like)
        are_keys = all(jnp.issubdtype(dtype, jax.dtypes.prng_key) for dtype in dtypes)  # of any kind of generator
        if dtypes[0] != dtypes[1] and not are_keys:
            checks.fail(leaf_name, checks.describe(leaf), f"its dtype must be {dtypes[1]}", remedy)


def _check_end(name: str, value: Any, shape: Sequence[int], remedy: str) -> None:
    """The array's shape ends in this one."""
    if jnp.shape(value)[jnp.ndim(value) - len(shape) :] != tuple(shape):
        checks.fail(name, checks.describe(value), f"its shape must end in {list(shape)}", remedy)
