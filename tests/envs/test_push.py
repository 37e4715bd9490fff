"""push against C MuJoCo, against the numbers of ENVIRONMENTS, and against hostile actions."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy import stats

from hindsight_jax import envs, rendering, types
from hindsight_jax.envs import physics

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


@pytest.fixture(scope="module")
def pushes(states, step):
    """100 scripted pushing steps from 64 starts: positions [101, 64, 4], moves [100, 64, 2], states."""
    rng, now, trace, moves = np.random.default_rng(0), states, [states], []
    for _ in range(100):
        moves.append(towards_puck(np.asarray(now.obs["observation"]), rng))
        now = step(now, jnp.asarray(index(moves[-1])))
        trace.append(now)
    return np.array([s.obs["observation"] for s in trace]), np.array(moves), trace


def in_c(model, positions, moves, num_substeps, controls_from=None):
    """The same moves in C MuJoCo, [T+1, 4]; the hand's path starts at its own place, or at `controls_from`."""
    data = mujoco.MjData(model)
    data.qpos[:] = positions
    visited = [positions]
    for t, move in enumerate(moves):
        hand = (data.qpos if controls_from is None else controls_from[t])[:2].copy()
        target = np.clip(hand + 0.02 * move, (-0.2, 0.5), (0.2, 0.7))
        for i in range(num_substeps):
            data.ctrl[:] = hand + (i + 1) / num_substeps * (target - hand)
            mujoco.mj_step(model, data)
        visited.append(data.qpos.copy())
    return np.array(visited)


def puck_errors(positions, other):
    """Distances of the pucks, in metres, of two [..., 4]."""
    return np.linalg.norm(positions[..., 2:] - other[..., 2:], axis=-1)


def test_spec_has_the_numbers_of_the_table(push):
    spec = push.spec
    assert spec[:2] == ((4,), (4,))
    assert spec.action == types.Discrete(1, 9)
    assert (spec.horizon, spec.threshold, spec.ends_at_success) == (50, 0.05, False)
    assert spec.observation_range == spec.goal_range == types.Range((-0.2, 0.5, -0.2, 0.5), (0.2, 0.7, 0.2, 0.7))
    assert push.observation_size == {"observation": (4,), "achieved_goal": (4,), "desired_goal": (4,)}
    assert (push.action_size, push.backend) == (1, "mjx")


def test_puck_follows_c_mujoco_over_100_steps(push, pushes):
    """Contacts amplify: a push off the puck's axis turns it away, and each touch multiplies an error by a few. So
    float32 against float64 is judged by median and worst case; a contact law that jumps fails both by centimetres."""
    positions, moves, _ = pushes
    c = np.stack([in_c(push.engine.model, positions[0, k], moves[:, k], 4) for k in range(64)], axis=1)
    error = puck_errors(positions, c)
    assert error[1].max() < 1e-5
    assert np.median(error[20]) < 1e-5
    assert error[20].max() < 1e-3
    assert np.median(error[100]) < 1e-3
    assert error.max() < 5e-3
    assert np.linalg.norm(positions[:, :, :2] - c[:, :, :2], axis=-1).max() < 5e-3
    travelled = np.linalg.norm(np.diff(positions[..., 2:], axis=0), axis=-1).sum(axis=0)
    assert np.mean(travelled > 0.02) > 0.9  # the pucks were pushed, not watched
    assert np.median(travelled) > 0.2


def short_steps():
    """The same laws at a fifth of the timestep: servo, damping and contacts forget within one short substep."""
    fine = physics.load("push.xml")
    fine.opt.timestep /= 5
    fine.dof_damping *= 5
    fine.actuator_gainprm[:, 0] *= 25
    fine.actuator_biasprm[:, 1:3] *= (25, 5)
    fine.actuator_forcerange *= 5
    for solref in (fine.pair_solref, fine.jnt_solref):
        solref[:, :2] *= (25, 5)
    fine.opt.iterations, fine.opt.ls_iterations = 100, 50
    return fine


