"""Videos: sizes, the frames of every state, a border that is green exactly while the state is a success; and GIFs."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
import unusual
from PIL import Image

from hindsight_jax import envs, rendering
from hindsight_jax.runs import video

GREEN, GREY = (np.asarray(rendering.to_uint8(jnp.array(colour))) for colour in (video.REACHED, video.PENDING))


def tiles(frames, count):
    """[F, count, SIZE, SIZE, 3], undoing the contact sheet: two pixels of white between tiles."""
    step = video.SIZE + 2
    corners = [divmod(i, video.COLUMNS) for i in range(count)]
    cut = [frames[:, r * step : r * step + video.SIZE, c * step : c * step + video.SIZE] for r, c in corners]
    return np.stack(cut, axis=1)


def border(tile):
    """Its pixels, three deep, [..., n, 3]."""
    rim = np.ones((video.SIZE, video.SIZE), bool)
    rim[3:-3, 3:-3] = False
    return tile[..., rim, :]


def is_green(frames, count):
    """bool[F, count]; every border is of one of the two colours, whole."""
    pixels = border(tiles(frames, count))
    green, grey = (np.all(pixels == colour, axis=(-1, -2)) for colour in (GREEN, GREY))
    assert np.all(green ^ grey)
    return green


@pytest.fixture(scope="module")
def walk(chain):
    """(frames, cells [F, 6], goals [6]) of a policy that always goes right."""
    key = jax.random.key(4)
    right = lambda observation, goal, key: jnp.array([2])
    frames = video.record_video(chain, right, key)
    first = jax.vmap(chain.reset)(jax.random.split(jax.random.split(key)[0], 6))
    start, goals = (np.argmax(np.asarray(first.obs[name]), axis=1) for name in ("achieved_goal", "desired_goal"))
    return frames, np.minimum(start + np.arange(chain.spec.horizon + 1)[:, None], 4), goals


def test_a_frame_for_every_state_the_last_included(walk, chain):
    frames, _, _ = walk
    assert frames.dtype == np.uint8
    assert frames.shape == (chain.spec.horizon + 1, 2 * video.SIZE + 2, 3 * video.SIZE + 4, 3)


@pytest.mark.seldom
def test_frames_are_the_same_for_every_setting_of_jax(walk, chain):
    frames, _, _ = walk
    with unusual.settings():
        found = video.record_video(chain, lambda observation, goal, key: jnp.array([2]), jax.random.key(4))
    np.testing.assert_array_equal(found, frames)


def test_a_border_is_green_while_its_state_is_a_success_and_no_longer(walk):
    frames, cells, goals = walk
    expected = cells == goals
    assert np.any(expected[1:] & ~expected[:-1])  # some turn green,
    assert np.any(expected[:-1] & ~expected[1:])  # some turn grey again,
    assert np.any(~expected.any(axis=0))  # and some never succeed
    np.testing.assert_array_equal(is_green(frames, 6), expected)


def test_tiles_show_their_own_states(walk):
    """The ball is drawn where it is: the mean column of its red is its cell's."""
    frames, cells, _ = walk
    inside = tiles(frames, 6)[:, :, 3:-3, 3:-3].astype(float)
    redness = np.maximum(inside[..., 0] - inside[..., 1], 0.0).mean(axis=2)  # [F, 6, columns]
    columns = (redness * np.arange(redness.shape[-1])).sum(-1) / redness.sum(-1)
    pixels_per_cell = video.SIZE / 6.0
    np.testing.assert_allclose(columns, (cells - 2) * pixels_per_cell + (video.SIZE - 6 - 1) / 2, atol=2.0)


def test_the_policy_acts_on_observation_and_goal(chain):
    """One that walks towards the goal is a success in the end, everywhere: it was given the right arrays.

    An observation of this chain has another shape than a goal, and only phi knows its cell.
    """

    def towards(observation, goal, key):
        return (1 + jnp.sign(jnp.argmax(goal) - jnp.argmax(chain.achieved_goal(observation))))[None].astype(jnp.int32)

    frames = video.record_video(chain, towards, jax.random.key(1))
    assert np.all(is_green(frames, video.VIEWS)[-1])


def test_a_task_has_a_picture_if_it_writes_both_methods(chain):
    class WithoutCamera(probes.Undrawn):
        scene = type(chain).scene

    assert video.why_no_picture(chain) is None
    assert video.why_no_picture(probes.Undrawn(horizon=5)) == "Undrawn has no bodies() and camera()"
    assert video.why_no_picture(WithoutCamera(horizon=5)) == "WithoutCamera has no bodies() and camera()"
    assert [video.why_no_picture(envs.make(name)) for name in ("flip_bit", "push")] == [None, None]


