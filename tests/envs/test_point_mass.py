"""point_mass against C MuJoCo, its law in the open, its walls, and the laws of its starts and goals."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import physics_contract
import pytest
from scipy import stats

from hindsight_jax import envs, types
from hindsight_jax.envs import physics

play = physics_contract.play_of("point_mass", actions="discrete")

SOUTH, NORTH, WEST, EAST = 3, 5, 1, 7  # actions
PILLARS = np.array([(0.0, 0.0), (0.3, 0.0), (-0.3, 0.0), (0.0, 0.3), (0.0, -0.3)])
NEAR = 0.1  # the ball touches a pillar: 0.05 + 0.05, and a wall at 0.52: 0.6 - 0.05 - 0.03


class TestContract(physics_contract.PhysicsContract):
    tolerances = ((1e-7, 2e-6), (1e-6, 1e-4), (1e-4, 2e-3))
    observation_tolerances = ((1e-6, 5e-5), (2e-5, 5e-4), (1e-3, 1e-2))
    boxes = (("start", 2), ("goal", 2))

    @pytest.mark.seldom  # push, reacher, claw and lunar_lander do so by default
    def test_it_follows_c_mujoco(self, play):
        super().test_it_follows_c_mujoco(play)


def forces(actions):
    """Actions [..., 1] as moves [..., 2] in {-1, 0, 1}."""
    return np.concatenate([actions // 3, actions % 3], axis=-1) - 1.0


def clearance(points):
    """Distances [N] of points [N, 2] to the nearest pillar's axis."""
    return np.min(np.linalg.norm(points[:, None] - PILLARS, axis=-1), axis=1)


def run(play, states, actions, num_steps):
    """Positions [num_steps + 1, 64, 2] under the same actions [64, 1] in each step."""
    trace = [states.obs["observation"]]
    for _ in range(num_steps):
        states = play.step(states, actions)
        trace.append(states.obs["observation"])
    return np.stack(trace)


def test_spec_has_the_numbers_of_the_table(play):
    spec = play.env.spec
    assert spec[:2] == ((4,), (2,))
    assert spec.action == types.Discrete(1, 9)
    assert (spec.horizon, spec.ends_at_success) == (50, True)
    assert spec.threshold == pytest.approx(0.0282843, abs=1e-7)
    assert spec.observation_range == types.Range((-0.6, -0.6, -1.0, -1.0), (0.6, 0.6, 1.0, 1.0))
    assert spec.goal_range == types.Range((-0.6, -0.6), (0.6, 0.6))


def test_in_the_open_the_ball_has_momentum(play):
    """v <- 0.95 v + 0.05 u and x <- x + 0.01 v in each of five substeps; 0.226 m/s from rest, 0.774 kept of a speed."""
    actions = np.arange(64)[:, None] % 9
    place, speed = np.tile([0.27, -0.31], (64, 1)), np.random.default_rng(0).uniform(-1.0, 1.0, (64, 2))
    speed[:9] = 0.0
    after = play.step(play.place(place, speed), actions).obs["observation"]
    for _ in range(5):
        speed = 0.95 * speed + 0.05 * forces(actions)
        place = place + 0.01 * speed
    np.testing.assert_allclose(after, np.concatenate([place, speed], axis=1), atol=1e-6)
    assert after[EAST, 2] == pytest.approx(0.2262, abs=1e-4)  # 1 - 0.95^5


# start, which way, and the coordinate at which something stands
COURSES = [
    ((-0.45, -0.30), WEST, -0.52),
    ((-0.30, -0.45), SOUTH, -0.52),
    ((0.30, 0.45), NORTH, 0.52),
    ((0.45, 0.30), EAST, 0.52),
    ((-0.15, 0.0), EAST, -0.10),
    ((0.15, 0.0), WEST, 0.10),
    ((0.0, -0.45), NORTH, -0.40),
    ((0.0, 0.45), SOUTH, 0.40),
    ((0.45, 0.0), WEST, 0.40),
    ((-0.45, 0.0), EAST, -0.40),
]


