"""lunar_lander against C MuJoCo, against short timesteps, and against the numbers of docs/environments.md."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import physics_contract
import pytest
from scipy import stats

from hindsight_jax import envs
from hindsight_jax.envs import lunar_lander, physics

NOTHING, LEFT, MAIN, RIGHT = range(4)
HULL = np.array([(-14, 17), (-17, 0), (-17, -10), (17, -10), (17, 0), (14, 17)]) / 30  # metres, from the hull's origin
MASS = 4.959  # 4.817 + 2 x 0.071 kg
CENTRE = 0.1013  # of the hull's mass, above its origin

play = physics_contract.play_of("lunar_lander")


class TestContract(physics_contract.PhysicsContract):
    """Random actions end in crashes, whose bounces multiply an error; before them the two simulators are one."""

    tolerances = ((1e-6, 1e-5), (3e-5, 1e-4), (3e-3, 1.0))
    observation_tolerances = ((1e-6, 1e-5), (5e-5, 2e-4), (1e-2, 2.0))
    has_bins = False
    idle = NOTHING

    def controls_of(self, env, now, action):
        return env.controls(now, env.engines(action)[0])

    def observation_error(self, ours, c):
        """A foot's contact may come a step sooner."""
        return super().observation_error(ours[..., :6], c[..., :6])


def actions(action):
    return jnp.full((physics_contract.BATCH, 1), action, jnp.int32)


def high_up(angle=0.0):
    """Positions of a lander far from the ground."""
    return [[0.0, 50.0, angle, 0.4, 0.4]]


def lander_of(state):
    return state.pipeline_state.physics


@pytest.fixture(scope="module")
def impulses(play):
    """move -> impulses [4096, 2 frames, 3] of as many keys: along the hull's horizontal and its up, and the turn."""
    still = play.env.engine.start(jnp.array(high_up()[0]))
    keys = jax.random.split(jax.random.key(5), 4096)
    draw = jax.jit(jax.vmap(lambda move, key: play.env.controls(lunar_lander.Lander(still, key), move), (None, 0)))

    def drawn(move):
        controls = np.asarray(draw(jnp.array(move), keys))
        assert controls.shape == (4096, 4, 5)
        np.testing.assert_array_equal(controls[:, ::2], controls[:, 1::2])  # a force is constant over its frame
        assert not controls[..., 3:].any()  # the legs' motors have no input
        return 0.02 * controls[:, ::2, :3]

    return drawn


def test_masses_are_those_of_the_polygons(play):
    """Area, centre and second moment of a polygon by its edges p -> q, with w = p x q: sum w / 2, sum w (p + q) / 6 A,
    sum w (p.p + p.q + q.q) / 12."""
    p, q = HULL, np.roll(HULL, -1, axis=0)
    w = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    area = w.sum() / 2
    centre = (w[:, None] * (p + q)).sum(axis=0) / (6 * area)
    about_origin = (w * ((p * p).sum(1) + (p * q).sum(1) + (q * q).sum(1))).sum() / 12
    mass = 5 * area
    model = play.env.engine.model
    np.testing.assert_allclose(centre, [0.0, lunar_lander.CENTRE], atol=1e-6)
    np.testing.assert_allclose(model.body("left").pos, [0.0, 0.0, -lunar_lander.CENTRE], atol=1e-6)
    np.testing.assert_allclose(model.body("hull").mass, mass, rtol=1e-5)
    np.testing.assert_allclose(model.body("hull").inertia[1], 5 * about_origin - mass * centre @ centre, rtol=1e-5)
    assert model.body("hull").mass == pytest.approx(4.817, abs=5e-4)
    assert model.body("hull").inertia[1] == pytest.approx(0.784, abs=5e-4)
    for leg in (model.body("left"), model.body("right")):  # 4 x 2/30 x 8/30 m^2, and m (a^2 + b^2) / 3
        assert leg.mass == pytest.approx(4 * 2 / 30 * 8 / 30, rel=1e-4)
        assert leg.inertia[1] == pytest.approx(0.0711 / 3 * ((2 / 30) ** 2 + (8 / 30) ** 2), rel=1e-3)
    assert model.body_mass.sum() == pytest.approx(MASS, abs=1e-3)
    np.testing.assert_allclose(model.jnt_range[3:], [[0.4, 0.9]] * 2)


def test_free_fall_is_the_closed_form(play):
    """v = -10 h k and z = z0 - 10 h^2 k (k + 1) / 2 after k substeps of h = 0.01 s, four a step."""
    now = play.place(high_up(), [[1.0, 0.0, 0.5, 0.0, 0.0]])
    for _ in range(20):
        now = play.step(now, actions(NOTHING))
    qpos, qvel = lander_of(now).physics.qpos[0], lander_of(now).physics.qvel[0]
    np.testing.assert_allclose(qvel[:3], [1.0, -8.0, 0.5], atol=0.02)
    np.testing.assert_allclose(qpos[:3], [0.8, 50.0 - 3.24, 0.4], atol=0.02)
    np.testing.assert_allclose(qpos[3:], 0.4, atol=0.01)  # the motors keep the legs out


