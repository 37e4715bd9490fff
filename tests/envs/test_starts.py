"""Episodes that begin where they are told to: a start, a goal, or both; what is left out is drawn as ever."""

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
from starts import SIZES, STARTS

from hindsight_jax import envs

KEY = jax.random.key(1)
SHOWN = {  # what the start is of the first observation, where it is not its beginning
    "reacher": lambda seen: [np.arctan2(seen[2], seen[0]), np.arctan2(seen[3], seen[1]), seen[6], seen[7]],
}


def made(name):
    return envs.make(name, **SIZES.get(name, {}))


@pytest.fixture(scope="module")
def tasks():
    return {name: made(name) for name in STARTS}


@pytest.mark.parametrize("name", STARTS)
def test_an_episode_begins_at_a_start_that_is_given(name, tasks):
    task, start = tasks[name], jnp.array(STARTS[name][0])
    drawn = task.reset(KEY)
    state = task.reset_to(KEY, start=start)
    shown = SHOWN.get(name, lambda seen: seen[: start.shape[0]])(np.asarray(state.obs["observation"]))
    np.testing.assert_allclose(shown, start, rtol=0, atol=3e-6)
    np.testing.assert_array_equal(state.obs["desired_goal"], drawn.obs["desired_goal"])
    np.testing.assert_array_equal(state.obs["achieved_goal"], task.achieved_goal(state.obs["observation"]))
    assert jax.tree.structure(state) == jax.tree.structure(drawn)
    for bad in (STARTS[name][1], (np.nan,) * start.shape[0]):
        with pytest.raises(ValueError, match=r"start: got \[.*, but an episode must be able to begin there\."):
            task.reset_to(KEY, start=jnp.array(bad))


@pytest.mark.parametrize("name", ["flip_bit", "grid_four_rooms", "navigation", "four_rooms", "sawyer_reach"])
def test_a_goal_that_is_given_changes_nothing_else(name, tasks):
    """So the episode that was drawn is made again by giving its goal, and by giving start and goal."""
    task = tasks[name]
    drawn = task.reset(KEY)
    start, goal = drawn.obs["observation"], drawn.obs["desired_goal"]
    for given in ({"goal": goal}, {"start": start, "goal": goal}):
        again = jax.jit(lambda **given: task.reset_to(KEY, **given))(**given)
        jax.tree.map(np.testing.assert_array_equal, again.obs, drawn.obs)
    at_goal = task.reset_to(KEY, goal=task.achieved_goal(start))
    assert (float(at_goal.reward), float(at_goal.done)) == (1.0, 0.0)
    with pytest.raises(ValueError, match=r"goal: got .*nan.*, but it must be finite"):
        task.reset_to(KEY, goal=jnp.full_like(goal, jnp.nan))


@pytest.mark.parametrize("size", [1, 2])
def test_no_bits_begin_at_a_goal_that_is_drawn(size):
    task = envs.make("flip_bit", size=size)
    start = jnp.ones(task.spec.goal_shape)
    keys = jax.random.split(KEY, 64)
    goals = jax.vmap(lambda key: task.reset_to(key, start=start))(keys).obs["desired_goal"]
    assert (np.asarray(goals) != np.asarray(start)).any(axis=1).all()


def test_no_walk_begins_at_a_goal_that_is_drawn(tasks):
    task = tasks["grid_four_rooms"]
    cells = {key: task.reset(jax.random.key(key)).obs["desired_goal"] for key in range(3)}
    for key, goal in cells.items():  # the goal that this key draws is the start
        assert (task.reset_to(jax.random.key(key), start=goal).obs["desired_goal"] != goal).any()


def test_a_lander_is_put_where_it_was_seen(tasks):
    """A start is the beginning of an observation."""
    task = tasks["lunar_lander"]
    state = task.reset(KEY)
    again = task.reset_to(KEY, start=state.obs["observation"][:6], goal=state.obs["desired_goal"])
    np.testing.assert_allclose(again.obs["observation"], state.obs["observation"], rtol=0, atol=1e-6)


def test_images_show_the_start_and_images_of_goals_the_goal():
    task = envs.make("navigation", pixels=36, frames=2, goals="image")
    there, elsewhere = jnp.array([0.5, 0.5]), jnp.array([-0.5, 0.0])
    state = jax.jit(task.reset_to)(KEY, start=there, goal=elsewhere)
    np.testing.assert_array_equal(state.obs["observation"], np.concatenate([task.image_of(there)] * 2, axis=-1))
    np.testing.assert_array_equal(state.obs["goal_image"], task.image_of(elsewhere))
    np.testing.assert_array_equal(jax.jit(task.step)(state, jnp.zeros(2)).obs["desired_goal"], elsewhere)
    with pytest.raises(ValueError, match=r"start: got \[2\.0, 0\.0\]"):
        task.reset_to(KEY, start=jnp.array([2.0, 0.0]))


def test_a_task_without_starts_takes_goals_alone():
    """Neither needs a line in the task: here of a probe, whose phi(s) is not s."""
    task = probes.Disguised()
    goal = task.achieved_goal(task.reset(KEY).obs["observation"])
    assert float(task.reset_to(KEY, goal=goal).reward) == 1.0
    for refuses, name in ((task, "Disguised"), (envs.make("claw"), "Claw")):
        with pytest.raises(ValueError, match=rf"start: got float32\[2\], but {name} draws every start itself"):
            refuses.reset_to(KEY, start=jnp.zeros(2))


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [
        ("flip_bit", (0.0, 1.0, 0.9), (0.0, 0.5, 0.0)),
        ("navigation", (1.0, 0.0, 1.05), (1.0, 1.2, 0.0)),
        ("grid_four_rooms", (2.0, 5.4), (0.0, 5.0)),
    ],
)
def test_a_goal_is_reachable_where_some_state_is_a_success(name, within, beyond, tasks):
    assert tasks[name].reachable(jnp.array(within))
    assert not tasks[name].reachable(jnp.array(beyond))
