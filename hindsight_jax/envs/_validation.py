"""Argument checks shared by all environments."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks
from hindsight_jax.envs import _quiet_imports

with _quiet_imports.without_warp_message():
    from brax.envs.base import State


def choose(name: str, value: Any, options: Mapping[str, Any]) -> Any:
    """The option of that name, or a ValueError that lists them."""
    if not isinstance(value, str) or value not in options:
        checks.fail(name, repr(value), f"it must be one of {', '.join(map(repr, options))}", "Pick one of them.")
    return options[value]


def check_threshold(value: Any, remedy: str) -> None:
    """A real number, positive and finite."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 < float(value) < math.inf:
        checks.fail("threshold", repr(value), "it must be a finite number > 0", remedy)


def check_number(name: str, value: Any, remedy: str, high: float = 1.0) -> None:
    """A real number in [0, high]; by default a probability."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 <= float(value) <= high:
        checks.fail(name, repr(value), f"it must be a number in [0, {high:g}]", remedy)


def check_observation(env: Any, observation: Any) -> None:
    checks.floating("observation", observation)
    shape = env.spec.observation_shape
    if jnp.shape(observation)[jnp.ndim(observation) - len(shape) :] != shape:
        rule = f"its shape must end in {list(shape)}"
        checks.fail("observation", checks.describe(observation), rule, "Pass observations of this task.")


def check_goals(env: Any, achieved: Any, desired: Any) -> None:
    """Floating, both of one shape, which ends in that of a goal: neither is broadcast."""
    checks.floating("achieved", achieved)
    checks.floating("desired", desired)
    shape = env.spec.goal_shape
    if jnp.shape(achieved)[jnp.ndim(achieved) - len(shape) :] != shape:
        rule = f"its shape must end in {list(shape)}"
        checks.fail("achieved", checks.describe(achieved), rule, "Pass goals of this task.")
    checks.shape("desired", desired, jnp.shape(achieved), "Give each row of a batch its own goal.")


def check_goal(env: Any, goal: Any) -> None:
    checks.floating("goal", goal)
    checks.shape("goal", goal, env.spec.goal_shape, "Map it over goals with jax.vmap.")


def check_key(env: Any, key: Any) -> None:
    del env
    checks.typed_key("key", key)


def check_state(env: Any, state: Any, action: Any = None) -> None:
    """A state of this task, and one: what it carries has the structure, shapes and dtypes that `reset` gives."""
    del action  # by the task, which knows its actions
    remedy = "Pass what reset or step of this task returned; map step with jax.vmap."
    if not isinstance(state, State):
        checks.fail("state", type(state).__name__, "it must be a State", remedy)
    expected, carried = env._carried, state.pipeline_state
    if jax.tree.structure(carried) != jax.tree.structure(expected):
        rule = f"it must be a {type(expected).__name__} as reset of this task gives it"
        checks.fail("state.pipeline_state", type(carried).__name__, rule, remedy)
    named = jax.tree_util.tree_leaves_with_path(expected)
    for (path, like), leaf in zip(named, jax.tree.leaves(carried), strict=True):
        name = f"state.pipeline_state{jax.tree_util.keystr(path)}"
        checks.shape(name, leaf, like.shape, remedy)
        is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)  # of any kind of generator
        if jnp.result_type(leaf) != like.dtype and not (is_key and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)):
            checks.fail(name, checks.describe(leaf), f"its dtype must be {like.dtype}", remedy)