def test_four_substeps_follow_twenty_short_ones(pushes):
    """0.01 s is short enough: the hand meets the puck up to 5 mm late, and that is all."""
    positions, moves, _ = pushes
    fine = short_steps()
    c = [in_c(fine, positions[0, k], moves[:20, k], 20, controls_from=positions[:, k]) for k in range(64)]
    error = puck_errors(positions[:21], np.stack(c, axis=1))
    assert np.median(error, axis=1).max() < 3e-3


@pytest.mark.parametrize("action", range(9))
def test_the_hand_travels_two_centimetres_per_unit_action(action, place, step):
    after = step(place([[0.1, 0.6, -0.1, 0.6]]), jnp.full((64, 1), action))
    move = np.array([action // 3 - 1, action % 3 - 1])
    np.testing.assert_allclose(
        after.obs["observation"][0], [*(0.1 + 0.02 * move[:1]), 0.6 + 0.02 * move[1], -0.1, 0.6], atol=1e-6
    )


def test_hand_and_puck_stay_in_the_workspace(states, step, pushes):
    """A puck that meets its limit at speed crosses it for a substep or two, as one that meets a plate does."""
    key, now, seen = jax.random.key(1), states, []
    for i in range(150):
        now = step(now, jax.random.randint(jax.random.fold_in(key, i), (64, 1), 0, 9))
        seen.append(now.obs["observation"])
    everywhere = np.concatenate([np.array(seen), pushes[0]])
    beyond = np.maximum(np.abs(everywhere - (0.0, 0.6, 0.0, 0.6)) - (0.2, 0.1, 0.19, 0.09), 0.0)
    assert beyond[..., :2].max() < 1e-3
    assert beyond[..., 2:].max() < 0.02
    assert np.mean(beyond[..., 2:].max(axis=-1) < 1e-3) > 0.98


def test_a_push_within_45_degrees_carries_the_puck_and_a_wider_one_slips(place, step):
    """friction 1: the hand moves along +y, the contact's normal lies at `angle` from it."""
    degrees = np.array([-75, -60, -40, -30, -15, 0, 15, 30, 40, 60, 75])
    normal = np.stack([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))], axis=1)
    hand = np.broadcast_to([0.0, 0.52], normal.shape)
    start = np.concatenate([hand, hand + TOOL + TOUCH * normal], axis=1)
    now = place(start)
    for _ in range(4):
        now = step(now, jnp.full((64, 1), 5))  # (0, +1)
    moved = np.asarray(now.obs["observation"])[: len(start)] - start
    carried, slipped = np.abs(degrees) <= 40, np.abs(degrees) >= 60
    forward = moved[:, 3] / moved[:, 1]
    assert np.all(forward[carried] > 0.95)
    assert np.all(np.abs(moved[carried, 2]) < 0.003)  # along with the hand, hardly sideways
    assert np.all(forward[slipped] < 0.4)


def test_the_puck_stops_when_it_is_not_pushed(place, step):
    now = place([[0.0, 0.55, 0.0, 0.55 - 0.0025 + TOUCH]])
    for _ in range(3):
        now = step(now, jnp.full((64, 1), 5))
    pushed = now.obs["observation"][0, 3]
    away = step(now, jnp.full((64, 1), 3))
    assert pushed > 0.55 + TOUCH + 0.05
    assert abs(away.obs["observation"][0, 3] - pushed) < 1e-3
    later = step(step(away, jnp.full((64, 1), IDLE)), jnp.full((64, 1), IDLE))
    np.testing.assert_array_equal(later.obs["observation"][0, 2:], away.obs["observation"][0, 2:])
    held = step(now, jnp.full((64, 1), IDLE))  # the hand stays: the last tenths of a millimetre of penetration close
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


def test_starts_have_the_law(push):
    """The hand is uniform in its box: only the puck is redrawn, or the hand would avoid the puck's corner."""
    draws = jax.jit(jax.vmap(push.sample_start))(jax.random.split(jax.random.key(2), 20_000))
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


