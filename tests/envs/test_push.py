"""push against C MuJoCo, and against the numbers of docs/environments.md."""

import jax
import jax.numpy as jnp
import numpy as np
import physics_contract
import pytest
from scipy import stats

from hindsight_jax import envs, rendering, types

TOOL = np.array([0.0, -0.0025])  # of the hand's point
TOUCH = 0.04 + 0.00625  # distance of the centres of puck and tool in contact
IDLE = 4  # the action (0, 0)


def index(move):
    """i32[..., 1] of moves [..., 2] in {-1, 0, 1}."""
    move = np.asarray(move)
    return (3 * (move[..., :1] + 1) + move[..., 1:] + 1).astype(np.int32)


def towards_puck(observation, rng, noise=0.4):
    """Moves [N, 2] that push the puck about: the direction to it, disturbed."""
    direction = observation[:, 2:] - observation[:, :2] - TOOL
    direction = direction / np.abs(direction).max(axis=1, keepdims=True)
    return np.clip(np.round(direction + rng.normal(0.0, noise, direction.shape)), -1, 1)


def push_about(observation, rng):
    """A policy that touches: random ones leave most pucks alone."""
    return index(towards_puck(observation, rng))


play = physics_contract.play_of("push", policy=push_about)


class TestContract(physics_contract.PhysicsContract):
    """A push off the puck's axis turns it away, and each touch multiplies an error by a few: hence the worst cases. A
    contact law that jumps fails by centimetres."""

    tolerances = ((1e-6, 1e-5), (1e-5, 1e-3), (1e-3, 5e-3))
    boxes = (("start", 4), ("goal", 4))


def puck_errors(positions, other):
    """Distances of the pucks, in metres, of two [..., 4]."""
    return np.linalg.norm(positions[..., 2:] - other[..., 2:], axis=-1)


def test_spec_has_the_numbers_of_the_table(play):
    spec = play.env.spec
    assert spec[:2] == ((4,), (4,))
    assert spec.action == types.Discrete(1, 9)
    assert (spec.horizon, spec.threshold, spec.ends_at_success) == (50, 0.05, False)
    assert spec.observation_range == spec.goal_range == types.Range((-0.2, 0.5, -0.2, 0.5), (0.2, 0.7, 0.2, 0.7))


def test_the_pucks_of_the_trace_are_pushed(play):
    travelled = np.linalg.norm(np.diff(play.qpos[..., 2:], axis=0), axis=-1).sum(axis=0)
    assert np.mean(travelled > 0.02) > 0.9
    assert np.median(travelled) > 0.2


