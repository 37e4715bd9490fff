"""What every task in pure JAX promises: the GoalEnv contract, hostile input, rollouts, AutoReset and pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tabular
import wrong_arguments

from hindsight_jax import envs, rendering, training, types

BATCH, STEPS = 64, 30
TASKS = {
    "flip_bit": lambda: envs.make("flip_bit", size=4, horizon=12),
    "navigation": lambda: envs.make("navigation", size=1, horizon=12),
    "navigation_discrete": lambda: envs.make("navigation", size=2, actions="discrete", horizon=12, threshold=0.3),
    "grid_four_rooms": lambda: envs.make("grid_four_rooms", horizon=12, threshold=4.5),
    "tabular": lambda: tabular.TabularEnv(tabular.chain(4, slip=0.25), horizon=12),
}
KEYS = jax.random.split(jax.random.key(0), BATCH)


class Play:
    """A task, and 30 random steps of 64 of its environments."""

    def __init__(self, env):
        self.env, kind, rng = env, env.spec.action, np.random.default_rng(0)
        self.reset, self.step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
        shape = (STEPS, BATCH, kind.num_dims)
        if isinstance(kind, types.Box):
            self.actions = rng.uniform(-1.0, 1.0, shape).astype(np.float32)
        else:
            self.actions = rng.integers(0, kind.num_bins, shape).astype(np.int32)
        self.first = self.reset(KEYS)
        self.trace = [self.first]
        for action in self.actions:
            self.trace.append(self.step(self.trace[-1], action))

    def history(self, name):
        """obs[name] of all states, [31, 64, ...]."""
        return np.stack([state.obs[name] for state in self.trace])


def tasks(*quick):
    """These tasks by default, the others with -m seldom: a program compiles for a second or two."""
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.seldom]) for name in TASKS]


def quickly(*quick):
    """A test of whole programs that only these tasks run by default."""
    return pytest.mark.parametrize("play", tasks(*quick), indirect=True, scope="module")


@pytest.fixture(scope="module", params=tasks("flip_bit", "navigation", "grid_four_rooms"))
def play(request):
    return Play(TASKS[request.param]())


def row(states, index):
    return jax.tree.map(lambda leaf: leaf[index], states)


def plain(tree):
    """Typed keys as their numbers, for comparisons."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def same(one, other, rtol=0.0):
    """Equal trees; floats within `rtol`."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), plain(one), plain(other))


def test_the_spec_describes_the_arrays(play):
    env, spec = play.env, play.env.spec
    one = row(play.first, 0)
    shapes = {name: leaf.shape for name, leaf in one.obs.items()}
    assert shapes == env.observation_size
    assert env.observation_size["observation"] == spec.observation_shape
    assert all(leaf.dtype == jnp.float32 for leaf in one.obs.values())
    assert len(spec.observation_range.low) == len(spec.observation_range.high) == spec.observation_shape[0]
    assert len(spec.goal_range.low) == len(spec.goal_range.high) == spec.goal_shape[0]
    assert env.action_size == spec.action.num_dims
    assert env.backend == "jax"
    assert all(type(x) is float for x in (spec.threshold, *spec.goal_range.low, *spec.goal_range.high))


def test_every_state_has_the_structure_of_the_first(play):
    like = lambda state: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)), state)
    assert like(play.trace[0]) == like(play.trace[1]) == like(play.trace[-1])
    assert all(leaf.size > 0 for leaf in jax.tree.leaves(play.first))


def test_one_environment_alone_equals_its_row_of_a_batch_and_needs_no_jit(play):
    for k in range(0, BATCH, 7):
        same(play.env.step(row(play.trace[3], k), play.actions[3, k]), row(play.trace[4], k), rtol=1e-6)


def test_reset_depends_on_the_key_alone(play):
    same(play.reset(KEYS), play.first)
    other = play.reset(jax.random.split(jax.random.key(9), BATCH))
    for name in ("observation", "desired_goal"):
        assert np.any(other.obs[name] != play.first.obs[name])
    for rng in (0, np.zeros(3, np.uint32), KEYS):
        with pytest.raises(ValueError, match="rng: got"):
            play.env.reset(rng)


def test_reward_and_end_are_success_of_what_was_achieved(play):
    spec = play.env.spec
    achieved, goal = play.history("achieved_goal"), play.history("desired_goal")
    np.testing.assert_array_equal(achieved, play.history("observation"))
    np.testing.assert_array_equal(goal, np.broadcast_to(goal[0], goal.shape))
    success = np.asarray(jax.vmap(jax.vmap(play.env.success))(achieved, goal))[1:]
    for name in ("reward", "done"):
        np.testing.assert_array_equal(np.stack([getattr(state, name) for state in play.trace[1:]]), success)
    assert not play.first.done.any()
    np.testing.assert_array_equal(np.stack([state.metrics["success"] for state in play.trace[1:]]), success)
    assert 0 < success.sum() < success.size
    low, high = np.array(spec.observation_range.low), np.array(spec.observation_range.high)
    for values in (achieved, goal):
        assert np.all((values >= low) & (values <= high))


def test_bad_actions_move_nothing_are_counted_and_harm_no_neighbour(play):
    """NaN, infinite and huge ones: of integers all out of the set are bad, of numbers those that are not finite."""
    kind, before = play.env.spec.action, play.trace[2]
    if isinstance(kind, types.Box):
        bad = np.array([np.nan, np.inf, -np.inf], np.float32)
        largest = np.finfo(np.float32).max
        ends = [play.step(before, np.full_like(play.actions[2], value)) for value in (1.0, largest)]
        same(*ends)  # clipped
    else:
        bad = np.array([-1, kind.num_bins, 10_000, -(2**31), 2**31 - 1], np.int32)
    actions = play.actions[2].copy()
    actions[: len(bad), -1] = bad
    after, count = play.step(before, actions), len(bad)
    np.testing.assert_array_equal(after.obs["observation"][:count], before.obs["observation"][:count])
    assert after.metrics["invalid_action"].tolist() == [1.0] * count + [0.0] * (BATCH - count)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(plain(after)))
    others = lambda states: jax.tree.map(lambda leaf: leaf[count:], plain(states))
    jax.tree.map(np.testing.assert_array_equal, others(after), others(play.trace[3]))
    assert not play.step(after, play.actions[0]).metrics["invalid_action"].any()


def test_actions_of_a_wrong_shape_or_dtype_are_refused(play):
    state, kind = row(play.first, 0), play.env.spec.action
    wrong = jnp.int32 if isinstance(kind, types.Box) else jnp.float32
    right = jnp.float32 if isinstance(kind, types.Box) else jnp.int32
    for bad in (jnp.zeros((), right), jnp.zeros(kind.num_dims + 1, right), jnp.zeros(kind.num_dims, wrong)):
        with pytest.raises(ValueError, match="action: got"):
            play.env.step(state, bad)


@quickly("navigation")
def test_resets_need_no_jit_and_take_raw_keys(play):
    same(play.env.reset(jax.random.key_data(KEYS[5])), row(play.first, 5))


def test_a_key_of_another_generator_is_read_as_its_seed_s():
    env = envs.make("flip_bit", size=8)
    usual = env.reset(jax.random.key(5))
    for impl in ("rbg", "unsafe_rbg"):
        same(env.reset(jax.random.key(5, impl=impl)), usual)
        with jax.default_prng_impl(impl):
            same(env.reset(jax.random.PRNGKey(5)), usual)  # uint32[4]
    with pytest.raises(ValueError, match=r"rng: got uint32\[3\], but .* uint32\[4\] \(rbg\)\. Pass one key"):
        env.reset(jnp.zeros(3, jnp.uint32))


@quickly()  # each task's own file plays its shortest episodes
def test_an_episode_of_a_rollout_ends_at_its_first_success(play):
    env, horizon = play.env, play.env.spec.horizon
    policy = lambda observation, goal, key: env.spec.action.sample(key)
    result = jax.jit(lambda key: training.rollout(env, policy, key, 128))(jax.random.key(0))
    episodes = jax.tree.map(np.asarray, result.trajectories)
    achieved, goal = episodes.achieved_goal, episodes.desired_goal
    assert achieved.shape == (128, horizon + 1, *env.spec.goal_shape)
    success = np.asarray(jax.vmap(jax.vmap(env.success, (0, None)))(achieved[:, 1:], goal))
    first = [int(np.argmax(hits)) + 1 if hits.any() else horizon for hits in success]
    np.testing.assert_array_equal(episodes.length, first)
    np.testing.assert_array_equal(episodes.terminal, success.any(axis=1))
    np.testing.assert_array_equal(result.success_any, success.any(axis=1))
    np.testing.assert_array_equal(result.success_end, success.any(axis=1))
    assert 0 < episodes.terminal.sum() < 128
    assert len(set(first)) > 3


@quickly("grid_four_rooms")
def test_auto_reset_gives_every_episode_a_fresh_start_and_goal(play):
    env = envs.AutoReset(play.env, horizon=5)
    first, actions = jax.jit(env.reset)(KEYS[0]), jnp.concatenate(play.actions[:, :10])
    _, trace = jax.jit(lambda s: jax.lax.scan(lambda s, a: (env.step(s, a),) * 2, s, actions))(first)
    done = np.asarray(trace.done, bool)
    assert done.sum() >= 300 // 5
    goals = np.concatenate([np.asarray(first.obs["desired_goal"])[None], trace.obs["desired_goal"]])
    changed = np.any(goals[1:] != goals[:-1], axis=-1)
    assert not np.any(changed & ~done)
    assert changed.sum() > 0.5 * done.sum()  # of a few cells or bits, the next goal may be the same
    final = trace.info["final_observation"]
    np.testing.assert_array_equal(final["desired_goal"], goals[:-1])
    hit = np.asarray(jax.vmap(env.success)(final["achieved_goal"], final["desired_goal"]))
    assert 0 < hit.sum() < done.sum()
    np.testing.assert_array_equal(trace.reward, hit)
    np.testing.assert_array_equal(np.asarray(trace.info["truncation"], bool), done & ~hit)
    np.testing.assert_array_equal(trace.pipeline_state.goal, trace.obs["desired_goal"])


def drawn(name, overrides, observation, goal):
    """The task, and its scene of that state and goal."""
    env = envs.make(name, **overrides)
    observation, goal = jnp.array(observation, jnp.float32), jnp.array(goal, jnp.float32)
    blank = wrong_arguments.zeros_like(jax.eval_shape(env.reset, jax.random.key(0)))
    state = blank.replace(obs={"observation": observation, "desired_goal": goal})
    return env, env.scene(state)


def test_the_scene_of_flip_bit_has_a_box_for_each_bit_and_a_red_plate_under_a_wrong_one():
    """Five bits in rows of three: 0 1 0 / 1 0, seen from above."""
    _, scene = drawn("flip_bit", {"size": 5}, [0, 1, 0, 1, 0], [0, 1, 1, 1, 1])
    rgba, kinds = np.asarray(scene.rgba), np.array(scene.kinds)
    boxes, plates = kinds == rendering.BOX, np.flatnonzero(kinds == rendering.PLANE)[1:]  # the first is the table
    assert (rgba[boxes, 0] < 0.5).tolist() == [False, True, False, True, False]
    assert (rgba[plates, 0] > 2 * rgba[plates, 1]).tolist() == [False, False, True, False, True]
    expected = [(-1, 0.5), (0, 0.5), (1, 0.5), (-1, -0.5), (0, -0.5)]
    for places in (boxes, plates):
        np.testing.assert_allclose(np.asarray(scene.position)[places, :2], expected)


@pytest.mark.parametrize(("size", "num_bars"), [(1, 0), (2, 0), (3, 3)])
def test_the_scene_of_navigation_has_a_ball_a_goal_and_a_bar_for_each_error(size, num_bars):
    point, goal = [0.5, 0.25, 0.0][:size], [-0.5, 0.75, 0.8][:size]
    _, scene = drawn("navigation", {"size": size}, point, goal)
    kinds, position = np.array(scene.kinds), np.asarray(scene.position)
    np.testing.assert_allclose(position[kinds == rendering.SPHERE, :2], [[0.5, 0.25 if size > 1 else 0.0]])
    np.testing.assert_allclose(position[kinds == rendering.CYLINDER, :2], [[-0.5, 0.75 if size > 1 else 0.0]])
    np.testing.assert_allclose(np.asarray(scene.size)[kinds == rendering.CYLINDER, 0], 0.17)  # threshold and radius
    bars = kinds == rendering.BOX
    np.testing.assert_allclose(2 * np.asarray(scene.size)[bars, 1], [0.5, 0.25, 0.4][:num_bars], rtol=1e-6)
    feet = position[bars, 1] - np.asarray(scene.size)[bars, 1]
    np.testing.assert_allclose(feet, [-2.5] * num_bars, rtol=1e-6)


def test_the_scene_of_grid_four_rooms_has_walls_walker_and_goal():
    _, scene = drawn("grid_four_rooms", {}, [1, 2], [10, 0])
    kinds, position, translucent = np.array(scene.kinds), np.asarray(scene.position), np.asarray(scene.rgba)[:, 3] < 1
    assert np.sum(kinds[~translucent] == rendering.BOX) == 17
    np.testing.assert_allclose(position[kinds == rendering.SPHERE, :2], [[2, -1]])
    np.testing.assert_allclose(position[translucent, :2], [[0, -10]])
    assert [0.0, -5.0] in position[(kinds == rendering.BOX) & ~translucent, :2].tolist()  # the map's (5, 0)


PICTURES = [
    ("flip_bit", {"size": 5}, [0, 1, 0, 1, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1]),
    ("navigation", {"size": 1}, [0.5], [-0.5], [1.0]),
    ("navigation", {"size": 3}, [0.5, 0.5, 0.0], [0.5, 0.5, 1.0], [0.5, 0.5, -0.6]),
    ("grid_four_rooms", {}, [0, 0], [10, 10], [3, 4]),
]


@pytest.mark.seldom
@pytest.mark.parametrize(("name", "overrides", "start", "goal", "moved"), PICTURES)
def test_a_picture_shows_the_state_and_the_goal(name, overrides, start, goal, moved):
    """It changes where the state does and where the goal does, and in the camera's view."""

    @jax.jit
    def picture(observation, goal):
        env, scene = drawn(name, overrides, observation, goal)
        return rendering.render(scene, env.camera(), 32, 32, antialias=1)

    start, goal, moved = (jnp.array(values, jnp.float32) for values in (start, goal, moved))
    before = picture(start, goal)
    assert np.isfinite(before).all()
    for after in (picture(moved, goal), picture(start, moved)):
        assert np.mean(np.any(np.abs(after - before) > 0.05, axis=-1)) > 0.004


OVERRIDES = [
    ("flip_bit", "size", 0), ("flip_bit", "size", 2.5), ("flip_bit", "size", True), ("flip_bit", "start", "ones"),
    ("flip_bit", "start", None), ("flip_bit", "horizon", 0), ("flip_bit", "horizon", "25"),
    ("flip_bit", "threshold", 0.0), ("navigation", "size", -1), ("navigation", "actions", "Box"),
    ("navigation", "actions", 3), ("navigation", "horizon", True), ("navigation", "threshold", float("nan")),
    ("grid_four_rooms", "horizon", 0), ("grid_four_rooms", "slip", -0.1), ("grid_four_rooms", "slip", 1.1),
    ("grid_four_rooms", "slip", float("nan")), ("grid_four_rooms", "slip", "0.2"), ("grid_four_rooms", "slip", True),
    ("grid_four_rooms", "threshold", "0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "override", "value"), OVERRIDES)
def test_overrides_are_checked(name, override, value):
    with pytest.raises(ValueError, match=f"^{override}: got .*, but it must be .*\\. [A-Z].*\\.$"):
        envs.make(name, **{override: value})