def test_goals_have_the_law(push):
    goals = np.asarray(jax.jit(jax.vmap(push.sample_goal))(jax.random.split(jax.random.key(3), 20_000)))
    draw = lambda rng, n: rng.uniform((-0.2, 0.5) * 2, (0.2, 0.7) * 2, (n, 4))
    assert np.all(np.linalg.norm(goals[:, :2] - goals[:, 2:], axis=1) >= 0.055)
    assert same_law(goals, redrawn(np.random.default_rng(0), draw, 100_000))
    assert np.all(np.abs(goals - (0.0, 0.6) * 2) <= np.array((0.2, 0.1) * 2) + 1e-6)


def test_start_and_goal_are_independent(push):
    first = jax.vmap(push.reset)(jax.random.split(jax.random.key(4), 4096)).obs
    table = np.corrcoef(np.asarray(first["observation"]).T, np.asarray(first["desired_goal"]).T)[:4, 4:]
    assert np.abs(table).max() < 0.06  # 3.8 sigma of 4096 draws


def test_reset_is_the_same_after_play_and_for_raw_keys(push, reset, states, pushes):
    again = reset(jax.random.split(jax.random.key(0), 64))
    jax.tree.map(np.testing.assert_array_equal, again, states)
    raw = reset(jax.random.split(jax.random.PRNGKey(0), 64))
    jax.tree.map(np.testing.assert_array_equal, raw, states)


@pytest.mark.parametrize(
    "rng", [0, np.zeros(2), np.zeros(3, np.uint32), jax.random.split(jax.random.key(0), 2)], ids=repr
)
def test_reset_refuses_what_is_no_key(push, rng):
    with pytest.raises(ValueError, match="rng: got"):
        push.reset(rng)


def test_every_state_has_the_structure_of_the_first(pushes):
    like = lambda state: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    _, _, trace = pushes
    assert jax.tree.structure(trace[0]) == jax.tree.structure(trace[-1])
    assert like(trace[0]) == like(trace[-1])
    assert all(leaf.size > 0 for leaf in jax.tree.leaves(trace[0]))  # a checkpoint takes no empty arrays


def test_reward_is_success_of_what_was_achieved(push, pushes):
    for state in pushes[2]:
        obs = state.obs
        np.testing.assert_array_equal(obs["achieved_goal"], obs["observation"])
        np.testing.assert_array_equal(obs["desired_goal"], pushes[2][0].obs["desired_goal"])
        np.testing.assert_array_equal(state.reward, push.success(obs["achieved_goal"], obs["desired_goal"]))
        np.testing.assert_array_equal(state.metrics["success"], state.reward)
        assert not state.done.any()
    rewards = np.array([state.reward for state in pushes[2]])
    assert 0 < rewards.sum() < rewards.size


def test_success_looks_at_the_puck_alone_and_is_strict(push):
    goal = jnp.array([0.0, 0.5, 0.0, 0.625])
    far_hand = jnp.array([0.2, 0.7, 0.03, 0.665])
    assert push.distance(far_hand, goal) == pytest.approx(0.05, abs=1e-6)
    assert push.success(far_hand.at[3].add(-0.001), goal)
    assert not push.success(far_hand.at[3].add(0.001), goal)
    at_threshold = envs.make("push", threshold=0.125)  # exact in binary
    assert not at_threshold.success(goal.at[3].add(-0.125), goal)


def test_one_environment_alone_equals_its_row_of_a_batch_and_needs_no_jit(push, states, step, pushes):
    alone = jax.jit(push.step)
    busy, moves = pushes[2][12], jnp.asarray(index(pushes[1][12]))
    batched = step(busy, moves)
    row = lambda tree, i: jax.tree.map(lambda leaf: leaf[i], tree)
    for i in (0, 31, 63):
        after = alone(row(busy, i), moves[i])
        np.testing.assert_allclose(after.obs["observation"], batched.obs["observation"][i], atol=2e-6)
    eager = push.step(row(busy, 0), moves[0])
    np.testing.assert_allclose(eager.obs["observation"], batched.obs["observation"][0], atol=2e-6)
    first = push.reset(jax.random.split(jax.random.key(0), 64)[5])
    np.testing.assert_allclose(first.obs["observation"], states.obs["observation"][5], atol=1e-7)
    np.testing.assert_allclose(first.obs["desired_goal"], states.obs["desired_goal"][5], atol=1e-7)


