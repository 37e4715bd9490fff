"""A NumPy model of the ring, and data that encode their identity.

Every number of a trajectory is 1000 * episode + step, plus a fraction that names the field: "same episode, later state"
is one comparison. Whatever must not be read is NaN, or a large negative integer.
"""

import collections
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import relabel, replay, types

ACHIEVED, DESIRED = 0.25, 0.5  # the fractions of the fields
NEVER = -7777  # integers that are never to be read


def trajectories(first_episode, lengths, horizon):
    """Trajectories of episodes first_episode, first_episode + 1, ..; steps that were not taken hold poison."""
    lengths = np.asarray(lengths, np.int32)
    episode = first_episode + np.arange(len(lengths))
    states = np.arange(horizon + 1)
    code = (1000 * episode[:, None] + states).astype(np.float32)
    code[states[None] > lengths[:, None]] = np.nan
    action = 1000 * episode[:, None] + states[:-1]
    action[states[None, :-1] >= lengths[:, None]] = NEVER
    return types.Trajectory(
        observation=np.stack([code, -code], axis=-1),
        achieved_goal=np.repeat(code[..., None] + np.float32(ACHIEVED), 3, axis=-1),
        action=action[..., None].astype(np.int32),
        desired_goal=np.repeat((1000.0 * episode + DESIRED).astype(np.float32)[:, None], 3, axis=-1),
        length=lengths,
        terminal=lengths < horizon,
    )


def example(horizon):
    return jax.tree.map(lambda x: jnp.asarray(x[0]), trajectories(1, [horizon], horizon))


def reward_fn(step):
    """A reward and a discount that depend on all parts of a step, exact in float32."""
    reward = step.goal[0] - step.next_achieved_goal[0] + jnp.where(step.is_next, jnp.float32(0.125), jnp.float32(0.0))
    ends = jnp.where(step.terminal, jnp.float32(0.25), jnp.float32(0.0))
    return reward, jnp.where(step.is_next, jnp.float32(0.5), jnp.float32(1.0)) + ends * jnp.where(step.relabelled, 1, 2)


class Compiled(NamedTuple):
    """A ring and its jitted functions, shared by all tests of one shape."""

    ring: replay.Replay
    add: Callable
    sample: Callable  # (state, key, law, batch_size, preference=None)
    num_pairs: Callable
    empty: replay.ReplayState  # slots, counts and lengths are all poison


@functools.cache
def compiled(capacity, horizon):
    ring = replay.make_ring(example(horizon), capacity)

    def sample(state, key, law, batch_size, preference=None):
        return ring.sample(state, key, batch_size, law, reward_fn, preference)

    add, num_pairs = jax.jit(ring.add), jax.jit(ring.num_pairs)
    return Compiled(ring, add, jax.jit(sample, static_argnums=3), num_pairs, poisoned(ring))


def poisoned(ring):
    poison = lambda x: jnp.full_like(x, jnp.nan if jnp.issubdtype(x.dtype, jnp.floating) else NEVER)
    state = ring.init()
    return state._replace(
        trajectories=jax.tree.map(lambda x: x if x.dtype == jnp.bool_ else poison(x), state.trajectories),
        end=poison(state.end),
    )


class Model:
    """The contents of a ring of `capacity` trajectories: (episode, length), the oldest first."""

    def __init__(self, capacity, horizon):
        self.stored = collections.deque(maxlen=capacity)
        self.horizon, self.episodes = horizon, 0

    def add(self, lengths):
        """The trajectories to add, remembered."""
        batch = trajectories(self.episodes + 1, lengths, self.horizon)
        self.stored.extend((self.episodes + 1 + i, int(length)) for i, length in enumerate(lengths))
        self.episodes += len(lengths)
        return batch

    def pairs(self):
        return {(episode, t) for episode, length in self.stored for t in range(length)}


def filled(capacity, horizon, batches):
    """(Compiled, state, model) after adding batches of trajectories of these lengths."""
    functions, model = compiled(capacity, horizon), Model(capacity, horizon)
    state = functions.empty
    for lengths in batches:
        state = functions.add(state, model.add(lengths))
    return functions, state, model


def decode(batch, model, looks_back=False):
    """episode, t and goal index (-1: behaviour) of every transition, after checking that all fields agree on them."""
    batch = jax.tree.map(np.asarray, batch)
    code = batch.observation[:, 0]
    assert np.all(np.isfinite(code))
    episode, t = np.divmod(code.astype(np.int64), 1000)
    lengths = np.zeros(model.episodes + 1, np.int64)
    for stored, length in model.stored:
        lengths[stored] = length
    assert np.all(lengths[episode] > t)
    repeat = lambda x: np.repeat(x[:, None], 3, axis=1)
    np.testing.assert_array_equal(batch.observation, np.stack([code, -code], axis=1))
    np.testing.assert_array_equal(batch.next_observation, np.stack([code + 1, -code - 1], axis=1))
    np.testing.assert_array_equal(batch.achieved_goal, repeat(code + ACHIEVED))
    np.testing.assert_array_equal(batch.next_achieved_goal, repeat(code + 1 + ACHIEVED))
    np.testing.assert_array_equal(batch.action, code.astype(np.int32)[:, None])
    np.testing.assert_array_equal(batch.goal, repeat(batch.goal[:, 0]))
    index = np.where(batch.relabelled, batch.goal[:, 0] - ACHIEVED - 1000 * episode, -1)
    assert np.array_equal(index, index.astype(np.int64)), "a hindsight goal is a state of the same episode"
    index = index.astype(np.int64)
    first = np.ones_like(t) if looks_back else t + 1
    assert np.all(~batch.relabelled | ((index >= first) & (index <= lengths[episode])))
    np.testing.assert_array_equal(batch.goal[~batch.relabelled, 0], (1000 * episode + DESIRED)[~batch.relabelled])
    np.testing.assert_array_equal(batch.is_next, index == t + 1)
    np.testing.assert_array_equal(batch.offset, np.where(batch.relabelled, index - t, 0))
    np.testing.assert_array_equal(batch.reward, batch.goal[:, 0] - (code + 1 + ACHIEVED) + 0.125 * batch.is_next)
    np.testing.assert_array_equal(batch.start_reward, batch.goal[:, 0] - (code + ACHIEVED))
    ends = (t + 1 == lengths[episode]) & (lengths[episode] < model.horizon)  # the terminal step, whatever its goal
    expected = np.where(batch.is_next, 0.5, 1.0) + ends * np.where(batch.relabelled, 0.25, 0.5)
    np.testing.assert_array_equal(batch.discount, expected)
    return episode, t, index


def assert_equal(left, right):
    """The same bits, leaf by leaf."""
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True), left, right)


@functools.cache
def law():
    """The default kind of law, made once."""
    return relabel.hindsight(0.3, 0.2)


HISTORIES = {
    "partly_filled": [[5, 3]],
    "exactly_full": [[5, 5], [5, 5]],
    "exactly_full_at_once": [[5, 4, 5, 2]],
    "early_ends": [[1, 0, 4], [0], [2]],
    "wrap_around": [[5, 5, 5, 5], [5, 2, 3], [4, 5, 1]],
}


def far_goal(achieved, goal):
    """Three steps ahead or more."""
    return goal[0] - achieved[0] > 2.5


def preference(num_candidates=4, probability=0.7):
    return relabel.prefer(far_goal, num_candidates=num_candidates, probability=probability)


def big_ring(capacity=4096):
    ring = replay.make_ring(example(8), capacity)
    return ring, jax.eval_shape(ring.init), jax.tree.map(jnp.asarray, trajectories(1, [8, 3], 8))
