"""flip_bit: turn one string of bits into another, a bit at a time (hEM, section 4.1).

Dimension key: K bits, O = G = K, C columns of the picture.

    s'_a = 1 - s_a,  s'_i = s_i for i != a       the K actions a = 0 .. K-1
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, boxes

STARTS = {"uniform": True, "zeros": False}

TABLE, PLATE, WRONG = (0.86, 0.84, 0.80, 1.0), (0.74, 0.72, 0.68, 1.0), (0.85, 0.20, 0.15, 1.0)
ZERO, ONE = (0.97, 0.97, 0.95, 1.0), (0.16, 0.26, 0.42, 1.0)


class FlipBit(base.PureTask):
    """K bits with a goal value each; an action flips one bit. The episode ends when all bits are right.

    Args:
      size: K, the number of bits.
      start: 'uniform' (ours), or 'zeros', where every episode begins with K zeros (as in HPG's code).
      horizon: steps per episode; None is K, enough for any goal.
      threshold: bits; success is fewer wrong bits than this, so 0.5 asks for equality.

    Goals are uniform in {0,1}^K; `reset` redraws one while it equals the start, so no episode begins at its goal.
    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An index out of range
    flips nothing and sets `metrics["invalid_action"]`.

    >>> env = FlipBit(size=3, start="zeros")
    >>> state = env.step(env.reset(jax.random.key(0)), jnp.array([1]))
    >>> state.obs["observation"].tolist()
    [0.0, 1.0, 0.0]
    """

    def __init__(self, size: int = 25, start: str = "uniform", horizon: int | None = None, threshold: float = 0.5):
        size = checks.positive_int("size", size, "The paper's are 25 and 50.")
        horizon = size if horizon is None else horizon
        self._uniform_start = _validation.choose("start", start, STARTS)
        bits = types.Range((0.0,) * size, (1.0,) * size)
        self._spec = types.EnvSpec(
            observation_shape=(size,),
            goal_shape=(size,),
            action=types.Discrete(1, size),
            horizon=checks.positive_int("horizon", horizon, "Leave it out for the number of bits."),
            threshold=_validation.threshold(threshold, "Use 0.5: every bit must be right."),
            ends_at_success=True,
            observation_range=bits,
            goal_range=bits,
        )

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """The number of bits that differ (Hamming)."""
        return jnp.sum(jnp.abs(achieved - desired), axis=-1)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform in {0,1}^K."""
        return jax.random.bernoulli(key, shape=self.spec.goal_shape).astype(jnp.float32)

    def reset(self, rng: jax.Array) -> base.State:
        start_key, goal_key = jax.random.split(base.typed(rng))
        bits = self.sample_goal(start_key) if self._uniform_start else jnp.zeros(self.spec.goal_shape, jnp.float32)
        goal = boxes.draw_other(bits, self.sample_goal, goal_key)
        return self.first_state(base.PipelineState(bits, goal), bits)

    def _reset_to(self, rng: jax.Array, start: jax.Array | None, goal: jax.Array | None) -> base.State:
        if start is not None and goal is None:  # as in `reset`, no episode begins at a goal that is drawn
            drawn: Any = self.reset(rng).pipeline_state
            goal = boxes.draw_other(start, self.sample_goal, jax.random.split(base.typed(rng))[1], first=drawn.goal)
        return super()._reset_to(rng, start, goal)

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether each of K numbers is 0.0 or 1.0."""
        checks.shape("start", start, self.spec.goal_shape, "Give each bit, as 0.0 or 1.0.")
        return jnp.all((start == 0.0) | (start == 1.0))

    def start_at(self, now: Any, start: jax.Array) -> tuple[Any, jax.Array]:
        return now.replace(physics=start), start

    @checks.validated(_validation.check_goal)
    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether some string of bits is a success for this goal."""
        return self.success((goal > 0.5).astype(goal.dtype), goal)

    @checks.validated(_validation.check_state)
    def step(self, state: base.State, action: jax.Array) -> base.State:
        size = self.spec.goal_shape[0]
        index, valid = action_sets.choice(size, action)
        now: Any = state.pipeline_state
        flip = jax.nn.one_hot(index, size, dtype=jnp.float32)  # zeros for an index out of range
        bits = jnp.abs(now.physics - flip)
        return self.next_state(state, base.PipelineState(bits, now.goal), bits, valid)

    def scenery(self) -> rendering.Scene:
        """The table."""
        return rendering.plane((0.0, 0.0, -0.01), TABLE)

    @checks.validated(_validation.check_state)
    def bodies(self, state: base.State) -> rendering.Scene:
        """The bits row by row in a square: 0 is a white box, 1 a dark one."""
        return self.bodies_at(state.obs["observation"])

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The boxes of the goal's bits."""
        rgba = jnp.where((goal > 0.5)[:, None], jnp.array([ONE]), jnp.array([ZERO]))
        places = enumerate(self._places())
        return rendering.compose(*(rendering.box((x, y, 0.1), (0.3, 0.3, 0.1), rgba[i]) for i, (x, y) in places))

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A plate under each bit, red where the bit is wrong."""
        is_wrong = (state.obs["observation"] != state.obs["desired_goal"])[:, None]
        rgba = jnp.where(is_wrong, jnp.array([WRONG]), jnp.array([PLATE]))
        return [rendering.plane((x, y, 0.0), rgba[i], (0.46, 0.46)) for i, (x, y) in enumerate(self._places())]

    def camera(self) -> rendering.Camera:
        """From above; the picture is a little higher than the square of bits."""
        height = self._num_columns + 0.4
        return rendering.orthographic((0.0, 0.0, 5.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), height=height)

    @property
    def _num_columns(self) -> int:
        return math.isqrt(self.spec.goal_shape[0] - 1) + 1

    def _places(self) -> np.ndarray:
        """The bits' centres in the picture's plane, f64[K, 2], the first at the top left."""
        columns, size = self._num_columns, self.spec.goal_shape[0]
        row, column = np.divmod(np.arange(size), columns)
        rows = -(-size // columns)
        return np.stack([column - (columns - 1) / 2, (rows - 1) / 2 - row], axis=1)
