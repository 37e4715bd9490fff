"""fetch_reach: a gripper reaches a place in space (hEM, appendix C.1; numbers from OpenAI Gym).

Dimension key: O = 10, the gripper's (x, y, z), its two fingers, and the velocities of these five; G = 3.

One step is 0.04 s, four substeps of 0.01 s (ours; 20 of 0.002 s in the original). The target jumps to 0.05 m per unit
action from where the gripper *is*, and the gripper lags behind it; comments in assets/fetch_reach.xml say how far.
"""

from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import rendering, types
from hindsight_jax.envs import _reach, action_sets, boxes, physics

STEP = 0.05  # metres from the gripper to its target, per unit action
SECONDS = 0.04  # per step
NUM_SUBSTEPS = 4
START = (1.342, 0.749, 0.535)
GOALS = ((-0.15,) * 3, (0.15,) * 3)  # relative to START
REACH = 0.3  # metres; targets stay in a cube about START (ours); the arm itself reaches 0.44 m ahead, more elsewhere
LOW, HIGH = tuple(x - REACH for x in START), tuple(x + REACH for x in START)
FINGER, SPEED = 0.05, 0.03  # a finger's range in metres; metres per step, of which full actions reach 0.024


class FetchReach(_reach.Reach):
    """A gripper reaches a goal; success is the gripper's point within the threshold of it, and ends the episode.

    Args:
      actions: 'continuous', three numbers clipped to [-1, 1], the moves along x, y and z; or 'discrete', one integer
        9 i + 3 j + k of the moves (i - 1, j - 1, k - 1).
      bins: values of each move of a discrete action.
      horizon: steps per episode.
      threshold: metres; success is a distance strictly below this.
      start: the box ((x, y, z), (x, y, z)) of the starts, uniform, at rest.
      goal: the box of the goals, uniform, relative to START.

    Velocities are in metres per step, as in the original. The fingers stay closed: their four numbers are 0.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range leaves the target at the gripper and sets `metrics["invalid_action"]`.

    >>> env = FetchReach()
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> after = jax.jit(env.step)(state, jnp.array([1.0, 0.0, 0.0]))  # the target jumps along +x
    >>> round(float(after.obs["observation"][0] - state.obs["observation"][0]), 4)
    0.0306
    """

    def __init__(
        self,
        actions: str = "continuous",
        bins: int = 3,
        horizon: int = 50,
        threshold: float = 0.05,
        start: Any = (START, START),
        goal: Any = GOALS,
    ):
        starts = boxes.parse_bounds("start", start, LOW, HIGH, f"The original's is {(START, START)}.")
        offsets = boxes.parse_bounds(
            "goal", goal, (-REACH,) * 3, (REACH,) * 3, f"It is relative to {START}; use {GOALS}."
        )
        low, high = (tuple(x + y for x, y in zip(START, corner, strict=True)) for corner in offsets)
        observations = types.Range((*LOW, 0.0, 0.0, *(-SPEED,) * 5), (*HIGH, FINGER, FINGER, *(SPEED,) * 5))
        action = action_sets.action_set(actions, bins, num_moves=3)
        super().__init__(
            starts,
            types.Range(low, high),
            model="fetch_reach.xml",
            action=action,
            horizon=horizon,
            threshold=threshold,
            observation_range=observations,
            goal_range=types.Range(LOW, HIGH),
        )

    def controls(self, now: physics.Physics, move: jax.Array) -> jax.Array:
        """The gripper's target, the same in every substep."""
        target = jnp.clip(now.qpos + STEP * move, jnp.array(LOW), jnp.array(HIGH))
        return physics.held(target, NUM_SUBSTEPS)

    def observe(self, now: physics.Physics) -> jax.Array:
        """The positions of the gripper and its closed fingers, and their velocities in metres per step, [10]."""
        closed = jnp.zeros(2, jnp.float32)
        return jnp.concatenate([now.qpos, closed, SECONDS * now.qvel, closed])

    def camera(self) -> rendering.Camera:
        """From the side and above, on the gripper's workspace."""
        return rendering.pinhole((2.25, -0.25, 0.95), target=(1.32, 0.77, 0.48), up=(0.0, 0.0, 1.0), fov_degrees=42.0)
