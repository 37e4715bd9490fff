"""push: a hand pushes a puck over a table to a goal (HDM, Table 1; numbers from GCSL's code).

Dimension key: O = G = 4, (hand x, hand y, puck x, puck y) in metres.

The physics is planar and runs in MJX; comments in assets/push.xml mark our own choices. One step is 0.04 s, four
substeps of 0.01 s (ours; 20 of 0.002 s in the original): the hand's target moves in a straight line at a constant speed
to its end, which is clipped to the workspace.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, boxes, physics

LOW, HIGH = (-0.2, 0.5), (0.2, 0.7)  # the hand's workspace, and the box of the goals
STEP = 0.02  # metres, the hand's travel per unit action
NUM_SUBSTEPS = 4
MIN_GAP = 0.055  # metres; hand and puck are at least this far apart in starts and goals
START = ((-0.20, 0.50, -0.17, 0.53), (-0.17, 0.53, -0.10, 0.60))
GOALS = (LOW + LOW, HIGH + HIGH)

TABLE, LINE = (0.86, 0.84, 0.80, 1.0), (0.55, 0.53, 0.50, 1.0)
PUCK, TOOL = (0.80, 0.25, 0.20, 1.0), (0.25, 0.30, 0.40, 1.0)


class Push(physics.PhysicsTask):
    """A hand pushes a puck; a goal has a position for both, and success depends on the puck alone.

    Args:
      actions: 'discrete', one integer 3 i + j of the moves (i - 1, j - 1) along x and y; or 'continuous', two numbers,
        clipped to [-1, 1].
      bins: values of each move of a discrete action.
      horizon: steps per episode.
      threshold: metres; success is a distance of the puck from its goal strictly below this.
      start: the box ((hand x, y, puck x, y), (..)) of the starts, uniform, the puck redrawn while too near to the hand.
      goal: the box of the goals, likewise, but hand and puck are redrawn together.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range moves nothing and sets `metrics["invalid_action"]`.

    >>> env = Push()
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> state = jax.jit(env.step)(state, jnp.array([8]))
    >>> float(state.reward)
    0.0
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
        self._start, self._goal = _box_with_a_gap("start", start, START), _box_with_a_gap("goal", goal, GOALS)
        workspace = types.Range(LOW + LOW, HIGH + HIGH)
        action = action_sets.action_set(actions, bins, num_moves=2)
        super().__init__(
            "push.xml",
            action,
            num_moves=2,
            horizon=horizon,
            threshold=threshold,
            ends_at_success=False,
            observation_range=workspace,
            goal_range=workspace,
        )

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The observation itself, [4]."""
        return observation

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclidean distance between the pucks, in metres; the hands do not count."""
        return jnp.linalg.norm(achieved[..., 2:] - desired[..., 2:], axis=-1)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Hand and puck each uniform in the goal box, both redrawn while within MIN_GAP of each other."""

        def draw(key: jax.Array, _: jax.Array) -> jax.Array:
            return boxes.uniform(key, self._goal)

        return _redraw_until_apart(key, draw, jnp.zeros(4, jnp.float32))

    def sample_start(self, key: jax.Array) -> physics.Physics:
        """At rest; hand and puck each uniform in its box, the puck redrawn while within MIN_GAP of the hand."""
        hand_key, puck_key = jax.random.split(key)
        low, high = map(jnp.array, self._start)
        hand = jax.random.uniform(hand_key, (2,), jnp.float32, low[:2], high[:2])

        def draw(key: jax.Array, last: jax.Array) -> jax.Array:
            return last.at[2:].set(jax.random.uniform(key, (2,), jnp.float32, low[2:], high[2:]))

        return self.engine.start(_redraw_until_apart(puck_key, draw, jnp.concatenate([hand, hand])))

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether (hand x, hand y, puck x, puck y) f32[4], in metres, are in the workspace, MIN_GAP apart."""
        checks.shape("start", start, (4,), "Give x and y of the hand, then of the puck, in metres.")
        apart = jnp.linalg.norm(start[:2] - start[2:]) >= MIN_GAP
        return apart & boxes.inside(start, self.spec.goal_range)

    def controls(self, now: physics.Physics, move: jax.Array) -> jax.Array:
        """The hand's targets, on a straight line to their clipped end."""
        hand = now.qpos[:2]
        return physics.straight(hand, jnp.clip(hand + STEP * move, jnp.array(LOW), jnp.array(HIGH)), NUM_SUBSTEPS)

    def observe(self, now: physics.Physics) -> jax.Array:
        """The positions, [4]."""
        return now.qpos

    def scenery(self) -> rendering.Scene:
        """The table and the workspace's outline."""
        return rendering.compose(rendering.plane((0.0, 0.6, 0.0), TABLE, (0.35, 0.25)), *outline())

    @checks.validated(_validation.check_state)
    def bodies(self, state: base.State) -> rendering.Scene:
        """Puck and tool."""
        return self.bodies_at(state.obs["observation"])

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """Puck and tool where the goal has them."""
        return rendering.compose(
            rendering.cylinder(at(goal[2:], 0.015), 0.04, 0.015, PUCK),
            rendering.capsule(at(goal[:2] - jnp.array([0.0, 0.0025]), 0.06), 0.00625, 0.05, TOOL),
            rendering.sphere(at(goal[:2], 0.13), 0.025, TOOL),
        )

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """The goal's puck and hand."""
        goal = state.obs["desired_goal"]
        return (
            rendering.cylinder(at(goal[2:], 0.015), 0.04, 0.015, rendering.MARKER),
            rendering.sphere(at(goal[:2], 0.06), 0.00625, rendering.MARKER),
        )

    def camera(self) -> rendering.Camera:
        """From in front of the table and above it."""
        return rendering.pinhole((0.0, 0.2, 0.75), target=(0.0, 0.59, 0.0), up=(0.0, 0.0, 1.0), fov_degrees=32.0)


