"""Rewards and discounts of relabelled steps.

A reward function takes one `Step` and returns (reward f32[], discount f32[]); agents multiply the discount by gamma, so
0 keeps what comes after s_{t+1} out of a target. Map it over a batch with `jax.vmap`.

Dimension key: G goal dims.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks
from hindsight_jax.relabel import _validation


class Step(NamedTuple):
    """What a reward may depend on: the step from s_t to s_{t+1}, and the goal that it was given."""

    next_achieved_goal: jax.Array  # [*G], phi(s_{t+1})
    goal: jax.Array  # [*G]
    is_next: jax.Array  # bool[], the goal was relabelled as phi(s_{t+1}), by index
    relabelled: jax.Array  # bool[], the goal is a hindsight goal; False: the episode's own
    terminal: jax.Array  # bool[], the step ended its episode before the horizon (`Trajectory.terminal`)


RewardFn = Callable[[Step], tuple[jax.Array, jax.Array]]


def reward_by_index(reached: Any = 0.0, otherwise: Any = -1.0, *, absorbing: bool = False) -> RewardFn:
    """The reward of HDM and HER: `reached` if the goal is phi(s_{t+1}) by index, else `otherwise` [D 28].

    By index: the goal was relabelled as the next state. A behaviour goal always earns `otherwise`, even if it equals
    phi(s_{t+1}).

    Args:
      reached: f32[], may be traced.
      otherwise: f32[], may be traced.
      absorbing: whether an episode ends at its goal: the discount is then 0 where the goal is phi(s_{t+1}) by index,
        and where the episode did end at its own goal. Else the discount is 1, as in HDM's code: learners always
        bootstrap. Static.

    Returns:
      reward_fn(step) -> (reward f32[], discount f32[]).

    Raises:
      ValueError: if a reward is not a finite scalar; from reward_fn, for anything but the `Step` of one transition.

    >>> no, goal = jnp.asarray(False), jnp.zeros(2)
    >>> reward, discount = reward_by_index()(Step(goal, goal, is_next=no, relabelled=no, terminal=no))
    >>> float(reward), float(discount)
    (-1.0, 1.0)
    """
    for name, value in (("reached", reached), ("otherwise", otherwise)):
        _validation.scalar(name, value)
        if checks.is_concrete(value) and not math.isfinite(value):
            checks.fail(name, value, "it must be finite", "The defaults are reached=0.0 and otherwise=-1.0.")
    absorbing = checks.flag("absorbing", absorbing, "It is static, and so cannot be traced.")

    def reward_fn(step: Step) -> tuple[jax.Array, jax.Array]:
        _check_step(step)
        ends = step.is_next | (step.terminal & ~step.relabelled)
        return _of(step.is_next, reached, otherwise), _discount(ends, absorbing)

    return reward_fn


def reward_by_success(
    success: Callable[[jax.Array, jax.Array], jax.Array],
    reached: Any = 1.0,
    otherwise: Any = 0.0,
    *,
    absorbing: bool = False,
) -> RewardFn:
    """The reward of hEM's baselines: `reached` if phi(s_{t+1}) is a success for the goal, by value, else `otherwise`.

    Behaviour goals earn it in the same way.

    Args:
      success: (phi(s_{t+1}) [*G], goal [*G]) -> bool[], such as env.success.
      reached: f32[], may be traced.
      otherwise: f32[], may be traced.
      absorbing: whether an episode ends at its goal: the discount is then 0 at a success. Else it is 1, as in OpenAI's
        baselines: learners always bootstrap. Static.

    Returns:
      reward_fn(step) -> (reward f32[], discount f32[]).

    Raises:
      ValueError: if `success` cannot be called or a reward is not a finite scalar; from reward_fn, for anything but the
        `Step` of one transition, or if what `success` returns is not bool[].

    >>> near = lambda achieved, goal: jnp.linalg.norm(achieved - goal) < 0.1
    >>> no = jnp.asarray(False)
    >>> step = Step(jnp.zeros(2), jnp.full(2, 0.01), is_next=no, relabelled=no, terminal=no)
    >>> [float(x) for x in reward_by_success(near, absorbing=True)(step)]
    [1.0, 0.0]
    """
    checks.function("success", success, "Pass the environment's env.success.")
    reward_by_index(reached, otherwise, absorbing=absorbing)  # for its checks

    def reward_fn(step: Step) -> tuple[jax.Array, jax.Array]:
        _check_step(step)
        near = success(step.next_achieved_goal, step.goal)
        remedy = "It is called for one step, as jax.vmap does."
        _validation.boolean("success(next_achieved_goal, goal)", near, (), remedy)
        return _of(near, reached, otherwise), _discount(near, absorbing)

    return reward_fn


def _of(reaches: jax.Array, reached: Any, otherwise: Any) -> jax.Array:
    """`reached` or `otherwise`, f32[]."""
    return jnp.where(reaches, _validation.scalar("reached", reached), _validation.scalar("otherwise", otherwise))


def _discount(ends: jax.Array, absorbing: bool) -> jax.Array:
    """0 where the step ends its episode, if goals are absorbing; else 1. f32[]"""
    return jnp.where(ends, jnp.float32(0.0), jnp.float32(1.0)) if absorbing else jnp.float32(1.0)


def _check_step(step: Any) -> None:
    """Checks for the `Step` of one transition."""
    checks.instance("step", step, Step, "Pass relabel.Step(...), as Replay.sample does.")
    _validation.goals(step.next_achieved_goal, step.goal)
    for name in ("is_next", "relabelled", "terminal"):
        _validation.boolean(f"step.{name}", getattr(step, name), ())
