"""sawyer_reach: a hand above a table reaches a goal in space (hEM, appendix C.1; numbers from multiworld).

Dimension key: O = G = 3, the hand's (x, y, z) in metres.

    x' = clip(x + 0.02 a, LOW, HIGH)      a in [-1, 1]^3

One step is 0.04 s, one substep (ours), in which a stiff servo carries the hand to its target x'.
"""

from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import rendering, types
from hindsight_jax.envs import _reach, action_sets, boxes, physics

STEP = 0.02  # metres, the hand's travel per unit action
LOW, HIGH = (-0.2, 0.55, 0.05), (0.2, 0.75, 0.3)  # the hand's workspace, and the box of the goals
START = (0.0, 0.55, 0.05)


class SawyerReach(_reach.Reach):
    """A hand reaches a goal; success is the hand's point within the threshold of it, and ends the episode.

    Args:
      actions: 'continuous', three numbers clipped to [-1, 1], the moves along x, y and z; or 'discrete', one integer
        9 i + 3 j + k of the moves (i - 1, j - 1, k - 1).
      bins: values of each move of a discrete action.
      horizon: steps per episode.
      threshold: metres; success is a distance strictly below this.
      start: the box ((x, y, z), (x, y, z)) of the starts, uniform.
      goal: the box of the goals, uniform.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range moves nothing and sets `metrics["invalid_action"]`.

    >>> env = SawyerReach()
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> after = jax.jit(env.step)(state, jnp.array([1.0, -1.0, 1.0]))  # y is at its limit
    >>> [round(x, 5) for x in after.obs["observation"].tolist()]
    [0.02, 0.55, 0.07]
    """

    def __init__(
        self,
        actions: str = "continuous",
        bins: int = 3,
        horizon: int = 50,
        threshold: float = 0.06,
        start: Any = (START, START),
        goal: Any = (LOW, HIGH),
    ):
        starts = boxes.parse_bounds("start", start, LOW, HIGH, f"The default is {(START, START)}.")
        goals = boxes.parse_bounds("goal", goal, LOW, HIGH, f"The original's is {(LOW, HIGH)}.")
        workspace = types.Range(LOW, HIGH)
        action = action_sets.action_set(actions, bins, num_moves=3)
        super().__init__(
            starts,
            goals,
            model="sawyer_reach.xml",
            action=action,
            horizon=horizon,
            threshold=threshold,
            observation_range=workspace,
            goal_range=workspace,
        )

    def controls(self, now: physics.Physics, move: jax.Array) -> jax.Array:
        """The hand's target, for one substep."""
        return jnp.clip(now.qpos + STEP * move, jnp.array(LOW), jnp.array(HIGH))[None]

    def observe(self, now: physics.Physics) -> jax.Array:
        """The hand's position, [3]."""
        return now.qpos

    def camera(self) -> rendering.Camera:
        """From in front of the table and above it."""
        return rendering.pinhole((0.35, -0.4, 0.6), target=(0.0, 0.66, 0.16), up=(0.0, 0.0, 1.0), fov_degrees=36.0)
