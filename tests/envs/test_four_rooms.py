"""four_rooms against C MuJoCo, its law in the open, its walls and doors, its starts and goals."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import physics_contract
import pytest
from scipy import spatial, stats

from hindsight_jax import envs, rendering, types
from hindsight_jax.envs import action_sets, four_rooms

play = physics_contract.play_of("four_rooms")
BATCH = physics_contract.BATCH
MOVES = np.array([(i // 3 - 1, i % 3 - 1) for i in range(9)])  # of the nine actions
EAST = 7


class TestContract(physics_contract.PhysicsContract):
    tolerances = ((1e-8, 1e-7), (1e-6, 5e-5), (3e-5, 1e-3))
    boxes = (("start", 2), ("goal", 2))

    @pytest.mark.seldom  # push, reacher, claw and lunar_lander do so by default
    def test_it_follows_c_mujoco(self, play):
        super().test_it_follows_c_mujoco(play)


def visited(play, state, actions):
    """Positions [T + 1, 64, 2] of 64 environments under actions [T, 64] or [T]."""
    places = [np.asarray(state.obs["observation"])]
    for action in actions:
        state = play.step(state, np.broadcast_to(action, BATCH)[:, None].astype(np.int32))
        places.append(np.asarray(state.obs["observation"]))
    return np.stack(places)


def in_the_open(start, velocity, forces):
    """The closed form: v <- 0.5 v + 0.5 u, x <- x + 0.01 v in each of five substeps. [T + 1, ...]"""
    x, v, places = np.array(start, float), np.array(velocity, float), [np.array(start, float)]
    for u in forces:
        for _ in range(5):
            v = 0.5 * v + 0.5 * u
            x = x + 0.01 * v
        places.append(x)
    return np.stack(places)


def overlaps(places):
    """How deep the balls [..., 2] stand in walls, [...]."""
    flat = mapped(four_rooms.overlap)(np.asarray(places, np.float32).reshape(-1, 2))
    return np.linalg.norm(flat, axis=-1).reshape(places.shape[:-1])


def mapped(function):
    """Over a batch, as one program: operation by operation each would compile."""
    return jax.jit(jax.vmap(function))


@pytest.fixture(scope="module")
def walks(play):
    """Long walks of 64 balls from all over the rooms, each action kept for ten steps on average. [201, 64, 2]"""
    rng, action = np.random.default_rng(1), np.zeros(BATCH, int)
    starts = rng.uniform(-0.52, 0.52, (200, 2))
    starts = starts[overlaps(starts) == 0.0][:BATCH]
    actions = []
    for _ in range(200):
        action = np.where(rng.random(BATCH) < 0.1, rng.integers(0, 9, BATCH), action)
        actions.append(action)
    return visited(play, play.place(starts), actions)


def test_the_spec_has_the_numbers_of_the_table(play):
    spec = play.env.spec
    assert spec[:2] == ((2,), (2,))
    assert spec.action == types.Discrete(1, 9)
    assert (spec.threshold, spec.ends_at_success) == (0.08, False)
    assert spec.observation_range == spec.goal_range == types.Range((-0.6, -0.6), (0.6, 0.6))


def test_in_the_open_it_follows_the_closed_form(play):
    """From rest 0.01 (5 - 1/2 - 1/4 - 1/8 - 1/16 - 1/32) = 0.0403125 m in a step, later 0.05 m, each axis alone."""
    start = 0.3 - 0.2 * MOVES
    places = visited(play, play.place(start), np.tile(np.resize(np.arange(9), BATCH), (8, 1)))[:, :9]
    np.testing.assert_allclose(places, in_the_open(start, np.zeros((9, 2)), [MOVES] * 8), atol=2e-7)
    steps = np.diff(places, axis=0)
    np.testing.assert_allclose(steps[0], 0.0403125 * MOVES, atol=1e-7)
    np.testing.assert_allclose(steps[-1], 0.05 * MOVES, atol=1e-6)


def test_a_ball_that_is_not_pushed_halves_its_speed_in_every_substep(play):
    """From 1 m/s it rolls 0.01 (1/2 + 1/4 + ...) = 0.01 m in all: the velocity is not observed, but it is there."""
    velocity = np.array([(1.0, 0.0), (-0.5, 0.25), (0.0, -1.0)])
    start = np.full((3, 2), -0.3)
    places = visited(play, play.place(start, velocity), [4, 4, 4])[:, :3]
    np.testing.assert_allclose(places, in_the_open(start, velocity, [np.zeros((3, 2))] * 3), atol=1e-7)
    np.testing.assert_allclose(places[-1] - start, 0.01 * velocity, atol=1e-6)


def test_five_bins_push_with_halves_too():
    env = envs.make("four_rooms", bins=5)
    assert env.spec.action == types.Discrete(1, 25)
    forces = [env.controls(None, action_sets.moves(env.spec.action, jnp.array([i]), 2)[0])[0] for i in (1, 14)]
    np.testing.assert_array_equal(forces, [(-1.0, -0.5), (0.0, 1.0)])


def test_doors_let_a_ball_pass_in_both_directions(play):
    """Along x and along y, 15 mm off the middle, it touches nothing: doorways leave its centre 2 cm to each side."""
    rows = []
    for side in (-0.3, 0.3):
        for aside in (-0.015, 0.015):
            rows += [((-0.15, side + aside), 7), ((0.15, side + aside), 1), ((side + aside, -0.15), 5)]
            rows += [((side + aside, 0.15), 3)]
    starts, actions = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    places = visited(play, play.place(starts), np.tile(np.resize(actions, BATCH), (6, 1)))[:, : len(rows)]
    np.testing.assert_allclose(places, in_the_open(starts, 0.0 * starts, [MOVES[actions]] * 6), atol=2e-7)
    assert np.all(np.abs(places[-1] - starts).max(axis=1) > 0.29)


def test_a_ball_slides_along_a_wall_at_full_speed(play):
    """Nothing rubs (condim 1): pushed to the north-east along the north border, x follows the closed form."""
    places = visited(play, play.place([(-0.35, 0.52)]), [8] * 5)[:, 0]
    np.testing.assert_allclose(places[:, 0], in_the_open(-0.35, 0.0, [1.0] * 5), atol=1e-5)
    assert np.all(np.abs(places[2:, 1] - 0.522) < 1e-3)


@pytest.mark.seldom
def test_a_ball_stands_two_millimetres_deep_in_a_wall_and_dips_below_two_centimetres(play, walks):
    """One substep at full speed is 1 cm, and the contacts are soft: solref 0.02 s, two substeps."""
    depth = overlaps(walks)
    assert 0.01 < depth.max() < 0.022
    assert np.quantile(depth, 0.9) < 0.004
    rest = visited(play, play.place(walks[0]), [EAST] * 40)[-1]
    standing = overlaps(rest)
    assert standing.max() < 0.003
    assert np.median(standing) == pytest.approx(0.002, abs=1e-4)


def test_no_ball_tunnels(play, walks):
    """At full speed from every distance to a wall; and long walks change rooms in doorways alone."""
    distance = np.linspace(0.0, 0.05, BATCH)
    at_walls = np.stack([-0.08 - distance, np.linspace(-0.15, 0.15, BATCH)], axis=1)
    places = visited(play, play.place(at_walls, np.tile([1.0, 0.0], (BATCH, 1))), [EAST] * 30)
    assert places[..., 0].max() < -0.08 + 0.022
    corners = np.stack([0.52 - distance, 0.52 - distance[::-1]], axis=1)
    places = visited(play, play.place(corners, np.ones((BATCH, 2))), [8] * 30)
    assert places.max() < 0.52 + 0.022
    for axis in (0, 1):
        crossings = np.diff(np.sign(walks[..., axis]), axis=0) != 0
        assert crossings.sum() > 50
        where = (walks[1:, :, 1 - axis] + walks[:-1, :, 1 - axis])[crossings] / 2
        assert np.abs(np.abs(where) - 0.3).max() < 0.045


def test_starts_have_the_law(play):
    keys = jax.random.split(jax.random.key(2), 20_000)
    starts = mapped(play.env.sample_start)(keys)
    for column in np.asarray(starts.qpos, float).T:
        assert stats.kstest(column, stats.uniform(-0.33, 0.06).cdf).pvalue > 1e-4
    assert abs(np.corrcoef(np.asarray(starts.qpos).T)[0, 1]) < 0.03
    assert not np.any(starts.qvel)
    assert not np.any(starts.warmstart)
    elsewhere = envs.make("four_rooms", start=((0.1, 0.5), (0.1, 0.52))).sample_start(keys[0]).qpos
    assert elsewhere[0] == pytest.approx(0.1)
    assert 0.5 <= elsewhere[1] <= 0.52


def test_goals_are_uniform_on_the_grid(play):
    goals = np.asarray(mapped(play.env.sample_goal)(jax.random.split(jax.random.key(3), 100_000)))
    cell = np.round((goals + 0.56) / 1.12 * 49).astype(int)
    np.testing.assert_allclose(goals, np.linspace(-0.56, 0.56, 50)[cell], atol=1e-7)
    count = np.zeros((50, 50), int)
    np.add.at(count, tuple(cell.T), 1)
    assert count.min() > 0
    assert stats.chisquare(count.ravel()).pvalue > 1e-4
    corner = envs.make("four_rooms", goal=((0.1, -0.2), (0.1, 0.2)))
    assert corner.sample_goal(jax.random.key(0))[0] == pytest.approx(0.1)


def test_success_is_strict_euclid(play):
    place, goal = jnp.array([0.3, -0.3]), jnp.array([0.33, -0.34])
    assert play.env.distance(place, goal) == pytest.approx(0.05, abs=1e-7)
    at_threshold = envs.make("four_rooms", threshold=0.125)  # exact in binary
    origin, edge = jnp.zeros(2), jnp.array([0.0, 0.125])
    assert not at_threshold.success(origin, edge)
    assert at_threshold.success(origin, edge * 0.999)


def walls_of(model):
    """Ends [W, 2, 2] of the axes of the capsules that the ball may touch, from the model itself."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    walls = [geom for pair in zip(model.pair_geom1, model.pair_geom2, strict=True) for geom in pair]
    walls = [geom for geom in walls if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE]
    np.testing.assert_allclose(model.geom_size[walls, 0] + model.geom("particle").size[0], 0.08)
    half = model.geom_size[walls, 1:2] * data.geom_xmat[walls].reshape(-1, 3, 3)[:, :2, 2]
    return data.geom_xpos[walls, None, :2] + np.stack([-half, half], axis=1)


