"""four_rooms: a ball is pushed through doorways between four rooms (HDM, Table 1; numbers from GCSL's code).

Dimension key: O = G = 2, (x, y) in metres. The velocity is not observed, as in GCSL's code.

One step is 0.05 s, five substeps of 0.01 s at a constant force. A force of 1 N moves the ball 0.0403 m from rest, and
0.05 m at full speed.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, boxes, physics

NUM_SUBSTEPS = 5
START = ((-0.33, -0.33), (-0.27, -0.27))
GRID = 50  # goals per axis
GOALS = ((-0.56, -0.56), (0.56, 0.56))  # the corners of their grid
BORDER, CLEARANCE = 0.6, 0.08  # metres: half the room's width; least distance of the ball's centre to a wall's middle
WALLS = ((-0.6, -0.4), (-0.2, 0.2), (0.4, 0.6))  # the inner walls, along both axes: y where x = 0, x where y = 0


class FourRooms(physics.PhysicsTask):
    """A ball in four rooms moves to a goal; success is the ball's centre within the threshold of it.

    Args:
      actions: 'discrete', one integer 3 i + j of the forces (i - 1, j - 1) along x and y; or 'continuous', two numbers
        clipped to [-1, 1], in newtons.
      bins: values of each force of a discrete action.
      horizon: steps per episode.
      threshold: metres; success is a distance strictly below this.
      start: the box ((x, y), (x, y)) of the starts, uniform, at rest.
      goal: the box whose 50 x 50 grid points are the goals, equally likely; a few lie in walls, as in GCSL's.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range pushes nowhere and sets `metrics["invalid_action"]`.

    >>> env = FourRooms()
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> after = jax.jit(env.step)(state, jnp.array([7]))  # a force along +x
    >>> round(float(after.obs["observation"][0] - state.obs["observation"][0]), 4)
    0.0403
    """

    def __init__(
        self,
        actions: str = "discrete",
        bins: int = 3,
        horizon: int = 50,
        threshold: float = 0.08,
        start: Any = START,
        goal: Any = GOALS,
    ):
        free = (-BORDER + CLEARANCE,) * 2, (BORDER - CLEARANCE,) * 2
        self._start = boxes.parse_bounds("start", start, *free, f"GCSL's is {START}.")
        self._goal = boxes.parse_bounds("goal", goal, (-BORDER,) * 2, (BORDER,) * 2, f"GCSL's is {GOALS}.")
        action = action_sets.action_set(actions, bins, num_moves=2)
        room = types.Range((-BORDER,) * 2, (BORDER,) * 2)
        super().__init__(
            "four_rooms.xml",
            action,
            num_moves=2,
            horizon=horizon,
            threshold=threshold,
            ends_at_success=False,
            observation_range=room,
            goal_range=room,
        )

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The observation itself, [2]."""
        return observation

    @checks.validated(_validation.check_goal)
    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether the ball can come within the threshold; False for 12 of the 2500 goals, where walls cross."""
        return distance_to_free(goal) < self.spec.threshold

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclidean distance, in metres."""
        return jnp.linalg.norm(achieved - desired, axis=-1)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform over the points of the grid, f32[2]."""
        low, high = map(jnp.array, self._goal)
        cell = jax.random.randint(key, (2,), 0, GRID).astype(jnp.float32)
        return low + cell / (GRID - 1) * (high - low)

    def sample_start(self, key: jax.Array) -> physics.Physics:
        """Uniform in the start box, at rest."""
        return self.engine.start(boxes.uniform(key, self._start))

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether a ball centred at (x, y) f32[2], in metres, touches no wall."""
        checks.shape("start", start, (2,), "Give the ball's x and y, in metres.")
        return distance_to_free(start) == 0.0

    def controls(self, now: physics.Physics, move: jax.Array) -> jax.Array:
        """The same force in every substep, in newtons."""
        del now
        return physics.held(move, NUM_SUBSTEPS)

    def observe(self, now: physics.Physics) -> jax.Array:
        """The position, [2]."""
        return now.qpos

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The ball at the goal."""
        return self.engine.bodies(goal)

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A disc that holds the ball's centre at a success."""
        goal = state.obs["desired_goal"]
        centre = jnp.concatenate([goal, jnp.full(1, 0.04, jnp.float32)])
        return (rendering.cylinder(centre, self.spec.threshold, 0.005, rendering.MARKER),)

    def camera(self) -> rendering.Camera:
        """From above."""
        return rendering.orthographic((0.0, 0.0, 2.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), height=1.4)


def overlap(point: jax.Array) -> jax.Array:
    """f32[2], metres: how far a ball centred at `point` f32[2] overlaps the walls across x, and those across y.

    The radii of ball and wall add up to 0.08 m. A wall's end is round: beyond it the overlap falls with the distance.

    >>> [round(depth, 3) for depth in overlap(jnp.array([0.03, 0.5])).tolist()]
    [0.05, 0.0]
    """
    low, high = jnp.array(WALLS).T
    along = point[::-1, None]
    beyond = jnp.maximum(jnp.maximum(low[None] - along, along - high[None]), 0.0)  # [2, 3], past the inner walls' ends
    inner = CLEARANCE - jnp.min(jnp.hypot(point[:, None], beyond), axis=1)
    outer = CLEARANCE - (BORDER - jnp.abs(point))
    return jnp.maximum(jnp.maximum(inner, outer), 0.0)


def distance_to_free(point: jax.Array) -> jax.Array:
    """f32[], metres: from `point` f32[2] to the nearest place where a ball's centre is free; 0 if it is free there.

    The way out of a wall across x is along x and enters no wall across y; where two walls cross, both ways are needed.

    >>> round(float(distance_to_free(jnp.zeros(2))), 4)  # at the middle cross: 0.08 sqrt 2
    0.1131
    """
    return jnp.linalg.norm(overlap(point))
