"""The reward of a relabelled step, and the preference among relabelled steps.

Dimension key: C candidates, G goal dims. All functions are for one step; map them over a batch with `jax.vmap`.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks
from hindsight_jax.relabel import _arguments

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
        _arguments.scalar(name, value)
        if checks.is_concrete(value) and not math.isfinite(value):
            checks.fail(name, value, "it must be finite", "The default is reached=0.0, otherwise=-1.0.")

    def reward_fn(next_achieved_goal: jax.Array, goal: jax.Array, is_next: jax.Array) -> tuple[jax.Array, jax.Array]:
        _arguments.goals(next_achieved_goal, goal)  # their values are not read: by index
        _arguments.boolean("is_next", is_next, ())
        reward = jnp.where(is_next, _arguments.scalar("reached", reached), _arguments.scalar("otherwise", otherwise))
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
        _arguments.goals(next_achieved_goal, goal)
        _arguments.boolean("is_next", is_next, ())  # its value is not read: by value, not by index
        reached = success(next_achieved_goal, goal)
        _arguments.boolean(
            "success(next_achieved_goal, goal)", reached, (), "It is called for one step, as jax.vmap does."
        )
        return by_index(next_achieved_goal, goal, reached)

    return reward_fn


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Preference:
    """Which of `num_candidates` hindsight rows is kept; made by `prefer`."""

    probability: jax.Array  # f32[], of looking for a changed candidate
    changed: Callable[[jax.Array, jax.Array], jax.Array] = dataclasses.field(metadata={"static": True})
    num_candidates: int = dataclasses.field(metadata={"static": True})  # C

    def is_changed(self, achieved_goal: jax.Array, goal: jax.Array) -> jax.Array:
        """`changed` of one candidate, bool[]; raises ValueError if it gives anything else."""
        flag = self.changed(achieved_goal, goal)
        _arguments.boolean("changed(achieved_goal, goal)", flag, (), "It is called for one step: use jnp.any, say.")
        return flag

    def choose(self, key: jax.Array, changed_flags: jax.Array) -> jax.Array:
        """With `probability` the first candidate whose flag is true (0 if none is), else candidate 0.

        Args:
          key: one typed key.
          changed_flags: bool[C], `changed` of each candidate.

        Returns:
          i32[], the number of the candidate that is kept.

        Raises:
          ValueError: on a raw or batched key, or flags of another shape or dtype.

        >>> preference = prefer(lambda achieved, goal: jnp.any(achieved != goal), num_candidates=3, probability=1.0)
        >>> int(preference.choose(jax.random.key(0), jnp.asarray([False, False, True])))
        2
        """
        checks.typed_key("key", key)
        _arguments.boolean("changed_flags", changed_flags, (self.num_candidates,))
        checks.rank("probability", self.probability, 0, "Map the preference over its population with jax.vmap.")
        looks = jax.random.uniform(key, (), jnp.float32) < self.probability
        return jnp.where(looks, jnp.argmax(changed_flags), 0).astype(jnp.int32)


def prefer(
    changed: Callable[[jax.Array, jax.Array], jax.Array], *, num_candidates: int = 8, probability: Any = 0.7
) -> Preference:
    """Prefers hindsight rows that ask for a change of the achieved goal, where the training signal comes from (ours).

    Among `num_candidates` rows drawn by the law, keep the first that `changed` with `probability`, else the first.

    Args:
      changed: (achieved goal of s_t [*G], goal [*G]) -> bool[]; static.
      num_candidates: C, static.
      probability: f32[] in [0, 1], may be traced.

    Raises:
      ValueError: on a `changed` that cannot be called, or numbers out of range.

    >>> preference = prefer(lambda achieved, goal: jnp.any(achieved != goal))
    >>> preference.num_candidates
    8
    """
    checks.function("changed", changed, "Write changed(achieved_t, goal) -> bool[].")
    checks.positive_int("num_candidates", num_candidates, "1 switches the preference off.")
    value = _arguments.scalar("probability", probability)
    checks.in_range("probability", probability, 0.0, 1.0, "0 switches the preference off.")
    return Preference(value, changed, int(num_candidates))
