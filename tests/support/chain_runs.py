"""Small runs and populations on the chain of `probes`, and comparisons of their states."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import probes

from hindsight_jax import agents, relabel, replay, training, types


def law_of(values):
    return relabel.hindsight(values.get("behaviour", 0.15), values.get("next_state", 0.2))


SMALL = {
    "num_envs": 2,
    "updates_per_epoch": 2,
    "batch_size": 8,
    "warmup_trajectories": 5,
    "evaluation_episodes": 16,
}


def make_run(env=None, agent=None, law=law_of, reward_fn=None, preference=None, capacity=64, hidden=(8,), **sizes):
    """A run on the chain, tiny unless said otherwise."""
    env = env or probes.Chain(horizon=4)
    agent = agent or agents.q_learning(env.spec, distance=env.distance, hidden_sizes=hidden)
    ring = replay.make_ring(training.example_trajectory(env), capacity)
    sizes = training.RunSizes(**(SMALL | sizes))
    return training.make_run(env, agent, ring, law, reward_fn or relabel.reward_by_index(), sizes, preference)


@functools.cache
def tiny():
    return training.make_population(make_run())


def started(num_members=4, values=None, seed=0):
    """(state, keys) of the tiny population."""
    keys = training.member_keys(seed, num_members)
    return tiny().init(keys, values), keys


def member(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def plain(tree):
    """Keys as integers, everything as NumPy."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x: np.array(jax.random.key_data(x) if is_key(x) else x), tree)


def assert_same_bits(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b, strict=True), plain(left), plain(right))


def assert_close(left, right, tolerance):
    """Integers and booleans to the bit, floats within the tolerance."""

    def compare(a, b):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance if a.dtype.kind == "f" else 0)

    jax.tree.map(compare, plain(left), plain(right))


class StubState(NamedTuple):
    keys: jax.Array  # u32[U, 2], of every update so far
    batches: types.Transition  # [U, B, ...], of every update so far
    count: jax.Array


def stub(env, num_updates, batch_size):
    """An agent on `probes.Disguised` that is `coded` while exploring and `mirrored` else, and remembers its batches."""
    ring = replay.make_ring(training.example_trajectory(env), 1)
    sample = lambda key: ring.sample(ring.init(), key, batch_size, relabel.future(), relabel.reward_by_index())
    batch = jax.eval_shape(sample, jax.random.key(0))

    def init(key, values):
        del key, values
        batches = jax.tree.map(lambda x: jnp.zeros((num_updates, *x.shape), x.dtype), batch)
        return StubState(jnp.zeros((num_updates, 2), jnp.uint32), batches, jnp.int32(0))

    def act(state, observation, goal, key, explore):
        del state
        return (coded if explore else mirrored)(observation, goal, key)

    def update(state, batch, key):
        keys = state.keys.at[state.count].set(jax.random.key_data(key))
        batches = jax.tree.map(lambda seen, new: seen.at[state.count].set(new), state.batches, batch)
        count = state.count + 1
        return StubState(keys, batches, count), {"count": count.astype(jnp.float32)}

    return agents.Agent(init, act, update)


def code_of(observation, goal):
    """0, 1 or 2 from every entry of what a policy is given, f32[..] of [.., 6] and [.., 5]; other shapes raise."""
    return (observation @ np.array([0, 1, 2, 3, 4, 2**20], np.float32) + goal @ np.arange(5, dtype=np.float32)) % 3


def coded(observation, goal, key):
    """An action from which a test can tell what the policy was given."""
    del key
    return code_of(observation, goal)[None].astype(jnp.int32)


def mirrored(observation, goal, key):
    return 2 - coded(observation, goal, key)


def policy_gradient(env):
    return agents.policy_gradient(env.spec, success=env.success, hidden_sizes=(8,), num_goals=3)


def make_on_policy(env=None, agent=None, law=None, capacity=3, **sizes):
    """A run of a policy gradient on the chain: three trajectories and one update an epoch."""
    env = env or probes.Chain(horizon=4)
    sizes = {"num_envs": 3, "updates_per_epoch": 1, "warmup_trajectories": 0, "evaluation_episodes": 16} | sizes
    return make_run(env, agent or policy_gradient(env), law, capacity=capacity, **sizes)


@functools.cache
def on_policy():
    return training.make_population(make_on_policy())


def begun(num_members=3, seed=0, values=None):
    """The first state of the on-policy population."""
    return on_policy().init(training.member_keys(seed, num_members), values)


def go(env, policy, num_envs=200, seed=0):
    return jax.tree.map(
        np.asarray, jax.jit(lambda key: training.rollout(env, policy, key, num_envs))(jax.random.key(seed))
    )


def right(observation, goal, key):
    """Passes over the goal, if it lies ahead."""
    del observation, goal, key
    return jnp.full((1,), 2, jnp.int32)
