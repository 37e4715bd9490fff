"""Gymnasium's view of our tasks: what its checkers ask for, and the same numbers as the task itself."""

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
import unusual

gymnasium = pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from hindsight_jax.interop.gymnasium import GymnasiumEnv, register  # noqa: E402

CHEAP = {"FlipBit": {"size": 4}, "Navigation": {"size": 3}}
SLOW = ("GridFourRooms", "LunarLander", "Push", "Claw")
TASKS = [*CHEAP, *(pytest.param(name, marks=pytest.mark.seldom) for name in SLOW)]


def made(name):
    register()
    id_ = f"hindsight_jax/{name}-v0"
    return gymnasium.make(id_, render_mode="rgb_array", render_size=16, **CHEAP.get(name, {})).unwrapped


class Traced(probes.Chain):
    """Counts its traces."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.traces = {"reset": 0, "step": 0, "success": 0}

    def reset(self, rng):
        self.traces["reset"] += 1
        return super().reset(rng)

    def step(self, state, action):
        self.traces["step"] += 1
        return super().step(state, action)

    def success(self, achieved, desired):
        self.traces["success"] += 1
        return super().success(achieved, desired)


def seen():
    """A cheap task as images: two frames of a ball on a floor."""
    register()
    arguments = {"size": 2, "pixels": 36, "frames": 2, "render_mode": "rgb_array", "render_size": 16}
    return gymnasium.make("hindsight_jax/Navigation-v0", **arguments).unwrapped


def test_images_are_bytes_and_goals_stay_vectors():
    env = seen()
    image = gymnasium.spaces.Box(0, 255, (36, 36, 6), np.uint8)
    assert env.observation_space["observation"] == image
    check_env(env)
    first, _ = env.reset(seed=3)
    assert list(first) == ["observation", "achieved_goal", "desired_goal"]
    seed = np.random.default_rng(3).integers(2**32, dtype=np.uint32)
    state = jax.jit(env.task.reset)(jax.random.key(seed))
    after, *_ = env.step(env.action_space.sample())
    for observation in (first, after):
        assert image.contains(observation["observation"])
        assert {observation[name].dtype for name in ("achieved_goal", "desired_goal")} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(first["observation"], state.obs["observation"])
    np.testing.assert_array_equal(first["desired_goal"], state.obs["desired_goal"])
    np.testing.assert_array_equal(after["observation"][..., :3], first["observation"][..., 3:])


@pytest.mark.parametrize("name", ["flip_bit", pytest.param("point_mass", marks=pytest.mark.slow)])
def test_steps_are_of_float32_and_the_same_for_every_setting_of_jax(name):
    def played():
        env = GymnasiumEnv(name)
        env.action_space.seed(0)
        steps = [env.reset(seed=3)[0], *(env.step(env.action_space.sample())[0] for _ in range(2))]
        return [(part, str(array.dtype), array.tolist()) for step in steps for part, array in step.items()]

    usual = played()
    assert {dtype for _, dtype, _ in usual} == {"float32"}
    with unusual.settings():
        assert played() == usual


def test_goals_that_are_images_are_refused():
    with pytest.raises(ValueError, match="goals: got 'image', but the goals of this interface are vectors"):
        GymnasiumEnv("navigation", size=2, pixels=36, goals="image")


@pytest.mark.seldom
def test_stable_baselines3_learns_from_images_with_hindsight():
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    pytest.importorskip("stable_baselines3.common.env_checker").check_env(seen())
    buffer = {"n_sampled_goal": 4, "goal_selection_strategy": "future"}
    ddpg = stable_baselines3.DDPG(
        "MultiInputPolicy", seen(), replay_buffer_class=stable_baselines3.HerReplayBuffer, buffer_size=200,
        replay_buffer_kwargs=buffer, learning_starts=60, batch_size=4, policy_kwargs={"net_arch": [8]},
    )  # fmt: skip
    assert any("cnn" in name for name, _ in ddpg.policy.actor.named_parameters())
    ddpg.learn(70)
    assert ddpg.replay_buffer.observations["observation"].dtype == np.uint8


@pytest.mark.parametrize("name", TASKS)
def test_gymnasium_s_checker_has_nothing_to_say(name):
    """Warnings are errors here. It resets, steps and draws, and compares seeds."""
    check_env(made(name))


@pytest.mark.parametrize("name", TASKS)
def test_stable_baselines3_s_checker_has_nothing_to_say(name):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(made(name), skip_render_check=False)


@pytest.mark.parametrize(
    ("arguments", "space", "action"),
    [
        ({"task": "flip_bit", "size": 3}, gymnasium.spaces.Discrete(3), np.int64(2)),
        ({"task": "navigation", "size": 2}, gymnasium.spaces.Box(-1, 1, (2,), np.float32), np.float32([0.5, -2.0])),
        (
            {"task": "navigation", "size": 2, "actions": "discrete"},
            gymnasium.spaces.MultiDiscrete([3, 3]),
            np.array([0, 2]),
        ),
        ({"task": probes.Disguised()}, gymnasium.spaces.Discrete(3), np.int64(2)),  # phi(s) is not s
    ],
)
def test_an_episode_is_the_task_s_own(arguments, space, action):
    """The first draw of Gymnasium's generator is the seed of the task's key; then the task steps."""
    env = GymnasiumEnv(**arguments)
    assert env.action_space == space
    seed = np.random.default_rng(7).integers(2**32, dtype=np.uint32)
    state = jax.jit(env.task.reset)(jax.random.key(seed))
    step = jax.jit(env.task.step)
    seen, info = env.reset(seed=7)
    assert info == {"is_success": bool(state.reward), "episode_step": 0}
    for number in range(1, 3):
        state = step(state, jnp.asarray(np.reshape(action, env.task.spec.action.num_dims)))
        seen, reward, terminated, truncated, info = env.step(action)
        assert list(seen) == ["observation", "achieved_goal", "desired_goal"]
        for name, value in state.obs.items():
            np.testing.assert_array_equal(seen[name], value)
            assert (seen[name].dtype, seen[name].flags.owndata) == (np.float32, True)
        assert (reward, terminated, truncated) == (float(state.reward) - 1.0, bool(state.done), False)
        assert info == {"is_success": bool(state.reward), "episode_step": number}


def test_an_episode_ends_at_the_goal():
    """Four bits: flip each wrong one."""
    env = GymnasiumEnv("flip_bit", size=4, horizon=9, reward_reached=1.0, reward_otherwise=0.0)
    seen, _ = env.reset(seed=0)
    wrong = np.flatnonzero(seen["observation"] != seen["desired_goal"])
    assert len(wrong) > 1
    steps = [env.step(bit) for bit in wrong]
    assert [step[1:4] for step in steps] == [(0.0, False, False)] * (len(wrong) - 1) + [(1.0, True, False)]
    assert [step[4]["is_success"] for step in steps] == [False] * (len(wrong) - 1) + [True]
    with pytest.raises(ValueError, match=r"step: got an episode that has ended, but .* Call reset\(\) first\."):
        env.step(0)
    env.reset()
    env.step(0)


def test_the_horizon_truncates_once_and_success_there_does_not():
    env = GymnasiumEnv(probes.Disguised(horizon=3, ends_at_success=True))
    ends = set()
    for seed in range(40):
        env.reset(seed=seed)
        steps = [env.step(2)]
        while not (steps[-1][2] or steps[-1][3]):
            steps.append(env.step(2))
        for seen, reward, terminated, truncated, info in steps:
            goals = seen["achieved_goal"], seen["desired_goal"], info
            assert (reward, terminated, truncated) == (
                env.compute_reward(*goals),
                env.compute_terminated(*goals),
                env.compute_truncated(*goals),
            )
            assert type(terminated) is type(truncated) is bool
            assert terminated == info["is_success"] == (reward == 0.0)
        ends.add((len(steps), terminated, truncated))
    assert (3, False, True) in ends
    assert (3, True, False) in ends
    assert all(length == 3 or terminated for length, terminated, _ in ends)


@pytest.mark.parametrize("batch", [(), (0,), (1,), (5,), (2, 3)])
@pytest.mark.parametrize("name", ["navigation", "flip_bit"])
def test_rewards_of_batches_are_the_task_s_success(name, batch):
    env, zero_one = GymnasiumEnv(name, size=2), GymnasiumEnv(name, size=2, reward_reached=1, reward_otherwise=0)
    rng = np.random.default_rng(0)
    achieved = rng.integers(0, 2, (*batch, 2)).astype(np.float32)
    same = (np.arange(np.prod(batch, dtype=int)) % 2 == 0).reshape(*batch, 1)
    desired = np.where(same, achieved, 1.0 - achieved).astype(np.float32)
    expected = np.asarray(env.task.success(jnp.asarray(achieved), jnp.asarray(desired)))
    np.testing.assert_array_equal(expected, same[..., 0])
    infos = [{}] * (batch[0] if batch else 1)
    for wrapped, numbers in ((env, (-1.0, 0.0)), (zero_one, (0.0, 1.0))):
        reward = wrapped.compute_reward(achieved, desired, infos)
        np.testing.assert_array_equal(reward, np.where(expected, numbers[1], numbers[0]))
        assert np.shape(reward) == batch
        assert isinstance(reward, np.ndarray if batch else float)
    ends = env.compute_terminated(achieved, desired, infos)
    np.testing.assert_array_equal(ends, expected)
    assert np.shape(ends) == batch


def test_no_success_terminates_a_task_that_goes_on():
    env = GymnasiumEnv(probes.Chain(horizon=3))
    goal = np.eye(5, dtype=np.float32)
    assert not env.compute_terminated(goal, goal, {}).any()
    assert (env.compute_reward(goal, goal, {}) == 0.0).all()


def test_seeds_reproduce_and_episodes_differ():
    def play(seed):
        env = GymnasiumEnv("navigation", size=2, horizon=2)
        env.action_space.seed(seed)
        found = []
        for episode in range(3):
            seen = [env.reset(seed=None if episode else seed)[0]]
            seen += [env.step(env.action_space.sample())[0] for _ in range(2)]
            found.append(np.concatenate([np.concatenate(list(part.values())) for part in seen]))
        return np.array(found)

    first = play(3)
    np.testing.assert_array_equal(first, play(3))
    assert len(np.unique(first[:, 0])) == len(np.unique(first[:, 4])) == 3  # starts and goals
    assert (first != play(4)).any(axis=1).all()


def test_a_task_is_traced_once_for_all_of_its_environments():
    task = Traced()
    for _ in range(2):
        env = GymnasiumEnv(task)
        for seed in range(3):
            env.reset(seed=seed)
            env.step(seed % 3)
            env.step(np.int32(0))
    assert (task.traces["reset"], task.traces["step"]) == (1, 1)
    before = task.traces["success"]
    for count in (5, 6, 7, 8, 6):
        env.compute_reward(np.zeros((count, 5)), np.zeros((count, 5)), {})
    assert task.traces["success"] == before  # one program for any number of pairs


def test_the_same_name_and_overrides_are_the_same_task():
    task = GymnasiumEnv("flip_bit", size=3, start="zeros").task
    assert GymnasiumEnv("flip_bit", start="zeros", size=3).task is task
    assert GymnasiumEnv("flip_bit", size=3).task is not task
    lists, arrays = [[-0.2, 0.5, -0.2, 0.5], [0.2, 0.7, 0.2, 0.7]], np.array([[-0.2, 0.5] * 2, [0.2, 0.7] * 2])
    assert GymnasiumEnv("push", goal=lists).task is GymnasiumEnv("push", goal=arrays).task


def test_the_spaces_hold_whatever_is_finite():
    """Ranges of the spec are usual, not enforced: a space that is too small would fail other people's checks."""
    space = GymnasiumEnv(probes.Disguised()).observation_space
    sizes = {"observation": 6, "achieved_goal": 5, "desired_goal": 5}
    far = {name: np.full(size, 1e30, np.float32) for name, size in sizes.items()}
    assert space.contains(far)
    assert not space.contains({**far, "observation": np.full(6, np.nan, np.float32)})
    assert not space.contains({**far, "desired_goal": np.zeros(4, np.float32)})


