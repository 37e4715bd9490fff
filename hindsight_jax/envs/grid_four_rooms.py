"""grid_four_rooms: walk through four rooms of cells on slippery ground (hEM, appendix C.4; numbers from HPG's code).

Dimension key: O = G = 2, (row, column) of a cell as floats in 0 .. 10; row 0 is the top of the map.

    action  0 up     (-1, 0)        with probability `slip` the action is replaced by one of the four, uniformly
            1 down   (+1, 0)        (which may be the same one): at slip 0.2 the move asked for is made in 0.85 of the
            2 left   (0, -1)        steps, and each other one in 0.05
            3 right  (0, +1)
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from hindsight_jax import checks, rendering, types
from hindsight_jax.envs import _validation, action_sets, base, boxes

MAP = (
    ".....#.....",
    ".....#.....",
    "...........",
    ".....#.....",
    ".....#.....",
    "#.####.....",
    ".....###.##",
    ".....#.....",
    ".....#.....",
    "...........",
    ".....#.....",
)
FREE = np.array([[cell == "." for cell in row] for row in MAP])  # bool[11, 11]
SIZE = len(MAP)
CELLS = np.argwhere(FREE).astype(np.int32)  # [104, 2], every free cell
STARTS = np.array([(0, 0), (0, SIZE - 1), (SIZE - 1, 0), (SIZE - 1, SIZE - 1)], np.int32)
MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)], np.int32)

FLOOR, WALL = (0.88, 0.86, 0.82, 1.0), (0.38, 0.40, 0.45, 1.0)
AGENT, GOAL = (0.80, 0.25, 0.20, 1.0), (0.20, 0.65, 0.30, 0.45)


@struct.dataclass
class Walk:
    """What `step` carries: the simulator's state, the goal, and a key."""

    cell: jax.Array  # i32[2], row and column
    goal: jax.Array  # f32[2]
    key: jax.Array  # typed; draws the slips


