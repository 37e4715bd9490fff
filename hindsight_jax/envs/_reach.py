"""A hand that reaches a goal in space: the base of fetch_reach and sawyer_reach.

Dimension key: G = 3, the hand's (x, y, z) in metres; O observation dims, whose first three are the same.

The model's three slide joints are the hand's coordinates in the world, so its qpos is the hand's position.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, base, boxes, physics


class Reach(physics.PhysicsTask):
    """A hand reaches a goal; success is the hand's point within the threshold of it. Subclasses define how it moves.

    Args:
      start: the box of the starts, uniform, at rest.
      goal: the box of the goals, uniform.
      task: the other arguments of PhysicsTask.
    """

    def __init__(self, start: types.Range, goal: types.Range, **task: Any):
        super().__init__(num_moves=3, ends_at_success=True, **task)
        self._start, self._goal = start, goal

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The hand's position, [3]."""
        return observation[..., :3]

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclidean distance, in metres."""
        return jnp.linalg.norm(achieved - desired, axis=-1)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform in the goal box, f32[3]."""
        return boxes.uniform(key, self._goal)

    def sample_start(self, key: jax.Array) -> physics.Physics:
        """Uniform in the start box, at rest."""
        return self.engine.start(boxes.uniform(key, self._start))

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether the hand's position (x, y, z) f32[3], in metres, is in its workspace, that of the goals."""
        checks.shape("start", start, (3,), "Give the hand's x, y and z, in metres.")
        return boxes.inside(start, self.spec.goal_range)

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The hand at the goal."""
        return self.engine.bodies(goal)

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A ball that holds the hand's point at a success."""
        goal = state.obs["desired_goal"]
        return (rendering.sphere(goal, self.spec.threshold, rendering.MARKER),)
