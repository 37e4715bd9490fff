"""Environments whose optimal values are known in closed form: the goal must matter, gamma must show, and an episode's
end must not count as the end of the world.
"""

import jax
import jax.numpy as jnp
from flax import struct

from hindsight_jax import types
from hindsight_jax.envs import action_sets, base


@struct.dataclass
class Position:
    """What `Chain.step` carries."""

    cell: jax.Array  # i32[]
    goal: jax.Array  # f32[5], one-hot


class Chain(base.GoalEnv):
    """Five cells in a row, moves -1, 0, +1 that stop at the ends; observation and goal are one-hot cells.

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

    def reward_by_success(self, next_achieved_goal: jax.Array, goal: jax.Array, is_next: jax.Array):
        """-1, or 0 at the goal, by value; never terminal."""
        del is_next
        return jnp.where(self.success(next_achieved_goal, goal), 0.0, -1.0), jnp.float32(1.0)

    def exact_q(self, gamma: float) -> list[list[list[float]]]:
        """Q[cell][goal][action]."""
        cells = range(self.num_cells)
        after = lambda cell, action: min(max(cell + action - 1, 0), self.num_cells - 1)
        value = lambda steps: -sum(gamma**k for k in range(steps))
        return [[[value(abs(after(c, a) - g)) for a in range(3)] for g in cells] for c in cells]
