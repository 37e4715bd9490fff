"""The gallery of tasks: its states are halfway to a goal, its tiles show them, and every task has its line."""

import io

import jax
import numpy as np
import probes
import pytest
from PIL import Image

from experiments.environments import gallery
from hindsight_jax import plotting
from hindsight_jax.envs import registry


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "SIDE", 48)
        yield


def test_every_task_has_a_line():
    assert sorted(gallery.ASKED) == sorted(registry.OF_PAPERS)
    assert all(len(line) <= 42 for text in gallery.ASKED.values() for line in text.split("\n"))
    assert all(text.count("\n") <= 1 for text in gallery.ASKED.values())


def test_the_state_of_a_tile_is_halfway_to_a_far_goal(chain):
    """Of 128 starts in five cells half are 2 cells or more from their goal; of 2 or 4 cells one can be halfway."""
    state = gallery.halfway_state(chain)
    left = float(chain.distance(state.obs["achieved_goal"], state.obs["desired_goal"]))
    assert left in (1.0, 2.0)
    assert state.reward.shape == ()


def test_actions_are_held_for_a_few_steps():
    """With a horizon of 7 and five steps each, two actions: the second one is cut short."""
    actions = np.asarray(gallery.held_actions(probes.Chain(horizon=7), jax.random.key(0)))
    assert actions.shape == (7, gallery.EPISODES, 1)
    assert np.all(actions[:5] == actions[0])
    assert np.all(actions[5:] == actions[5])
    assert np.any(actions[5] != actions[0])
    assert len(np.unique(actions[0])) == 3


def test_tiles_stand_in_rows_with_names(chain, monkeypatch):
    kept = []
    real = plotting.png
    monkeypatch.setattr(plotting, "png", lambda figure, dpi: kept.append(figure) or real(figure, dpi))
    drawn = iter(np.full((5, 48, 48, 3), 40 * np.arange(1, 6)[:, None, None, None], np.uint8))
    monkeypatch.setattr(gallery, "tile", lambda env: next(drawn))
    names = list(gallery.ASKED)[:5]
    data = gallery.draw(dict.fromkeys(names, chain))
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (4 * (48 + 24), 2 * (48 + 84))
        pixels = np.asarray(image.convert("L"))
    texts = [[text.get_text() for text in axis.texts] for axis in kept[0].axes]
    assert texts == [[name, gallery.ASKED[name]] for name in names]
    for i in range(5):
        row, column = divmod(i, 4)
        centre = pixels[row * (48 + 84) + 12 + 24, column * (48 + 24) + 12 + 24]
        assert abs(int(centre) - 40 * (i + 1)) < 12
    assert pixels[48 + 84 + 36, 3 * 72 + 36] == 255  # no sixth


def test_a_tile_is_the_picture_of_that_state(chain, monkeypatch):
    monkeypatch.setattr(gallery, "halfway_state", lambda env: env.reset(jax.random.key(0)))
    tile = gallery.tile(chain)
    assert (tile.shape, tile.dtype) == ((48, 48, 3), np.uint8)
    red = (tile[..., 0].astype(int) - tile[..., 1]) > 60
    assert red.sum() > 10  # the ball