def test_what_is_returned_is_not_used_again():
    env = GymnasiumEnv("navigation", size=2)
    seen, _ = env.reset(seed=0)
    goal = seen["desired_goal"].copy()
    for value in seen.values():
        value[:] = 9.0
    later = env.step(np.zeros(2))[0]
    np.testing.assert_array_equal(later["desired_goal"], goal)
    assert (np.abs(later["observation"]) <= 1.0).all()


def test_pictures_follow_the_state():
    env = GymnasiumEnv("flip_bit", size=4, render_mode="rgb_array", render_size=24)
    with pytest.raises(ValueError, match=r"render: got no episode, .*reset\(\)"):
        env.render()
    env.reset(seed=0)
    first = env.render()
    assert (first.shape, first.dtype) == ((24, 24, 3), np.uint8)
    np.testing.assert_array_equal(first, env.render())
    env.step(0)
    assert (first != env.render()).any()
    with pytest.raises(ValueError, match=r"render: got no render mode, .*render_mode='rgb_array'"):
        GymnasiumEnv("flip_bit").render()


def test_a_policy_s_action_fits():
    """Policies give int[1] for a flat set, as a JAX array; a space's sample is int[]."""
    seen = []
    for action in (2, np.int64(2), np.array([2]), jnp.array([2], jnp.int32)):
        env = GymnasiumEnv("flip_bit", size=3)
        env.reset(seed=0)
        seen.append(env.step(action)[0]["observation"].tolist())
    assert seen == seen[:1] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "pusch"}, "name: got 'pusch', .*Did you mean 'push'?"),
        ({"task": "flip_bit", "sise": 3}, "override of flip_bit: got 'sise', .*Did you mean 'size'?"),
        ({"task": 3}, "task: got 3, but it must be a name or a GoalEnv"),
        ({"task": probes.Chain(), "size": 3}, r"overrides: got \['size'\], .*Pass its name"),
        ({"task": "flip_bit", "render_mode": "human"}, "render_mode: got 'human', .*Use 'rgb_array'"),
        ({"task": "flip_bit", "reward_reached": float("nan")}, "reward_reached: got nan, but it must be a finite"),
        ({"task": "flip_bit", "render_size": 0}, "render_size: got 0, .*an integer >= 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GymnasiumEnv(**arguments)


@pytest.mark.parametrize(
    ("task", "action", "message"),
    [
        ("flip_bit", 4, r"action: got 4, but it must lie in 0\.\.3"),
        ("flip_bit", -1, r"it must lie in 0\.\.3"),
        ("flip_bit", 2**32, r"it must lie in 0\.\.3"),
        ("flip_bit", [1, 1], r"got int64\[2\], but it must be int\[\]"),
        ("flip_bit", [[1]], r"got int64\[1, 1\], but it must be int\[\]"),
        ("flip_bit", np.ma.array(1), "got a MaskedArray of int64.*plain array"),
        ("flip_bit", 1.0, r"got float64\[\], but it must be int\[\]"),
        ("flip_bit", True, r"got bool\[\], but it must be int\[\]"),
        ("navigation", [0.0] * 3, r"got float64\[3\], but it must be float\[4\]"),
        ("navigation", [1, 0, 0, 0], r"got int64\[4\], but it must be float\[4\]"),
        ("navigation", [0.0, np.nan, 0.0, 0.0], "it must be finite"),
    ],
)
def test_wrong_actions_are_refused(task, action, message):
    env = GymnasiumEnv(task, size=4)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_wrong_goals_and_infos_are_refused():
    env = GymnasiumEnv("flip_bit", size=4)
    with pytest.raises(ValueError, match=r"step: got no episode, .*Call reset\(\) first"):
        env.step(0)
    for achieved, desired in (((2, 4), (4,)), ((4,), (2, 4)), ((2, 3), (2, 3)), ((3, 4), (2, 4)), ((), ())):
        with pytest.raises(ValueError, match=r"both must have the same shape, which ends in \[4\]"):
            env.compute_reward(np.zeros(achieved), np.zeros(desired), {})
    masked = np.ma.masked_equal([[0.0, 1.0, -1.0, 0.0]], -1.0)
    for goals in (masked, list(masked), np.ma.array(np.zeros((1, 4)))):
        with pytest.raises(ValueError, match=r"goal: got a MaskedArray of float.*: its mask"):
            env.compute_reward(np.zeros((1, 4)), goals, {})
    with pytest.raises(ValueError, match=r"info: got {}, but it must hold 'episode_step'"):
        env.compute_truncated(np.zeros(4), np.zeros(4), {})


def test_an_action_beyond_float32_is_clipped_as_any_other():
    env, seen = GymnasiumEnv("navigation", size=2), []
    for size in (1.0, 1e39):
        env.reset(seed=0)
        seen.append(env.step(np.array([size, -size]))[0]["observation"].tolist())
    assert seen[0] == seen[1]
