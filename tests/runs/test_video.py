"""Films: sizes, the frames of every state, and a border that is green exactly while the state is a success."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
    frames = video.film(chain, right, key)
    first = jax.vmap(chain.reset)(jax.random.split(jax.random.split(key)[0], 6))
    start, goals = (np.argmax(np.asarray(first.obs[name]), axis=1) for name in ("observation", "desired_goal"))
    return frames, np.minimum(start + np.arange(chain.spec.horizon + 1)[:, None], 4), goals


def test_a_frame_for_every_state_the_last_included(walk, chain):
    frames, _, _ = walk
    assert frames.dtype == np.uint8
    assert frames.shape == (chain.spec.horizon + 1, 2 * video.SIZE + 2, 3 * video.SIZE + 4, 3)


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
    """One that walks towards the goal is a success in the end, everywhere: it was given the right arrays."""

    def towards(observation, goal, key):
        return (1 + jnp.sign(jnp.argmax(goal) - jnp.argmax(observation)))[None].astype(jnp.int32)

    frames = video.film(chain, towards, jax.random.key(1), num_goals=2)
    assert frames.shape[2] == 3 * video.SIZE + 4  # the third tile is missing, and white
    assert np.all(frames[:, :, -video.SIZE :] == 255)
    assert np.all(is_green(frames, 2)[-1])


@pytest.mark.seldom  # compiles push; test_run.py films it through the command line
def test_push_is_filmed():
    """Two goals, one within reach from the start and one beyond: three steps move a puck by less than 0.1 m."""
    env = envs.make("push", horizon=3, threshold=0.15)
    keys = jax.random.split(jax.random.key(0), 200)
    resets = jax.vmap(lambda key: jax.random.split(jax.random.split(key)[0], 2))(keys)
    obs = jax.jit(jax.vmap(jax.vmap(env.reset)))(resets).obs
    distance = env.distance(obs["achieved_goal"], obs["desired_goal"])  # [200, 2]
    found = np.flatnonzero((distance[:, 0] < 0.05) & (distance[:, 1] > 0.25))
    frames = video.film(env, lambda observation, goal, key: jnp.array([8]), keys[found[0]], num_goals=2)
    assert frames.shape == (4, video.SIZE, 3 * video.SIZE + 4, 3)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(is_green(frames, 2), [[True, False]] * 4)
    assert np.any(frames[0] != frames[3])  # the hand moved
