"""The picture of the idea: what it shows, and the command that draws it."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from experiments.site import idea

DOCS = pathlib.Path(__file__).parents[3] / "docs"


def test_its_bars_are_the_chances_of_hdm_s_law_on_push():
    """Of the 0.85 of hindsight, 0.51 for the next state, and 0.34 for one of the six later ones, that one included."""
    share = 0.34 / 6
    np.testing.assert_allclose(idea.probabilities(), [0, 0, 0, 0.51 + share, *[share] * 5], atol=1e-6)


def test_the_command_draws_it_and_it_is_the_one_of_the_page(tmp_path):
    path = tmp_path / "idea.png"
    assert idea.main([str(path)]) == 0
    drawn, shown = (Image.open(io.BytesIO(each.read_bytes())) for each in (path, DOCS / "idea.png"))
    assert drawn.size == shown.size == (1260, 420)
    assert (DOCS / "idea.png").stat().st_size < 300_000


@pytest.mark.parametrize("argv", [[], ["idea.svg"], ["a.png", "b.png"]])
def test_other_arguments_are_refused(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert idea.main(argv) == 2
    assert "it must be one path that ends in .png" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
