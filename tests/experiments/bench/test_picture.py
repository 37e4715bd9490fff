"""The picture of the bench's curves."""

import pytest

from experiments.bench import picture

FIGURES = {
    "config": "hdm_push",
    "seeds": 4,
    "ring": {"microseconds_per_update_1e4": 2.0, "microseconds_per_update_1e6": 2.5, "ratio": 1.25},
    "scaling": {"seeds": {"1": 3.0, "4": 2.0}, "grid": {"seeds": 2.0, "settings": 2.1, "ratio": 1.05, "programs": 1}},
}


def test_the_picture_has_a_panel_for_each_curve_that_was_measured():
    data = picture.draw(FIGURES)
    assert data.startswith(b"\x89PNG")
    assert 5_000 < len(data) < 300_000
    assert list(picture.curves_of(FIGURES)) == ["seeds", "ring"]
    only_ring = {name: value for name, value in FIGURES.items() if name != "scaling"}
    assert picture.draw(only_ring) != data


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="figures: got no curve"):
        picture.draw({"config": "hdm_push", "seeds": 4})