class GridFourRooms(base.PureTask):
    """A walker on 11 x 11 cells of four rooms with four doorways. The episode ends at the goal.

    Walls and borders stop a move: the walker stays. Starts are the four corners; a goal is any free cell but the
    episode's start, so other corners are goals too (ours; in HPG's code no corner is a goal).

    Args:
      horizon: steps per episode.
      slip: the probability that a step's action is replaced by a uniformly random one.
      threshold: cells; success is a Manhattan distance strictly below this, so 0.5 asks for the goal's cell.

    Raises ValueError for other values, and in `step` for an action of a wrong shape or dtype. An index out of range
    moves nothing, even in a slip, and sets `metrics["invalid_action"]`.

    >>> env = GridFourRooms(slip=0.0)
    >>> state = env.reset(jax.random.key(3))
    >>> state.obs["observation"].tolist(), env.step(state, jnp.array([3])).obs["observation"].tolist()
    ([0.0, 0.0], [0.0, 1.0])
    """

    def __init__(self, horizon: int = 31, slip: float = 0.2, threshold: float = 0.5):
        self.slip = checks.number("slip", slip, 0.0, 1.0, "HPG's code has 0.2.")
        cells = types.Range((0.0, 0.0), (SIZE - 1.0, SIZE - 1.0))
        self._spec = types.EnvSpec(
            observation_shape=(2,),
            goal_shape=(2,),
            action=types.Discrete(1, 4),
            horizon=checks.positive_int("horizon", horizon, "HPG's code has 31."),
            threshold=_validation.threshold(threshold, "Use 0.5: the walker must be in the goal's cell."),
            ends_at_success=True,
            observation_range=cells,
            goal_range=cells,
        )

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Manhattan distance: steps between two cells if there were no walls."""
        return jnp.sum(jnp.abs(achieved - desired), axis=-1)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Uniform over the free cells."""
        return jax.random.choice(key, jnp.asarray(CELLS)).astype(jnp.float32)

    def reset(self, rng: jax.Array) -> base.State:
        start_key, goal_key, slip_key = jax.random.split(base.typed(rng), 3)
        cell = jax.random.choice(start_key, jnp.asarray(STARTS))
        start = cell.astype(jnp.float32)
        goal = boxes.draw_other(start, self.sample_goal, goal_key)
        return self.first_state(Walk(cell, goal, slip_key), start)

    def _reset_to(self, rng: jax.Array, start: jax.Array | None, goal: jax.Array | None) -> base.State:
        if start is not None and goal is None:  # as in `reset`, no episode begins at a goal that is drawn
            drawn: Any = self.reset(rng).pipeline_state
            goal = boxes.draw_other(start, self.sample_goal, jax.random.split(base.typed(rng), 3)[1], first=drawn.goal)
        return super()._reset_to(rng, start, goal)

    @checks.validated(_validation.check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether (row, column) f32[2] is a free cell."""
        checks.shape("start", start, (2,), "Give the row and the column of a free cell.")
        return jnp.any(jnp.all(start[None] == jnp.asarray(CELLS, jnp.float32), axis=1))

    def start_at(self, now: Any, start: jax.Array) -> tuple[Any, jax.Array]:
        return now.replace(cell=start.astype(jnp.int32)), start

    @checks.validated(_validation.check_goal)
    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether a free cell is a success for this goal; each can be reached from any other."""
        cells = jnp.asarray(CELLS, jnp.float32)
        return jnp.any(self.success(cells, jnp.broadcast_to(goal[None], cells.shape)))

    @checks.validated(_validation.check_state)
    def step(self, state: base.State, action: jax.Array) -> base.State:
        index, valid = action_sets.choice(len(MOVES), action)
        now: Any = state.pipeline_state
        key, use = jax.random.split(now.key)
        chance, which = jax.random.uniform(use, (2,))
        index = jnp.where(chance < self.slip, (len(MOVES) * which).astype(jnp.int32), index)
        cell = jnp.where(valid, walk(now.cell, index), now.cell)
        return self.next_state(state, now.replace(cell=cell, key=key), cell.astype(jnp.float32), valid)

    def scenery(self) -> rendering.Scene:
        """The map: walls are blocks."""
        centre = (SIZE - 1) / 2
        walls = [rendering.box((x, -y, 0.3), (0.5, 0.5, 0.3), WALL) for y, x in np.argwhere(~FREE).astype(float)]
        return rendering.compose(rendering.plane((centre, -centre, 0.0), FLOOR, (SIZE / 2, SIZE / 2)), *walls)

    @checks.validated(_validation.check_state)
    def bodies(self, state: base.State) -> rendering.Scene:
        """The walker, a ball."""
        return self.bodies_at(state.obs["observation"])

    @checks.validated(_validation.check_goal)
    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The walker in the goal's cell."""
        return rendering.sphere(at(goal, 0.32), 0.32, AGENT)

    @checks.validated(_validation.check_state)
    def markers(self, state: base.State) -> Sequence[rendering.Scene]:
        """A translucent block in the goal's cell."""
        return (rendering.box(at(state.obs["desired_goal"], 0.25), (0.42, 0.42, 0.25), GOAL),)

    def camera(self) -> rendering.Camera:
        """From above, the map's first row at the top."""
        centre = (SIZE - 1) / 2
        position, target = (centre, -centre, 5.0), (centre, -centre, 0.0)
        return rendering.orthographic(position, target=target, up=(0.0, 1.0, 0.0), height=SIZE + 0.6)


def at(cell: jax.Array, height: float) -> jax.Array:
    """The place f32[3] at this height over the middle of a cell f32[2]: rows go down the picture."""
    return jnp.stack([cell[1], -cell[0], jnp.asarray(height, jnp.float32)])


def walk(cell: jax.Array, index: jax.Array) -> jax.Array:
    """The cell i32[2] that the move of that index leads to: the next one, or the same at a wall or a border.

    >>> walk(jnp.array([4, 1]), jnp.array(1)).tolist(), walk(jnp.array([4, 0]), jnp.array(1)).tolist()
    ([5, 1], [4, 0])
    """
    target = cell + jnp.asarray(MOVES)[index]
    nearest = jnp.clip(target, 0, SIZE - 1)
    enters = jnp.all(nearest == target) & jnp.asarray(FREE)[nearest[0], nearest[1]]
    return jnp.where(enters, target, cell)
