"""Finite goal MDPs whose values and visits are known exactly: float64 linear algebra, and the same MDP as a GoalEnv.

Dimension key: S states, A actions; a goal is a state (phi is the identity), so G = S. Tables of values are [S, G, A].
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from hindsight_jax import checks, types
from hindsight_jax.envs import action_sets, base, grid_four_rooms

_TOLERANCE = 1e-12


def check_rows(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The value as f64 of that shape, if its last axis holds probabilities; else ValueError."""
    array = np.asarray(value, np.float64)
    checks.shape(name, array, shape, "The last axis holds the probabilities.")
    if not (np.all(array >= 0) and np.allclose(array.sum(axis=-1), 1.0, rtol=0, atol=1e-9)):
        checks.fail(name, checks.describe(array), "its rows must be probabilities", "Divide by the sum.")
    return array


class Tabular:
    """P(s' | s, a) as transition f64[S, A, S'], with -1 for every step that does not arrive and 0 for one that does.

    With hit[s, a, g] the probability that a row with s' = g earns its 0 (1 by value), m = 0 for s' = g if the goal is
    absorbing and 1 otherwise, and V(s', g) = sum_a pi(a | s', g) Q(s', g, a), or its maximum,

        Q(s, g, a) = -1 + hit(s, a, g) P(g | s, a) + gamma sum_s' P(s' | s, a) m(s', g) V(s', g)

    - absorbing=True: the episode ends where s' = g. (A start at the goal is a state like any other.)
    - absorbing=False: always bootstrap, as the ring does. By *index* a row with s' = g earns 0 only if its goal was
      taken from s' itself: `hit` is the share of those rows, 1 if all of them are, and depends on the goal law. That is
      the ring's fixed point for deterministic transitions; else goals drawn from the future also favour the s' that
      lead to them, which no `hit` describes.

    Raises ValueError for tables of a wrong shape or whose rows are no probabilities, and for gamma outside [0, 1).
    """

    def __init__(self, transition: Any):
        transition = np.asarray(transition, np.float64)
        checks.rank("transition", transition, 3, "Give P[s, a, s'].")
        num_states, num_actions = transition.shape[:2]
        self.transition = check_rows("transition", transition, (num_states, num_actions, num_states))
        self.num_states, self.num_actions = num_states, num_actions

    def optimal_q(self, gamma: float, *, absorbing: bool = True, hit: Any = 1.0) -> np.ndarray:
        """max over pi of Q, f64[S, G, A], by value iteration until no value moves by 1e-12."""
        reward, mask = self._reward_and_mask(gamma, absorbing, hit)
        q, change = reward, np.inf
        while change > _TOLERANCE:
            better = self._backup(reward, mask, gamma, q.max(axis=-1))
            q, change = better, np.max(np.abs(better - q))
        return q

    def policy_q(self, pi: Any, gamma: float, *, absorbing: bool = True, hit: Any = 1.0) -> np.ndarray:
        """Q of the policy pi(a | s, g), [S, G, A], by one linear system for each goal. f64[S, G, A]"""
        pi = check_rows("pi", pi, (self.num_states, self.num_states, self.num_actions))
        reward, mask = self._reward_and_mask(gamma, absorbing, hit)
        step = np.einsum("sga,sat->gst", pi, self.transition) * mask.T[:, None, :]
        mean = np.einsum("sga,sga->gs", pi, reward)[..., None]
        value = np.linalg.solve(np.eye(self.num_states) - gamma * step, mean)[..., 0].T
        return self._backup(reward, mask, gamma, value)

    def occupancy(self, pi: Any, gamma: float) -> np.ndarray:
        """p(s+ | s, a) = (1 - gamma) sum_k gamma^k P(s_{t+1+k} = s+ | s, a), k >= 0, then by pi(a | s). f64[S, A, S]"""
        return (1 - gamma) * self.transition @ self._discounted(pi, gamma)

    def visitation(self, pi: Any, gamma: float, start: Any) -> np.ndarray:
        """d(s) = (1 - gamma) sum_t gamma^t P(s_t = s), s_0 drawn from start [S], actions by pi [S, A]. f64[S]"""
        return (1 - gamma) * check_rows("start", start, (self.num_states,)) @ self._discounted(pi, gamma)

    def _discounted(self, pi: Any, gamma: float) -> np.ndarray:
        """sum_k gamma^k P_pi^k, f64[S, S]."""
        self._check_gamma(gamma)
        pi = check_rows("pi", pi, (self.num_states, self.num_actions))
        step = np.einsum("sa,sat->st", pi, self.transition)
        return np.linalg.inv(np.eye(self.num_states) - gamma * step)

    def _reward_and_mask(self, gamma: float, absorbing: bool, hit: Any) -> tuple[np.ndarray, np.ndarray]:
        """The mean reward f64[S, G, A], and m f64[S', G]."""
        self._check_gamma(gamma)
        checks.in_range("hit", hit, 0.0, 1.0, "It is a probability; use 1 for rewards by value.")
        if np.ndim(hit) > 0:
            checks.shape("hit", hit, self.transition.shape, "Give one number, or hit[s, a, g].")
        reward = -1.0 + np.swapaxes(np.asarray(hit, np.float64) * self.transition, 1, 2)
        return reward, 1.0 - absorbing * np.eye(self.num_states)

    def _backup(self, reward: np.ndarray, mask: np.ndarray, gamma: float, value: np.ndarray) -> np.ndarray:
        """Q from the values f64[S', G] of the next states."""
        return reward + gamma * np.swapaxes(self.transition @ (mask * value), 1, 2)

    @staticmethod
    def _check_gamma(gamma: float) -> None:
        if not 0.0 <= gamma < 1.0:
            checks.fail("gamma", gamma, "it must lie in [0, 1)", "Use 0.98.")


