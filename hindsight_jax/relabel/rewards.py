"""Rewards of relabelled transitions.

Dimension key: G goal dims. All functions are for one step; map them over a batch with `jax.vmap`.
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
    """The reward of HDM and HER: `reached` if the goal is phi(s_{t+1}) by index, else `otherwise` [D 28].

    By index: the goal was relabelled as the next state. A behaviour goal always earns `otherwise`, even if it equals
    phi(s_{t+1}). No step is terminal: the discount is 1, and learners always bootstrap.

    Args:
      reached: f32[], may be traced.
      otherwise: f32[], may be traced.

    Returns:
      reward_fn(next_achieved_goal [*G], goal [*G], is_next bool[]) -> (reward f32[], discount f32[]).

    Raises:
      ValueError: if a reward is not a finite scalar; from reward_fn, if the goals differ in shape or is_next is not
        bool[].

    >>> reward, discount = reward_by_index()(jnp.zeros(2), jnp.zeros(2), jnp.asarray(False))
    >>> float(reward), float(discount)
    (-1.0, 1.0)
    """
    for name, value in (("reached", reached), ("otherwise", otherwise)):
        _validation.scalar(name, value)
        if checks.is_concrete(value) and not math.isfinite(value):
            checks.fail(name, value, "it must be finite", "The defaults are reached=0.0 and otherwise=-1.0.")

    def reward_fn(next_achieved_goal: jax.Array, goal: jax.Array, is_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        _validation.goals(next_achieved_goal, goal)  # shapes only: this reward goes by index
        _validation.boolean("is_next", is_next, ())
        reward = jnp.where(is_next, _validation.scalar("reached", reached), _validation.scalar("otherwise", otherwise))
        return reward, jnp.float32(1.0)

    return reward_fn


def reward_by_success(
    success: Callable[[jax.Array, jax.Array], jax.Array], reached: Any = 1.0, otherwise: Any = 0.0
) -> RewardFn:
    """The reward of hEM's baselines: `reached` if phi(s_{t+1}) is a success for the goal, by value, else `otherwise`.

    Behaviour goals earn it in the same way. No step is terminal: the discount is 1, and learners always bootstrap.

    Args:
      success: (phi(s_{t+1}) [*G], goal [*G]) -> bool[], such as env.success.
      reached: f32[], may be traced.
      otherwise: f32[], may be traced.

    Returns:
      reward_fn(next_achieved_goal [*G], goal [*G], is_next bool[]) -> (reward f32[], discount f32[]).

    Raises:
      ValueError: if `success` cannot be called or a reward is not a finite scalar; from reward_fn, if the goals differ
        in shape, or if is_next or what `success` returns is not bool[].

    >>> near = lambda achieved, goal: jnp.linalg.norm(achieved - goal) < 0.1
    >>> reward, discount = reward_by_success(near)(jnp.zeros(2), jnp.full(2, 0.01), jnp.asarray(False))
    >>> float(reward), float(discount)
    (1.0, 1.0)
    """
    checks.function("success", success, "Pass the environment's env.success.")
    by_index = reward_by_index(reached, otherwise)

    def reward_fn(next_achieved_goal: jax.Array, goal: jax.Array, is_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        _validation.goals(next_achieved_goal, goal)
        _validation.boolean("is_next", is_next, ())  # shape only: this reward goes by value
        reached = success(next_achieved_goal, goal)
        _validation.boolean(
            "success(next_achieved_goal, goal)", reached, (), "It is called for one step, as jax.vmap does."
        )
        return by_index(next_achieved_goal, goal, reached)

    return reward_fn
