"""What chance does on a task whose law is known, and how many goals a policy could reach."""

import numpy as np
import probes
import pytest

from hindsight_jax import envs, presets
from hindsight_jax.runs import chance

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
    found = chance.chance(HalfReachable(HORIZON, ends_at_success=stops), EPISODES)
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
def test_a_task_that_is_seen_as_images_is_played_as_it_is():
    seen = envs.make("point_mass", horizon=4, pixels=36)
    assert chance.chance(seen, 16) == chance.chance(envs.make("point_mass", horizon=4), 16)


def test_the_default_of_discrete_navigation_can_be_solved_and_ten_dimensions_cannot():
    """Steps of 0.2 and a threshold of 0.1: 0.975 and 0.142 of 100,000 goals (docs/environments.md)."""
    default = presets.build("hdm_navigation", presets.config("hdm_navigation")).env
    assert chance.chance(default, 8).reachable > 0.96
    assert chance.chance(envs.make("navigation", size=10, actions="discrete"), 8).reachable < 0.17
