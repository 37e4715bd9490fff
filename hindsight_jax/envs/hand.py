"""A hand that reaches a place in space: what fetch_reach and sawyer_reach share.

Dimension key: G = 3, the hand's (x, y, z) in metres; O observation dims, whose first three are the same.

The model's three slide joints are the hand's place, so positions of the model and of the world are the same numbers.
"""

import jax
import jax.numpy as jnp

from hindsight_jax import rendering, types
from hindsight_jax.envs import physics

GOAL = (0.20, 0.65, 0.30, 0.4)


class Reach(physics.PhysicsTask):
    """A hand, and a place for it; success is the hand's point within the threshold. Subclasses say how it moves.

    Args:
      asset: the model's file in envs/assets.
      spec: shapes, action set, horizon and threshold.
      start: the box of the starts, uniform, at rest.
      goal: the box of the goals, uniform.
    """

    def __init__(self, asset: str, spec: types.EnvSpec, start: types.Range, goal: types.Range):
        super().__init__(asset, spec, num_moves=3)
        self._start, self._goal = start, goal

    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The hand's place, [3]."""
        return observation[..., :3]

    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclid, in metres."""
        return jnp.linalg.norm(achieved - desired, axis=-1)

    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform in the goal box, f32[3]."""
        return jax.random.uniform(key, (3,), jnp.float32, *map(jnp.array, self._goal))

    def sample_start(self, key: jax.Array) -> physics.Physics:
        """Uniform in the start box, at rest."""
        return self.engine.start(jax.random.uniform(key, (3,), jnp.float32, *map(jnp.array, self._start)))

    def markers(self, goal: jax.Array) -> physics.Markers:
        """A ball: at a success it holds the hand's point."""
        return (rendering.sphere(goal, self.spec.threshold, GOAL),)
