"""The parts of the measurements: a policy that is known is played, and its gambles are found."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import registering

from experiments.limits import measure, tasks


def agent(act):
    """Acts by `act(state, observation)`."""
    return types.SimpleNamespace(act=lambda state, observation, goal, key, explore: act(state, observation))


def test_each_seed_is_played_with_its_own_state():
    """The first walks, the second gambles always."""
    constant = agent(lambda state, observation: state[None])
    trained = types.SimpleNamespace(agent=constant, last=jnp.array([1, 2], jnp.int32))
    walks, gambles = measure.played(tasks.Gamble(), trained)
    assert walks == 1.0
    assert abs(gambles - tasks.CHANCE) < 0.14  # four deviations of 200 episodes


def test_the_cells_where_a_policy_gambles():
    """A seed gambles from its own cell on."""
    act = lambda state, observation: jnp.where(observation >= state, 2, 1).astype(jnp.int32)
    found = measure.gambling(agent(act), tasks.Gamble())(jnp.array([0.0, 3.0]))
    assert found.tolist() == [[True] * 5, [False] * 3 + [True] * 2]


def test_the_recorded_episodes_are_successes():
    found = measure.recorded(tasks.Lock(4))
    np.testing.assert_array_equal(found.achieved_goal[:, -1], found.desired_goal)
    assert len(found.length) == measure.RECORDED


@pytest.mark.slow  # it trains 19 small runs
def test_every_part_is_measured(monkeypatch):
    for name, value in {"LOCK_STEPS": 1_200, "BIT_STEPS": 1_200, "GAMBLE_STEPS": 1_200, "PLAYED": 8}.items():
        monkeypatch.setattr(measure, name, value)
    with registering.tables_restored():
        tasks.register()
        found = {part: measured((100, 101), lambda line: None) for part, measured in measure.PARTS.items()}
    assert set(found["locks"]) == {str(size) for size in measure.LOCKS}
    assert set(found["bounds"]["found"]) == set(measure.BOUNDS)
    assert set(found["gambles"]) == set(measure.GAMBLERS)
    assert np.isfinite(jax.tree.leaves(found["gambles"])).all()
