"""brax's reacher, pusher, ant and humanoid as tasks: their laws of goals, and the dynamics that brax ships.

Dimension key: L links.
"""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import envs, presets, training
from hindsight_jax.interop import _brax_scene, brax_tasks
from hindsight_jax.interop.brax import simulating

MADE = {
    "brax_reacher": brax_tasks.Reacher,
    "brax_pusher": brax_tasks.Pusher,
    "brax_ant": brax_tasks.Ant,
    "brax_humanoid": brax_tasks.Humanoid,
}
KEYS = jax.random.split(jax.random.key(0), 4000)


def goals(name):
    return np.asarray(jax.vmap(MADE[name]().sample_goal)(KEYS))


def test_a_name_makes_its_task_and_no_environment_of_brax():
    for name, kind in MADE.items():
        task = envs.make(name, horizon=7, threshold=0.25, backend="positional")
        assert type(task) is kind
        assert (task.spec.horizon, task.spec.threshold, task.backend) == (7, 0.25, "positional")
        copied = pickle.loads(pickle.dumps(task))
        assert "env" not in vars(task)
        assert copied.spec == task.spec
    with pytest.raises(ValueError, match=r"^backend: got 'warp', but it must be one of 'generalized', 'spring', "):
        brax_tasks.Reacher(backend="warp")
    with pytest.raises(ValueError, match=r"^threshold: got 0\.0"):
        brax_tasks.Ant(threshold=0.0)


def test_a_task_s_defaults_are_those_of_its_names():
    for name in MADE:
        spec, config = envs.make(name).spec, presets.config(f"hem_{name}")
        assert (config["env.threshold"], config["env.backend"]) == (spec.threshold, envs.make(name).backend)
        assert presets.ENVIRONMENTS[name].horizon == spec.horizon


def test_ranges_have_the_lengths_of_states_and_goals_and_hold_the_goals():
    for name in MADE:
        spec = envs.make(name).spec
        assert len(spec.observation_range.low) == spec.observation_shape[0]
        drawn, (low, high) = goals(name), np.array(spec.goal_range)
        assert drawn.shape == (4000, *spec.goal_shape)
        assert (low < high).all()
        assert ((drawn >= low) & (drawn <= high)).all()


def test_reacher_s_goals_are_denser_near_the_shoulder():
    """Uniform radii up to 0.2: half of them below 0.1, where a uniform disc has a quarter."""
    radius = np.linalg.norm(goals("brax_reacher")[:, :2], axis=1)
    assert radius.max() < 0.2
    assert np.mean(radius < 0.1) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(np.unique(goals("brax_reacher")[:, 2]), np.float32(0.01))


def test_ant_s_goals_lie_on_a_circle_and_humanoid_s_on_a_ring():
    """Uniform radii from 1 to 5: their mean is 3. Directions are uniform: a quarter in each quadrant."""
    ant, humanoid = goals("brax_ant"), goals("brax_humanoid")
    np.testing.assert_allclose(np.linalg.norm(ant, axis=1), 10.0, rtol=1e-6)
    radius = np.linalg.norm(humanoid[:, :2], axis=1)
    assert radius.min() >= 1.0 - 1e-6
    assert radius.max() <= 5.0 + 1e-6
    assert radius.mean() == pytest.approx(3.0, abs=0.06)
    np.testing.assert_array_equal(np.unique(humanoid[:, 2]), 1.25)
    for drawn in (ant, humanoid):
        assert np.mean((drawn[:, 0] > 0) & (drawn[:, 1] > 0)) == pytest.approx(0.25, abs=0.03)


def test_pusher_s_goals_fill_a_rectangle():
    """(0.45, -0.05) plus up to 0.2 along x, and minus 0.25 to 0.55 along y."""
    drawn = goals("brax_pusher")
    np.testing.assert_allclose(drawn[:, :2].min(axis=0), [0.25, -0.6], atol=2e-3)
    np.testing.assert_allclose(drawn[:, :2].max(axis=0), [0.65, -0.3], atol=2e-3)
    np.testing.assert_array_equal(np.unique(drawn[:, 2]), np.float32(-0.323))


# Physics: compiling brax's takes a minute or more --------------------------------------------------------------------


