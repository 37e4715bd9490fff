"""navigation: move a point to a goal in a cube of K dimensions (hEM, section 4.1).

Dimension key: K dimensions of the cube, O = G = K; coordinates have no unit.

    s' = clip(s + 0.2 a, -1, 1)       a in [-1, 1]^K
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base

STEP = 0.2  # the change per unit action
ACROSS = 10  # steps from one face of the cube to the other
ACTIONS = {"discrete": lambda size: types.Discrete(size, 3), "continuous": types.Box}

FLOOR, LINE = (0.86, 0.84, 0.80, 1.0), (0.55, 0.53, 0.50, 1.0)
POINT, ERROR = (0.80, 0.25, 0.20, 1.0), (0.85, 0.45, 0.15, 1.0)
RADIUS = 0.07  # of the drawn ball
CHART, HALF_WIDTH = -2.5, 1.8  # y of the chart's baseline, and half its length


class Navigation(base.PureTask):
    """A point in [-1, 1]^K moves to a goal, at most 0.2 per dimension and step.

    Args:
      size: K, the number of dimensions.
      actions: 'continuous', K numbers clipped to [-1, 1]; or 'discrete', one integer per dimension, where 0, 1, 2 mean
        -1, 0, +1 (the factorised Discrete(K, 3)).
      horizon: steps per episode.
      threshold: success is a distance strictly below this.

    Start and goal are independent and uniform in the cube, and never redrawn (with a threshold as wide as the cube,
    redrawing would not end): at K = 2, 0.75 % of the episodes begin within the threshold. Success counts only after an
    action.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An action that is NaN,
    infinite, or (discrete) out of range moves nothing and sets `metrics["invalid_action"]`.

    With discrete actions not every goal can be reached: see `reachable_from`.

    >>> env = Navigation(size=2)
    >>> state = env.reset(jax.random.key(0))
    >>> moved = env.step(state, jnp.array([0.0, 1.0])).obs["observation"] - state.obs["observation"]
    >>> [round(x, 5) for x in moved.tolist()]
    [0.0, 0.2]
    """

    def __init__(self, size: int = 2, actions: str = "continuous", horizon: int = 50, threshold: float = 0.1):
        size = checks.positive_int("size", size, "The paper goes up to 80 dimensions.")
        action = _validation.choose("actions", actions, ACTIONS)(size)
        cube = types.Range((-1.0,) * size, (1.0,) * size)
        self._spec = types.EnvSpec(
            observation_shape=(size,),
            goal_shape=(size,),
            action=action,
            horizon=checks.positive_int("horizon", horizon, "Leave it out for 50."),
            threshold=_validation.threshold(threshold, "The paper's is 0.1."),
            ends_at_success=True,
            observation_range=cube,
            goal_range=cube,
        )

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclidean distance in K dimensions."""
        return jnp.linalg.norm(achieved - desired, axis=-1)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform in [-1, 1]^K."""
        return jax.random.uniform(key, self.spec.goal_shape, jnp.float32, -1.0, 1.0)

    @checks.validated(_validation.check_goal)
    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether some point of the cube is within the threshold."""
        return self.success(jnp.clip(goal, -1.0, 1.0), goal)

    @checks.validated(_validation.check_start_and_goal)
    def reachable_from(self, start: jax.Array, goal: jax.Array) -> jax.Array:
        """bool[]: whether some policy succeeds from `start` f32[K] within the horizon; exact, up to rounding.

        Coordinates move independently, and each may wait where it is nearest to the goal. With discrete actions it
        moves along start + 0.2 n; pushed against a face, it goes on along the multiples of 0.2 (-1 + 0.2 n).

        >>> env = Navigation(size=1, actions="discrete", threshold=0.05)
        >>> start = jnp.array([0.09])  # in steps of 0.2: 0.89; and by way of 1: 0.8
        >>> [bool(env.reachable_from(start, jnp.array([goal]))) for goal in (0.89, 0.8, 0.745)]
        [True, True, False]
        """
        if isinstance(self.spec.action, types.Box):
            missing = jnp.maximum(jnp.abs(goal - start) - STEP * self.spec.horizon, 0.0)
        else:
            points, steps = lattice(start)
            missing = jnp.abs(points - goal[None])
            missing = jnp.min(jnp.where(steps <= self.spec.horizon, missing, jnp.inf), axis=0)
        return self.success(goal + missing, goal)

    def reset(self, rng: jax.Array) -> base.State:
        start_key, goal_key = jax.random.split(base.typed(rng))
        start = self.sample_goal(start_key)  # starts and goals have the same law
        return self.first_state(base.PipelineState(start, self.sample_goal(goal_key)), start)

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether a point f32[K] lies in the cube [-1, 1]^K."""
        checks.shape("start", start, self.spec.goal_shape, "Give each coordinate, in [-1, 1].")
        return jnp.all(jnp.abs(start) <= 1.0)

    def start_at(self, now: Any, start: jax.Array) -> tuple[Any, jax.Array]:
        return now.replace(physics=start), start

    @checks.validated(_validation.check_state)
    def step(self, state: base.State, action: jax.Array) -> base.State:
        move, valid = action_sets.moves(self.spec.action, action, self.spec.action.num_dims)
        now: Any = state.pipeline_state
        point = jnp.clip(now.physics + STEP * move, -1.0, 1.0)
        return self.next_state(state, base.PipelineState(point, now.goal), point, valid)

    def scenery(self) -> rendering.Scene:
        """The first two dimensions as a floor."""
        return rendering.compose(rendering.plane((0.0, 0.0, 0.0), FLOOR, (1.1, 1.1)), *outline())

    @checks.validated(_validation.check_state)
    def bodies(self, state: base.State) -> rendering.Scene:
        """A ball at the first two coordinates; for K = 1 it moves along the middle. It shows no other dimension."""
        return self.bodies_at(state.obs["observation"])

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The ball at the goal."""
        return rendering.sphere(at(goal, 0.1), RADIUS, POINT)

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A disc that holds the ball at a success, if K <= 2. For K > 2 a chart below the floor shows all errors."""
        now, goal = state.obs["observation"], state.obs["desired_goal"]
        disc = rendering.cylinder(at(goal, 0.01), self.spec.threshold + RADIUS, 0.01, rendering.MARKER)
        return [disc, *(error_bars(now - goal) if now.shape[0] > 2 else ())]

    def camera(self) -> rendering.Camera:
        """From above; for K > 2 the picture includes the chart."""
        y, height = (-0.73, 3.9) if self.spec.action.num_dims > 2 else (0.0, 2.5)
        return rendering.orthographic((0.0, y, 5.0), target=(0.0, y, 0.0), up=(0.0, 1.0, 0.0), height=height)


def lattice(start: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points [P, K] that each coordinate reaches from `start` f32[K] by moves of 0.2, and the fewest moves i32[P, K].

    >>> points, steps = lattice(jnp.array([0.5]))
    >>> steps[jnp.argmin(jnp.abs(points - 0.8), axis=0)].tolist()  # 0.7, 0.9, 1 and back to 0.8
    [[4]]
    """
    offsets = jnp.arange(-ACROSS, ACROSS + 1)[:, None]
    inwards, zeros = jnp.arange(ACROSS + 1)[:, None], jnp.zeros_like(start, jnp.int32)[None]
    points, steps = [jnp.clip(start[None] + STEP * offsets, -1.0, 1.0)], [jnp.abs(offsets) + zeros]
    for face in (-1.0, 1.0):
        to_the_face = jnp.ceil(jnp.abs(face - start) / STEP - 1e-4).astype(jnp.int32)  # rounding adds no move
        points.append(face * (1.0 - STEP * inwards) + zeros)
        steps.append(inwards + to_the_face[None])
    return jnp.concatenate(points), jnp.concatenate(steps)


