"""The picture of what policies see: a tile is an observation, pixel by pixel."""

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.environments import gallery, inputs
from hindsight_jax import envs


@pytest.mark.seldom
def test_tiles_are_the_observations_of_the_states(monkeypatch, tmp_path):
    monkeypatch.setattr(gallery, "EPISODES", 4)
    monkeypatch.setattr(inputs, "SIZES", (36, 42))
    path = tmp_path / "inputs.png"
    path.write_bytes(inputs.draw(["navigation"]))
    with Image.open(path) as picture:
        assert picture.size == (44 + 180, 2 * 180 + 30)
        tile = np.asarray(picture.convert("RGB"))[30 : 30 + inputs.SIDE, 44 : 44 + inputs.SIDE]
    state = gallery.halfway_state(envs.make("navigation"))
    for pixels in inputs.SIZES:
        frame = inputs.observation("navigation", state, pixels)
        assert frame.shape == (pixels, pixels, 3)
        assert frame.dtype == np.uint8
    first = inputs.observation("navigation", state, 36)
    middles = (np.arange(36) + 0.5) * inputs.SIDE / 36  # a tile's rows and columns in the middle of a pixel
    shown = tile[np.ix_(middles.astype(int), middles.astype(int))]
    assert np.abs(shown.astype(int) - first).max() <= 32  # a picture has a palette
    env = envs.make("navigation", pixels=36)
    np.testing.assert_array_equal(inputs.observation("navigation", state, 36), jax.jit(env.frame)(state))
