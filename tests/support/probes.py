"""Environments whose optimal values are known in closed form: the goal must matter, gamma must show, and an episode's
end must not count as the end of the world.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from hindsight_jax import relabel, rendering, types
from hindsight_jax.envs import action_sets, base


@struct.dataclass
class Position:
    """What `Chain.step` carries."""

    cell: jax.Array  # i32[]
    goal: jax.Array  # f32[5], one-hot


class Chain(base.GoalEnv):
    """Five cells in a row, moves -1, 0, +1 that stop at the ends; observation and goal are one-hot cells.

    Its picture is seen from above: a red ball in its cell.

    Start and goal are uniform. With a reward of -1 per step save the one that arrives, and 0 for staying there, the
    best value of an action that leads to the cell c is -(1 + gamma + .. + gamma^(n-1)), n = abs(c - goal): `exact_q`.
    """

    num_cells = 5

    def __init__(self, horizon: int = 8, ends_at_success: bool = False):
        box = types.Range((0.0,) * self.num_cells, (1.0,) * self.num_cells)
        shape = (self.num_cells,)
        self._spec = types.EnvSpec(shape, shape, types.Discrete(1, 3), horizon, 0.5, ends_at_success, box, box)

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    def one_hot(self, cell: jax.Array) -> jax.Array:
        return jax.nn.one_hot(cell, self.num_cells, dtype=jnp.float32)

    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        return observation

    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """In cells."""
        return jnp.abs(jnp.dot(achieved - desired, jnp.arange(self.num_cells, dtype=jnp.float32)))

    def sample_goal(self, key: jax.Array) -> jax.Array:
        return self.one_hot(jax.random.randint(key, (), 0, self.num_cells))

    def reset(self, rng: jax.Array) -> base.State:
        key_start, key_goal = jax.random.split(base.typed(rng))
        cell = jax.random.randint(key_start, (), 0, self.num_cells, dtype=jnp.int32)
        return self.first_state(Position(cell, self.sample_goal(key_goal)), self.one_hot(cell))

    def step(self, state: base.State, action: jax.Array) -> base.State:
        moves, valid = action_sets.moves(self.spec.action, action, 1)
        cell = jnp.clip(state.pipeline_state.cell + moves[0].astype(jnp.int32), 0, self.num_cells - 1)
        return self.next_state(state, state.pipeline_state.replace(cell=cell), self.one_hot(cell), valid)

    def scene(self, state: base.State) -> rendering.Scene:
        place = jnp.dot(state.obs["achieved_goal"], jnp.arange(-2.0, 3.0))
        return rendering.sphere(jnp.stack([place, jnp.zeros(()), jnp.zeros(())]), 0.4, (0.8, 0.2, 0.2, 1.0))

    def camera(self) -> rendering.Camera:
        return rendering.orthographic((0.0, 0.0, 5.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), height=6.0)

    def reward_by_success(self, step: relabel.Step):
        """-1, or 0 at the goal, by value; never terminal."""
        return jnp.where(self.success(step.next_achieved_goal, step.goal), 0.0, -1.0), jnp.float32(1.0)

    def exact_q(self, gamma: float) -> list[list[list[float]]]:
        """Q[cell][goal][action]."""
        cells = range(self.num_cells)
        after = lambda cell, action: min(max(cell + action - 1, 0), self.num_cells - 1)
        value = lambda steps: -sum(gamma**k for k in range(steps))
        return [[[value(abs(after(c, a) - g)) for a in range(3)] for g in cells] for c in cells]


class Undrawn(Chain):
    """The chain without a picture: `scene` and `camera` are optional."""

    scene, camera = base.GoalEnv.scene, base.GoalEnv.camera


@struct.dataclass
class Marked:
    """What `Disguised.step` carries."""

    cell: jax.Array  # i32[]
    goal: jax.Array  # f32[5], one-hot
    mark: jax.Array  # i32[], 32 * the episode's label + the step


class Disguised(Chain):
    """The chain with phi(s) != s: an observation is f32[6], a goal f32[5].

    The other probes observe their achieved goal, so code that takes one for the other passes every test on them. Here
    it meets another shape or another number: the observation is the one-hot cell with its entries in the order `order`,
    then `mark` / 2^20, in [0, 1) and exact in float32, which names the state. phi drops the mark and undoes the order.
    """

    order = (2, 0, 3, 4, 1)  # entry i is that of this cell; one cycle, so its inverse is another order

    def __init__(self, horizon: int = 8, ends_at_success: bool = False):
        super().__init__(horizon, ends_at_success)
        box = types.Range((0.0,) * 6, (1.0,) * 6)
        self._spec = self._spec._replace(observation_shape=(6,), observation_range=box)

    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        return observation[..., jnp.argsort(jnp.array(self.order))]

    def observe(self, carried: Marked) -> jax.Array:
        cell = self.one_hot(carried.cell)[jnp.array(self.order)]
        return jnp.append(cell, carried.mark.astype(jnp.float32) / 2**20)

    def reset(self, rng: jax.Array) -> base.State:
        key_start, key_goal, key_label = jax.random.split(base.typed(rng), 3)
        cell = jax.random.randint(key_start, (), 0, self.num_cells, dtype=jnp.int32)
        label = jax.random.randint(key_label, (), 0, 2**15, dtype=jnp.int32)
        carried = Marked(cell, self.sample_goal(key_goal), 32 * label)
        return self.first_state(carried, self.observe(carried))

    def step(self, state: base.State, action: jax.Array) -> base.State:
        moves, valid = action_sets.moves(self.spec.action, action, 1)
        old = state.pipeline_state
        cell = jnp.clip(old.cell + moves[0].astype(jnp.int32), 0, self.num_cells - 1)
        carried = old.replace(cell=cell, mark=old.mark + 1)
        return self.next_state(state, carried, self.observe(carried), valid)

    def label_and_step(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The episode's label and the step of each observation [.., 6], int[..]."""
        return np.divmod(np.asarray(observation[..., 5] * 2**20, int), 32)