def test_the_main_engine_pushes_through_the_origin_and_disperses(impulses):
    """1.733 N s on average, so 0.350 m/s; the parts are uniform in 13 (4/30 ± 2/30) and ± 13/30 N s."""
    across, up, turn = np.moveaxis(impulses((1.0, 0.0)).reshape(-1, 3), 1, 0)
    assert up.mean() / MASS == pytest.approx(0.350, abs=0.005)
    assert stats.kstest(up, "uniform", (13 * 2 / 30, 13 * 4 / 30)).pvalue > 1e-4
    assert stats.kstest(across, "uniform", (-13 / 30, 26 / 30)).pvalue > 1e-4
    assert abs(np.corrcoef(up, across)[0, 1]) < 0.05
    np.testing.assert_allclose(turn, CENTRE * across, atol=1e-4)  # a push to +x below the centre of mass turns left


@pytest.mark.parametrize("side", [-1, 1])
def test_a_side_engine_pushes_its_way_and_turns_against_it(impulses, side):
    """0.24 N s on average, ± 0.06; 14/30 - 0.1013 m above the centre of mass, so 0.088 N m s the other way."""
    across, up, turn = np.moveaxis(impulses((0.0, float(side))).reshape(-1, 3), 1, 0)
    assert stats.kstest(across, "uniform", (0.24 * side - 0.06, 0.12)).pvalue > 1e-4
    assert stats.kstest(up, "uniform", (-0.02, 0.04)).pvalue > 1e-4
    np.testing.assert_allclose(turn, -(14 / 30 - CENTRE) * across, atol=1e-4)
    assert turn.mean() == pytest.approx(-0.0877 * side, abs=1e-3)


def test_the_two_frames_of_a_step_have_their_own_dispersion(impulses):
    up = impulses((1.0, 0.0))[..., 1]
    assert abs(np.corrcoef(up.T)[0, 1]) < 0.06


def test_engines_at_rest_give_nothing(impulses):
    assert not impulses((0.0, 0.0)).any()
    assert not impulses((-1.0, 0.0)).any()


@pytest.mark.parametrize(
    ("action", "angle", "velocity", "turn"),
    [
        (MAIN, 0.0, (0.0, 0.699 - 0.4), 0.0),  # 2 x 1.733 / 4.959
        (MAIN, np.pi / 2, (-0.699, -0.4), 0.0),  # turned left, its up is -x
        (LEFT, 0.0, (-0.097, -0.4), 0.19),  # 2 x 0.24 / 4.959; 2 x 0.0877 over the whole's 0.91 kg m^2
        (RIGHT, 0.0, (0.097, -0.4), -0.19),
        (RIGHT, np.pi, (-0.097, -0.4), -0.19),
    ],
)
def test_an_impulse_changes_the_velocity(play, action, angle, velocity, turn):
    """On average over 64 keys; the standard error of the main engine's is 0.1009 sqrt(2) / 8 m/s."""
    after = lander_of(play.step(play.place(high_up(angle)), actions(action))).physics.qvel
    np.testing.assert_allclose(after[:, :2].mean(axis=0), velocity, atol=0.05 if action == MAIN else 0.01)
    np.testing.assert_allclose(after[:, 2].mean(), turn, atol=0.02)


def test_the_dispersion_goes_on_and_follows_the_key(play):
    now = play.place(high_up())
    speeds = []
    for _ in range(8):
        now = play.step(now, actions(MAIN))
        speeds.append(lander_of(now).physics.qvel[:, 1])
    gains = np.diff(np.array(speeds), axis=0)
    assert gains.std() == pytest.approx(0.1009 * np.sqrt(2), rel=0.15)
    assert len(np.unique(gains.round(5))) > 0.9 * gains.size
    again = play.step(play.place(high_up()), actions(MAIN))
    np.testing.assert_array_equal(lander_of(again).physics.qvel[:, 1], speeds[0])


