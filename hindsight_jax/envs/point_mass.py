"""point_mass: a ball with momentum is steered between pillars (hEM, appendix C.1).

Dimension key: O = 4, (x, y, x', y') in metres and metres per second; G = 2, (x, y).

The paper's obstacles and ball are unpublished. Ours (assets/point_mass.xml) are five round pillars in the room of
four_rooms, and a ball that keeps 0.77 of its velocity in a step. One step is 0.05 s, five substeps of 0.01 s at a
constant force. A pillar blocks the straight line from start to goal for 59 % of the pairs.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, boxes, four_rooms, physics

NUM_SUBSTEPS = 5
BORDER = four_rooms.BORDER  # metres, half the room's width; distances are in widths
MAX_SPEED = 1.0  # metres per second, at which damping balances the full force
PILLARS = ((0.0, 0.0), (0.3, 0.0), (-0.3, 0.0), (0.0, 0.3), (0.0, -0.3))  # x and y of their axes
TOUCH = 0.1  # metres; least distance of the ball's centre to an axis: the sum of the radii
INSIDE = ((-BORDER + four_rooms.CLEARANCE,) * 2, (BORDER - four_rooms.CLEARANCE,) * 2)
LATTICE, LEAST_FREE = 65, 0.01  # a box is sampled at 65 points per axis; the share of them that must be free


class PointMass(physics.PhysicsTask):
    """A ball with momentum moves between pillars to a goal; the episode ends at the first success.

    Args:
      actions: 'continuous', two numbers clipped to [-1, 1], the forces along x and y in newtons; or 'discrete', one
        integer 3 i + j of the forces (i - 1, j - 1).
      bins: values of each force of a discrete action.
      horizon: steps per episode.
      threshold: success is a `distance` strictly below this (hEM: or equal).
      start: the box ((x, y), (x, y)) of the starts, uniform where the ball touches nothing, at rest.
      goal: the box of the goals, uniform likewise.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range pushes nowhere and sets `metrics["invalid_action"]`.

    >>> env = PointMass()
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> after = jax.jit(env.step)(state, jnp.array([1.0, 0.0]))  # a force along +x
    >>> round(float(after.obs["observation"][2]), 4)  # 1 - 0.95^5, from rest
    0.2262
    """

    def __init__(
        self,
        actions: str = "continuous",
        bins: int = 3,
        horizon: int = 50,
        threshold: float = 0.02 * math.sqrt(2.0),
        start: Any = INSIDE,
        goal: Any = INSIDE,
    ):
        self._start, self._goal = free_box("start", start), free_box("goal", goal)
        action = action_sets.action_set(actions, bins, num_moves=2)
        usual = (BORDER,) * 2 + (MAX_SPEED,) * 2
        super().__init__(
            "point_mass.xml",
            action,
            num_moves=2,
            horizon=horizon,
            threshold=threshold,
            ends_at_success=True,
            observation_range=types.Range(tuple(-x for x in usual), usual),
            goal_range=types.Range((-BORDER,) * 2, (BORDER,) * 2),
        )

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The position, [2]."""
        return observation[..., :2]

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclidean distance divided by the width of the room (1.2 m)."""
        return jnp.linalg.norm(achieved - desired, axis=-1) / (2.0 * BORDER)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform over the free part of the goal box, f32[2]."""
        return sample_free(self._goal, key)

    @checks.validated(_validation.check_goal)
    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether the ball can come within the threshold; True for every goal of `sample_goal`."""
        return distance_to_free(goal) / (2.0 * BORDER) < self.spec.threshold

    def sample_start(self, key: jax.Array) -> physics.Physics:
        """Uniform over the free part of the start box, at rest."""
        return self.engine.start(sample_free(self._start, key))

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether a ball centred at (x, y) f32[2], in metres, touches nothing."""
        checks.shape("start", start, (2,), "Give the ball's x and y, in metres.")
        return free(start)

    def controls(self, now: physics.Physics, move: jax.Array) -> jax.Array:
        """The same force in every substep, in newtons."""
        del now
        return physics.held(move, NUM_SUBSTEPS)

    def observe(self, now: physics.Physics) -> jax.Array:
        """Position and velocity, [4]."""
        return jnp.concatenate([now.qpos, now.qvel])

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The ball at the goal."""
        return self.engine.bodies(goal)

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A disc at the ball's height that holds the ball's centre at a success."""
        goal = state.obs["desired_goal"]
        centre = jnp.concatenate([goal, jnp.full(1, 0.06, jnp.float32)])
        return (rendering.cylinder(centre, self.spec.threshold * 2.0 * BORDER, 0.005, rendering.MARKER),)

    def camera(self) -> rendering.Camera:
        """From above."""
        return rendering.orthographic((0.0, 0.0, 2.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), height=1.4)


