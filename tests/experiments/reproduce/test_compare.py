"""Several runs in one picture: which runs, and what is drawn."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from experiments.reproduce import compare
from hindsight_jax import plotting


def result(seeds=3, end=0.5):
    steps = [10, 20, 30]
    values = [[0.0, end / 2, end] for _ in range(seeds)]
    return {"seeds": list(range(seeds)), "env_steps": steps, "success_end": values, "success_any": values}


def colours(data):
    """The distinct colours of a PNG, as '#RRGGBB'."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).reshape(-1, 3)
    return {"#{:02X}{:02X}{:02X}".format(*pixel) for pixel in np.unique(pixels, axis=0)}


def test_each_run_has_a_line_of_its_own_colour():
    two = compare.picture({"hem": result(), "her": result(end=0.9)}, "end", "flip_bit")
    assert set(plotting.COLOURS[:2]) <= colours(two)
    assert plotting.COLOURS[2] not in colours(two)


def test_a_band_is_drawn_over_seeds_and_none_for_one():
    """Seeds that differ widen the band: more of the picture is tinted."""
    apart = result() | {"success_any": [[0.0, 0.1, 0.2], [0.0, 0.5, 0.6], [0.0, 0.9, 1.0]]}
    tinted = lambda data: np.mean(
        np.ptp(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16), axis=-1) > 8
    )
    one = {**apart, "seeds": [0], "success_any": apart["success_any"][1:2]}
    assert tinted(compare.picture({"a": apart})) > 5 * tinted(compare.picture({"a": one}))


def test_differences_are_of_equal_seeds_and_leave_out_runs_of_others():
    """Over the last five of six evaluations; 0.1 apart in each seed, so the interval has no width."""
    base = {"seeds": [0, 1], "success_end": [[0.9] * 6, [0.5] * 6]}
    below = {"seeds": [0, 1], "success_end": [[0.0, *[0.8] * 5], [0.0, *[0.4] * 5]]}
    table = compare.differences({"a": base, "b": below, "c": below | {"seeds": [5, 6]}}, "a")
    assert table[2:] == ["| b | 0.100 (0.100 to 0.100) | 0.100 (0.100 to 0.100) |"]
    with pytest.raises(ValueError, match="it must be the label of a run: a; b"):
        compare.differences({"a": base, "b": below}, "d")


def test_the_measure_says_which_success_is_drawn():
    run = result() | {"success_any": result(end=1.0)["success_any"]}
    assert compare.picture({"a": run}, "end") != compare.picture({"a": run}, "any")


def test_a_logarithmic_axis_gives_early_steps_more_room():
    """The line rises evenly in steps 10, 20, 30; on a logarithmic axis its first half is wider than its second."""
    assert abs(share_of_first_half(log=False) - 0.5) < 0.05
    assert share_of_first_half(log=True) > 0.57  # log 2 / log 3 = 0.63


def share_of_first_half(log):
    """Of the width of the line, up to half of its height."""
    picture = compare.picture({"a": result(end=1.0)}, "any", "", log)
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), int)
    line = np.argwhere(np.all(np.abs(pixels - [0x00, 0x72, 0xB2]) < 8, axis=-1))
    line = line[line[:, 1] < 500]  # left of the legend
    low, high = line[:, 0].max(), line[:, 0].min()
    at = lambda height: np.median(line[np.abs(line[:, 0] - height) < 3, 1])
    left, half, right = (at(low + share * (high - low)) for share in (0.02, 0.5, 0.98))
    return (half - left) / (right - left)


def test_no_runs_give_an_empty_picture():
    assert Image.open(io.BytesIO(compare.picture({}))).size[0] > 100


def test_the_command_writes_the_runs_asked_for(tmp_path):
    path, picture = tmp_path / "results.json", tmp_path / "picture.png"
    path.write_text(json.dumps({"her, K 25": result(), "hem, K 2": result(), "hem, K 25": result()}))
    assert compare.main([str(path), str(picture), "--only", "hem, K 2", "her, K 25", "--title", "t"]) == 0
    assert picture.read_bytes() == compare.picture({"hem, K 2": result(), "her, K 25": result()}, "any", "t")


@pytest.mark.parametrize(
    ("content", "only", "said"),
    [
        (None, [], "No such file"),
        ("{", [], "Expecting"),
        (
            '{"hem, K 2": {}, "her": {}}',
            ["--only", "hem"],
            "--only: got 'hem', but it must be the label of a run: hem, K 2; her. Quote",
        ),
    ],
)
def test_what_is_not_there_ends_with_2_and_writes_nothing(tmp_path, capsys, content, only, said):
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content)
    assert compare.main([str(path), str(tmp_path / "p.png"), *only]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "p.png").exists()
