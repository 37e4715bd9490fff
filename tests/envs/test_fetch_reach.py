"""fetch_reach against C MuJoCo, against the weld that it stands for, and docs/environments.md."""

import jax
import mujoco
import numpy as np
import physics_contract
import pytest
from scipy import stats

from hindsight_jax import envs, types
from hindsight_jax.envs import physics

START = np.array([1.342, 0.749, 0.535])
AHEAD, BACK, IDLE = 22, 4, 13  # moves (1, 0, 0), (-1, 0, 0) and (0, 0, 0)

play = physics_contract.play_of("fetch_reach", actions="discrete")


def moves(actions):
    """[..., 1] -> [..., 3] in {-1, 0, 1}, by NumPy's own reading of base 3."""
    return np.stack(np.unravel_index(np.asarray(actions)[..., 0], (3, 3, 3)), axis=-1) - 1.0


def full(play, action):
    return np.full((physics_contract.BATCH, 1), action, np.int32)


def gripper(state, k=0):
    return np.asarray(state.obs["observation"][k, :3])


class TestContract(physics_contract.PhysicsContract):
    tolerances = ((2e-7, 2e-7), (1e-6, 3e-6), (2e-6, 8e-6))
    boxes = (("start", 3), ("goal", 3))
    fixed_start = True

    @pytest.mark.seldom  # push, reacher, claw and lunar_lander do so by default
    def test_it_follows_c_mujoco(self, play):
        super().test_it_follows_c_mujoco(play)


def test_spec_has_the_numbers_of_the_table(play):
    spec = play.env.spec
    assert spec[:2] == ((10,), (3,))
    assert spec.action == types.Discrete(1, 27)
    assert (spec.horizon, spec.threshold, spec.ends_at_success) == (50, 0.05, True)
    np.testing.assert_allclose(spec.goal_range, [START - 0.3, START + 0.3])
    seen, (low, high) = play.history("observation"), spec.observation_range
    assert np.all((seen >= np.array(low) - 1e-6) & (seen <= np.array(high) + 1e-6))


def test_first_steps_follow_the_servo_s_recurrence(play):
    """With h^2 kp = 0.139 and h kv = 0.612 a substep moves d' = 0.388 d + 0.139 (target - x). From rest at 0, target
    0.05: d = 0.006950, 0.008681, 0.008145, 0.006806, so x = 0.030581, and the velocity is 4 d a step = 0.027222."""
    after = play.step(play.place([START]), full(play, AHEAD))
    np.testing.assert_allclose(gripper(after) - START, [0.030581, 0, 0], atol=1e-6)
    np.testing.assert_allclose(after.obs["observation"][0, 3:], [0, 0, 0.027222, 0, 0, 0, 0], atol=1e-6)
    again = play.step(after, full(play, AHEAD))  # the same recurrence from d = 0.006806, four times more
    d, x = 0.006806, 0.0
    for _ in range(4):
        d = 0.388 * d + 0.139 * (0.05 - x)
        x += d
    np.testing.assert_allclose(gripper(again) - gripper(after), [x, 0, 0], atol=2e-6)


def test_steps_are_those_of_the_fetch_arm(play):
    """Measured in C MuJoCo on the original's arm, its gripper welded to a target: the mean of +-y and +-z, four full
    actions and three idle ones. docs/environments.md asks for a servo that follows as the arm does."""
    arm = [0.0306, 0.0333, 0.0330, 0.0330, 0.0024, -0.0002, -0.0001]
    now, path = play.place([START]), [START]
    for action in [AHEAD] * 4 + [IDLE] * 3:
        now = play.step(now, full(play, action))
        path.append(gripper(now))
    np.testing.assert_allclose(np.diff(path, axis=0)[:, 0], arm, atol=3e-4)


def test_four_substeps_follow_twenty_of_the_weld_s_own_law(play):
    """kp = m/0.02^2, kv = 2 m/0.02: the critically damped spring that the weld's solref means. Errors add up, since a
    target starts at the gripper: they are a walk of 0.3 mm a step."""
    weld = physics.load("fetch_reach.xml")
    weld.opt.timestep = 0.002
    weld.actuator_gainprm[:, 0] = 2500.0
    weld.actuator_biasprm[:, 1:3] = -2500.0, -100.0
    actions, low, high = moves(play.actions)[:50], START - 0.3, START + 0.3
    errors = []
    for k in range(20):
        data = mujoco.MjData(weld)
        data.qpos[:] = START
        for t in range(50):
            data.ctrl[:] = np.clip(data.qpos + 0.05 * actions[t, k], low, high)
            mujoco.mj_step(weld, data, 20)
            errors.append(np.linalg.norm(data.qpos - play.qpos[t + 1, k]))
    first, last = np.array(errors).reshape(20, 50)[:, [0, 49]].T
    travelled = np.linalg.norm(np.diff(play.qpos[:51, :20], axis=0), axis=-1).sum(axis=0)
    assert first.max() < 5e-4
    assert np.median(last) < 0.005
    assert last.max() < 0.01
    assert np.median(travelled) > 1.0


