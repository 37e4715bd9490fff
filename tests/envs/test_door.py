"""door against C MuJoCo, the hook on the handle in closed form, and a script that reaches every goal."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import physics_contract
import pytest
from scipy import stats

from hindsight_jax import envs, types
from hindsight_jax.envs import door

LOW, HIGH = np.array([-0.1, 0.45, 0.1]), np.array([0.05, 0.65, 0.25])
IDLE, BACK, FORWARD, DOWN = (0, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1)
WISHES = np.linspace(0.0, 0.83, physics_contract.BATCH)  # an angle for each environment


def index(move):
    """i32[..., 1] of moves [..., 3] in {-1, 0, 1}."""
    return (np.asarray(move) + 1).astype(np.int32) @ np.array([[9], [3], [1]], np.int32)


def moves(actions):
    """[..., 1] -> [..., 3] in {-1, 0, 1}, by NumPy's own reading of base 3."""
    return np.stack(np.unravel_index(np.asarray(actions)[..., 0], (3, 3, 3)), axis=-1) - 1.0


def towards(seen, wish):
    """Moves [N, 3]: down to the handle; then back, along the arc of its middle, to open, or forwards to shut."""
    x, _, z, angle = seen.T
    arc = 0.21 - 0.26 * np.cos(angle) + 0.05 * np.sin(angle)
    back = np.stack([arc > x + 0.012, np.full(len(x), -1), np.zeros(len(x))], axis=1)
    move = np.where((wish > angle)[:, None], back, FORWARD)
    move = np.where((z > 0.18)[:, None], DOWN, move)
    return np.where((np.abs(wish - angle) < 0.04)[:, None], IDLE, move)


def pull_about(seen, rng):
    """A policy that touches: a quarter random, the rest the script with slips."""
    wander = rng.integers(-1, 2, (len(seen), 3))
    slip = (rng.random(len(seen)) < 0.2) | (np.arange(len(seen)) % 4 == 0)
    return index(np.where(slip[:, None], wander, towards(seen, WISHES)))


play = physics_contract.play_of("door", policy=pull_about)


class TestContract(physics_contract.PhysicsContract):
    """A hook may come down on the handle's crown and slide off to either side: the worst case over 100 steps is a door
    that one simulator holds and the other has lost."""

    tolerances = ((1e-6, 1e-5), (1e-4, 5e-2), (1e-3, 0.8))
    boxes = (("start", 3), ("goal", 1))
    fixed_start = True

    @pytest.mark.seldom  # push, reacher and lunar_lander do so by default
    def test_it_follows_c_mujoco(self, play):
        super().test_it_follows_c_mujoco(play)


def run(play, positions, *script):
    """Positions [n, 4] of the last state of a script of moves (move, times), from the positions [n, 4] at rest."""
    now = play.place(positions)
    for move, times in script:
        for _ in range(times):
            now = play.step(now, np.tile(index(move), (physics_contract.BATCH, 1)))
    return np.asarray(now.obs["observation"])[: len(positions)]


def angle_at(hand, gap):
    """The angle of a door whose middle plane is `gap` behind the axis of the tip of a hand [..., 3]."""
    across, back = 0.21 - hand[..., 0], 0.725 - (hand[..., 1] + 0.053)
    return np.arctan2(back, across) - np.arcsin(gap / np.hypot(across, back))


def test_spec_has_the_numbers_of_the_table(play):
    spec = play.env.spec
    assert spec[:2] == ((4,), (1,))
    assert spec.action == types.Discrete(1, 27)
    assert (spec.horizon, spec.threshold, spec.ends_at_success) == (50, 0.05, False)
    assert spec.observation_range == types.Range((*LOW, 0.0), (*HIGH, 0.83))
    assert spec.goal_range == types.Range((0.0,), (0.83,))


