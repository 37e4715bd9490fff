"""claw: three fingers turn a valve to an angle (HDM, Table 1; numbers from GCSL's code and ROBEL).

Dimension key: O = 11, the fingers' nine joint angles and (cos, sin) of the valve's; G = 2, (cos, sin).

The physics runs in MJX; comments in assets/claw.xml mark our own choices. One step is 0.1 s, ten substeps of 0.01 s
(ours; 40 of 0.0025 s in the original), during which the servos' targets are constant.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, boxes, physics

NUM_SUBSTEPS = 10
START = (0.0, -math.pi / 3, math.pi / 3) * 3 + (0.0,)
SCALE = (0.48, math.pi / 3, math.pi / 2) * 3  # radians, the joint targets for an action of 1
TRAVEL = 0.2094  # radians, the largest distance of a target from its joint's angle: 2 pi / 3 per second
TURN = 2.0 * math.pi


class Claw(physics.PhysicsTask):
    """Three fingers of three joints turn a valve to a goal angle; success depends on the valve alone.

    Args:
      actions: 'discrete', nine integers, three per finger: i sets the target (i - 1) x (0.48, pi/3, pi/2) of its
        sideways joint, its knuckle and its last joint; or 'continuous', nine numbers clipped to [-1, 1].
      bins: values of each target of a discrete action.
      horizon: steps per episode.
      threshold: radians; success is a distance strictly below this.
      goal: the range ((radians,), (radians,)) of the goals' angles, uniform.

    A target is clipped to within 0.2094 rad of its joint's angle at the start of the step, then to the joint's range.
    Every episode starts in the same pose, at rest.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range counts as targets of 0 and sets `metrics["invalid_action"]`.

    >>> env = Claw()
    >>> env.spec.action
    Discrete(num_dims=9, num_bins=3)
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> [round(float(x), 4) for x in state.obs["achieved_goal"]]  # (cos, sin) of the valve
    [1.0, 0.0]
    """

    def __init__(
        self,
        actions: str = "discrete",
        bins: int = 3,
        horizon: int = 50,
        threshold: float = 0.1,
        goal: Any = ((0.0,), (TURN,)),
    ):
        self._goal = boxes.parse_bounds("goal", goal, (-TURN,), (TURN,), f"GCSL's is {((0.0,), (TURN,))}, a full turn.")
        action = action_sets.action_set(actions, bins, num_moves=9, factorised=True)
        ends = (*SCALE, 1.0, 1.0)
        super().__init__(
            "claw.xml",
            action,
            num_moves=9,
            horizon=horizon,
            threshold=threshold,
            ends_at_success=False,
            observation_range=types.Range(tuple(-x for x in ends), ends),
            goal_range=types.Range((-1.0, -1.0), (1.0, 1.0)),
        )
        self._joint_range = self.engine.model.jnt_range[:9].T.astype(np.float32)  # [2, 9]

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """(cos, sin) of the valve, [2]."""
        return observation[..., 9:]

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """The angle between them in radians, in [0, pi]."""
        cross = achieved[..., 0] * desired[..., 1] - achieved[..., 1] * desired[..., 0]
        return jnp.abs(jnp.arctan2(cross, jnp.sum(achieved * desired, axis=-1)))

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """(cos, sin) of an angle uniform in the goals' range, f32[2]."""
        (low,), (high,) = self._goal
        angle = jax.random.uniform(key, (), jnp.float32, low, high)
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    def sample_start(self, key: jax.Array) -> physics.Physics:
        """Always the same: the fingertips outside and above the lobes, the valve at 0."""
        del key
        return self.engine.start(jnp.array(START))

    def controls(self, now: physics.Physics, move: jax.Array) -> jax.Array:
        """The same targets in every substep, in radians."""
        joints = now.qpos[:9]
        target = jnp.clip(move * jnp.array(SCALE), joints - TRAVEL, joints + TRAVEL)
        return physics.held(jnp.clip(target, *self._joint_range), NUM_SUBSTEPS)

    def observe(self, now: physics.Physics) -> jax.Array:
        """The nine joint angles, and (cos, sin) of the valve, [11]."""
        return jnp.concatenate([now.qpos[:9], jnp.cos(now.qpos[9:]), jnp.sin(now.qpos[9:])])

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The valve at the goal's angle, and the fingers as every episode begins."""
        return self.engine.bodies(jnp.array(START).at[9].set(jnp.arctan2(goal[1], goal[0])))

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A shell around the red lobe's end at the goal angle, reaching a little beyond it."""
        goal = state.obs["desired_goal"]
        outwards = jnp.concatenate([goal, jnp.zeros(1)])
        centre = jnp.array([0.0, 0.0, 0.102])
        return (
            rendering.capsule_between(centre + 0.06 * outwards, centre + 0.115 * outwards, 0.024, rendering.MARKER),
        )

    def camera(self) -> rendering.Camera:
        """From above the fingers and in front of them."""
        return rendering.pinhole((0.38, 0.0, 0.70), target=(0.0, 0.0, 0.15), up=(0.0, 0.0, 1.0), fov_degrees=31.0)
