"""Frames stored once: stacked by index, looked up by number, of one ring and of members' rings behind one another.

Every byte of a frame is 50 episode + time, of a goal's own image 200 + episode, so that data tell where they come from.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import relabel, replay, types

T, COUNT, PIXELS = 4, 3, 2
LENGTHS = np.array([4, 2, 3], np.int32)
LAW = relabel.hindsight(0.3, 0.2)


def episodes(first=0, lengths=LENGTHS):
    """Trajectories of images whose bytes count from `first`."""
    code = first + 50 * np.arange(len(lengths))[:, None] + np.arange(T + 1)[None]
    paint = lambda code: np.broadcast_to(code[..., None, None, None], (*code.shape, PIXELS, PIXELS, 3)).astype(np.uint8)
    return types.Trajectory(
        observation=jnp.asarray(paint(code)),
        achieved_goal=jnp.asarray(code[..., None], jnp.float32),
        action=jnp.asarray(code[:, :-1, None], jnp.int32),
        desired_goal=jnp.zeros((len(lengths), 1)),
        length=jnp.asarray(lengths),
        terminal=jnp.zeros(len(lengths), bool),
        goal_image=jnp.asarray(paint(200 + first + np.arange(len(lengths)))),
    )


def ring_of(frames):
    return replay.make_ring(jax.tree.map(lambda x: x[0], episodes()), COUNT, frames)


@functools.cache
def drawn(frames):
    ring = ring_of(frames)
    state = ring.add(ring.init(), episodes())
    return jax.tree.map(np.asarray, ring.sample(state, jax.random.key(0), 512, LAW, relabel.reward_by_index()))


def times(batch):
    """(episode, t) of each transition, by the action, which is 50 episode + t."""
    return divmod(batch.action[:, 0], 50)


@pytest.mark.parametrize("frames", [2, *(pytest.param(frames, marks=pytest.mark.seldom) for frames in (1, 3))])
def test_an_observation_holds_the_newest_frames_and_the_first_one_before_the_start(frames):
    batch = drawn(frames)
    episode, t = times(batch)
    assert batch.observation.shape == batch.next_observation.shape == (512, PIXELS, PIXELS, 3 * frames)
    for seen, time in ((batch.observation, t), (batch.next_observation, t + 1)):
        for k in range(frames):
            expected = 50 * episode + np.maximum(time - (frames - 1 - k), 0)
            of_frame = seen[..., 3 * k : 3 * (k + 1)].reshape(512, -1)
            np.testing.assert_array_equal(of_frame, np.broadcast_to(expected[:, None], of_frame.shape))


def test_the_image_of_a_goal_is_the_frame_at_its_index_or_the_trajectory_s_own():
    batch = drawn(2)
    episode, t = times(batch)
    assert 0 < batch.relabelled.mean() < 1
    expected = np.where(batch.relabelled, 50 * episode + t + batch.offset, 200 + episode)
    assert np.all(batch.goal_image == expected[:, None, None, None])
    np.testing.assert_array_equal(batch.goal_image, types.Transition(*batch).seen_goal)
    np.testing.assert_array_equal(types.Transition(*batch).seen_next_goal, batch.next_observation[..., 3:])


def test_numbers_of_members_count_on_from_ring_to_ring():
    """Each member's batch, looked up among all rings, is what its own ring samples."""
    ring = ring_of(2)
    filled = [ring.add(ring.init(), episodes(first=i)) for i in range(3)]
    rings = jax.tree.map(lambda *x: jnp.stack(x), *filled)
    keys = jax.random.split(jax.random.key(1), 3)
    draw = lambda state, key, member: ring.draw(state, key, 32, LAW, relabel.reward_by_index(), member=member)
    batches = jax.jit(jax.vmap(draw))(rings, keys, jnp.arange(3))
    assert batches.observation.shape == (3, 32, 2)
    assert batches.observation.dtype == jnp.int32
    seen = jax.jit(jax.vmap(functools.partial(ring.look_up, rings)))(batches)
    sample = jax.jit(lambda state, key: ring.sample(state, key, 32, LAW, relabel.reward_by_index()))
    for i, state in enumerate(filled):
        alone = sample(state, keys[i])
        jax.tree.map(np.testing.assert_array_equal, alone, jax.tree.map(lambda x: x[i], seen))  # noqa: B023


def test_nothing_is_shown_of_an_empty_ring():
    ring = ring_of(2)
    draw = jax.jit(lambda state: ring.sample(state, jax.random.key(0), 5, LAW, relabel.reward_by_index()))
    batch = draw(ring.init())
    for image in (batch.observation, batch.next_observation, batch.goal_image):
        assert np.all(np.asarray(image) == 255)


def test_wrong_images_are_refused():
    one = jax.tree.map(lambda x: x[0], episodes())
    states = one._replace(observation=jnp.zeros((T + 1, 2)), goal_image=None)
    make = lambda example, frames=1: replay.make_ring(example, COUNT, frames)
    with pytest.raises(ValueError, match="frames: got 2"):
        make(states, 2)
    with pytest.raises(ValueError, match="frames: got 0"):
        make(one, 0)
    with pytest.raises(ValueError, match="square frames of three colours"):
        make(one._replace(observation=jnp.zeros((T + 1, 2, 3, 3), jnp.uint8)))
    with pytest.raises(ValueError, match="a goal can be an image only where observations are"):
        make(states._replace(goal_image=one.goal_image))
    with pytest.raises(ValueError, match=r"example.goal_image: got uint8\[2, 2\]"):
        make(one._replace(goal_image=jnp.zeros((2, 2), jnp.uint8)))
    with pytest.raises(ValueError, match="capacity: got 429496730"):
        replay.make_ring(one, 429_496_730)  # times 5 frames: 2^31 + 2
    ring = ring_of(1)
    state = ring.add(ring.init(), episodes())
    batch = ring.draw(state, jax.random.key(0), 5, LAW, relabel.reward_by_index())
    for rings in (None, ring_of(1)._replace, replay.make_ring(one, COUNT + 1).init()):
        with pytest.raises(ValueError, match="rings"):
            ring.look_up(rings, batch)
    with pytest.raises(ValueError, match=r"trajectories.goal_image: got None, but it must be uint8\[3, 2, 2, 3\]"):
        ring.add(state, episodes()._replace(goal_image=None))
