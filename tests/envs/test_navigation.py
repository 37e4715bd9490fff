"""navigation against NumPy in float64, its laws of starts and goals, and its shortest episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hindsight_jax import envs, training, types
from hindsight_jax.envs import base


def placed(env, point, goal):
    """The first state of an episode with that start and goal."""
    point, goal = jnp.array(point, jnp.float32), jnp.array(goal, jnp.float32)
    return env.first_state(base.PipelineState(point, goal), point)


def follow(env, actions, point, goal):
    """The states along actions [T, D], and the same points in NumPy [T+1, K] for moves in [-1, 1]."""
    step, trace, points = jax.jit(env.step), [placed(env, point, goal)], [np.asarray(point, np.float32).astype(float)]
    for action in actions:
        trace.append(step(trace[-1], action))
        move = np.asarray(action) - 1.0 if jnp.issubdtype(action.dtype, jnp.integer) else np.clip(action, -1.0, 1.0)
        points.append(np.clip(points[-1] + 0.2 * move, -1.0, 1.0))
    return trace, np.stack(points)


def straight(observation, goal, key):
    del key
    return (goal - observation) / 0.2


def test_spec_has_the_numbers_of_the_table():
    spec = envs.make("navigation").spec
    square = types.Range((-1.0, -1.0), (1.0, 1.0))
    assert spec == types.EnvSpec((2,), (2,), types.Box(2), 50, 0.1, True, square, square)
    assert envs.make("navigation", size=40).spec.action == types.Box(40)
    assert envs.make("navigation", size=40, actions="discrete").spec.action == types.Discrete(40, 3)


@pytest.mark.parametrize(("actions", "size"), [("continuous", 3), ("discrete", 1), ("discrete", 3)])
def test_steps_follow_numpy(actions, size):
    env, rng = envs.make("navigation", size=size, actions=actions), np.random.default_rng(0)
    drawn = rng.uniform(-1.5, 1.5, (80, size)) if actions == "continuous" else rng.integers(0, 3, (80, size))
    drawn = drawn.astype(np.float32 if actions == "continuous" else np.int32)
    trace, points = follow(env, drawn, [0.3, -0.5, 0.72][:size], [0.03, 0.13, 0.1][:size])
    np.testing.assert_allclose([state.obs["observation"] for state in trace], points, atol=1e-5)
    assert np.any(np.abs(points) == 1.0)  # it met a face of the cube
    goal = np.asarray(trace[0].obs["desired_goal"], np.float64)
    distance = np.sqrt(np.sum((points - goal) ** 2, axis=1))
    assert np.min(np.abs(distance - 0.1)) > 1e-4  # no state on the edge of success, where rounding decides
    assert [bool(state.reward) for state in trace[1:]] == (distance < 0.1)[1:].tolist()
    assert all(state.done == state.reward for state in trace[1:])


def test_a_step_is_a_fifth_per_unit_action_and_longer_ones_are_clipped():
    env = envs.make("navigation", size=3)
    after = env.step(placed(env, [0.0, 0.0, 0.9], [1.0, 1.0, 1.0]), jnp.array([0.5, -7.0, 1.0]))
    np.testing.assert_allclose(after.obs["observation"], [0.1, -0.2, 1.0], atol=1e-7)
    assert not after.metrics["invalid_action"]


def test_a_discrete_action_has_one_integer_a_dimension():
    env = envs.make("navigation", size=3, actions="discrete")
    state = placed(env, [0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    np.testing.assert_allclose(env.step(state, jnp.array([0, 1, 2])).obs["observation"], [-0.2, 0.0, 0.2], atol=1e-7)
    partly_bad = env.step(state, jnp.array([0, 1, 3]))
    assert partly_bad.metrics["invalid_action"] == 1.0
    assert not partly_bad.obs["observation"].any()


def test_starts_and_goals_are_uniform_and_independent():
    obs = jax.jit(jax.vmap(envs.make("navigation").reset))(jax.random.split(jax.random.key(0), 20_000)).obs
    columns = [*np.asarray(obs["observation"]).T, *np.asarray(obs["desired_goal"]).T]
    for column in columns:
        assert stats.kstest(column, stats.uniform(-1.0, 2.0).cdf).pvalue > 1e-4
    correlations = np.corrcoef(columns)[~np.eye(4, dtype=bool)]
    assert np.abs(correlations).max() < 4 / np.sqrt(20_000)
    near = np.linalg.norm(np.asarray(obs["observation"] - obs["desired_goal"]), axis=1) < 0.1
    # the differences have density (1 - |u| / 2) (1 - |v| / 2) / 4: pi r^2 / 4 - r^3 / 3 + r^4 / 32 at r = 0.1
    assert abs(near.mean() - 0.00752) < 4 * np.sqrt(0.00752 / 20_000)


def test_success_is_euclid_and_strict():
    env = envs.make("navigation", threshold=0.125)  # exact in binary
    goal = jnp.array([0.25, 0.25])
    assert env.distance(jnp.array([0.25 + 0.3, 0.25 - 0.4]), goal) == pytest.approx(0.5)
    assert not env.success(goal.at[0].add(0.125), goal)
    assert env.success(goal.at[0].add(0.12), goal)
    assert not env.success(goal + 0.1, goal)  # 0.141, though each coordinate is near


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.seldom), 40])
def test_the_straight_way_takes_the_widest_coordinate_s_steps(size):
    """n = ceil(max |g - s| / 0.2) <= 10 fifths carry every coordinate home; the threshold may spare the last."""
    env = envs.make("navigation", size=size)
    result = jax.jit(lambda key: training.rollout(env, straight, key, 256))(jax.random.key(0))
    start, goal = result.trajectories.observation[:, 0], result.trajectories.desired_goal
    needed = np.ceil(np.abs(np.asarray(goal - start)).max(axis=1) / 0.2)
    length = np.asarray(result.trajectories.length)
    assert result.success_any.all()
    assert np.all((length == needed) | (length == np.maximum(needed - 1, 1)))
    assert length.max() == 10


def reached_in(env, start, horizon):
    """Every point that `env.step` reaches from `start` within the horizon, over all sequences of actions: [N, K]."""
    size = env.spec.goal_shape[0]
    moves = jnp.array(np.stack(np.meshgrid(*[range(3)] * size), axis=-1).reshape(-1, size), jnp.int32)
    step = jax.jit(jax.vmap(jax.vmap(env.step, in_axes=(None, 0)), in_axes=(0, None)))
    far = jnp.full(size, 9.0)  # no goal: success would end nothing here, but it is not what is asked
    points = found = np.array([start], np.float32)
    for _ in range(horizon):
        states = jax.vmap(lambda point: env.first_state(base.PipelineState(point, far), point))(jnp.array(points))
        after = np.asarray(step(states, moves).obs["observation"]).reshape(-1, size)
        known = {tuple(point) for point in np.round(found, 4).tolist()}
        fresh = {tuple(key): point for key, point in zip(np.round(after, 4).tolist(), after, strict=True)}
        points = np.array([point for key, point in fresh.items() if key not in known]).reshape(-1, size)
        found = np.concatenate([found, points])
    return found


@pytest.mark.parametrize(("size", "horizon"), [(1, 1), (1, 6), (1, 13), (1, 25), (2, 3)])
def test_what_is_reachable_by_discrete_actions_is_what_all_their_sequences_reach(size, horizon):
    """By brute force, from three starts to 400 goals; the threshold is so small that some are always missed."""
    env = envs.make("navigation", size=size, actions="discrete", horizon=horizon, threshold=0.04)
    reachable = jax.jit(jax.vmap(env.reachable_from, in_axes=(None, 0)))
    rng = np.random.default_rng(0)
    for start in ([0.3, -0.5], [0.95, 0.0], [-0.13, 0.71]):
        start = np.array(start[:size], np.float32)
        goals = rng.uniform(-1.0, 1.0, (400, size)).astype(np.float32)
        gaps = np.linalg.norm(goals[:, None] - reached_in(env, start, horizon)[None], axis=2).min(axis=1)
        sure = np.abs(gaps - 0.04) > 1e-4
        expected = gaps < 0.04
        np.testing.assert_array_equal(reachable(start, goals)[sure], expected[sure])
        assert 0 < expected.sum() < 400


def test_a_lattice_misses_more_goals_in_more_dimensions():
    """Each coordinate is off by 0 to 0.1: all goals in one dimension, about a seventh in ten; by numbers, all."""

    def share(size, actions):
        env = envs.make("navigation", size=size, actions=actions)
        start, goal = jax.random.uniform(jax.random.key(0), (2, 20_000, size), minval=-1.0, maxval=1.0)
        return float(jax.jit(jax.vmap(env.reachable_from))(start, goal).mean())

    assert share(1, "discrete") == 1.0
    assert 0.13 < share(10, "discrete") < 0.155
    assert share(10, "continuous") == 1.0


def test_continuous_actions_reach_as_far_as_the_horizon():
    env = envs.make("navigation", size=2, horizon=3)
    from_the_middle = lambda *goal: bool(env.reachable_from(jnp.zeros(2), jnp.array(goal)))
    assert from_the_middle(0.6, 0.69)  # three steps make 0.6
    assert not from_the_middle(0.69, 0.69)  # 0.09 sqrt 2 are left
