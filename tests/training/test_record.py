"""The end of an interval between evaluations: columns, best agents, and members that are not finite."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import tiny

from hindsight_jax import presets, training, types
from hindsight_jax.training import finite


@functools.cache
def population():
    values = presets.config(tiny.NAME) | tiny.VALUES | {"total_steps": 60}
    return training.make_population(presets.build(tiny.NAME, values).run)


KEYS = training.member_keys(0, 3)


@pytest.fixture
def state():
    return population().init(KEYS)


def results_of(*success):
    numbers = jnp.array(success, jnp.float32)
    return {"success_end": numbers, "success_any": numbers, "distance_end": 1.0 - numbers}


def of(tree, member):
    return jax.tree.map(lambda x: x[member].copy(), tree)


def test_each_member_keeps_its_agent_of_the_first_highest_success(state):
    agents, steps = [], []
    for success in ((0.0, 0.5, 0.25), (0.25, 0.5, 0.0), (0.25, 0.75, 0.25)):
        state = population().advance(state, 1)
        agents.append([of(state.members.agent, member) for member in range(3)])
        steps.append(int(state.members.env_steps[0]))
        state, _ = population().record(state, results_of(*success))
    assert state.best.success_end.tolist() == [0.25, 0.75, 0.25]
    for member, when in enumerate((1, 2, 0)):
        reference.same_bits(of(state.best.agent, member), agents[when][member])
        assert int(state.best.env_steps[member]) == steps[when]
    assert not np.array_equal(*(jax.tree.leaves(agent)[0] for agent in (agents[0][2], agents[2][2])))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_evaluation_that_is_not_finite_has_no_success_and_is_never_the_best(state, bad):
    state = population().advance(state, 1)
    state, _ = population().record(state, results_of(0.25, 0.25, 0.25))
    state = population().advance(state, 1)
    results = results_of(0.5, 1.0, 0.5)
    results["distance_end"] = results["distance_end"].at[1].set(bad)
    before = of(state.best, 1)
    state, columns = population().record(state, results)
    np.testing.assert_array_equal(columns["success_end"], [0.5, np.nan, 0.5])
    np.testing.assert_array_equal(columns["success_any"], [0.5, np.nan, 0.5])
    assert columns["frozen"].tolist() == [0, 0, 0]  # nothing of what it learns from is bad
    reference.same_bits(of(state.best, 1), before)
    assert state.best.success_end.tolist() == [0.5, 0.25, 0.5]


def test_the_columns_are_counts_results_and_means_and_the_metrics_start_anew(state):
    state = population().advance(state, 2)
    expected = training.pop_metrics(jax.tree.map(jnp.copy, state))[1]
    state, columns = population().record(state, results_of(0.0, 0.5, 1.0))
    counts = {"env_steps", "updates", "frozen"}
    assert set(columns) == counts | set(expected) | {"success_end", "success_any", "distance_end"}
    for name, mean in expected.items():
        np.testing.assert_array_equal(columns[name], mean)
    assert int(state.summed_epochs) == 0
    assert int(state.epochs) == 2


def test_trajectories_are_looked_at_as_far_as_they_go():
    """An early end, a trajectory without actions, and the padding behind their ends."""
    lengths = jnp.array([2, 0, 3], jnp.int32)
    whole = types.Trajectory(
        observation=jnp.zeros((3, 4, 2)),
        achieved_goal=jnp.zeros((3, 4, 2)),
        action=jnp.zeros((3, 3, 1)),
        desired_goal=jnp.zeros((3, 2)),
        length=lengths,
        terminal=jnp.zeros(3, jnp.bool_),
    )
    assert finite.is_finite(whole)
    steps = {"observation": 1, "achieved_goal": 1, "action": 0}
    for name, beyond in steps.items():
        for one in range(3):
            for step in range(getattr(whole, name).shape[1]):
                spoilt = whole._replace(**{name: getattr(whole, name).at[one, step].set(jnp.nan)})
                is_held = int(lengths[one]) > 0 and step < int(lengths[one]) + beyond
                assert bool(finite.is_finite(spoilt)) != is_held, (name, one, step)
                assert finite.first_bad({"ring": spoilt}) == (f"ring.{name}" if is_held else None)
    for one in range(3):
        spoilt = whole._replace(desired_goal=whole.desired_goal.at[one].set(jnp.inf))
        assert bool(finite.is_finite(spoilt)) == (one == 1)


def test_a_diagnosis_that_finds_nothing_says_so():
    assert str(finite.NonFinite(None, 12)).startswith("a number was not finite after update 12, but replaying")


def test_the_distance_where_imitated_is_a_mean_over_the_imitated_transitions():
    columns = {"imitated_x_distance": 0.06, "imitated_fraction": 0.25, "q_mean": -1.0}
    named = training.normalize_metrics(columns)
    assert list(named.items()) == [("imitated_fraction", 0.25), ("q_mean", -1.0), ("imitated_distance", 0.24)]
    assert type(named["imitated_distance"]) is float
    assert "imitated_x_distance" in columns
    assert training.normalize_metrics({"q_mean": -1.0}) == {"q_mean": -1.0}


def test_there_is_no_distance_where_nothing_is_imitated():
    columns = {
        "imitated_x_distance": np.float32([0.06, 0.0, np.nan]),
        "imitated_fraction": np.float32([0.25, 0.0, np.nan]),
    }
    named = training.normalize_metrics(columns)
    np.testing.assert_array_equal(named["imitated_distance"], [float(np.float32(0.06)) / 0.25, np.nan, np.nan])
    assert np.isnan(
        training.normalize_metrics({"imitated_x_distance": 0.0, "imitated_fraction": 0.0})["imitated_distance"]
    )
