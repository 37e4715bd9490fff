"""reacher against C MuJoCo, against the arm's kinematics and momentum by hand, and the laws of its starts and goals."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import physics_contract
import pytest
from scipy import stats

from hindsight_jax import envs, types
from hindsight_jax.envs import physics

play = physics_contract.play_of("reacher", actions="discrete")


class TestContract(physics_contract.PhysicsContract):
    tolerances = ((1e-7, 1e-6), (1e-5, 5e-4), (5e-4, 5e-3))
    observation_tolerances = ((1e-6, 1e-5), (1e-4, 5e-3), (5e-3, 5e-2))  # speeds go to 50 rad/s and 10 m/s
    boxes = (("start", 4), ("goal", 2))


def torques(actions):
    """Actions [..., 1] as moves [..., 2] in {-1, 0, 1}."""
    return np.concatenate([actions // 3, actions % 3], axis=-1) - 1.0


def mass_matrix(elbow):
    """(M11, M12, M22) f64[...] by hand: armature 1, capsules of radius 0.01 and length 0.1, and a ball at 0.11."""
    r, length, ball = 0.01, 0.1, 1000 * 4 / 3 * np.pi * 0.01**3  # the ball weighs what a capsule's two caps weigh
    rod = 1000 * np.pi * r**2 * length
    central = rod * (length**2 / 12 + r**2 / 4) + ball * (0.4 * r**2 + length**2 / 4 + 3 / 8 * length * r)
    capsule = central + (rod + ball) * (length / 2) ** 2  # about its end
    lower, moment = capsule + ball * (0.4 * r**2 + 0.11**2), (rod + ball) * length / 2 + ball * 0.11
    coupling = lower + length * moment * np.cos(elbow)
    carried = (rod + 2 * ball) * length**2 + 2 * length * moment * np.cos(elbow)
    return 1 + capsule + lower + carried, coupling, 1 + lower


def test_spec_has_the_numbers_of_the_table(play):
    spec = play.env.spec
    assert spec[:2] == ((11,), (2,))
    assert spec.action == types.Discrete(1, 9)
    assert (spec.horizon, spec.ends_at_success) == (50, True)
    assert spec.threshold == pytest.approx(0.0282843, abs=1e-7)
    assert spec.goal_range == types.Range((-0.3, -0.3), (0.3, 0.3))


def test_the_observation_is_that_of_c_mujoco_s_arm(play):
    """The fingertip's place and speed come from C's kinematics and Jacobian."""
    model, jacobian = play.env.engine.model, np.zeros((3, 2))
    data, tip = mujoco.MjData(model), model.geom("fingertip").id
    for t, k in ((0, 0), (5, 1), (20, 2), (60, 3), (100, 4)):
        now = play.trace[t]
        data.qpos[:], data.qvel[:] = (np.asarray(x[k]) for x in now.pipeline_state.physics[:2])
        mujoco.mj_forward(model, data)
        mujoco.mj_jacGeom(model, data, jacobian, None, tip)
        wanted = [*np.cos(data.qpos), *np.sin(data.qpos), *data.geom_xpos[tip, :2], *data.qvel]
        wanted += [*(jacobian[:2] @ data.qvel), data.qpos[1]]
        np.testing.assert_allclose(now.obs["observation"][k], wanted, atol=1e-4)
        np.testing.assert_array_equal(now.obs["achieved_goal"][k], now.obs["observation"][k, 4:6])


def test_the_nine_actions_are_torques_of_200_newton_metres(play):
    """From rest, with inertia 1 and damping 1: v = 200 u (1 - exp(-0.02)) = 3.9603 u, and the angle is 200 u 0.02 - v,
    0.039735 u. The links add up to 1.2e-3 to the inertia, and couple the joints by half of that.
    """
    actions = np.arange(9)[:, None]
    before = play.place(np.tile([0.3, 1.0], (9, 1)))
    after = play.step(before, np.concatenate([actions, np.full((55, 1), 4)]))
    now = after.pipeline_state.physics
    np.testing.assert_allclose(now.qvel[:9], 3.9603 * torques(actions), atol=0.01)
    np.testing.assert_allclose(
        now.qpos[:9] - before.pipeline_state.physics.qpos[:9], 0.039735 * torques(actions), atol=1e-4
    )
    np.testing.assert_array_equal(now.qvel[4], 0.0)


def test_the_shoulder_s_momentum_is_what_its_motor_gave_and_its_damping_took(play):
    """The energy does not depend on the shoulder's angle, so d/dt (M11 v1 + M12 v2) = 200 u1 - v1 whatever the elbow
    does, at its limit too: M11 v1 + M12 v2 + angle - 200 * 0.02 * (sum of u1) stays what it was.
    """
    qvel = np.array([state.pipeline_state.physics.qvel for state in play.trace], np.float64)
    inertia, coupling, _ = mass_matrix(play.qpos[..., 1].astype(np.float64))
    momentum = inertia * qvel[..., 0] + coupling * qvel[..., 1]
    given = 4.0 * np.cumsum(torques(np.array(play.actions))[..., 0], axis=0)
    kept = momentum[1:] + play.qpos[1:, :, 0] - given - (momentum[0] + play.qpos[0, :, 0])[None]
    assert np.abs(kept).max() < 2e-3
    assert np.abs(qvel[..., 0]).max() > 20.0
    assert np.abs(momentum - qvel[..., 0]).max() > 0.02  # the links' inertia shows


def test_mass_matrix_is_that_of_the_model(play):
    model = play.env.engine.model
    data, full = mujoco.MjData(model), np.zeros((2, 2))
    for elbow in (0.0, 1.0, -2.9):
        data.qpos[1] = elbow
        mujoco.mj_forward(model, data)
        columns = [np.zeros(2), np.zeros(2)]
        for i, column in enumerate(columns):
            mujoco.mj_mulM(model, data, column, np.eye(2)[i])
        full = np.stack(columns, axis=1)
        np.testing.assert_allclose([full[0, 0], full[0, 1], full[1, 1]], mass_matrix(elbow), rtol=0, atol=1e-9)


def test_two_substeps_follow_twenty_short_ones(play):
    """RK4 at 0.01 s is exact where no limit is met; Euler would be off by 0.005 s of motion, up to 0.1 rad."""
    fine = physics.load("reacher.xml")
    fine.opt.timestep = 0.001
    fine.opt.iterations, fine.opt.ls_iterations = 100, 50
    data, moves = mujoco.MjData(fine), torques(np.array(play.actions))
    for k in range(0, 64, 4):
        mujoco.mj_resetData(fine, data)
        data.qpos[:], data.qvel[:] = (np.asarray(x[k]) for x in play.first.pipeline_state.physics[:2])
        for t in range(20):
            data.ctrl[:] = moves[t, k]
            mujoco.mj_step(fine, data, nstep=20)
            if np.abs(play.qpos[: t + 2, k, 1]).max() > 2.8:
                break
            np.testing.assert_allclose(play.qpos[t + 1, k], data.qpos, atol=1e-5)


def test_the_elbow_stops_at_three_radians(play):
    """A full torque leans on the limit, which gives way a little; at random play it never passes pi by much."""
    now = play.place([[0.0, 2.5], [0.0, -2.5]])
    action = np.full((64, 1), 5)
    action[1] = 3
    for _ in range(40):
        now = play.step(now, action)
    np.testing.assert_allclose(now.obs["observation"][:2, 10], [3.0, -3.0], atol=0.05)
    assert 3.0 < np.abs(play.qpos[..., 1]).max() < 3.5


def test_starts_and_goals_have_their_laws(play):
    env, keys = play.env, jax.random.split(jax.random.key(2), 20_000)
    starts, goals = jax.jit(jax.vmap(lambda key: (env.sample_start(key), env.sample_goal(key))))(keys)
    goals = np.asarray(goals)
    for columns, half in ((starts.qpos, 0.1), (starts.qvel, 0.005)):
        for column in np.asarray(columns).T:
            assert stats.kstest(column, stats.uniform(-half, 2 * half).cdf).pvalue > 1e-4
    assert np.abs(np.corrcoef(np.concatenate([starts.qpos, starts.qvel], axis=1).T) - np.eye(4)).max() < 0.03
    square, angle = np.sum(goals**2, axis=1), np.arctan2(goals[:, 1], goals[:, 0])
    assert stats.kstest(square, stats.uniform(0.0, 0.04).cdf).pvalue > 1e-4
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-4
    assert abs(np.corrcoef(square, angle)[0, 1]) < 0.03


def test_start_and_goal_can_be_chosen():
    sector, place = ((0.1, 0.0), (0.15, 1.0)), (0.5, 1.0, 2.0, -2.0)
    env = envs.make("reacher", start=(place, place), goal=sector)
    start, goals = (
        env.sample_start(jax.random.key(0)),
        jax.vmap(env.sample_goal)(jax.random.split(jax.random.key(1), 500)),
    )
    np.testing.assert_array_equal(np.concatenate([start.qpos, start.qvel]), np.array(place, np.float32))
    radius, angle = np.linalg.norm(goals, axis=1), np.arctan2(goals[:, 1], goals[:, 0])
    assert 0.1 <= radius.min() < 0.101 < 0.149 < radius.max() <= 0.15
    assert 0.0 <= angle.min() < 0.01 < 0.99 < angle.max() <= 1.0


def test_the_distance_is_in_widths_of_the_room(play):
    here = jnp.array([0.1, -0.1])
    assert play.env.distance(here, here + jnp.array([0.03, 0.04])) == pytest.approx(0.05 / 0.6)
    assert play.env.success(here, here + jnp.array([0.0, 0.01696]))
    assert not play.env.success(here, here + jnp.array([0.0, 0.01698]))  # 0.02 sqrt(2) * 0.6 = 0.016971


def test_goals_are_reachable_but_for_the_folded_arm_s_middle(play):
    """Folded, it ends at sqrt(0.1^2 + 0.11^2 + 2 * 0.1 * 0.11 cos 3) = 0.017880 m; the threshold is 0.016971 m."""
    reachable = jax.jit(jax.vmap(play.env.reachable))
    radii = jnp.array([0.0, 0.0008, 0.0010, 0.1, 0.2, 0.2269, 0.2271])
    asked = radii[:, None] * jnp.array([[0.6, -0.8]])
    assert reachable(asked).tolist() == [False, False, True, True, True, True, False]


def towards(observation, goal):
    """Actions i32[N, 1] of a PD controller of the joints, each torque rounded to its bin."""
    reach = np.sum(goal**2, axis=1)
    elbow = np.arccos(np.clip((reach - 0.1**2 - 0.11**2) / (2 * 0.1 * 0.11), -1.0, 1.0))
    shoulder = np.arctan2(goal[:, 1], goal[:, 0]) - np.arctan2(0.11 * np.sin(elbow), 0.1 + 0.11 * np.cos(elbow))
    error = np.stack([shoulder - np.arctan2(observation[:, 2], observation[:, 0]), elbow - observation[:, 10]], axis=1)
    error[:, 0] = np.mod(error[:, 0] + np.pi, 2 * np.pi) - np.pi
    move = np.round(np.clip(5.0 * error - 0.3 * observation[:, 6:8], -1.0, 1.0)).astype(np.int32)
    return 3 * (move[:, :1] + 1) + move[:, 1:] + 1


def test_a_controller_reaches_every_goal_within_half_of_an_episode(play):
    now, reached = play.first, np.zeros(64, bool)
    for _ in range(25):
        now = play.step(now, towards(*(np.asarray(now.obs[name]) for name in ("observation", "desired_goal"))))
        reached |= np.asarray(now.reward, bool)
    assert reached.all()