def test_the_gripper_stays_where_it_is_left(play):
    still = play.step(play.first, full(play, IDLE))
    np.testing.assert_allclose(still.obs["observation"], play.first.obs["observation"], atol=1e-7)
    moving = play.step(play.first, full(play, AHEAD))
    for _ in range(8):
        moving = play.step(moving, full(play, IDLE))
    assert np.abs(moving.obs["observation"][:, 5:8]).max() < 1e-5


@pytest.mark.parametrize(("action", "axis", "sign"), [(22, 0, 1), (4, 0, -1), (16, 1, 1), (12, 2, -1)])
def test_the_targets_stop_the_gripper_at_the_workspace(play, action, axis, sign):
    starts = START + np.linspace(-0.05, 0.05, physics_contract.BATCH)[:, None]
    now, path = play.place(starts), []
    for _ in range(20):
        now = play.step(now, full(play, action))
        path.append(sign * (now.obs["observation"][:, axis] - START[axis]))
    assert np.max(path) < 0.3 + 1e-5
    np.testing.assert_allclose(path[-1], 0.3, atol=1e-5)


def test_every_goal_is_a_few_steps_away(play):
    """0.15 m at 0.033 a step takes five; the threshold spares one or two."""
    goals = START + np.random.default_rng(0).uniform(-0.15, 0.15, (physics_contract.BATCH, 3))
    now, reached = play.with_goals(play.first, goals.astype(np.float32)), np.zeros(len(goals), bool)
    for _ in range(5):
        error = now.pipeline_state.goal - now.obs["achieved_goal"]
        digits = 1 + np.sign(np.where(np.abs(error) > 0.0165, error, 0.0))
        now = play.step(now, (digits @ [[9], [3], [1]]).astype(np.int32))
        reached |= np.asarray(now.done, bool)
    assert reached.all()


def test_every_episode_starts_at_the_same_place_at_rest(play):
    want = np.broadcast_to([*START, *[0.0] * 7], (physics_contract.BATCH, 10))
    np.testing.assert_allclose(play.first.obs["observation"], want, atol=1e-6)


@pytest.mark.parametrize("half", [(0.15, 0.15, 0.15), (0.3, 0.1, 0.02)])
def test_goals_are_uniform_about_the_start(half):
    """Also where episodes start elsewhere: the box is relative to the one usual start."""
    half = np.array(half)
    env = envs.make("fetch_reach", goal=(-half, half), start=(START - 0.2, START - 0.1))
    keys = jax.random.split(jax.random.key(1), 4096)
    goals, starts = np.asarray(jax.vmap(env.sample_goal)(keys)), np.asarray(jax.vmap(env.sample_start)(keys).qpos)
    for sample, low, width in ((goals, START - half, 2 * half), (starts, START - 0.2, np.full(3, 0.1))):
        for column, first, extent in zip(sample.T, low, width, strict=True):
            assert stats.kstest(column, stats.uniform(first, extent).cdf).pvalue > 1e-4
        assert np.abs(np.corrcoef(sample.T)[~np.eye(3, dtype=bool)]).max() < 4 / np.sqrt(len(sample))


def test_success_is_euclid_of_the_gripper_and_strict():
    env = envs.make("fetch_reach", threshold=0.125)  # exact in binary
    goal = np.float32([1.5, 0.75, 0.5])
    assert env.distance(goal + np.float32([0.03, 0.04, 0.12]), goal) == pytest.approx(0.13, abs=1e-6)
    assert not env.success(goal + np.float32([0.0, 0.0, 0.125]), goal)
    assert env.success(goal + np.float32([0.0, 0.0, 0.1249]), goal)
    assert not env.success(goal + np.float32(0.08), goal)  # 0.139, though each coordinate is near
    seen = np.arange(10, dtype=np.float32)
    assert env.achieved_goal(seen).tolist() == [0, 1, 2]
