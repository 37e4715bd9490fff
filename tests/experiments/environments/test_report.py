"""Figures of tasks as rows, as a picture and in the page; and the page says what the tasks are."""

import io
import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from experiments.environments import report
from hindsight_jax import plotting
from hindsight_jax.envs import registry
from hindsight_jax.runs import video

ROOT = pathlib.Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "environments.md").read_text()


def figures(scale=1.0, ratio=0.9):
    speed = lambda batch: {
        "env_steps_per_second": scale * 100.0 * batch,
        "raw_mjx_steps_per_second": None if ratio is None else scale * 100.0 * batch / ratio,
        "ratio": ratio,
        "compile_seconds": 7.25,
    }
    shares = {
        "success_start": 0.01,
        "success_end": 0.123,
        "success_any": 0.4,
        "change_ratio": 0.98765,
        "reachable": 1.0,
    }
    return shares | {"images_per_second": 1234.5, "speed": {str(batch): speed(batch) for batch in (1, 64, 256, 1024)}}


TASKS = {"push": figures(), "navigation": figures(scale=100.0, ratio=None)}


def test_rows_have_a_cell_for_each_column():
    push, navigation = report.rows(TASKS)
    assert len(push) == len(navigation) == len(report.COLUMNS)
    assert push[:6] == ["push", "0.010", "0.123", "0.400", "0.988", "1.000"]
    assert push[6:] == ["100", "6,400", "25,600", "102,400", "0.90", "0.90", "7.2", "1,234"]
    assert navigation[6:] == ["10,000", "640,000", "2,560,000", "10,240,000", "-", "-", "7.2", "1,234"]


def test_the_table_is_markdown():
    lines = report.table(TASKS).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {len(report.COLUMNS) + 1}


@pytest.mark.parametrize(
    "page",
    [
        "nothing",
        report.BEGIN,
        f"{report.END}{report.BEGIN}",
        f"{report.BEGIN}{report.BEGIN}{report.END}",
        f"{report.BEGIN}{report.END}{report.END}",
    ],
)
def test_a_page_without_its_marks_is_refused(page):
    with pytest.raises(ValueError, match=r"^page: got .*, but it must hold <!-- figures -->"):
        report.rewritten(page, TASKS)


def test_the_picture_shows_every_task_and_figure(monkeypatch):
    kept = []
    real = plotting.png
    monkeypatch.setattr(plotting, "png", lambda figure: kept.append(figure) or real(figure))
    data = report.plot(TASKS)
    assert len(data) < video.MAX_BYTES
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
    shares, speeds, ratios = kept[0].axes
    points = lambda axis, row: sorted(line.get_xdata()[0] for line in axis.lines if list(line.get_ydata()) == [row])
    for row in range(2):
        np.testing.assert_allclose(points(shares, row), [0.01, 0.123, 0.4, 0.98765, 1.0])
    np.testing.assert_allclose(points(speeds, 0), [100, 6400, 25600, 102400])
    np.testing.assert_allclose(points(ratios, 0), [0.9] * 4)
    assert points(ratios, 1) == []  # plain JAX has no raw loop
    assert [label.get_text() for label in shares.get_yticklabels()] == list(TASKS)


def test_the_page_has_a_section_for_each_task():
    assert sorted(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == sorted(registry.OF_PAPERS)


def test_the_page_shows_the_recorded_figures():
    """Written by the command, and of all tasks."""
    recorded = json.loads((ROOT / "experiments" / "results" / "environments.json").read_text())
    assert list(recorded["tasks"]) == sorted(registry.OF_PAPERS)
    assert report.rewritten(PAGE, recorded["tasks"]) == PAGE


def test_what_the_page_points_at_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert {"environments.png", "environments_sanity.png"} <= set(links)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    for name in ("environments.png", "environments_sanity.png"):
        assert (ROOT / "docs" / name).stat().st_size < video.MAX_BYTES


@pytest.mark.seldom
def test_the_python_of_the_page_runs():
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    page = {}
    exec(compile(block, "environments.md", "exec"), page)
    images = np.asarray(page["images"])
    assert images.shape == (8, 48, 48, 3)
    assert images.dtype == np.uint8
    assert page["states"].obs["observation"].shape == (8, 3)
    assert images.std(axis=0).max() > 0.1 * 255  # the actions differ, and so do the pictures
