"""A preference among hindsight transitions.

Dimension key: C candidates, G goal dims. All functions are for one step; map them over a batch with `jax.vmap`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, numerics
from hindsight_jax.relabel import _validation


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Preference:
    """Chooses one of `num_candidates` hindsight transitions; made by `prefer`."""

    probability: jax.Array  # f32[], of preferring a changed candidate
    changed: Callable[[jax.Array, jax.Array], jax.Array] = dataclasses.field(metadata={"static": True})
    num_candidates: int = dataclasses.field(metadata={"static": True})  # C

    def is_changed(self, achieved_goal: jax.Array, goal: jax.Array) -> jax.Array:
        """`changed` of one candidate, bool[]. Raises ValueError if it returns anything else."""
        flag = self.changed(achieved_goal, goal)
        _validation.boolean("changed(achieved_goal, goal)", flag, (), "It is called for one step: reduce with jnp.any.")
        return flag

    @numerics.steady
    def choose(self, key: jax.Array, changed_flags: jax.Array) -> jax.Array:
        """With `probability` the first candidate whose flag is True (0 if all are False), else candidate 0.

        Args:
          key: one typed key.
          changed_flags: bool[C], `changed` of each candidate.

        Returns:
          i32[], the index of the chosen candidate.

        Raises:
          ValueError: on a raw or batched key, or on flags of another shape or dtype.

        >>> preference = prefer(lambda achieved, goal: jnp.any(achieved != goal), num_candidates=3, probability=1.0)
        >>> int(preference.choose(jax.random.key(0), jnp.asarray([False, False, True])))
        2
        """
        checks.typed_key("key", key)
        _validation.boolean("changed_flags", changed_flags, (self.num_candidates,))
        checks.rank("probability", self.probability, 0, "Map the preference over its population with jax.vmap.")
        looks = jax.random.uniform(key, (), jnp.float32) < self.probability
        return jnp.where(looks, jnp.argmax(changed_flags), 0).astype(jnp.int32)


def prefer(
    changed: Callable[[jax.Array, jax.Array], jax.Array], *, num_candidates: int = 8, probability: Any = 0.7
) -> Preference:
    """Prefers hindsight transitions whose goal differs from what s_t achieves (ours; neither paper has it).

    The law draws `num_candidates` transitions. With `probability` the first that `changed` is kept (the first of all if
    there is none), else the first.

    Args:
      changed: (phi(s_t) [*G], goal [*G]) -> bool[]; static.
      num_candidates: C, static.
      probability: f32[] in [0, 1], may be traced.

    Raises:
      ValueError: if `changed` cannot be called, or if a number is out of range.

    >>> preference = prefer(lambda achieved, goal: jnp.any(achieved != goal))
    >>> preference.num_candidates
    8
    """
    checks.function("changed", changed, "Write changed(achieved_t, goal) -> bool[].")
    num_candidates = checks.positive_int("num_candidates", num_candidates, "1 switches the preference off.")
    value = _validation.scalar("probability", probability)
    checks.in_range("probability", probability, 0.0, 1.0, "0 switches the preference off.")
    return Preference(value, changed, num_candidates)
