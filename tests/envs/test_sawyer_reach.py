"""sawyer_reach against C MuJoCo and against its law in closed form."""

import jax
import mujoco
import numpy as np
import physics_contract
import pytest
from scipy import stats

from hindsight_jax import envs, types
from hindsight_jax.envs import physics

pytestmark = pytest.mark.usefixtures("optimised")  # its tolerances are a last bit or two

LOW, HIGH = np.array([-0.2, 0.55, 0.05]), np.array([0.2, 0.75, 0.3])

play = physics_contract.play_of("sawyer_reach", actions="discrete")


def moves(actions):
    """[..., 1] -> [..., 3] in {-1, 0, 1}, by NumPy's own reading of base 3."""
    return np.stack(np.unravel_index(np.asarray(actions)[..., 0], (3, 3, 3)), axis=-1) - 1.0


class TestContract(physics_contract.PhysicsContract):
    tolerances = ((1e-7, 1e-7), (1e-7, 2e-7), (2e-7, 5e-7))
    boxes = (("start", 3), ("goal", 3))
    fixed_start = True

    @pytest.mark.seldom  # push, reacher, claw and lunar_lander do so by default
    def test_it_follows_c_mujoco(self, play):
        super().test_it_follows_c_mujoco(play)


def test_spec_has_the_numbers_of_the_table(play):
    spec = play.env.spec
    box = types.Range((-0.2, 0.55, 0.05), (0.2, 0.75, 0.3))
    assert spec == types.EnvSpec((3,), (3,), types.Discrete(1, 27), 50, 0.06, True, box, box)


def test_a_hundred_steps_are_a_clipped_sum(play):
    """x' = clip(x + 0.02 a), in float64."""
    places = [np.broadcast_to([0.0, 0.55, 0.05], (physics_contract.BATCH, 3))]
    for move in moves(play.actions):
        places.append(np.clip(places[-1] + 0.02 * move, LOW, HIGH))
    np.testing.assert_allclose(play.history("observation"), places, atol=2e-6)
    assert np.all(np.min(places, axis=(0, 1)) == LOW)
    assert np.all(np.max(places, axis=(0, 1))[1:] == HIGH[1:])


def test_the_hand_forgets_its_velocity(play):
    rng = np.random.default_rng(0)
    qpos = rng.uniform(LOW, HIGH, (physics_contract.BATCH, 3))
    after = play.step(play.place(qpos, rng.uniform(-1.0, 1.0, qpos.shape)), play.actions[0])
    want = np.clip(qpos + 0.02 * moves(play.actions[0]), LOW, HIGH)
    np.testing.assert_allclose(after.obs["observation"], want, atol=1e-6)


def test_one_substep_goes_where_twenty_short_ones_go(play):
    """The same law at a twentieth of the timestep, along a straight line: kp = m/h^2 and kv = m/h of the shorter h."""
    fine = physics.load("sawyer_reach.xml")
    fine.opt.timestep /= 20
    fine.actuator_gainprm[:, 0] *= 400
    fine.actuator_biasprm[:, 1:3] *= (400, 20)
    actions = moves(play.actions)[:50]
    for k in range(8):
        data = mujoco.MjData(fine)
        data.qpos[:] = play.qpos[0, k]
        for t in range(50):
            start = data.qpos.copy()
            end = np.clip(start + 0.02 * actions[t, k], LOW, HIGH)
            for part in np.arange(1, 21) / 20:
                data.ctrl[:] = start + part * (end - start)
                mujoco.mj_step(fine, data)
            np.testing.assert_allclose(play.qpos[t + 1, k], data.qpos, atol=2e-6)


def test_every_goal_is_at_most_thirteen_steps_away(play):
    """max(0.2 / 0.02, 0.25 / 0.02), rounded up."""
    corners = np.stack(np.meshgrid([-0.2, 0.2], [0.55, 0.75], [0.05, 0.3]), axis=-1).reshape(-1, 3)
    goals = np.concatenate([corners, np.random.default_rng(0).uniform(LOW, HIGH, (physics_contract.BATCH - 8, 3))])
    now = play.with_goals(play.first, goals.astype(np.float32))
    for _ in range(13):
        error = now.pipeline_state.goal - now.obs["achieved_goal"]
        digits = 1 + np.sign(np.where(np.abs(error) > 0.01, error, 0.0))
        now = play.step(now, (digits @ [[9], [3], [1]]).astype(np.int32))
    assert now.done.all()
    assert np.abs(now.obs["achieved_goal"] - goals).max() < 0.01 + 1e-6


def test_every_episode_starts_at_the_same_place(play):
    want = np.broadcast_to([0.0, 0.55, 0.05], (physics_contract.BATCH, 3))
    np.testing.assert_allclose(play.first.obs["observation"], want, atol=1e-6)


@pytest.mark.parametrize("box", [(LOW, HIGH), ((-0.1, 0.6, 0.1), (0.2, 0.7, 0.11))], ids=["whole", "small"])
def test_goals_and_starts_are_uniform_in_their_boxes(box):
    low, high = np.array(box)
    env = envs.make("sawyer_reach", goal=box, start=box)
    keys = jax.random.split(jax.random.key(1), 4096)
    for sample in (jax.vmap(env.sample_goal)(keys), jax.vmap(env.sample_start)(keys).qpos):
        for column, first, extent in zip(np.asarray(sample).T, low, high - low, strict=True):
            assert stats.kstest(column, stats.uniform(first, extent).cdf).pvalue > 1e-4
        assert np.abs(np.corrcoef(sample.T)[~np.eye(3, dtype=bool)]).max() < 4 / np.sqrt(len(keys))


def test_success_is_euclid_and_strict():
    env = envs.make("sawyer_reach", threshold=0.125)  # exact in binary
    goal = np.float32([0.0, 0.625, 0.125])
    assert env.distance(goal + np.float32([0.03, 0.04, 0.12]), goal) == pytest.approx(0.13, abs=1e-6)
    assert not env.success(goal + np.float32([0.125, 0.0, 0.0]), goal)
    assert env.success(goal + np.float32([0.1249, 0.0, 0.0]), goal)
    assert not env.success(goal + np.float32(0.08), goal)  # 0.139, though each coordinate is near
