"""AutoReset on a line whose every number is known, and on physics; brax's own wrappers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training as brax_wrappers

from hindsight_jax import envs, types
from hindsight_jax.envs import action_sets, base


class Line(base.GoalEnv):
    """x' = x + a with a in {-1, 0, 1}; start uniform in [0, 1), goal uniform in [10, 11); success within 0.5."""

    def __init__(self, ends_at_success=False, horizon=5):
        reach = types.Range((0.0,), (11.0,))
        self._spec = types.EnvSpec((1,), (1,), types.Discrete(1, 3), horizon, 0.5, ends_at_success, reach, reach)

    spec = property(lambda self: self._spec)
    achieved_goal = lambda self, observation: observation
    distance = lambda self, achieved, desired: jnp.abs(achieved - desired)[..., 0]
    sample_goal = lambda self, key: jax.random.uniform(key, (1,), minval=10.0, maxval=11.0)
    scene = camera = lambda self, *_: None

    def reset(self, rng):
        start, goal = jax.random.split(base.typed(rng))
        x = jax.random.uniform(start, (1,))
        return self.first_state(base.PipelineState(x, self.sample_goal(goal)), x)

    def step(self, state, action):
        move, valid = action_sets.moves(self.spec.action, action, 1)
        x = state.pipeline_state.physics + move
        return self.next_state(state, base.PipelineState(x, state.pipeline_state.goal), x, valid)


def play(env, num_steps, action=2, key=None):
    """The states of one environment under a constant action, by a jitted step."""
    state, step = jax.jit(env.reset)(jax.random.key(0) if key is None else key), jax.jit(env.step)
    trace = [state]
    for _ in range(num_steps):
        trace.append(step(trace[-1], jnp.array([action])))
    return trace


def test_the_horizon_ends_an_episode_and_its_last_observation_survives():
    trace = play(envs.AutoReset(Line(), horizon=3), 7)
    x = [float(s.obs["observation"][0]) for s in trace]
    final = [float(s.info["final_observation"]["observation"][0]) for s in trace]
    assert [s.info["episode_step"].item() for s in trace] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [s.done.item() for s in trace] == [0, 0, 0, 1, 0, 0, 1, 0]
    assert [s.info["truncation"].item() for s in trace] == [0, 0, 0, 1, 0, 0, 1, 0]
    for start in (0, 3):  # s_3 = s_0 + 3 is in final_observation, a new start in obs
        np.testing.assert_allclose(final[start + 1 : start + 4], [x[start] + 1, x[start] + 2, x[start] + 3], rtol=1e-6)
        assert 0 <= x[start + 3] < 1
        goal = trace[start].obs["desired_goal"]
        np.testing.assert_array_equal(trace[start + 3].info["final_observation"]["desired_goal"], goal)
    assert trace[3].obs["desired_goal"] == trace[3].pipeline_state.goal == trace[4].obs["desired_goal"]


def test_every_episode_has_a_fresh_start_and_a_fresh_goal():
    trace = play(envs.AutoReset(Line(), horizon=2), 40)[::2]
    starts = [float(s.obs["observation"][0]) for s in trace]
    goals = [float(s.obs["desired_goal"][0]) for s in trace]
    assert len(set(starts)) == len(set(goals)) == 21
    assert abs(np.corrcoef(starts, goals)[0, 1]) < 0.6
    other = play(envs.AutoReset(Line(), horizon=2), 2, key=jax.random.key(1))
    assert float(other[2].obs["desired_goal"][0]) not in goals


def test_success_ends_an_episode_without_truncation_and_keeps_its_reward():
    trace = play(envs.AutoReset(Line(ends_at_success=True), horizon=50), 12)
    ends = [i for i, s in enumerate(trace) if s.done]
    assert len(ends) == 1
    last = trace[ends[0]]
    assert (last.reward.item(), last.metrics["success"].item(), last.info["truncation"].item()) == (1.0, 1.0, 0.0)
    assert Line().success(
        last.info["final_observation"]["achieved_goal"], last.info["final_observation"]["desired_goal"]
    )
    assert last.obs["observation"] < 1.0
    assert trace[ends[0] + 1].reward == 0.0


def test_success_at_the_horizon_is_no_truncation():
    trace = play(envs.AutoReset(Line(ends_at_success=True), horizon=50), 12)
    length = next(i for i, s in enumerate(trace) if s.done)
    last = play(envs.AutoReset(Line(ends_at_success=True), horizon=length), length)[-1]
    assert (last.done.item(), last.info["truncation"].item(), last.info["episode_step"].item()) == (1.0, 0.0, 0)


