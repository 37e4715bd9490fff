"""`ImageEnv`: what is seen of a task, and what stays the task's own. `test_bodies` has what each task draws."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import envs, training, types

PIXELS = 36


@functools.cache
def tasks(name, frames=1, goals="state"):
    """(the task, the task seen as images, reset and step of the latter)."""
    size = {"size": 2} if name == "navigation" else {}
    env = envs.make(name, pixels=PIXELS, frames=frames, goals=goals, **size)
    return env.task, env, jax.jit(env.reset), jax.jit(env.step)


def played(name, actions, frames=1, goals="state", seed=3):
    """The states of an episode: (of the task, of the task seen as images)."""
    task, _, reset, step = tasks(name, frames, goals)
    state, seen = jax.jit(task.reset)(jax.random.key(seed)), reset(jax.random.key(seed))
    own, images = [state], [seen]
    for action in actions:
        own.append(jax.jit(task.step)(own[-1], action))
        images.append(step(images[-1], action))
    return own, images


MOVES = jnp.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.3]])


def test_all_but_the_observation_is_the_task_s_own():
    for own, seen in zip(*played("navigation", MOVES, goals="image"), strict=True):
        assert set(seen.obs) - set(own.obs) == {"goal_image"}
        for part in ("achieved_goal", "desired_goal"):
            np.testing.assert_array_equal(seen.obs[part], own.obs[part])
        assert (seen.reward, seen.done, seen.metrics) == (own.reward, own.done, own.metrics)
    task, env, *_ = tasks("navigation", goals="image")
    same = lambda spec: spec._replace(observation_shape=None, observation_range=None, images=None)
    assert same(env.spec) == same(task.spec)
    assert env.spec.images == types.Images(PIXELS, 1, True)
    assert env.spec.seen_goal_shape == (PIXELS, PIXELS, 3)
    assert {name: value.shape for name, value in seen.obs.items()} == env.observation_size


def test_the_newest_frame_is_last_and_the_first_fills_the_start():
    _, images = played("navigation", MOVES, frames=2)
    stacks = [np.asarray(state.obs["observation"]) for state in images]
    assert {stack.shape for stack in stacks} == {(PIXELS, PIXELS, 6)}
    np.testing.assert_array_equal(stacks[0][..., :3], stacks[0][..., 3:])
    for before, after in itertools.pairwise(stacks):
        np.testing.assert_array_equal(after[..., :3], before[..., 3:])
        assert np.any(after[..., 3:] != before[..., 3:])  # the point moved


def test_a_rollout_keeps_one_frame_a_state_and_the_goal_s_image():
    _, env, *_ = tasks("navigation", frames=2, goals="image")
    seen = []

    def policy(observation, goal, key):
        seen.append((observation.shape, observation.dtype, goal.shape, goal.dtype))
        return env.spec.action.sample(key)

    episodes = jax.jit(lambda key: training.rollout(env, policy, key, 2))(jax.random.key(0)).trajectories
    assert seen == [((PIXELS, PIXELS, 6), jnp.uint8, (PIXELS, PIXELS, 3), jnp.uint8)]
    assert episodes.observation.shape == (2, 51, PIXELS, PIXELS, 3)
    example = training.example_trajectory(env)
    for one, stored in zip(jax.tree.leaves(example), jax.tree.leaves(episodes), strict=True):
        assert (one.shape, one.dtype) == (stored.shape[1:], stored.dtype)
    first = jax.jit(env.image_of)(episodes.desired_goal[1])
    np.testing.assert_array_equal(episodes.goal_image[1], first)
    place = episodes.achieved_goal[0, 17]
    assert np.abs(np.asarray(env.image_of(place), int) - np.asarray(episodes.observation[0, 17], int)).max() <= 1


@pytest.mark.seldom
def test_auto_reset_and_states_of_another_task():
    env = tasks("navigation", frames=2)[1]
    wrapped = envs.AutoReset(env, horizon=2)
    state = jax.jit(wrapped.reset)(jax.random.key(0))
    for _ in range(2):
        state = jax.jit(wrapped.step)(state, MOVES[0])
    fresh = np.asarray(state.obs["observation"])
    np.testing.assert_array_equal(fresh[..., :3], fresh[..., 3:])  # a new episode's first frame
    assert int(state.info["episode_step"]) == 0
    own = jax.jit(env.task.reset)(jax.random.key(0))
    with pytest.raises(ValueError, match=r"state\.pipeline_state"):
        env.step(own, MOVES[0])


class Blind(envs.PureTask):
    """A task that draws nothing."""

    _spec = envs.make("flip_bit", size=2).spec
    distance = sample_goal = reset = step = lambda self, *x: None


def test_what_cannot_be_seen_is_refused():
    for bad, name in (
        ({"pixels": 35}, "pixels"),
        ({"pixels": 513}, "pixels"),
        ({"pixels": 48.5}, "pixels"),
        ({"pixels": True}, "pixels"),
        ({"pixels": 48, "frames": 0}, "frames"),
        ({"frames": 2}, "override of navigation"),
        ({"goals": "image"}, "override of navigation"),
        ({"pixels": 48, "goals": "picture"}, "goals"),
    ):
        with pytest.raises(ValueError, match=f"^{name}: got"):
            envs.make("navigation", **bad)
    with pytest.raises(ValueError, match="task: got Blind, but images need its method `bodies`"):
        envs.ImageEnv(Blind())
    _, env, *_ = tasks("navigation")
    with pytest.raises(ValueError, match="task: got a task of images"):
        envs.ImageEnv(env)
    with pytest.raises(ValueError, match="an image does not tell what it achieves"):
        env.achieved_goal(jnp.zeros((PIXELS, PIXELS, 3), jnp.uint8))
