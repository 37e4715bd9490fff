"""Pictures open, have their size, and show what the rows say."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from hindsight_jax import plotting
from hindsight_jax.runs import curves, video
from hindsight_jax.runs.records import REQUIRED_KEYS


def table_rows(seeds=4, evaluations=10, nan_seed=None, **constant):
    generator = np.random.default_rng(0)
    data = []
    for step in range(evaluations):
        for member in range(seeds):
            success = min(1.0, 0.08 * step + 0.02 * generator.normal() + 0.1)
            data.append(
                {"member": member, "seed": member + 7, "env_steps": 1000 * step, "updates": 1000 * step}
                | {"success_end": np.nan if member == nan_seed and step > 5 else success, "success_any": success}
                | {"td_loss": 1.0 / (1 + step), "q_mean": -float(step), "imitated_fraction": 0.4, "zeta": 1.0}
                | {"never": np.nan, "seconds_evaluation": 1.0}
                | constant
            )
    return data


def figure_of(rows, monkeypatch, title="hdm_push"):
    """The matplotlib figure behind the bytes."""
    kept = []
    real = plotting.png
    monkeypatch.setattr(plotting, "png", lambda figure: kept.append(figure) or real(figure))
    data = curves.curves(rows, title)
    return kept[0], data


def decoded(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.format, image.size, np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(("seeds", "evaluations"), [(4, 40), (1, 40), (4, 1), (1, 1), (20, 300)])
def test_picture_opens_is_small_and_is_not_blank(seeds, evaluations):
    data = curves.curves(table_rows(seeds, evaluations), "hdm_push")
    kind, (width, height), pixels = decoded(data)
    assert kind == "PNG"
    assert 900 <= width <= 1300
    assert 600 <= height <= 900
    assert len(data) < video.MAX_BYTES
    blue = (pixels[..., 2].astype(int) - pixels[..., 0]) > 80
    assert blue.sum() > 50


def test_each_seed_the_mean_and_the_band_are_drawn(monkeypatch):
    data = table_rows(4, 10)
    figure, _ = figure_of(data, monkeypatch)
    axis = figure.axes[0]
    assert axis.get_title(loc="left") == "success at the end"
    assert len(axis.lines) == 5
    expected = np.array([entry["success_end"] for entry in data]).reshape(10, 4)
    for member in range(4):
        np.testing.assert_array_equal(axis.lines[member].get_ydata(), expected[:, member])
    np.testing.assert_allclose(axis.lines[4].get_ydata(), expected.mean(1))
    (band,) = axis.collections
    top = band.get_paths()[0].vertices[:, 1].max()
    half = 3.182446 * expected.std(1, ddof=1) / 2  # t_3(0.975), sqrt(4) seeds
    np.testing.assert_allclose(top, (expected.mean(1) + half).max(), rtol=1e-5)


def test_one_seed_has_no_band_and_the_picture_says_so(monkeypatch):
    figure, _ = figure_of(table_rows(1), monkeypatch)
    assert len(figure.axes[0].lines) == 1
    assert len(figure.axes[0].collections) == 0
    assert "no interval" in figure.get_suptitle()


def test_a_nan_seed_is_named_and_the_mean_has_a_gap(monkeypatch):
    figure, _ = figure_of(table_rows(3, nan_seed=1), monkeypatch)
    mean = figure.axes[0].lines[-1].get_ydata()
    assert np.isfinite(mean[:6]).all()
    assert np.isnan(mean[6:]).all()
    assert "not finite at the end: 8" in figure.get_suptitle()


def test_known_diagnostics_come_first_and_the_clock_never(monkeypatch):
    figure, _ = figure_of(table_rows(), monkeypatch)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == [
        "success at the end",
        "success at any step",
        "mean Q of a batch",
        "imitated share of a batch",
        "TD loss",
    ]
    keys = curves._chosen(
        [{"member": 0, "env_steps": 1, "seed": 0, "alpha": 2.0, "learner/q_mean": 1.0, "never": np.nan}]
    )
    assert keys == ["learner/q_mean", "alpha"]


@pytest.mark.parametrize(
    ("metrics", "titles"),
    [
        (("loss", "entropy", "collect_success_end", "distance_end"), ("entropy of the policy, nats", "loss")),
        (
            ("loss", "td_loss", "actor_loss", "q_mean", "target_mean", "reward_mean"),
            ("mean Q of a batch", "TD loss", "actor loss"),
        ),
        (
            ("loss", "return_mean", "hit_fraction", "entropy", "effective_sample_share", "value_loss"),
            ("return on the goals of a batch", "entropy of the policy, nats", "effective share of a batch"),
        ),
    ],
)
def test_each_kind_of_agent_has_its_diagnostics_titled(metrics, titles):
    """Imitation, actor and critic, policy gradient: what they measure, the most telling first."""
    bare = {"member": 0, "seed": 7, "env_steps": 1, "updates": 1, "success_end": 0.5, "success_any": 0.5}
    chosen = curves._chosen([bare | dict.fromkeys(metrics, 1.0)])
    assert tuple(curves._TITLES[key] for key in chosen)[: len(titles)] == titles


def test_rows_without_diagnostics_and_no_rows_at_all(monkeypatch):
    bare = [{key: entry[key] for key in entry if key in REQUIRED_KEYS} for entry in table_rows()]
    figure, _ = figure_of(bare, monkeypatch)
    assert len(figure.axes) == 2
    figure, data = figure_of([], monkeypatch)
    assert "no evaluation yet" in figure.get_suptitle()
    assert decoded(data)[0] == "PNG"


def test_a_constant_and_a_huge_diagnostic_are_drawn():
    assert decoded(curves.curves(table_rows(td_loss=0.0, q_mean=1e30), "x"))[0] == "PNG"


def test_the_picture_is_the_same_twice_and_leaves_pyplot_alone():
    code = (
        "import sys; from hindsight_jax.runs import curves; import numpy as np;"
        "row = dict(member=0, seed=0, env_steps=1, updates=1, success_end=0.5, success_any=0.5);"
        "assert 'matplotlib' not in sys.modules;"
        "a = curves.curves([row], 'x'); assert a == curves.curves([row], 'x');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})


def ball(count=12, size=64):
    frames = np.full((count, size, size, 3), 30, np.uint8)
    for index in range(count):
        frames[index, 20:30, 4 * index : 4 * index + 10] = (220, 60, 40)
    return frames


def test_gif_has_its_frames_its_speed_and_loops():
    data = video.animation(ball(), 20.0)
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
    with Image.open(io.BytesIO(video.animation(frames, 10.0))) as image:
        total = 0
        for index in range(image.n_frames):
            image.seek(index)
            total += image.info["duration"]
    assert total == 8 * 100


def test_large_gifs_are_brought_under_the_limit():
    generator = np.random.default_rng(0)
    low = generator.integers(0, 255, size=(60, 12, 16, 3)).astype(np.uint8)
    frames = low.repeat(20, axis=1).repeat(20, axis=2)  # 60 frames of 240 x 320 in coloured blocks
    data = video.animation(frames, 20.0)
    assert len(data) < video.MAX_BYTES
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 60


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
        video.animation(bad, 20.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, 51.0, float("nan")])
def test_speeds_outside_of_the_range_are_refused(bad):
    with pytest.raises(ValueError, match="frames_per_second"):
        video.animation(ball(), bad)


def test_a_grid_is_a_line_for_each_setting_and_the_caption_names_the_best(monkeypatch):
    figures = []
    monkeypatch.setattr(plotting, "png", lambda figure: figures.append(figure) or b"")
    table = [
        {"member": m, "seed": m % 2, "agent.beta": m // 2 + 1.0, "env_steps": s, "updates": s}
        | {"success_end": m / 8, "success_any": 1.0}
        for s in (100, 200)
        for m in range(6)
    ]
    curves.curves(table, "hdm_push")
    left = figures[0].axes[0]
    assert [line.get_label() for line in left.lines] == ["beta 1", "beta 2", "beta 3"]
    np.testing.assert_allclose([line.get_ydata()[-1] for line in left.lines], [0.5 / 8, 2.5 / 8, 4.5 / 8])
    assert "3 settings; success at the end 0.562 with beta 3, the best" in figures[0].get_suptitle()