def test_the_start_has_the_hook_above_the_handle_and_the_tip_behind_it(play):
    """Tip: y 0.635 + 0.053 -+ 0.01, from z 0.225 - 0.04; bar: y 0.725 - 0.06 +- 0.01 and z 0.1 + 0.05 +- 0.01. The axes
    are 0.023 apart in y, and the tip's last centre is 0.045 above the bar's: sqrt(0.023^2 + 0.045^2) - 0.02 free."""
    np.testing.assert_allclose(play.qpos[0], np.tile([-0.05, 0.635, 0.225, 0.0], (64, 1)))
    model = play.env.engine.model
    data = mujoco.MjData(model)
    data.qpos[:] = play.qpos[0, 0]
    mujoco.mj_forward(model, data)
    assert data.ncon == 0
    gap = mujoco.mj_geomDistance(model, data, model.geom("tip").id, model.geom("bar").id, 1.0, None)
    assert gap == pytest.approx(np.hypot(0.023, 0.045) - 0.02, abs=1e-6)


@pytest.mark.parametrize("action", range(27))
def test_the_hand_travels_two_centimetres_per_unit_action(action, play):
    after = play.step(play.place([(-0.03, 0.53, 0.2, 0.0)]), np.full((64, 1), action))
    want = np.array([-0.03, 0.53, 0.2]) + 0.02 * moves([action])
    np.testing.assert_allclose(after.obs["observation"][0], [*want, 0.0], atol=1e-6)


def test_hand_and_door_stay_in_their_ranges(play):
    """A hook that lands on the front of the handle presses a shut door a few hundredths in, for a substep."""
    hand, angle = play.qpos[..., :3], play.qpos[..., 3]
    assert np.max(np.maximum(LOW - hand, hand - HIGH)) < 2e-3
    assert angle.min() > -0.04
    assert np.mean(angle > -0.003) > 0.99
    assert 0.7 < angle.max() < door.widest() + 0.01


def test_a_hook_behind_the_handle_pulls_the_door_along(play):
    """Tip and bar touch: their axes lie 0.02 apart, so the door's middle plane lies 0.06 - 0.02 behind the tip. What is
    left of the contact's skin after the pull is a millimetre, at 0.16 to 0.34 from the hinge."""
    x = np.array([-0.1, -0.06, -0.02, 0.02])
    start = np.stack([x, np.full(4, 0.635), np.full(4, 0.175), np.zeros(4)], axis=1)
    last = run(play, start, (BACK, 4), (IDLE, 2))
    np.testing.assert_allclose(last[:, 1], 0.555, atol=2e-3)
    np.testing.assert_allclose(last[:, 3], angle_at(last[:, :3], gap=0.04), atol=2e-3)
    assert np.all(np.diff(last[:, 3]) > 0.03)  # nearer to the hinge, wider


def test_a_tip_in_front_of_the_panel_pushes_the_door_shut(play):
    """Tip and panel touch 0.02 in front of the panel's middle, at any height of the hand."""
    start = np.array([(-0.05, 0.5, 0.11, 0.4), (-0.05, 0.5, 0.25, 0.4), (0.05, 0.55, 0.25, 0.4), (0.0, 0.5, 0.22, 0.5)])
    last = run(play, start, (FORWARD, 4), (IDLE, 2))
    np.testing.assert_allclose(last[:, 3], angle_at(last[:, :3], gap=0.02), atol=2e-3)
    assert np.all(last[:, 3] < start[:, 3] - 0.1)


def test_a_post_keeps_the_hook_from_slipping_off(play):
    """Pulled straight back, the tip slides along the bar to the left post, at 0.36 - 0.02 from the hinge; then the
    door must stop. With the tip at (0.34, 0.04) of the door, x = 0.21 - 0.34 cos a + 0.04 sin a."""
    hand = run(play, [(-0.09, 0.635, 0.175, 0.0)], (BACK, 9), (IDLE, 2))[0]
    assert hand[0] == pytest.approx(0.21 - 0.34 * np.cos(hand[3]) + 0.04 * np.sin(hand[3]), abs=2e-3)
    assert hand[3] == pytest.approx(angle_at(hand[:3], gap=0.04), abs=2e-3)
    assert hand[0] > -0.08  # drawn to the right by the post


def test_the_hook_rests_on_the_handle(play):
    """Bar on bar, 0.1 + 0.05 + 0.01 + 0.01, less what the servo presses into the contact's skin."""
    rest = run(play, [(-0.05, 0.635, 0.225, 0.0)], (DOWN, 8))[0]
    np.testing.assert_allclose(rest, [-0.05, 0.635, 0.17, 0.0], atol=1.5e-3)