def at(point: jax.Array, height: float) -> jax.Array:
    """The place f32[3] at this height over the first two coordinates of a point f32[K], of which a missing one is 0."""
    return jnp.concatenate([jnp.pad(point[:2], (0, max(0, 2 - point.shape[0]))), jnp.full(1, height, jnp.float32)])


def outline() -> list[rendering.Scene]:
    """The border of the cube's first two dimensions, as four thin bars."""
    corners = [(-1.0, -1.0, 0.0), (1.0, -1.0, 0.0), (1.0, 1.0, 0.0), (-1.0, 1.0, 0.0)]
    ends = zip(corners, corners[1:] + corners[:1], strict=True)
    return [rendering.capsule_between(a, b, 0.015, LINE) for a, b in ends]


def error_bars(error: jax.Array) -> list[rendering.Scene]:
    """A bar for each dimension, half as high as its absolute error, for `error` [K]; no bar is left at the goal."""
    width = 2.0 * HALF_WIDTH / error.shape[0]
    bars = [rendering.capsule_between((-HALF_WIDTH, CHART, 0.0), (HALF_WIDTH, CHART, 0.0), 0.015, LINE)]
    vector = lambda x, y, z: jnp.stack([jnp.asarray(value, jnp.float32) for value in (x, y, z)])
    for i, half in enumerate(jnp.abs(error) / 4):
        centre = vector((i + 0.5) * width - HALF_WIDTH, CHART + half, 0.0)
        bars.append(rendering.box(centre, vector(0.35 * width, half, 0.05), ERROR))
    return bars