def test_walls_and_pillars_stop_the_ball_and_throw_little_back(play):
    """Met at full speed they give way by 1 cm and return a quarter of it at most; leant on, they give way by 0.2 mm."""
    place, action, stop = (np.array(column) for column in zip(*COURSES, strict=True))
    direction, rows = forces(action[:, None]), np.arange(len(COURSES))
    axis, sign = np.argmax(np.abs(direction), axis=1), direction.sum(axis=1)
    trace = run(play, play.place(place, direction), np.resize(action, (64, 1)), 30)[:, : len(COURSES)]
    beyond = sign * (trace[:, rows, axis] - stop)
    assert beyond.max() < 1e-2
    np.testing.assert_allclose(beyond[-1], 2e-4, atol=1e-4)
    assert np.min(sign * trace[:, rows, axis + 2]) > -0.25
    np.testing.assert_allclose(trace[:, rows, 1 - axis], np.tile(place[rows, 1 - axis], (31, 1)), atol=2e-4)


def test_a_ball_pushed_at_a_pillar_off_its_middle_slides_round_it(play):
    """Nothing rubs and the pillar is round, so only an exact head-on course is a dead end."""
    trace = run(play, play.place([[-0.2, 0.02], [-0.2, -0.02]]), np.full((64, 1), EAST), 20)[:, :2]
    assert clearance(trace[:, :, :2].reshape(-1, 2)).min() > NEAR - 1e-2
    assert np.all(trace[-1, :, 0] > 0.1)
    np.testing.assert_allclose(trace[:, 0, 1], -trace[:, 1, 1], atol=1e-5)


def test_the_ball_slides_along_a_wall_without_friction(play):
    """Pressed into the eastern wall it moves north as in the open: v = 1 - 0.95^n after n substeps."""
    trace = run(play, play.place([[0.52, 0.15]]), np.full((64, 1), 8), 4)[:, 0]
    speeds = 1 - 0.95 ** np.arange(1, 21)
    np.testing.assert_allclose(trace[1:, 3], speeds[4::5], atol=1e-5)
    np.testing.assert_allclose(trace[1:, 1], 0.15 + 0.01 * np.cumsum(speeds)[4::5], atol=1e-5)
    assert trace[-1, 0] == pytest.approx(0.5202, abs=1e-4)


def test_the_ways_between_pillars_are_open(play):
    """Along x = 0.15 and y = 0.15 at full speed, 0.05 m a step, and nothing touches."""
    action = np.array([NORTH, EAST])
    place = np.array([[0.15, -0.3], [-0.3, 0.15]])
    trace = run(play, play.place(place, forces(action[:, None])), np.resize(action, (64, 1)), 12)[:, :2]
    np.testing.assert_allclose(trace[-1, :, :2], place + 0.6 * forces(action[:, None]), atol=1e-5)


def test_five_substeps_follow_fifty_short_ones(play):
    """0.01 s is short enough: the ball is ahead by half a substep of motion, and meets walls as much earlier."""
    fine = physics.load("point_mass.xml")
    fine.opt.timestep = 0.001
    fine.opt.iterations, fine.opt.ls_iterations = 100, 50
    data, moves, error = mujoco.MjData(fine), forces(np.array(play.actions)), np.zeros((20, 64))
    for k in range(64):
        mujoco.mj_resetData(fine, data)
        data.qpos[:] = play.qpos[0, k]
        for t in range(20):
            data.ctrl[:] = moves[t, k]
            mujoco.mj_step(fine, data, nstep=50)
            error[t, k] = np.linalg.norm(play.qpos[t + 1, k] - data.qpos)
    assert np.median(error, axis=1).max() < 5e-3


def test_starts_and_goals_are_uniform_over_free_space(play):
    env, keys = play.env, jax.random.split(jax.random.key(2), 20_000)
    starts, goals = (
        jax.jit(jax.vmap(env.sample_start))(keys),
        np.asarray(jax.jit(jax.vmap(env.sample_goal))(keys[::-1])),
    )
    np.testing.assert_array_equal(starts.qvel, 0.0)
    wanted = np.random.default_rng(0).uniform(-0.52, 0.52, (60_000, 2))
    wanted = wanted[clearance(wanted) > NEAR]
    count = lambda points: np.histogram2d(*points.T, bins=9, range=[(-0.52, 0.52)] * 2)[0].ravel()
    for points in (np.asarray(starts.qpos), np.asarray(goals)):
        assert clearance(points).min() > NEAR - 1e-6
        table = np.stack([count(points), count(wanted)])
        assert stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue > 1e-4
        for ours, theirs in zip(points.T, wanted.T, strict=True):
            assert stats.ks_2samp(ours, theirs).pvalue > 1e-4


