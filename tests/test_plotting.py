"""The style of pictures: who has a band, which colours, and the bytes of a PNG."""

import io

import numpy as np
from PIL import Image

from hindsight_jax import plotting

STEPS = np.array([0.0, 10.0])


def curve(label, band=True):
    interval = {"low": np.array([0.0, 1.0]), "high": np.array([2.0, 3.0])} if band else {}
    return plotting.Curve(label, STEPS, np.array([1.0, 2.0]), **interval)


def drawn(*curves):
    axis = plotting.new_figure(4.0, 3.0).add_subplot()
    plotting.draw_settings(axis, curves)
    return axis


def test_settings_have_lines_from_dark_to_light_and_bands_while_they_are_few():
    names = "abcde"
    few, many = (drawn(*map(curve, names[:count])) for count in (plotting.MAX_BANDS, plotting.MAX_BANDS + 1))
    assert [line.get_label() for line in many.lines] == list(names)
    brightness = [sum(line.get_color()[:3]) for line in many.lines]
    assert brightness == sorted(brightness)
    assert (len(few.collections), len(many.collections)) == (plotting.MAX_BANDS, 0)
    assert drawn(curve("alone")).lines[0].get_color() == plotting.BLUE


def test_a_band_spans_the_interval_and_is_left_out_where_there_is_none():
    (band,) = drawn(curve("a")).collections
    vertices = band.get_paths()[0].vertices
    assert {tuple(point) for point in vertices} == {(0.0, 0.0), (10.0, 1.0), (0.0, 2.0), (10.0, 3.0)}
    assert len(drawn(curve("a", band=False)).collections) == 0


def test_one_point_has_a_marker_and_a_line_none():
    one = plotting.Curve("a", STEPS[:1], np.ones(1))
    assert [drawn(each).lines[0].get_marker() for each in (one, curve("b"))] == ["o", "None"]


def test_a_styled_axis_hides_the_spines_that_are_named():
    axis = plotting.new_figure(4.0, 3.0).add_subplot()
    plotting.style_axis(axis, "title", hidden=("top", "left"))
    assert axis.get_title(loc="left") == "title"
    shown = {name for name, spine in axis.spines.items() if spine.get_visible()}
    assert shown == {"bottom", "right"}


def test_a_png_has_few_colours_its_size_and_the_same_bytes_twice():
    pictures = []
    for _ in range(2):
        figure = plotting.new_figure(4.0, 3.0)
        plotting.draw_settings(figure.add_subplot(), [curve("a")])
        pictures.append(plotting.png(figure, dpi=50))
    assert pictures[0] == pictures[1]
    with Image.open(io.BytesIO(pictures[0])) as image:
        assert (image.format, image.size) == ("PNG", (200, 150))
        assert len(image.convert("RGB").getcolors()) <= 128


def test_without_padding_axes_stay_where_they_are_placed():
    figure = plotting.new_figure(4.0, 3.0, padding=None)
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    plotting.png(figure)
    np.testing.assert_array_equal(axis.get_position().bounds, (0.0, 0.0, 1.0, 1.0))