@pytest.mark.parametrize("bad", [-1, 9, 10_000, -(2**31), 2**31 - 1])
def test_an_action_out_of_the_set_moves_nothing_and_is_counted(bad, place, step):
    before = place([[0.1, 0.6, -0.1, 0.6]])
    after = step(before, jnp.full((64, 1), bad, jnp.int32))
    np.testing.assert_allclose(after.obs["observation"][0], [0.1, 0.6, -0.1, 0.6], atol=1e-7)
    assert after.metrics["invalid_action"].tolist() == [1.0] * 64
    fine = step(after, jnp.full((64, 1), 8))
    assert fine.metrics["invalid_action"].tolist() == [0.0] * 64


@pytest.mark.parametrize(
    "action",
    [jnp.int32(4), jnp.zeros(2, jnp.int32), jnp.zeros((1, 1), jnp.int32), jnp.zeros(1), jnp.zeros(1, bool)],
    ids=["scalar", "two", "rank 2", "float", "bool"],
)
def test_an_action_of_a_wrong_shape_or_dtype_is_refused(action, push, states):
    state = jax.tree.map(lambda leaf: leaf[0], states)
    with pytest.raises(ValueError, match="action: got"):
        push.step(state, action)
    with pytest.raises(ValueError, match="action: got"):
        jax.jit(push.step)(state, action)


def test_continuous_actions_scale_clip_and_survive_nan(states, step, place):
    env = envs.make("push", actions="continuous")
    assert env.spec.action == types.Box(2)
    inf, nan = jnp.inf, jnp.nan
    actions = [(1, -1), (0.25, -0.5), (7, -1e30), (0, 0), (nan, 1), (1, nan), (inf, 0), (0, -inf)]
    expected = [(1, -1), (0.25, -0.5), (1, -1), (0, 0)] + [(0, 0)] * 4
    after = jax.jit(jax.vmap(env.step))(place([[0.1, 0.6, -0.1, 0.6]]), jnp.array(actions * 8, jnp.float32))
    hands = np.array([(0.1, 0.6)]) + 0.02 * np.array(expected)
    np.testing.assert_allclose(after.obs["observation"][:8, :2], hands, atol=1e-6)
    assert after.metrics["invalid_action"][:8].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))
    state = jax.tree.map(lambda leaf: leaf[0], states)
    for bad in (jnp.float32(0.5), jnp.zeros(3), jnp.zeros(2, jnp.int32)):
        with pytest.raises(ValueError, match="action: got"):
            env.step(state, bad)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("threshold", 0.0), ("threshold", -1.0), ("threshold", float("nan")), ("threshold", float("inf")),
        ("threshold", "0.05"), ("threshold", True), ("horizon", 0), ("horizon", 2.5), ("horizon", True),
        ("actions", "Discrete"), ("actions", None), ("actions", 9),
    ],
)  # fmt: skip
def test_overrides_are_checked(override, value):
    with pytest.raises(ValueError, match=f"^{override}: got .*, but it must be .*\\. "):
        envs.make("push", **{override: value})


def test_the_scene_shows_puck_tool_and_goal(push, states):
    state = jax.tree.map(lambda leaf: leaf[0], states)
    scene = push.scene(state)
    xy, translucent = np.asarray(scene.position)[:, :2], np.asarray(scene.rgba)[:, 3] < 1
    is_puck = np.array([kind == rendering.CYLINDER for kind in scene.kinds])
    now, goal = np.asarray(state.obs["observation"]), np.asarray(state.obs["desired_goal"])
    np.testing.assert_allclose(xy[is_puck & ~translucent], now[None, 2:])
    np.testing.assert_allclose(xy[is_puck & translucent], goal[None, 2:])
    np.testing.assert_allclose(xy[~is_puck & translucent], goal[None, :2])
    assert np.any(np.all(np.isclose(xy, now[:2]), axis=1))
    assert isinstance(push.camera(), rendering.Camera)