def test_the_door_stays_where_it_is_left(play):
    pulled = run(play, [(-0.05, 0.635, 0.175, 0.0)], (BACK, 4))
    left = run(play, pulled, ((0, 1, 1), 1), ((0, 0, 1), 2), ((0, -1, 0), 3), (IDLE, 3))
    assert pulled[0, 3] > 0.2
    assert left[0, 3] == pytest.approx(pulled[0, 3], abs=2e-3)
    assert left[0, 2] > 0.22


def test_a_script_reaches_every_goal_and_stays_there(play):
    now = play.first
    for _ in range(50):
        now = play.step(now, index(towards(np.asarray(now.obs["observation"]), WISHES)))
    np.testing.assert_allclose(np.asarray(now.obs["achieved_goal"])[:, 0], WISHES, atol=0.0499)


def test_random_hands_seldom_move_the_door(play):
    """The initial change ratio of HDM's section 5.3, at the threshold: 0.28 of 400 episodes; 0.08 of them succeed."""
    now, rng = play.first, np.random.default_rng(1)
    for _ in range(50):
        now = play.step(now, rng.integers(0, 27, (64, 1), np.int32))
    moved = np.asarray(now.obs["achieved_goal"]) > 0.05
    assert 0.1 < moved.mean() < 0.45
    assert np.asarray(now.reward).mean() < 0.3


def test_the_hand_can_pull_as_far_as_is_said(play):
    """Into the corner next to the hinge, (0.05, 0.45)."""
    last = run(play, [(0.0, 0.635, 0.175, 0.0)], ((1, -1, 0), 10), (IDLE, 2))[0]
    assert door.widest() == pytest.approx(angle_at(np.array([0.05, 0.45, 0.17]), gap=0.04))
    assert last[3] == pytest.approx(door.widest(), abs=3e-3)


def test_reachable_is_what_can_be_pulled_to_within_the_threshold(play):
    asked = [-0.06, -0.04, 0.0, 0.5, 0.83, 0.849, 0.851, 1.0472]
    got = [bool(play.env.reachable(jnp.array([angle]))) for angle in asked]
    assert got == [False, True, True, True, True, True, False, False]


def test_six_substeps_follow_sixty_short_ones(play):
    """0.025 s is short enough: the door lags by a few milliradians, and where the hook slips, by a few hundredths."""
    targets = np.clip(play.qpos[:20, :, :3] + 0.02 * moves(np.stack(play.actions[:20])), LOW, HIGH)
    c = physics_contract.with_short_steps("door.xml", 10, play.qpos, targets, num_substeps=60)
    error = np.abs(play.qpos[:21, :, 3] - c[..., 3])
    assert np.median(error, axis=1).max() < 4e-3
    assert np.quantile(error, 0.99, axis=1).max() < 0.04


def test_goals_and_starts_are_uniform_in_their_boxes(play):
    keys = jax.random.split(jax.random.key(2), 2000)
    goals = np.asarray(jax.vmap(play.env.sample_goal)(keys))
    assert stats.kstest(goals[:, 0], "uniform", (0.0, 0.83)).pvalue > 1e-4
    start = ((-0.1, 0.5, 0.21), (0.0, 0.6, 0.25))
    env = envs.make("door", start=start, goal=((0.2,), (1.0,)))
    places = np.asarray(jax.vmap(env.sample_start)(keys).qpos)
    for column, low, high in zip(places.T[:3], *start, strict=True):
        assert stats.kstest(column, "uniform", (low, high - low)).pvalue > 1e-4
    assert not places[:, 3].any()
    goals = np.asarray(jax.vmap(env.sample_goal)(keys))
    assert stats.kstest(goals[:, 0], "uniform", (0.2, 0.8)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("override", "value"),
    [("start", ((-0.05, 0.635, 0.2),) * 2), ("start", ((0.0, 0.66, 0.22),) * 2), ("goal", ((0.0,), (1.05,)))],
)
def test_starts_in_the_handle_and_goals_beyond_the_hinge_are_refused(override, value):
    with pytest.raises(ValueError, match=rf"^{override}: got .*, but it must be .*\. (GCSL|multiworld)'s is"):
        envs.make("door", **{override: value})
