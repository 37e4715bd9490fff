"""The reward of a relabelled step, and the preference among relabelled steps.

Dimension key: C candidates, G goal dims. All functions are for one step; map them over a batch with `jax.vmap`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks
from hindsight_jax.relabel import _validation

RewardFn = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def reward_by_index(reached: Any = 0.0, otherwise: Any = -1.0) -> RewardFn:
    """The reward of HDM and HER: `reached` where the goal is phi(s_{t+1}) by index, else `otherwise` [D 28].

    A behaviour goal always earns `otherwise`. Nothing is terminal: the discount is 1, learners always bootstrap.

    Returns:
      reward_fn(next_achieved_goal [*G], goal [*G], is_next bool[]) -> (reward f32[], discount f32[]).

    Raises:
      ValueError: on rewards that are not finite scalars; from reward_fn on goals of two shapes and an is_next that is
        not bool[].

    >>> reward, discount = reward_by_index()(jnp.zeros(2), jnp.zeros(2), jnp.asarray(False))
    >>> float(reward), float(discount)
    (-1.0, 1.0)
    """
    for name, value in (("reached", reached), ("otherwise", otherwise)):
        _validation.scalar(name, value)
        if checks.is_concrete(value) and not math.isfinite(value):
            checks.fail(name, value, "it must be finite", "The default is reached=0.0, otherwise=-1.0.")

    def reward_fn(next_achieved_goal: jax.Array, goal: jax.Array, is_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        _validation.goals(next_achieved_goal, goal)  # their values are not read: by index
        _validation.boolean("is_next", is_next, ())
        reward = jnp.where(is_next, _validation.scalar("reached", reached), _validation.scalar("otherwise", otherwise))
        return reward, jnp.float32(1.0)

    return reward_fn


def reward_by_success(
    success: Callable[[jax.Array, jax.Array], jax.Array], reached: Any = 1.0, otherwise: Any = 0.0
) -> RewardFn:
    """The reward of hEM's baselines: `reached` where phi(s_{t+1}) is a success for the goal by value, else `otherwise`.

    It holds for behaviour goals as well. Nothing is terminal: the discount is 1, learners always bootstrap.

    Args:
      success: (phi(s') [*G], goal [*G]) -> bool[], the environment's test.
      reached: f32[], may be traced.
      otherwise: f32[], may be traced.

    Returns:
      reward_fn(next_achieved_goal [*G], goal [*G], is_next bool[]) -> (reward f32[], discount f32[]).

    Raises:
      ValueError: on a `success` that cannot be called, or rewards that are not finite scalars; from reward_fn on goals
        of two shapes, an is_next that is not bool[] and a `success` that gives no bool[].

    >>> near = lambda achieved, goal: jnp.linalg.norm(achieved - goal) < 0.1
    >>> reward, discount = reward_by_success(near)(jnp.zeros(2), jnp.full(2, 0.01), jnp.asarray(False))
    >>> float(reward), float(discount)
    (1.0, 1.0)
    """
    checks.function("success", success, "Pass the environment's env.success.")
    by_index = reward_by_index(reached, otherwise)

    def reward_fn(next_achieved_goal: jax.Array, goal: jax.Array, is_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        _validation.goals(next_achieved_goal, goal)
        _validation.boolean("is_next", is_next, ())  # its value is not read: by value, not by index
        reached = success(next_achieved_goal, goal)
        _validation.boolean(
            "success(next_achieved_goal, goal)", reached, (), "It is called for one step, as jax.vmap does."
        )
        return by_index(next_achieved_goal, goal, reached)

    return reward_fn
