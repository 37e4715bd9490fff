"""What chance does on a task whose law is known, and all figures of one task."""

import json

import numpy as np
import probes
import pytest
from task_figures import FIGURES

from experiments.bench import timing
from experiments.environments import measure
from experiments.environments import speed as env_speed
from hindsight_jax import envs

HORIZON, EPISODES = 5, 4000
CELLS = np.arange(5)


class HalfReachable(probes.Chain):
    """Says that the last cell is out of reach."""

    def reachable(self, goal):
        return goal[-1] == 0.0


def walk(goal, stops):
    """Exact law of the chain under uniform moves: P[start, end] after the horizon, and P[start] of a visit to `goal`.

    A walk that `stops` stays at the goal after its first visit, the start not being one.
    """
    step = np.zeros((5, 5))
    for move in (-1, 0, 1):
        step[CELLS, np.clip(CELLS + move, 0, 4)] += 1 / 3
    alive, arrived = np.eye(5), np.zeros(5)
    for _ in range(HORIZON):
        alive = alive @ step
        arrived, alive[:, goal] = arrived + alive[:, goal], 0.0
    ends = np.linalg.matrix_power(step, HORIZON)
    if stops:
        ends = alive.copy()
        ends[:, goal] = arrived
    return ends, arrived


@pytest.mark.parametrize("stops", [False, True])
def test_shares_are_those_of_the_random_walk(stops):
    """Start and goal are uniform and independent; a share of 4,000 episodes is within 4 x 0.5 / sqrt(4000) = 0.032."""
    exact = [walk(goal, stops) for goal in CELLS]
    found = measure.chance(HalfReachable(HORIZON, ends_at_success=stops), EPISODES)
    expected = {
        "success_start": 1 / 5,
        "success_end": np.mean([ends[:, goal].mean() for goal, (ends, _) in zip(CELLS, exact, strict=True)]),
        "success_any": np.mean([arrived.mean() for _, arrived in exact]),
        "change_ratio": 1.0 - np.mean([np.diag(ends).mean() for ends, _ in exact]),
        "reachable": 4 / 5,
    }
    assert expected["success_any"] > expected["success_start"] + 0.1
    for name, value in expected.items():
        assert abs(getattr(found, name) - value) < 0.032, name


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
