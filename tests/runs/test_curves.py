"""The picture of the curves opens, has its size, and shows the numbers of the records."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from hindsight_jax import plotting
from hindsight_jax.runs import curves, glossary
from hindsight_jax.runs.records import REQUIRED_KEYS


def make_records(seeds=4, evaluations=10, nan_seed=None, **constant):
    generator = np.random.default_rng(0)
    data = []
    for step in range(evaluations):
        for member in range(seeds):
            success = min(1.0, 0.08 * step + 0.02 * generator.normal() + 0.1)
            data.append(
                {"member": member, "seed": member + 7, "env_steps": 1000 * step, "updates": 1000 * step}
                | {"success_end": np.nan if member == nan_seed and step > 5 else success}
                | {"success_any": min(1.0, success + 0.05)}
                | {"td_loss": 1.0 / (1 + step), "q_mean": member - float(step), "imitated_fraction": 0.4, "zeta": 1.0}
                | {"never": np.nan, "seconds_evaluation": 1.0}
                | constant
            )
    return data


def figure_of(records, monkeypatch, title="hdm_push"):
    """The matplotlib figure behind the bytes."""
    kept = []
    real = plotting.png
    monkeypatch.setattr(plotting, "png", lambda figure: kept.append(figure) or real(figure))
    data = curves.curves(records, title)
    return kept[0], data


def decoded(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.format, image.size, np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("seeds", "evaluations"),
    [(4, 40), *(pytest.param(*size, marks=pytest.mark.seldom) for size in ((1, 40), (4, 1), (1, 1), (20, 300)))],
)
def test_picture_opens_is_small_and_is_not_blank(seeds, evaluations):
    data = curves.curves(make_records(seeds, evaluations), "hdm_push")
    kind, (width, height), pixels = decoded(data)
    assert kind == "PNG"
    assert 900 <= width <= 1300
    assert 600 <= height <= 900
    assert len(data) < 300_000
    blue = (pixels[..., 2].astype(int) - pixels[..., 0]) > 80
    assert blue.sum() > 50


def test_each_seed_the_mean_and_the_band_are_drawn(monkeypatch):
    """In every panel the numbers of its own column, over env steps."""
    data = make_records(4, 10)
    figure, _ = figure_of(data, monkeypatch)
    panels = {
        "success_end": "success at the end",
        "success_any": "success at any step",
        "q_mean": "mean Q of a batch",
        "imitated_fraction": "imitated share of a batch",
        "td_loss": "TD loss",
    }
    for axis, (key, title) in zip(figure.axes, panels.items(), strict=True):
        assert axis.get_title(loc="left") == title
        assert len(axis.lines) == 5
        expected = np.array([entry[key] for entry in data]).reshape(10, 4)
        for member in range(4):
            np.testing.assert_array_equal(axis.lines[member].get_xdata(), 1000 * np.arange(10))
            np.testing.assert_array_equal(axis.lines[member].get_ydata(), expected[:, member])
        np.testing.assert_allclose(axis.lines[4].get_ydata(), expected.mean(1))
        (band,) = axis.collections
        top = band.get_paths()[0].vertices[:, 1].max()
        half = 3.182446 * expected.std(1, ddof=1) / 2  # t_3(0.975), sqrt(4) seeds
        np.testing.assert_allclose(top, (expected.mean(1) + half).max(), rtol=1e-5)


def test_one_seed_has_no_band_and_the_picture_says_so(monkeypatch):
    figure, _ = figure_of(make_records(1), monkeypatch)
    assert len(figure.axes[0].lines) == 1
    assert len(figure.axes[0].collections) == 0
    assert "no interval" in figure.get_suptitle()


def test_a_nan_seed_is_named_and_the_mean_has_a_gap(monkeypatch):
    figure, _ = figure_of(make_records(3, nan_seed=1), monkeypatch)
    mean = figure.axes[0].lines[-1].get_ydata()
    assert np.isfinite(mean[:6]).all()
    assert np.isnan(mean[6:]).all()
    assert "not finite at the end: 8" in figure.get_suptitle()


def test_known_diagnostics_come_first_and_the_clock_never():
    entry = {"member": 0, "env_steps": 1, "seed": 0, "alpha": 2.0, "learner/q_mean": 1.0, "never": np.nan}
    keys = curves._diagnostics([entry | {"seconds_train": 1.0}])
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
    chosen = curves._diagnostics([bare | dict.fromkeys(metrics, 1.0)])
    assert tuple(glossary.title(key) for key in chosen)[: len(titles)] == titles


def test_records_without_diagnostics_and_no_records_at_all(monkeypatch):
    bare = [{key: entry[key] for key in entry if key in REQUIRED_KEYS} for entry in make_records()]
    figure, _ = figure_of(bare, monkeypatch)
    assert len(figure.axes) == 2
    figure, data = figure_of([], monkeypatch)
    assert "no evaluation yet" in figure.get_suptitle()
    assert decoded(data)[0] == "PNG"


def test_a_constant_and_a_huge_diagnostic_are_drawn():
    assert decoded(curves.curves(make_records(td_loss=0.0, q_mean=1e30), "x"))[0] == "PNG"


@pytest.mark.seldom
def test_the_picture_is_the_same_twice_and_leaves_pyplot_alone():
    code = (
        "import sys; from hindsight_jax.runs import curves; import numpy as np;"
        "record = dict(member=0, seed=0, env_steps=1, updates=1, success_end=0.5, success_any=0.5);"
        "assert 'matplotlib' not in sys.modules;"
        "a = curves.curves([record], 'x'); assert a == curves.curves([record], 'x');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})


def test_a_grid_is_a_line_for_each_setting_and_the_caption_names_the_best(monkeypatch):
    figures = []
    monkeypatch.setattr(plotting, "png", lambda figure: figures.append(figure) or b"")
    table = [
        {"member": m, "seed": m % 2, "agent.beta": m // 2 + 1.0, "env_steps": s, "updates": s}
        | {"success_end": m / 8, "success_any": m / 6}
        for s in (100, 200)
        for m in range(6)
    ]
    curves.curves(table, "hdm_push")
    for axis, scale in zip(figures[0].axes, (8, 6), strict=True):
        assert [line.get_label() for line in axis.lines] == ["beta 1", "beta 2", "beta 3"]
        np.testing.assert_allclose([line.get_ydata()[-1] for line in axis.lines], np.array([0.5, 2.5, 4.5]) / scale)
    assert "3 settings; success at the end 0.562 with beta 3, the best" in figures[0].get_suptitle()
