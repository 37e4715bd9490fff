"""All figures of one task."""

import json

import pytest
from task_figures import FIGURES

from experiments.bench import timing
from experiments.environments import measure
from experiments.environments import speed as env_speed
from hindsight_jax import envs


@pytest.mark.seldom
def test_one_task_is_measured_with_all_its_figures(chain, monkeypatch):
    """The keys of the page's table, from a task that compiles in a second."""
    monkeypatch.setattr(envs, "make", lambda name: chain)
    monkeypatch.setattr(env_speed, "STEPS", 3)
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(measure, "IMAGES", 2)
    monkeypatch.setattr(measure, "SIDE", 8)
    monkeypatch.setattr(measure, "BATCHES", (2, 1))
    figures = measure.measure("chain", 16, rounds=1)
    assert figures.keys() == FIGURES.keys()
    assert list(figures["speed"]) == ["2", "1"]
    assert all(speed.keys() == FIGURES["speed"]["1"].keys() for speed in figures["speed"].values())
    assert figures["images_per_second"] > 0
    json.dumps(figures)