def test_four_substeps_follow_twenty_short_ones(play):
    """0.01 s is short enough: the hand meets the puck up to 5 mm late, and that is all."""
    actions = np.stack(play.actions[:20])[..., 0]
    moves = np.stack([actions // 3 - 1, actions % 3 - 1], axis=-1)
    targets = np.clip(play.qpos[:20, :, :2] + 0.02 * moves, (-0.2, 0.5), (0.2, 0.7))
    c = physics_contract.with_short_steps("push.xml", 5, play.qpos, targets, num_substeps=20)
    assert np.median(puck_errors(play.qpos[:21], c), axis=1).max() < 3e-3


@pytest.mark.parametrize("action", range(9))
def test_the_hand_travels_two_centimetres_per_unit_action(action, play):
    after = play.step(play.place([(0.1, 0.6, -0.1, 0.6)]), jnp.full((64, 1), action))
    move = np.array([action // 3 - 1, action % 3 - 1])
    np.testing.assert_allclose(
        after.obs["observation"][0], [*(0.1 + 0.02 * move[:1]), 0.6 + 0.02 * move[1], -0.1, 0.6], atol=1e-6
    )


def test_hand_and_puck_stay_in_the_workspace(play):
    """A puck that meets its limit at speed crosses it for a substep or two, as one that meets a plate does."""
    key, now, seen = jax.random.key(1), play.first, []
    for i in range(150):
        now = play.step(now, jax.random.randint(jax.random.fold_in(key, i), (64, 1), 0, 9))
        seen.append(now.obs["observation"])
    everywhere = np.concatenate([np.array(seen), play.qpos])
    beyond = np.maximum(np.abs(everywhere - (0.0, 0.6, 0.0, 0.6)) - (0.2, 0.1, 0.19, 0.09), 0.0)
    assert beyond[..., :2].max() < 1e-3
    assert beyond[..., 2:].max() < 0.02
    assert np.mean(beyond[..., 2:].max(axis=-1) < 1e-3) > 0.98


def test_a_push_within_45_degrees_carries_the_puck_and_a_wider_one_slips(play):
    """friction 1: the hand moves along +y, the contact's normal lies at `angle` from it."""
    degrees = np.array([-75, -60, -40, -30, -15, 0, 15, 30, 40, 60, 75])
    normal = np.stack([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))], axis=1)
    hand = np.broadcast_to([0.0, 0.52], normal.shape)
    start = np.concatenate([hand, hand + TOOL + TOUCH * normal], axis=1)
    now = play.place(start)
    for _ in range(4):
        now = play.step(now, jnp.full((64, 1), 5))  # (0, +1)
    moved = np.asarray(now.obs["observation"])[: len(start)] - start
    carried, slipped = np.abs(degrees) <= 40, np.abs(degrees) >= 60
    forward = moved[:, 3] / moved[:, 1]
    assert np.all(forward[carried] > 0.95)
    assert np.all(np.abs(moved[carried, 2]) < 0.003)  # along with the hand, hardly sideways
    assert np.all(forward[slipped] < 0.4)


def test_the_puck_stops_when_it_is_not_pushed(play):
    now = play.place([(0.0, 0.55, 0.0, 0.55 - 0.0025 + TOUCH)])
    for _ in range(3):
        now = play.step(now, jnp.full((64, 1), 5))
    pushed = now.obs["observation"][0, 3]
    away = play.step(now, jnp.full((64, 1), 3))
    assert pushed > 0.55 + TOUCH + 0.05
    assert abs(away.obs["observation"][0, 3] - pushed) < 1e-3
    later = play.step(play.step(away, jnp.full((64, 1), IDLE)), jnp.full((64, 1), IDLE))
    np.testing.assert_array_equal(later.obs["observation"][0, 2:], away.obs["observation"][0, 2:])
    held = play.step(now, jnp.full((64, 1), IDLE))  # the hand stays; the last tenths of a millimetre of overlap close
    assert abs(held.obs["observation"][0, 3] - pushed) < 1e-3


def redrawn(rng, draw, size):
    """Hand and puck [size, 4] by rejection in NumPy."""
    kept = np.empty((0, 4))
    while len(kept) < size:
        drawn = draw(rng, size)
        kept = np.concatenate([kept, drawn[np.linalg.norm(drawn[:, :2] - drawn[:, 2:], axis=1) >= 0.055]])
    return kept[:size]


def same_law(ours, reference):
    """Kolmogorov-Smirnov on the coordinates and on the gap, each at 1e-4."""
    columns = lambda x: [*x.T, np.linalg.norm(x[:, :2] - x[:, 2:], axis=1), x[:, 0] * x[:, 2], x[:, 1] * x[:, 3]]
    return all(stats.ks_2samp(a, b).pvalue > 1e-4 for a, b in zip(columns(ours), columns(reference), strict=True))


def test_starts_have_the_law(play):
    """The hand is uniform in its box: only the puck is redrawn, or the hand would avoid the puck's corner."""
    draws = jax.jit(jax.vmap(play.env.sample_start))(jax.random.split(jax.random.key(2), 20_000))
    starts = np.asarray(draws.qpos)
    assert np.all(np.linalg.norm(starts[:, :2] - starts[:, 2:], axis=1) >= 0.055)
    for column, low, width in zip(starts.T, (-0.20, 0.50, -0.17, 0.53), (0.03, 0.03, 0.07, 0.07), strict=True):
        assert low <= column.min() < low + 0.001
        assert low + width - 0.001 < column.max() <= low + width
    hands = stats.binned_statistic_2d(starts[:, 0], starts[:, 1], None, "count", bins=4).statistic
    assert stats.chisquare(hands.ravel()).pvalue > 1e-4
    # the puck, given a hand in one small corner, against rejection there
    corner = starts[(starts[:, 0] > -0.175) & (starts[:, 1] > 0.525)]
    draw = lambda rng, n: rng.uniform((-0.175, 0.525, -0.17, 0.53), (-0.17, 0.53, -0.10, 0.60), (n, 4))
    assert len(corner) > 300
    assert same_law(
        corner[:, 2:4].repeat(2, axis=1), redrawn(np.random.default_rng(0), draw, 20_000)[:, 2:4].repeat(2, axis=1)
    )


def test_goals_have_the_law(play):
    goals = np.asarray(jax.jit(jax.vmap(play.env.sample_goal))(jax.random.split(jax.random.key(3), 20_000)))
    draw = lambda rng, n: rng.uniform((-0.2, 0.5) * 2, (0.2, 0.7) * 2, (n, 4))
    assert np.all(np.linalg.norm(goals[:, :2] - goals[:, 2:], axis=1) >= 0.055)
    assert same_law(goals, redrawn(np.random.default_rng(0), draw, 100_000))
    assert np.all(np.abs(goals - (0.0, 0.6) * 2) <= np.array((0.2, 0.1) * 2) + 1e-6)


def test_success_looks_at_the_puck_alone_and_is_strict(play):
    goal = jnp.array([0.0, 0.5, 0.0, 0.625])
    far_hand = jnp.array([0.2, 0.7, 0.03, 0.665])
    assert play.env.distance(far_hand, goal) == pytest.approx(0.05, abs=1e-6)
    assert play.env.success(far_hand.at[3].add(-0.001), goal)
    assert not play.env.success(far_hand.at[3].add(0.001), goal)
    at_threshold = envs.make("push", threshold=0.125)  # exact in binary
    assert not at_threshold.success(goal.at[3].add(-0.125), goal)


def test_continuous_actions_are_fractions_of_two_centimetres(play):
    env = envs.make("push", actions="continuous")
    now = physics_contract.engine_state(physics_contract.row(play.place([(0.1, 0.6, -0.1, 0.6)]), 0))
    for move in ((1.0, -1.0), (0.25, -0.5), (0.0, 0.0)):
        paths = env.controls(now, jnp.array(move))
        part = np.arange(1, 5)[:, None] / 4
        np.testing.assert_allclose(paths, np.array([(0.1, 0.6)]) + 0.02 * part * np.array([move]), atol=1e-6)


def test_the_scene_shows_puck_tool_and_goal(play):
    state = physics_contract.row(play.first, 0)
    scene = play.draw(state)
    xy, translucent = np.asarray(scene.position)[:, :2], np.asarray(scene.rgba)[:, 3] < 1
    is_puck = np.array([kind == rendering.CYLINDER for kind in scene.kinds])
    now, goal = np.asarray(state.obs["observation"]), np.asarray(state.obs["desired_goal"])
    np.testing.assert_allclose(xy[is_puck & ~translucent], now[None, 2:])
    np.testing.assert_allclose(xy[is_puck & translucent], goal[None, 2:])
    np.testing.assert_allclose(xy[~is_puck & translucent], goal[None, :2])
    assert np.any(np.all(np.isclose(xy, now[:2]), axis=1))


def test_boxes_of_starts_and_goals_are_kept_and_leave_a_gap():
    start, goal = ((0.0, 0.6, 0.1, 0.6), (0.0, 0.6, 0.1, 0.6)), ((-0.2, 0.5, 0.0, 0.6), (-0.1, 0.55, 0.1, 0.7))
    env = envs.make("push", start=start, goal=goal)
    assert env.sample_start(jax.random.key(0)).qpos.tolist() == pytest.approx(start[0])
    goals = np.asarray(jax.vmap(env.sample_goal)(jax.random.split(jax.random.key(1), 500)))
    assert np.all((goals >= np.float32(goal[0])) & (goals <= np.float32(goal[1])))
    assert np.all(np.ptp(goals, axis=0) > 0.9 * np.subtract(*goal[::-1]))
    # half of the puck's box is 0.04 wide: from a hand in its middle 0.057 is the farthest, from its edge 0.089
    near = (0.0, 0.6, -0.04, 0.56), (0.0, 0.6, 0.04, 0.64)
    with pytest.raises(ValueError, match=r"start: got .* 0\.066 m from every hand, and the farthest is 0\.0566 m"):
        envs.make("push", start=near)
    envs.make("push", start=((0.04, *near[0][1:]), (0.04, *near[1][1:])))
