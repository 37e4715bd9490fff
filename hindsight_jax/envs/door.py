"""door: a hooked hand opens a door to an angle (HDM, Table 1; numbers from GCSL's code and multiworld).

Dimension key: O = 4, (hand x, hand y, hand z in metres, door angle in radians, 0 shut); G = 1, the angle.

The physics runs in MJX; comments in assets/door.xml mark our own choices. One step is 0.15 s, six substeps of 0.025 s
(ours; 50 of 0.003 s in the original): the hand's target moves in a straight line at a constant speed to its end, which
is clipped to the workspace.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, boxes, physics

NUM_SUBSTEPS = 6
STEP = 0.02  # metres, the hand's travel per unit action
LOW, HIGH = (-0.1, 0.45, 0.1), (0.05, 0.65, 0.25)  # the hand's workspace
START = ((-0.05, 0.635, 0.225), (-0.05, 0.635, 0.225))
CLEAR = 0.205  # metres; a hook at this height passes over the handle
GOALS = ((0.0,), (0.83,))
MAX_ANGLE = 1.0472  # radians, the hinge's limit

HINGE = (0.21, 0.725)
TIP, GRIP = 0.053, 0.04  # metres from the hand to the tip, and from the tip to the panel's middle while it pulls


class Door(physics.PhysicsTask):
    """A hooked hand moves a door by its handle to a goal angle; success is an angle within the threshold of it.

    The door starts shut, with the hook above its handle: moving down, then back, pulls it open; moving forwards pushes
    it shut.

    Args:
      actions: 'discrete', one integer 9 i + 3 j + k of the moves (i - 1, j - 1, k - 1) along x, y and z; or
        'continuous', three numbers clipped to [-1, 1].
      bins: values of each move of a discrete action.
      horizon: steps per episode.
      threshold: radians; success is a distance strictly below this.
      start: the box ((x, y, z), (x, y, z)) of the hand's starts, uniform, at rest, above the handle: z >= 0.205.
      goal: the range ((angle,), (angle,)) of the goals, uniform. `widest()` is the largest that the hand can reach.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range moves nothing and sets `metrics["invalid_action"]`.

    >>> env = Door()
    >>> state, step = jax.jit(env.reset)(jax.random.key(0)), jax.jit(env.step)
    >>> for action in (12, 12, 12, 10, 10, 10, 10):  # three times down, four times back
    ...     state = step(state, jnp.array([action]))
    >>> bool(0.2 < state.obs["achieved_goal"][0] < 0.4)
    True
    """

    def __init__(
        self,
        actions: str = "discrete",
        bins: int = 3,
        horizon: int = 50,
        threshold: float = 0.05,
        start: Any = START,
        goal: Any = GOALS,
    ):
        self._start = boxes.parse_bounds("start", start, (*LOW[:2], CLEAR), HIGH, f"multiworld's is {START}.")
        self._goal = boxes.parse_bounds("goal", goal, (0.0,), (MAX_ANGLE,), f"GCSL's is {GOALS}.")
        action = action_sets.action_set(actions, bins, num_moves=3)
        angles = types.Range(*GOALS)  # they hold every angle that the hand can reach
        super().__init__(
            "door.xml",
            action,
            num_moves=3,
            horizon=horizon,
            threshold=threshold,
            ends_at_success=False,
            observation_range=types.Range(LOW + angles.low, HIGH + angles.high),
            goal_range=angles,
        )

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The door's angle, [1]."""
        return observation[..., 3:]

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """The absolute difference of the angles, in radians."""
        return jnp.abs(achieved - desired)[..., 0]

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform in the goals' range, f32[1]."""
        return boxes.uniform(key, self._goal)

    def sample_start(self, key: jax.Array) -> physics.Physics:
        """The hand uniform in the start box, the door shut, both at rest."""
        hand = boxes.uniform(key, self._start)
        return self.engine.start(jnp.concatenate([hand, jnp.zeros(1, jnp.float32)]))

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether the hand's position (x, y, z) f32[3], in metres, is in its workspace, with z >= CLEAR."""
        checks.shape("start", start, (3,), "Give the hand's x, y and z, in metres; the door is shut.")
        return boxes.inside(start, types.Range((*LOW[:2], CLEAR), HIGH))

    def start_at(self, now: Any, start: jax.Array) -> tuple[Any, jax.Array]:
        return super().start_at(now, jnp.concatenate([start, jnp.zeros(1, jnp.float32)]))

    def controls(self, now: physics.Physics, move: jax.Array) -> jax.Array:
        """The hand's targets, on a straight line to their clipped end."""
        hand = now.qpos[:3]
        return physics.straight(hand, jnp.clip(hand + STEP * move, jnp.array(LOW), jnp.array(HIGH)), NUM_SUBSTEPS)

    def observe(self, now: physics.Physics) -> jax.Array:
        """The hand's position and the door's angle, [4]."""
        return now.qpos

    @checks.validated(_validation.check_goal)
    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether a hand in its workspace can pull the door to within the threshold of this angle."""
        return jnp.abs(goal[0] - jnp.clip(goal[0], 0.0, widest())) < self.spec.threshold

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The door at the goal's angle, and the hand above the handle of the shut door."""
        return self.engine.bodies(jnp.concatenate([jnp.array(START[0]), goal]))

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """The panel at the goal angle, a little larger, so that a door at its goal is green all over."""
        goal = state.obs["desired_goal"]
        turn = rendering.yaw(goal[0])
        centre = jnp.array([*HINGE, 0.1]) + turn @ jnp.array([-HINGE[0], 0.0, 0.0])
        return (rendering.box(centre, (0.205, 0.014, 0.205), rendering.MARKER, rotation=turn),)

    def camera(self) -> rendering.Camera:
        """From the front left, and above."""
        return rendering.pinhole((-0.55, -0.05, 0.75), target=(0.0, 0.65, 0.1), up=(0.0, 0.0, 1.0), fov_degrees=40.0)


def widest() -> float:
    """The largest angle to which the hand can pull the door: the hook is in the workspace's corner next to the hinge.

    Seen from the hinge, the tip is at the angle atan(back / across), and asin(GRIP / its distance) ahead of the panel.

    >>> round(widest(), 3)
    0.8
    """
    across, back = HINGE[0] - HIGH[0], HINGE[1] - (LOW[1] + TIP)
    return math.atan2(back, across) - math.asin(GRIP / math.hypot(across, back))
