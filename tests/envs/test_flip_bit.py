"""flip_bit against bits in plain Python, its laws of starts and goals, and its shortest episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hindsight_jax import envs, training, types
from hindsight_jax.envs import base


def starts_and_goals(env, num=8000, seed=0):
    """Two integers for each of `num` episodes, the bits read in base 2."""
    obs = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(seed), num)).obs
    place = 2 ** np.arange(env.spec.goal_shape[0])
    return [np.asarray(obs[name], int) @ place for name in ("observation", "desired_goal")]


def flip_the_first_wrong_bit(observation, goal, key):
    del key
    return jnp.argmax(observation != goal)[None]


def test_spec_has_the_numbers_of_the_table():
    spec = envs.make("flip_bit").spec
    bits = types.Range((0.0,) * 25, (1.0,) * 25)
    assert spec == types.EnvSpec((25,), (25,), types.Discrete(1, 25), 25, 0.5, True, bits, bits)
    assert envs.make("flip_bit", size=50).spec.horizon == 50
    assert envs.make("flip_bit", size=50, horizon=7).spec.horizon == 7


def test_steps_follow_bits_in_plain_python():
    env, rng = envs.make("flip_bit", size=4), np.random.default_rng(0)
    bits, goal = rng.integers(0, 2, (2, 4)).astype(float).tolist()
    state = env.first_state(base.PipelineState(jnp.array(bits), jnp.array(goal)), jnp.array(bits))
    step, rewards = jax.jit(env.step), 0
    for action in rng.integers(-1, 5, 200).tolist():
        state = step(state, jnp.array([action]))
        if 0 <= action < 4:
            bits[action] = 1.0 - bits[action]
        wrong = sum(a != b for a, b in zip(bits, goal, strict=True))
        assert state.obs["observation"].tolist() == bits
        assert env.distance(state.obs["achieved_goal"], state.obs["desired_goal"]) == wrong
        assert state.reward == state.done == float(wrong == 0)
        assert state.metrics["invalid_action"] == float(action in (-1, 4))
        rewards += state.reward
    assert 0 < rewards < 200


def test_starts_are_uniform_and_goals_are_uniform_over_the_others():
    """3 bits: 8 x 7 pairs, about 143 of each."""
    start, goal = starts_and_goals(envs.make("flip_bit", size=3))
    counts = np.zeros((8, 8))
    np.add.at(counts, (start, goal), 1)
    assert not np.diag(counts).any()
    assert stats.chisquare(counts[~np.eye(8, dtype=bool)]).pvalue > 1e-4


def test_zeros_start_at_zeros_and_one_bit_has_one_goal():
    reset = jax.jit(envs.make("flip_bit", size=1, start="zeros").reset)
    for seed in range(16):
        obs = reset(jax.random.key(seed)).obs
        assert (obs["observation"].tolist(), obs["desired_goal"].tolist()) == ([0.0], [1.0])


def test_the_shortest_episode_flips_each_wrong_bit_once():
    env = envs.make("flip_bit")
    result = jax.jit(lambda key: training.rollout(env, flip_the_first_wrong_bit, key, 256))(jax.random.key(0))
    observation, goal = result.trajectories.observation[:, 0], result.trajectories.desired_goal
    np.testing.assert_array_equal(result.trajectories.length, np.sum(np.asarray(observation != goal), axis=1))
    assert result.success_any.all()
    assert not result.distance_end.any()
    assert result.trajectories.length.mean() == pytest.approx(12.5, abs=4 * 2.5 / 16)  # binomial(25, 1/2), 256 of them