@pytest.mark.seldom  # compiles push
def test_push_is_recorded():
    """Goals within reach from the start, and goals beyond: three steps move a puck by less than 0.1 m."""
    env = envs.make("push", horizon=3, threshold=0.15)
    keys = jax.random.split(jax.random.key(0), 50)
    resets = jax.vmap(lambda key: jax.random.split(jax.random.split(key)[0], video.VIEWS))(keys)
    obs = jax.jit(jax.vmap(jax.vmap(env.reset)))(resets).obs
    distance = np.asarray(env.distance(obs["achieved_goal"], obs["desired_goal"]))  # [50, VIEWS]
    near, far = distance < 0.05, distance > 0.25
    chosen = np.flatnonzero(near.any(axis=1) & far.any(axis=1))[0]
    frames = video.record_video(env, lambda observation, goal, key: jnp.array([8]), keys[chosen])
    assert frames.shape == (4, 2 * video.SIZE + 2, 3 * video.SIZE + 4, 3)
    assert frames.dtype == np.uint8
    green = is_green(frames, video.VIEWS)
    assert np.all(green[:, near[chosen]])
    assert not np.any(green[:, far[chosen]])
    assert np.any(frames[0] != frames[3])  # the hand moved


# ---- GIFs


def ball(count=12, size=64):
    frames = np.full((count, size, size, 3), 30, np.uint8)
    for index in range(count):
        frames[index, 20:30, 4 * index : 4 * index + 10] = (220, 60, 40)
    return frames


def test_gif_has_its_frames_its_speed_and_loops():
    data = video.encode_gif(ball(), 20.0)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "GIF"
        assert image.n_frames == 12
        assert image.info["loop"] == 0
        assert image.info["duration"] == 50
        for index in (0, 7, 11):
            image.seek(index)
            shown = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(shown - ball()[index]).max() < 8


def test_equal_frames_keep_their_time():
    frames = np.concatenate([ball(3), np.repeat(ball(4)[3:], 5, axis=0)])
    with Image.open(io.BytesIO(video.encode_gif(frames, 10.0))) as image:
        total = 0
        for index in range(image.n_frames):
            image.seek(index)
            total += image.info["duration"]
    assert total == 8 * 100


def test_large_gifs_are_brought_under_the_limit():
    generator = np.random.default_rng(0)
    low = generator.integers(0, 255, size=(60, 12, 16, 3)).astype(np.uint8)
    frames = low.repeat(20, axis=1).repeat(20, axis=2)  # 60 frames of 240 x 320 in coloured blocks
    data = video.encode_gif(frames, 20.0)
    assert len(data) < video.MAX_BYTES
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 60


def test_a_border_that_is_green_for_a_moment_stays_green():
    """Before a background of many shades, and with as few colours and pixels as a GIF may get."""
    shades = np.linspace(40, 250, video.SIZE, dtype=np.uint8)
    background = np.stack(np.broadcast_arrays(shades[:, None], shades[None, :], np.uint8(200)), axis=-1)
    frames = np.repeat(background[None], 40, axis=0)
    frames[-6:, ~np.pad(np.ones((video.SIZE - 6,) * 2, bool), 3)] = GREEN
    for colours, shrink in ((32, 1), (16, 2)):
        with Image.open(io.BytesIO(video._gif(frames, 20.0, colours, shrink))) as image:
            image.seek(image.n_frames - 1)
            shown = np.asarray(image.convert("RGB")).astype(int)[video.SIZE // 2 // shrink, 0]
        assert shown[1] - max(shown[0], shown[2]) > 60  # of GREEN it is 90


@pytest.mark.seldom
def test_what_the_policy_sees_stands_beside_what_a_person_sees():
    """The newest frame, each of its 36 pixels as a square of four, and the image of the goal, which stays."""
    env = envs.make("navigation", size=2, horizon=2, pixels=36, frames=2, goals="image")
    seen = []

    def policy(observation, goal, key):
        seen.append((observation.shape, goal.shape))
        return jnp.ones(2)

    key = jax.random.key(1)
    frames = video.record_video(env, policy, key)
    assert set(seen) == {((36, 36, 6), (36, 36, 3))}
    side = video.SIZE
    assert frames.shape == (3, 2 * side + 2, 3 * side, 3)
    first = jax.jit(env.reset)(jax.random.split(jax.random.split(key)[0], 2)[0])
    square = lambda image: np.repeat(np.repeat(image, 4, axis=0), 4, axis=1)
    np.testing.assert_array_equal(frames[0, :side, side : 2 * side], square(first.obs["observation"][..., 3:]))
    assert np.any(frames[1, :side, side : 2 * side] != frames[0, :side, side : 2 * side])
    for frame in frames:
        np.testing.assert_array_equal(frame[:side, 2 * side : 3 * side], square(first.obs["goal_image"]))


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((3, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((3, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
)
def test_frames_of_another_kind_are_refused(bad):
    with pytest.raises(ValueError, match="frames"):
        video.encode_gif(bad, 20.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, 51.0, float("nan")])
def test_speeds_outside_of_the_range_are_refused(bad):
    with pytest.raises(ValueError, match="frames_per_second"):
        video.encode_gif(ball(), bad)
