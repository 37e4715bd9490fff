"""A picture opens, is small, and comes out the same twice."""

import io

import numpy as np
from cheap_claim import picture
from PIL import Image

from experiments.theory import drawing


def test_a_picture_opens_is_small_and_comes_out_the_same_twice():
    data = picture()
    assert data == picture()
    assert len(data) < drawing.MAX_BYTES
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (1000, 390)
        colours = {tuple(colour) for colour in np.asarray(image.convert("RGB")).reshape(-1, 3)}
    assert (0, 114, 178) in colours  # the line