def test_it_rests_on_both_legs(play):
    """The lowest corner of a leg at 0.4 rad, (18, -26) / 30 in its frame, is 0.6 sin 0.4 - 0.8667 cos 0.4 = -0.565 m
    high; the original rests 0.015 m above the ground, so its origin at 0.580 m, observed as (0.580 - 0.633) / 6.667.
    On its head it rests on the hull's upper corners, its centre of mass 0.567 - 0.101 + 0.015 m high."""
    starts = np.array([[0.0, 0.75, angle, 0.4, 0.4] for angle in (0.0, 0.05, -0.1, 0.2, -0.2)])
    starts[:, 1] += np.abs(starts[:, 2])
    now = play.place([*starts, [0.0, 0.6, np.pi, 0.4, 0.4]])
    for _ in range(60):
        now = play.step(now, actions(NOTHING))
    observation = np.asarray(now.obs["observation"])[: len(starts)]
    np.testing.assert_allclose(observation[:, 1], -0.008, atol=5e-4)
    np.testing.assert_allclose(observation[:, 2:6], 0.0, atol=0.01)
    np.testing.assert_array_equal(observation[:, 6:], 1.0)
    qpos = np.asarray(lander_of(now).physics.qpos)
    np.testing.assert_allclose(qpos[: len(starts), 3:], 0.4, atol=0.01)
    np.testing.assert_allclose(qpos[-1, 1:3], [0.481, np.pi], atol=2e-3)
    np.testing.assert_array_equal(now.obs["observation"][-1, 6:], 0.0)


def in_c(timestep_over, iterations, starts, frames):
    """C MuJoCo's [frames, N, 3], at a timestep that many times shorter, its contacts as quick in substeps."""
    model, visited = physics.load("lunar_lander.xml"), []
    model.opt.timestep /= timestep_over
    for solref in (model.pair_solref, model.jnt_solref):
        solref[:, :2] *= (timestep_over**2, timestep_over)
    model.opt.iterations, model.opt.ls_iterations = iterations
    for qpos, qvel in starts:
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = qpos, qvel
        path = []
        for _ in range(frames):
            mujoco.mj_step(model, data, nstep=2 * timestep_over)
            path.append(data.qpos[:3].copy())
        visited.append(path)
    return np.array(visited).swapaxes(0, 1)


def test_landings_follow_short_timesteps_of_a_converged_solver():
    """30 landings, up to 7 m/s down, 3 m/s sideways and tilted by 0.4 rad: the timestep and the few iterations are
    good enough for a threshold of 0.8 m in x and 0.53 m in z."""
    rng, starts = np.random.default_rng(0), []
    for _ in range(30):
        qpos = [0.0, rng.uniform(1.3, 1.6), rng.normal(0.0, 0.4), 0.4, 0.4]
        starts.append((qpos, [rng.uniform(-3, 3), rng.uniform(-7, 0), rng.normal(0.0, 0.7), 0.0, 0.0]))
    ours, fine = in_c(1, (10, 4), starts, 50), in_c(10, (100, 50), starts, 50)
    error = np.abs(ours - fine)
    assert np.all(np.median(error, axis=1).max(axis=0) < (0.05, 0.03, 0.05))
    assert np.all(np.quantile(error, 0.9, axis=1).max(axis=0) < (0.3, 0.1, 0.2))
    assert fine[-1, :, 1].max() < 1.0  # they landed


def test_the_observation_has_its_units(play):
    """The hull's origin is 0.1013 m below the centre of mass: at angle 0.5, 0.049 m to the right and 0.089 m below."""
    state = play.place([[2.0, 5.0, 0.5, 0.4, 0.4]], [[1.5, -3.0, 0.7, 0.0, 0.0]])
    x, z = (2.0 + CENTRE * np.sin(0.5)) / 10, (5.0 - CENTRE * np.cos(0.5) + 3.3 - (10 / 3 + 0.6)) / (20 / 3)
    expected = [x, z, 1.5 * 10 / 50, -3.0 * (20 / 3) / 50, 0.5, 20 * 0.7 / 50, 0.0, 0.0]
    np.testing.assert_allclose(state.obs["observation"][0], expected, atol=1e-4)
    np.testing.assert_allclose(state.obs["achieved_goal"][0], np.array(expected)[[0, 1, 4, 6, 7]], atol=1e-4)


def test_contact_is_each_legs_own(play):
    """Legs out, the feet's lowest points are 0.579 m below the origin, as long as the lander is upright."""
    places = [[0.0, z + CENTRE, angle, 0.4, 0.4] for z, angle in ((0.57, 0.0), (0.60, 0.0), (0.62, 0.1), (0.62, -0.1))]
    folded = [[0.0, 0.58 + CENTRE, 0.0, 0.4, 0.8]]
    legs = play.place(places + folded).obs["observation"][:5, 6:]
    np.testing.assert_array_equal(legs, [[1, 1], [0, 0], [1, 0], [0, 1], [1, 0]])