def distance_to_free(point: jax.Array) -> jax.Array:
    """f32[], metres: from `point` f32[2] to the nearest place where a ball's centre is free; 0 if it is free there.

    No pillar is so near to a wall that a ball can overlap both: at most one of the two terms is positive.

    >>> [round(float(distance_to_free(jnp.array(point))), 3) for point in ((0.3, 0.04), (0.1, 0.6), (0.2, 0.2))]
    [0.06, 0.08, 0.0]
    """
    in_wall = jnp.linalg.norm(jnp.maximum(jnp.abs(point) - INSIDE[1][0], 0.0))
    in_pillar = TOUCH - jnp.min(jnp.linalg.norm(point[None] - jnp.array(PILLARS), axis=1))
    return in_wall + jnp.maximum(in_pillar, 0.0)


def free_share(box: types.Range) -> float:
    """The share of a box whose points are `free`, on a lattice; in NumPy, as making a task starts no JAX.

    >>> free_share(types.Range(*INSIDE)) > 0.8
    True
    """
    points = np.stack(np.meshgrid(*np.linspace(*box, LATTICE, dtype=np.float32).T), axis=-1).reshape(-1, 2)
    in_wall = np.abs(points).max(axis=1) > INSIDE[1][0]
    to_pillars = np.linalg.norm(points[:, None] - np.array(PILLARS, np.float32), axis=2)
    return float(np.mean(~in_wall & (to_pillars.min(axis=1) >= TOUCH)))


def free(point: jax.Array) -> jax.Array:
    """bool[]: whether a ball may be centred at `point` f32[2]."""
    return distance_to_free(point) == 0.0


def free_box(name: str, value: Any) -> types.Range:
    """Parses a box (low, high) in the room; ValueError if less than a hundredth of it is free.

    >>> free_box("goal", ((0.1, 0.1), (0.5, 0.5)))
    Range(low=(0.1, 0.1), high=(0.5, 0.5))
    """
    bounds = boxes.parse_bounds(name, value, *INSIDE, f"The whole room is {INSIDE}.")
    share = free_share(bounds)
    if share < LEAST_FREE:
        rule = f"the ball must touch nothing in at least {LEAST_FREE} of the box, and does so in {share:.3g}"
        checks.fail(name, repr(value), rule, "Widen the box, or move it out of the pillars.")
    return bounds


def sample_free(bounds: types.Range, key: jax.Array) -> jax.Array:
    """A point f32[2] uniform over the free part of a box that `free_box` accepts, by redrawing.

    >>> point = sample_free(free_box("goal", ((0.0, 0.0), (0.5, 0.5))), jax.random.key(0))
    >>> free(point).tolist()
    True
    """

    def redraw(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        key, use = jax.random.split(carry[0])
        return key, boxes.uniform(use, bounds)

    in_a_pillar = jnp.zeros(2, jnp.float32)
    return jax.lax.while_loop(lambda carry: ~free(carry[1]), redraw, (key, in_a_pillar))[1]