def test_the_key_changes_at_ends_alone():
    keys = [jax.random.key_data(s.info["reset_key"]).tolist() for s in play(envs.AutoReset(Line(), horizon=3), 6)]
    assert keys[0] == keys[1] == keys[2] != keys[3] == keys[4] == keys[5] != keys[6]


def test_the_task_s_horizon_and_spec_are_the_default():
    env = envs.AutoReset(Line(horizon=4))
    assert env.horizon == env.spec.horizon == 4
    assert env.unwrapped.spec is env.spec


def test_raw_and_typed_keys_and_vmap_and_scan_agree():
    env = envs.AutoReset(Line(), horizon=2)
    actions = jnp.full((5, 8, 1), 2)
    run = jax.jit(lambda s: jax.lax.scan(lambda s, a: (jax.vmap(env.step)(s, a), s.obs), s, actions))
    raw = run(jax.vmap(env.reset)(jax.random.split(jax.random.PRNGKey(0), 8)))[1]
    typed = run(jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 8)))[1]
    jax.tree.map(np.testing.assert_array_equal, raw, typed)
    alone = play(env, 4, key=jax.random.split(jax.random.key(0), 8)[3])
    np.testing.assert_allclose([s.obs["observation"] for s in alone], typed["observation"][:, 3], rtol=1e-6)


@pytest.mark.parametrize("horizon", [0, -1, 2.0, True, "50"])
def test_a_horizon_must_be_a_count(horizon):
    with pytest.raises(ValueError, match="horizon: got"):
        envs.AutoReset(Line(), horizon=horizon)


def test_only_goal_envs_are_wrapped():
    with pytest.raises(ValueError, match="env: got"):
        envs.AutoReset(envs.AutoReset(Line()))


@pytest.mark.parametrize("name", ["sawyer_reach", pytest.param("push", marks=pytest.mark.seldom)])
def test_a_physics_task_runs_in_auto_reset(name):
    """The cheaper one by default: both have a hand that moves 0.02 m a step, first in x and then in y."""
    task = envs.make(name, actions="discrete")
    env, last_action = envs.AutoReset(task, horizon=3), task.spec.action.num_bins - 1  # all moves are +1
    state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 4))
    first, step = state, jax.jit(jax.vmap(env.step))
    for _ in range(3):
        assert not state.done.any()
        state = step(state, np.full((4, 1), last_action))
    last = state.info["final_observation"]
    assert state.done.all()
    np.testing.assert_array_equal(last["desired_goal"], first.obs["desired_goal"])
    assert np.all(np.any(state.obs["desired_goal"] != last["desired_goal"], axis=1))
    hands = np.asarray(last["observation"] - first.obs["observation"])[:, :2]
    assert np.all(hands > 0.055)  # three diagonal steps, less what pushing costs
    assert np.all(np.abs(state.obs["observation"] - first.obs["observation"])[:, :2] <= 0.03)  # a start again
    np.testing.assert_array_equal(state.pipeline_state.goal, state.obs["desired_goal"])


@pytest.mark.parametrize("name", ["grid_four_rooms", pytest.param("push", marks=pytest.mark.seldom)])
def test_brax_episode_wrapper_runs_on_a_task(name):
    """It hands out raw keys, writes into info, and sums the metrics of an episode."""
    env = brax_wrappers.EpisodeWrapper(brax_wrappers.VmapWrapper(envs.make(name)), episode_length=2, action_repeat=1)
    state = jax.jit(env.reset)(jax.random.split(jax.random.PRNGKey(0), 4))
    step = jax.jit(env.step)
    state = step(state, np.full((4, 1), 99))
    assert not state.done.any()
    state = step(state, np.full((4, 1), 0))
    assert state.done.all()
    assert state.info["truncation"].all()
    assert state.info["episode_metrics"]["invalid_action"].tolist() == [1.0] * 4
    assert state.info["episode_metrics"]["length"].tolist() == [2.0] * 4


def test_brax_episode_wrapper_keeps_its_own_numbers_as_wide_as_it_makes_them():
    """Its `step` is a scan, whose carry holds them."""
    with jax.enable_x64(True), jax.default_prng_impl("rbg"):
        env = brax_wrappers.EpisodeWrapper(brax_wrappers.VmapWrapper(Line()), episode_length=2, action_repeat=1)
        state = jax.eval_shape(env.reset, jax.random.split(jax.random.PRNGKey(0), 4))
        state = jax.eval_shape(env.step, state, jnp.ones((4, 1), int))
    assert (state.obs["observation"].dtype, state.info["steps"].dtype) == (jnp.float32, jnp.float64)
