"""reacher: an arm of two links brings its fingertip to a goal (hEM, appendix C.1; numbers from OpenAI Gym).

Dimension key: O = 11, G = 2, the fingertip's (x, y) in metres. The goal is not part of the observation:

    0, 1    cos of the shoulder's and of the elbow's angle
    2, 3    sin of both
    4, 5    fingertip x, y, metres
    6, 7    angular velocities, rad/s
    8, 9    fingertip x', y', metres per second (ours, to make the paper's 11)
    10      the elbow's angle, radians, which shows how near its limit is (ours)

The physics runs in MJX: assets/reacher.xml. One step is 0.02 s, two substeps of 0.01 s at constant torques.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, boxes, physics

NUM_SUBSTEPS = 2
UPPER, LOWER = 0.1, 0.11  # lengths of the links, metres
ELBOW_LIMIT = 3.0  # radians to both sides
MAX_SPEED = 200.0  # rad/s, at which damping balances a motor's full torque
_MOST = (math.pi, ELBOW_LIMIT, MAX_SPEED, MAX_SPEED)
WIDEST = types.Range(tuple(-x for x in _MOST), _MOST)  # of the starts
BORDER = 0.3  # metres, half the square room's width; distances are in widths
START = ((-0.1, -0.1, -0.005, -0.005), (0.1, 0.1, 0.005, 0.005))
GOALS = ((0.0, -math.pi), (0.2, math.pi))
USUAL = (1.0, 1.0, 1.0, 1.0, 0.21, 0.21, 30.0, 30.0, 4.0, 4.0, 3.0)  # random actions stay within +- these


class Reacher(physics.PhysicsTask):
    """A shoulder and an elbow bring a fingertip to a goal; the episode ends at the first success.

    Args:
      actions: 'continuous', two numbers clipped to [-1, 1], the torques of shoulder and elbow in units of 200 N m; or
        'discrete', one integer 3 i + j of the torques (i - 1, j - 1).
      bins: values of each torque of a discrete action.
      horizon: steps per episode.
      threshold: success is a `distance` strictly below this (hEM: or equal).
      start: the box of the starts, ((shoulder, elbow, shoulder', elbow'), same) in radians and rad/s, uniform.
      goal: the sector of the goals, ((radius, angle), (radius, angle)) about the shoulder in metres and radians,
        uniform by area; gym's is a disc.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range gives no torque and sets `metrics["invalid_action"]`.

    >>> env = Reacher()
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> after = jax.jit(env.step)(state, jnp.array([1.0, 0.0]))  # the shoulder's full torque
    >>> round(float(after.obs["observation"][6] - state.obs["observation"][6]), 1)  # 200 rad/s^2 for 0.02 s
    4.0
    """

    def __init__(
        self,
        actions: str = "continuous",
        bins: int = 3,
        horizon: int = 50,
        threshold: float = 0.02 * math.sqrt(2.0),
        start: Any = START,
        goal: Any = GOALS,
    ):
        self._start = boxes.parse_bounds("start", start, *WIDEST, f"The original's is {START}.")
        sector = (0.0, -math.pi), (UPPER + LOWER, math.pi)
        self._goal = boxes.parse_bounds("goal", goal, *sector, f"The original's is {GOALS}.")
        action = action_sets.action_set(actions, bins, num_moves=2)
        super().__init__(
            "reacher.xml",
            action,
            num_moves=2,
            horizon=horizon,
            threshold=threshold,
            ends_at_success=True,
            observation_range=types.Range(tuple(-x for x in USUAL), USUAL),
            goal_range=types.Range((-BORDER,) * 2, (BORDER,) * 2),
        )

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The fingertip, [2]."""
        return observation[..., 4:6]

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclidean distance divided by the width of the room (0.6 m)."""
        return jnp.linalg.norm(achieved - desired, axis=-1) / (2.0 * BORDER)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform by area in the sector, f32[2]."""
        (inner, first), (outer, last) = self._goal
        square, angle = jax.random.uniform(
            key, (2,), jnp.float32, jnp.array([inner**2, first]), jnp.array([outer**2, last])
        )
        return jnp.sqrt(square) * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    @checks.validated(_validation.check_goal)
    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether the fingertip of an arm, folded to stretched, can come within the threshold."""
        radius = jnp.linalg.norm(goal)
        folded = math.sqrt(UPPER**2 + LOWER**2 + 2.0 * UPPER * LOWER * math.cos(ELBOW_LIMIT))
        missing = jnp.maximum(folded - radius, radius - (UPPER + LOWER))
        return missing < self.spec.threshold * 2.0 * BORDER

    def sample_start(self, key: jax.Array) -> physics.Physics:
        """Uniform in the start box."""
        drawn = boxes.uniform(key, self._start)
        return self.engine.start(drawn[:2], drawn[2:])

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether (shoulder, elbow, shoulder', elbow') f32[4], in radians and rad/s, are within WIDEST."""
        checks.shape("start", start, (4,), "Give the angles of shoulder and elbow, then their velocities.")
        return boxes.inside(start, WIDEST)

    def start_at(self, now: Any, start: jax.Array) -> tuple[Any, jax.Array]:
        turned = self.engine.start(start[:2], start[2:])
        return now.replace(physics=turned), self.observe(turned)

    def controls(self, now: physics.Physics, move: jax.Array) -> jax.Array:
        """The same torques in every substep, in units of 200 N m."""
        del now
        return physics.held(move, NUM_SUBSTEPS)

    def observe(self, now: physics.Physics) -> jax.Array:
        """The observation [11], in the order of the table at the top of this module."""
        angles, speeds = now.qpos, now.qvel
        lengths = jnp.array([UPPER, LOWER])
        cos, sin = (lengths * f(jnp.cumsum(angles)) for f in (jnp.cos, jnp.sin))
        turning = jnp.cumsum(speeds)  # of each link, against the room
        tip = jnp.stack([jnp.sum(cos), jnp.sum(sin)])
        tip_speed = jnp.stack([-jnp.sum(sin * turning), jnp.sum(cos * turning)])
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles), tip, speeds, tip_speed, angles[1:]])

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The fingertip at the goal, with the elbow to its left; where no arm reaches it, as near as can be."""
        return self.engine.bodies(elbows_left(goal))

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A disc that holds the fingertip's centre at a success."""
        goal = state.obs["desired_goal"]
        centre = jnp.concatenate([goal, jnp.full(1, 0.02, jnp.float32)])
        return (rendering.cylinder(centre, self.spec.threshold * 2.0 * BORDER, 0.002, rendering.MARKER),)

    def camera(self) -> rendering.Camera:
        """From above, on what the arm can reach; the walls, which nothing touches, are outside of the picture."""
        return rendering.orthographic((0.0, 0.0, 1.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), height=0.48)


def elbows_left(tip: jax.Array) -> jax.Array:
    """The angles f32[2] of shoulder and elbow, turned left, that bring the fingertip to `tip` f32[2], or towards it.

    By the law of cosines, |tip|² = UPPER² + LOWER² + 2 UPPER LOWER cos(elbow).

    >>> [round(x, 3) for x in elbows_left(jnp.array([0.1, 0.11])).tolist()]  # the upper link along x, the lower along y
    [0.0, 1.571]
    """
    cosine = (jnp.sum(tip**2) - UPPER**2 - LOWER**2) / (2.0 * UPPER * LOWER)
    elbow = jnp.arccos(jnp.clip(cosine, math.cos(ELBOW_LIMIT), 1.0))
    bend = jnp.arctan2(LOWER * jnp.sin(elbow), UPPER + LOWER * jnp.cos(elbow))  # from the upper link to the tip
    return jnp.stack([jnp.arctan2(tip[1], tip[0]) - bend, elbow])
