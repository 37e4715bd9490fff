"""flip_bit against bits in plain Python, its laws of starts and goals, and its shortest episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hindsight_jax import envs, training, types


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
    env, rng = envs.make("flip_bit", size=6), np.random.default_rng(0)
    step, state = jax.jit(env.step), jax.jit(env.reset)(jax.random.key(0))
    bits, goal = state.obs["observation"].tolist(), state.obs["desired_goal"].tolist()
    for action in rng.integers(-1, 7, 60).tolist():
        state = step(state, jnp.array([action]))
        if 0 <= action < 6:
            bits[action] = 1.0 - bits[action]
        wrong = sum(a != b for a, b in zip(bits, goal, strict=True))
        assert state.obs["observation"].tolist() == bits
        assert env.distance(state.obs["achieved_goal"], state.obs["desired_goal"]) == wrong
        assert state.reward == state.done == float(wrong == 0)
        assert state.metrics["invalid_action"] == float(action in (-1, 6))


def test_starts_are_uniform_and_goals_are_uniform_over_the_others():
    """3 bits: 8 x 7 pairs, about 143 of each."""
    start, goal = starts_and_goals(envs.make("flip_bit", size=3))
    counts = np.zeros((8, 8))
    np.add.at(counts, (start, goal), 1)
    assert not np.diag(counts).any()
    assert stats.chisquare(counts[~np.eye(8, dtype=bool)]).pvalue > 1e-4


def test_zeros_start_at_zeros():
    start, goal = starts_and_goals(envs.make("flip_bit", size=3, start="zeros"))
    assert not start.any()
    counts = np.bincount(goal, minlength=8)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 1e-4


def test_one_bit_has_one_goal():
    start, goal = starts_and_goals(envs.make("flip_bit", size=1), 64)
    np.testing.assert_array_equal(goal, 1 - start)
    assert 0 < start.sum() < 64


def test_sample_goal_is_uniform_over_all_strings():
    goals = jax.jit(jax.vmap(envs.make("flip_bit", size=3).sample_goal))(jax.random.split(jax.random.key(0), 8000))
    assert stats.chisquare(np.bincount(np.asarray(goals, int) @ [1, 2, 4], minlength=8)).pvalue > 1e-4


def test_the_shortest_episode_flips_each_wrong_bit_once():
    env = envs.make("flip_bit")
    result = jax.jit(lambda key: training.rollout(env, flip_the_first_wrong_bit, key, 256))(jax.random.key(0))
    observation, goal = result.trajectories.observation[:, 0], result.trajectories.desired_goal
    np.testing.assert_array_equal(result.trajectories.length, np.sum(np.asarray(observation != goal), axis=1))
    assert result.success_any.all()
    assert not result.distance_end.any()
    assert result.trajectories.length.mean() == pytest.approx(12.5, abs=4 * 2.5 / 16)  # binomial(25, 1/2), 256 of them