def chain(num_cells: int, slip: float = 0.0) -> np.ndarray:
    """Cells in a row, moves -1, 0, +1 that stop at the ends; with probability `slip` nothing moves. f64[S, 3, S]"""
    transition = np.zeros((num_cells, 3, num_cells))
    for cell in range(num_cells):
        for action in range(3):
            transition[cell, action, min(max(cell + action - 1, 0), num_cells - 1)] += 1.0 - slip
            transition[cell, action, cell] += slip
    return transition


def four_rooms(slip: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """(P f64[104, 4, 104], cells i64[104, 2]): grid_four_rooms, its free cells numbered row by row."""
    cells = [
        tuple(cell) for cell in np.argwhere([[mark == "." for mark in row] for row in grid_four_rooms.MAP]).tolist()
    ]
    number = {cell: i for i, cell in enumerate(cells)}
    moves = ((-1, 0), (1, 0), (0, -1), (0, 1))
    certain = np.zeros((len(cells), 4, len(cells)))
    for (row, column), i in number.items():
        for action, (down, right) in enumerate(moves):
            certain[i, action, number.get((row + down, column + right), i)] = 1.0
    return (1 - slip) * certain + slip * certain.mean(axis=1, keepdims=True), np.array(cells)


@struct.dataclass
class Place:
    """What `TabularEnv.step` carries."""

    index: jax.Array  # i32[]
    goal: jax.Array  # f32[S], one-hot
    key: jax.Array  # a typed key: of the transitions to come


class TabularEnv(base.GoalEnv):
    """The MDP with transition [S, A, S'] as a task: one-hot observations and goals, actions Discrete(1, A).

    Start s_0 is drawn from start f64[S], uniform by default; goals are uniform and may equal the start.
    """

    def __init__(self, transition: Any, start: Any = None, horizon: int = 8, ends_at_success: bool = True):
        table = Tabular(transition)
        size = table.num_states
        start = check_rows("start", np.full(size, 1.0 / size) if start is None else start, (size,))
        self._log_start = jnp.log(jnp.asarray(start, jnp.float32))
        self._log_transition = jnp.log(jnp.asarray(table.transition, jnp.float32))
        box, action = types.Range((0.0,) * size, (1.0,) * size), types.Discrete(1, table.num_actions)
        self._spec = types.EnvSpec((size,), (size,), action, horizon, 0.5, ends_at_success, box, box)

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    @property
    def backend(self) -> str:
        return "jax"

    def one_hot(self, index: jax.Array) -> jax.Array:
        """f32[S]"""
        return jax.nn.one_hot(index, self.spec.goal_shape[0], dtype=jnp.float32)

    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        return observation

    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """0 for the same state, else 1."""
        return jnp.sum(jnp.abs(achieved - desired), axis=-1) / 2

    def sample_goal(self, key: jax.Array) -> jax.Array:
        return self.one_hot(jax.random.randint(key, (), 0, self.spec.goal_shape[0]))

    def reset(self, rng: jax.Array) -> base.State:
        key_start, key_goal, key_steps = jax.random.split(base.typed(rng), 3)
        index = jax.random.categorical(key_start, self._log_start)
        return self.first_state(Place(index, self.sample_goal(key_goal), key_steps), self.one_hot(index))

    def step(self, state: base.State, action: jax.Array) -> base.State:
        choice, valid = action_sets.choice(self._log_transition.shape[1], action)
        now: Any = state.pipeline_state
        key, use = jax.random.split(now.key)
        drawn = jax.random.categorical(use, self._log_transition[now.index, jnp.where(valid, choice, 0)])
        index = jnp.where(valid, drawn, now.index)
        return self.next_state(state, now.replace(index=index, key=key), self.one_hot(index), valid)