def to_segment(points, ends):
    """Distances of points [N, 2] to a segment [2, 2]."""
    along = ends[1] - ends[0]
    part = np.clip((points - ends[0]) @ along / (along @ along), 0.0, 1.0)
    return np.linalg.norm(points - ends[0] - part[:, None] * along, axis=1)


def test_free_space_is_that_of_the_model_and_distances_to_it_are_the_shortest(play):
    """Against the nearest free point of a grid of 2 mm, which is at most 1.5 mm too far."""
    axis = np.linspace(-0.6, 0.6, 601)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    walls = walls_of(play.env.engine.model)
    assert len(walls) == 10
    clear = np.min([to_segment(grid, ends) for ends in walls], axis=0) - 0.08
    near = grid.astype(np.float32)
    decided = np.abs(clear) > 1e-6
    ours = np.asarray(mapped(four_rooms.distance_to_free)(near))
    np.testing.assert_array_equal(ours[decided] == 0.0, (clear > 0)[decided])
    shortest, _ = spatial.cKDTree(grid[clear > -1e-9]).query(grid)
    assert np.all(ours <= shortest + 1e-6)
    assert np.all(ours >= shortest - 2e-3)


def test_twelve_goals_of_the_grid_lie_too_deep_in_the_middle_cross(play):
    """At (1, 1), (1, 3) and (3, 1) half spacings, mirrored; the next, (3, 3), is 0.065 m from (0.08, 0.08)."""
    axis = np.linspace(-0.56, 0.56, 50)
    goals = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    reachable = np.asarray(mapped(play.env.reachable)(np.asarray(goals, np.float32)))
    half_spacings = np.round(np.abs(goals[~reachable]) / (0.56 / 49)).astype(int)
    assert sorted(map(tuple, half_spacings)) == [(1, 1)] * 4 + [(1, 3)] * 4 + [(3, 1)] * 4
    assert not envs.make("four_rooms", threshold=0.01).reachable(jnp.array([0.6, 0.3]))


def test_the_scene_marks_the_places_that_are_a_success(play):
    state = physics_contract.row(play.trace[9], 0)
    scene = play.draw(state)
    marker = [i for i, rgba in enumerate(np.asarray(scene.rgba)) if rgba[3] < 1]
    assert [scene.kinds[i] for i in marker] == [rendering.CYLINDER]
    np.testing.assert_allclose(scene.position[marker[0], :2], state.obs["desired_goal"])
    assert scene.size[marker[0], 0] == pytest.approx(0.08)
    ball = [i for i, kind in enumerate(scene.kinds) if kind == rendering.SPHERE]
    np.testing.assert_allclose(np.asarray(scene.position)[ball, :2], state.obs["observation"][None], atol=1e-7)