def test_starts_have_the_law(play):
    """In the first frame the whole, 4.959 kg, takes up to 1000 N for 0.02 s: 4.03 m/s, and falls by 0.2 m/s."""
    draw = jax.jit(jax.vmap(play.env.sample_start))
    starts = draw(jax.random.split(jax.random.key(2), 8192))
    qpos, qvel = np.asarray(starts.physics.qpos), np.asarray(starts.physics.qvel)
    for velocity, middle in ((qvel[:, 0], 0.0), (qvel[:, 1], -0.2)):
        assert stats.kstest(velocity, "uniform", (middle - 4.034, 8.068)).pvalue > 1e-4
    assert abs(np.corrcoef(qvel[:, 0], qvel[:, 1])[0, 1]) < 0.05
    np.testing.assert_allclose(qpos[:, :3] - (0.0, 10.033 + CENTRE, 0.0), 0.02 * qvel[:, :3], atol=1e-3)
    np.testing.assert_allclose(qpos[:, 3:], 0.4)
    keys = np.asarray(jax.random.key_data(starts.key))
    assert len(np.unique(keys, axis=0)) == len(keys)
    gentle = envs.make("lunar_lander", start_force=0)
    np.testing.assert_allclose(gentle.sample_start(jax.random.key(0)).physics.qvel, [0, -0.2, 0, 0, 0], atol=1e-6)


def test_the_start_is_one_frame_of_c_mujoco(play):
    """The push comes at the hull's centre of mass, which the legs drag behind: the lander turns a little."""
    start = play.env.sample_start(jax.random.key(7)).physics
    force = np.linalg.solve(play.env._per_newton[:2], start.qvel[:2] - np.array([0.0, -0.2]))
    assert np.all(np.abs(force) <= 1000)
    data = mujoco.MjData(play.env.engine.model)
    data.qpos[:] = (0.0, lunar_lander.START + lunar_lander.CENTRE, 0.0, 0.4, 0.4)
    data.ctrl[:2] = force
    mujoco.mj_step(play.env.engine.model, data, nstep=2)
    np.testing.assert_allclose(start.qvel[:3], data.qvel[:3], atol=0.02)
    assert abs(start.qvel[2]) > 0.02


def test_goals_have_the_law(play):
    goals = np.asarray(jax.jit(jax.vmap(play.env.sample_goal))(jax.random.split(jax.random.key(3), 20_000)))
    x, z, angle, left, right = goals.T
    landed = left == 1.0
    np.testing.assert_array_equal(left, right)
    assert set(np.unique(left)) == {0.0, 1.0}
    assert landed.mean() == pytest.approx(0.5, abs=0.015)  # 4.2 sigma
    assert not z.any()
    assert not angle[landed].any()
    assert stats.kstest(x, "norm", (0.0, 0.3)).pvalue > 1e-4
    assert stats.kstest(angle[~landed], "norm", (0.0, 0.2)).pvalue > 1e-4
    assert abs(np.corrcoef(x, left)[0, 1]) < 0.03
    narrow = envs.make("lunar_lander", goal_spread=0.0)
    assert narrow.sample_goal(jax.random.key(0))[0] == 0.0


def test_success_looks_at_the_place_alone(play):
    env, goal = play.env, jnp.array([0.5, 0.0, 0.0, 1.0, 1.0])
    assert env.success(jnp.array([0.5, 0.079, 3.0, 0.0, 0.0]), goal)
    assert not env.success(jnp.array([0.5 - 0.06, 0.06, 0.0, 1.0, 1.0]), goal)  # 0.085
    assert env.distance(jnp.array([0.53, 0.04, 1.0, 0.0, 1.0]), goal) == pytest.approx(0.05, abs=1e-6)


def test_continuous_power_is_in_proportion(play, impulses):
    env = envs.make("lunar_lander", actions="continuous")
    for index, move in enumerate([(0.0, 0.0), (0.0, -1.0), (1.0, 0.0), (0.0, 1.0)]):
        np.testing.assert_array_equal(play.env.engines(jnp.array([index]))[0], move)
        np.testing.assert_array_equal(env.engines(jnp.array(move))[0], move)
    np.testing.assert_allclose(impulses((0.5, 0.0)), 0.5 * impulses((1.0, 0.0)), rtol=1e-6)
    np.testing.assert_allclose(impulses((0.0, -0.25)), 0.25 * impulses((0.0, -1.0)), rtol=1e-6)
    both = impulses((0.5, 0.0)) + impulses((0.0, 1.0))
    np.testing.assert_allclose(impulses((0.5, 1.0)), both, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [-1.0, 1e6, float("nan"), float("inf"), "1", True, None])
@pytest.mark.parametrize("override", ["start_force", "goal_spread"])
def test_force_and_spread_are_checked(override, value):
    with pytest.raises(ValueError, match=rf"^{override}: got .*, but it must be a number in .*\. "):
        envs.make("lunar_lander", **{override: value})