def test_most_straight_ways_are_blocked(play):
    keys = jax.random.split(jax.random.key(3), 10_000)
    starts, goals = np.split(np.asarray(jax.jit(jax.vmap(play.env.sample_goal))(keys)), 2)
    blocked = np.array([first_in_the_way(*pair) is not None for pair in zip(starts, goals, strict=True)])
    assert np.mean(blocked) == pytest.approx(0.59, abs=0.03)


def test_start_and_goal_boxes_are_kept_and_must_have_free_space(play):
    place, corner = (-0.3, 0.2), ((0.0, 0.0), (0.2, 0.2))
    env = envs.make("point_mass", start=(place, place), goal=corner)
    np.testing.assert_array_equal(env.sample_start(jax.random.key(0)).qpos, np.array(place, np.float32))
    goals = np.asarray(jax.jit(jax.vmap(env.sample_goal))(jax.random.split(jax.random.key(1), 500)))
    assert clearance(goals).min() > NEAR - 1e-6
    assert np.all((goals >= 0.0) & (goals <= 0.2))
    for inside in (((0.0, 0.0), (0.0, 0.0)), ((-0.05, -0.36), (0.05, -0.25)), ((0.25, 0.0), (0.39, 0.0))):
        with pytest.raises(ValueError, match=r"goal: got .* must touch nothing .* Widen the box"):
            envs.make("point_mass", goal=inside)


def test_the_distance_is_in_widths_of_the_room_and_looks_at_the_position_alone(play):
    here = jnp.array([0.1, -0.1])
    assert play.env.distance(here, here + jnp.array([0.03, 0.04])) == pytest.approx(0.05 / 1.2)
    assert play.env.success(here, here + jnp.array([0.0, 0.0339]))
    assert not play.env.success(here, here + jnp.array([0.0, 0.0340]))  # 0.02 sqrt(2) * 1.2 = 0.033941
    assert play.env.achieved_goal(jnp.arange(4.0)).tolist() == [0.0, 1.0]


def test_a_goal_is_reachable_up_to_a_threshold_from_free_space(play):
    """The walls leave +-0.52 free, the pillars all beyond 0.1; the threshold is 0.0339 m."""
    asked = jnp.array(
        [[0.3, 0.3], [0.55, 0.3], [0.3, -0.5539], [0.3, -0.5540], [0.0, 0.0], [0.3, 0.0662], [0.3, 0.066]]
    )
    assert jax.vmap(play.env.reachable)(asked).tolist() == [True, True, True, False, False, True, False]


def first_in_the_way(place, goal):
    """The pillar that the straight way from place to goal meets first, or None."""
    way = goal - place
    part = np.clip((PILLARS - place) @ way / (way @ way), 0.0, 1.0)
    meets = np.linalg.norm(place + part[:, None] * way - PILLARS, axis=1) < NEAR
    return int(np.argmin(np.where(meets, part, np.inf))) if meets.any() else None


def towards(place, goal):
    """Where to steer next: the goal, or a point beside the pillar in between, on the side of the straight way."""
    pillar = first_in_the_way(place, goal)
    if pillar is None:
        return goal
    way = (goal - place) / np.linalg.norm(goal - place)
    across = np.array([-way[1], way[0]])
    side = 1.0 if (place - PILLARS[pillar]) @ across >= 0.0 else -1.0
    return PILLARS[pillar] + 0.14 * side * across


def test_a_controller_reaches_every_goal_within_an_episode(play):
    now, reached = play.first, np.zeros(64, bool)
    goals = np.asarray(now.obs["desired_goal"])
    for _ in range(50):
        seen = np.asarray(now.obs["observation"])
        aims = np.stack([towards(place, goal) for place, goal in zip(seen[:, :2], goals, strict=True)])
        move = np.round(np.clip(20.0 * (aims - seen[:, :2]) - 2.0 * seen[:, 2:], -1.0, 1.0)).astype(np.int32)
        now = play.step(now, 3 * (move[:, :1] + 1) + move[:, 1:] + 1)
        reached |= np.asarray(now.reward, bool)
    assert reached.all()