def at(xy: jax.Array, height: float) -> jax.Array:
    """The point f32[3] at this height over a point f32[2] of the table."""
    return jnp.concatenate([xy, jnp.full(1, height, jnp.float32)])


def outline() -> list[rendering.Scene]:
    """The border of the hand's workspace, as four thin bars on the table."""
    (x0, y0), (x1, y1) = LOW, HIGH
    corners = [(x0, y0, 0.0), (x1, y0, 0.0), (x1, y1, 0.0), (x0, y1, 0.0)]
    ends = zip(corners, corners[1:] + corners[:1], strict=True)
    return [rendering.capsule_between(a, b, 0.002, LINE) for a, b in ends]


def _box_with_a_gap(name: str, value: Any, usual: Any) -> types.Range:
    """Parses a box of hands and pucks in the workspace; ValueError if redrawing might not end in it.

    The farthest puck must be more than MIN_GAP away even from the hand that is nearest to the middle of the pucks.
    """
    low, high = bounds = boxes.parse_bounds(name, value, LOW + LOW, HIGH + HIGH, f"GCSL's is {usual}.")
    reach = []
    for hand_low, hand_high, puck_low, puck_high in zip(low[:2], high[:2], low[2:], high[2:], strict=True):
        middle = (puck_low + puck_high) / 2
        reach.append(abs(min(max(middle, hand_low), hand_high) - middle) + (puck_high - puck_low) / 2)
    if math.hypot(*reach) < 1.2 * MIN_GAP:
        rule = (
            f"some puck must be {1.2 * MIN_GAP:.3g} m from every hand, and the farthest is {math.hypot(*reach):.3g} m"
        )
        checks.fail(name, repr(value), rule, "Widen the puck's part of the box, or move it away from the hand's.")
    return bounds


def _redraw_until_apart(key: jax.Array, draw: Callable, too_near: jax.Array) -> jax.Array:
    """Draws (hand, puck) until they are MIN_GAP apart, with a fresh key each time; `too_near` starts the loop."""

    def near(carry: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.linalg.norm(carry[1][:2] - carry[1][2:]) < MIN_GAP

    def redraw(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        key, use = jax.random.split(carry[0])
        return key, draw(use, carry[1])

    return jax.lax.while_loop(near, redraw, (key, too_near))[1]