def of_brax(name, seen):
    """Parts of the task's observation, as brax observes them itself."""
    if name == "brax_reacher":
        return [(slice(0, 4), seen[:4]), (slice(7, 9), seen[6:8])]
    if name == "brax_pusher":
        return [(slice(0, 7), seen[:7]), (slice(7, 13), seen[14:20]), (slice(13, 20), seen[7:14])]
    return [(slice(None), seen)]


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_the_same_actions_give_the_observations_of_brax_by_itself(name):
    task, key = envs.make(name, horizon=5), jax.random.key(3)
    envs.check_task(task)
    actions = jax.random.uniform(jax.random.key(4), (5, task.action_size), minval=-1.0)
    step = jax.jit(task.step)
    state = jax.jit(task.reset)(key)
    with simulating():
        alone = jax.jit(task.env.step)
        own = state.pipeline_state.physics
        if name != "brax_pusher":  # whose object and goal are drawn together, by a law of ours
            own = jax.jit(task.env.reset)(jax.random.key_data(jax.random.split(key)[0]))
            assert_parts_equal(name, state.obs["observation"], own.obs)
        for action in actions:
            state, own = step(state, action), alone(own, action)
            assert_parts_equal(name, state.obs["observation"], own.obs)
    assert np.isfinite(state.obs["observation"]).all()


def assert_parts_equal(name, observation, seen):
    for part, expected in of_brax(name, seen):
        np.testing.assert_array_equal(observation[part], expected)


@pytest.mark.slow
def test_reacher_s_tip_is_what_brax_measures_its_target_from_and_moves_as_it_says():
    """brax observes tip - target, and the target, which never moves."""
    task, key = envs.make("brax_reacher"), jax.random.key(1)
    state, step = jax.jit(task.reset)(key), jax.jit(task.step)
    target = state.pipeline_state.physics.obs[4:6]
    for action in jax.random.uniform(jax.random.key(4), (20, 2), minval=-1.0):
        state = step(state, action)
        seen = state.pipeline_state.physics.obs
        np.testing.assert_array_equal(seen[4:6], target)
        np.testing.assert_allclose(state.obs["achieved_goal"][:2] - target, seen[8:10], atol=1e-6)
        assert float(state.obs["achieved_goal"][2]) == np.float32(0.01)


@pytest.mark.slow
def test_pusher_s_object_starts_clear_of_its_goal():
    """By 0.17 m, mostly: where it is drawn nearer to the goal than that, it starts further out."""
    task = envs.make("brax_pusher")
    seen = jax.jit(jax.vmap(task.reset))(jax.random.split(jax.random.key(0), 200)).obs
    pushed, goal = np.asarray(seen["achieved_goal"]), np.asarray(seen["desired_goal"])
    slid, gap = pushed[:, :2] - np.array([0.45, -0.05]), np.linalg.norm(pushed[:, :2] - goal[:, :2], axis=1)
    moved = (np.abs(slid - np.array([0.0, -0.15])) > np.array([0.2, 0.15]) + 1e-6).any(axis=1)
    assert np.mean(gap < 0.17) < 0.1  # moved out by too little
    assert 0.0 < np.mean(moved) < 0.2  # out of where it is drawn
    np.testing.assert_allclose(pushed[:, 2], -0.275, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brax_reacher", "brax_ant"])
def test_geoms_are_drawn_where_mujoco_has_them(name):
    import mujoco
    from brax import kinematics

    task = envs.make(name)
    system = task.env.sys
    rng = np.random.default_rng(0)
    turned = np.asarray(system.init_q) + rng.uniform(-0.2, 0.2, system.q_size())
    if name == "brax_ant":
        turned[3:7] /= np.linalg.norm(turned[3:7])  # as MuJoCo does, and brax does not
    with simulating():
        links, _ = kinematics.forward(system, jnp.asarray(turned, jnp.float32), jnp.zeros(system.qd_size()))
        rows = _brax_scene.rows_of(system, (), moving=True)
        scene = _brax_scene.scene_of(system, rows, links)
    data = mujoco.MjData(system.mj_model)
    data.qpos[:] = turned
    mujoco.mj_kinematics(system.mj_model, data)
    np.testing.assert_allclose(scene.position, data.geom_xpos[rows], atol=1e-4)
    np.testing.assert_allclose(scene.rotation, data.geom_xmat[rows].reshape(-1, 3, 3), atol=1e-4)
    assert len(_brax_scene.rows_of(system, task._hidden, moving=True)) == len(rows) - len(task._hidden)


@pytest.mark.slow
def test_a_walk_of_a_thousand_steps_stays_finite():
    """Random actions, with spring's physics: some ants fall, and go on."""
    task = envs.make("brax_ant")
    policy = lambda observation, goal, key: task.spec.action.sample(key)
    result = jax.jit(lambda key: training.rollout(task, policy, key, 8))(jax.random.key(0))
    assert result.trajectories.observation.shape == (8, 1001, 29)
    assert np.isfinite(result.trajectories.observation).all()
    assert result.trajectories.length.tolist() == [1000] * 8
