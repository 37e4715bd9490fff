"""Behind the API of Gymnasium: given starts and goals, copies in mid-episode, and rewards that are always the same."""

import copy
import pickle

import numpy as np
import probes
import pytest

gymnasium = pytest.importorskip("gymnasium")

from hindsight_jax.interop.gymnasium import GymnasiumEnv  # noqa: E402


def near(env, rng, count):
    """Pairs whose distance is the threshold, up to the rounding of their coordinates."""
    achieved = rng.uniform(-1.0, 1.0, (count, *env.task.spec.goal_shape)).astype(np.float32)
    way = rng.normal(size=achieved.shape)
    way *= env.task.spec.threshold / np.linalg.norm(way, axis=1, keepdims=True)
    return achieved, (achieved + way).astype(np.float32)


@pytest.mark.parametrize("size", [2, 5])
def test_a_pair_has_one_reward_in_any_batch(size):
    env = GymnasiumEnv("navigation", size=size)
    goals = near(env, np.random.default_rng(0), 300)
    alone = np.array([env.compute_reward(*pair, {}) for pair in zip(*goals, strict=True)])
    assert 0.1 < (alone == 0.0).mean() < 0.9
    for batch in (
        goals,
        (goals[0][::-1], goals[1][::-1]),
        *((goals[0][:n], goals[1][:n]) for n in (1, 2, 3, 5, 7, 64)),
    ):
        found = env.compute_reward(*batch, {})
        order = slice(None, None, -1) if batch[0] is not goals[0] and len(found) == 300 else slice(len(found))
        np.testing.assert_array_equal(found, alone[order])
    assert env.compute_reward(*(goal.reshape(3, 100, size) for goal in goals), {}).ravel().tolist() == alone.tolist()


def test_a_step_s_reward_is_that_of_its_goals():
    """Of steps that end at the threshold, up to rounding: without a move, from starts with goals beside them."""
    env = GymnasiumEnv("navigation", size=2)
    starts, goals = near(env, np.random.default_rng(1), 100)
    rewards = set()
    for start, goal in zip(np.clip(starts, -0.9, 0.9), goals - starts + np.clip(starts, -0.9, 0.9), strict=True):
        env.reset(seed=0, options={"start": start, "goal": goal})
        seen, reward, terminated, _, info = env.step(np.zeros(2))
        assert reward == env.compute_reward(seen["achieved_goal"], seen["desired_goal"], info)
        assert terminated == info["is_success"] == (reward == 0.0)
        rewards.add(reward)
    assert rewards == {-1.0, 0.0}


@pytest.mark.parametrize(
    "given", [{}, {"goal": [0, 1, 1]}, {"start": [1, 1, 0]}, {"start": [1, 1, 0], "goal": (1, 1, 1)}]
)
def test_a_reset_takes_a_start_and_a_goal(given):
    env = gymnasium.make("hindsight_jax/FlipBit-v0", size=3)
    drawn, _ = env.reset(seed=5)
    seen, info = env.reset(seed=5, options=given)
    expected = {
        "observation": given.get("start"),
        "achieved_goal": given.get("start"),
        "desired_goal": given.get("goal"),
    }
    for name, value in seen.items():
        np.testing.assert_array_equal(value, drawn[name] if expected[name] is None else expected[name])
        assert value.dtype == np.float32
    assert info == {"is_success": False, "episode_step": 0}
    again, _ = env.reset(seed=5)
    np.testing.assert_array_equal(again["desired_goal"], drawn["desired_goal"])  # for one episode


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("navigation", {"gaol": [0.0, 0.0]}, r"options: got \['gaol'\], but it may hold 'start' and 'goal' alone"),
        ("navigation", [("goal", [0.0, 0.0])], r"options: got \[\('goal', .* alone"),
        ("navigation", {"goal": [0.0]}, r"goal: got \[0\.0\], but it must be finite numbers of shape \[2\]"),
        ("navigation", {"goal": [0.0, np.nan]}, "goal: got .*, but it must be finite numbers"),
        ("navigation", {"goal": "here"}, "goal: got 'here', but it must be an array of numbers"),
        ("navigation", {"goal": None}, "goal: got None, but it must be an array of numbers"),
        ("navigation", {"goal": np.ma.zeros(2)}, "goal: got a MaskedArray of float64"),
        ("navigation", {"goal": [5.0, 5.0]}, "goal: got .*, but some state of the task must be a success for it"),
        ("navigation", {"start": [0.0, 1.5]}, r"start: got \[0\.0, 1\.5\], but an episode must be able to begin there"),
        ("navigation", {"start": [0.0]}, r"start: got float32\[1\], but its shape must be \[2\]"),
        (
            probes.Chain(),
            {"start": [0.0]},
            r"start: got float32\[1\], but Chain draws every start itself",
        ),
    ],
)
def test_wrong_options_are_refused_and_change_nothing(task, options, message):
    env = GymnasiumEnv(task)
    env.reset(seed=0)
    before = env.np_random.bit_generator.state
    with pytest.raises(ValueError, match=message):
        env.reset(seed=1, options=options)
    assert env.np_random.bit_generator.state == before
    env.step(env.action_space.sample())  # the episode goes on


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize(
    "arguments",
    [
        {"task": "grid_four_rooms"},
        {"task": probes.Disguised()},
        pytest.param({"task": "navigation", "size": 2, "pixels": 36}, marks=pytest.mark.seldom),
    ],
)
def test_copies_go_on_where_the_environment_is(arguments, duplicate):
    """grid_four_rooms carries a key; a task of one's own is pickled whole; images are stacked."""
    env = GymnasiumEnv(**arguments)
    env.reset(seed=3)
    env.action_space.seed(3)
    env.step(env.action_space.sample())
    other = duplicate(env)
    for action in (env.action_space.sample(), env.action_space.sample()):
        one, two = env.step(action), other.step(action)
        assert one[1:] == two[1:]
        for name in one[0]:
            np.testing.assert_array_equal(one[0][name], two[0][name])
    np.testing.assert_array_equal(env.reset()[0]["desired_goal"], other.reset()[0]["desired_goal"])
    assert other.action_space.sample() is not None
    if arguments["task"] == "grid_four_rooms" or duplicate is copy.deepcopy:
        assert other.task is env.task  # and so is what is compiled
