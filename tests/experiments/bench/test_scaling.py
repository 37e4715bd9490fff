"""Curves of time by members, rows, environments and devices, with a clock of ours."""

import types

import numpy as np
import pytest

from experiments.bench import scaling
from hindsight_jax import presets, training


class Population:
    """Counts its epochs; time passes by the members and rows of an update."""

    def __init__(self, clock, made, values):
        self.clock, self.made, self.values = clock, made, values

    def init(self, keys, own=None):
        self.made.append((len(keys), self.values, own))
        return types.SimpleNamespace(members=types.SimpleNamespace(updates=keys), epochs=0)

    def advance(self, state, epochs):
        self.clock.now += 1e-6 * epochs * 50 * len(state.members.updates) * self.values["agent.batch_size"]
        return types.SimpleNamespace(members=state.members, epochs=state.epochs + epochs)


@pytest.fixture
def made(clock, monkeypatch):
    """What is built instead of populations: (members, values, own numbers) each."""
    made = []
    build = lambda name, values: types.SimpleNamespace(run=values)
    monkeypatch.setattr(presets, "build", build)
    monkeypatch.setattr(training, "make_population", lambda values, devices: Population(clock, made, values))
    return made


def test_curves_are_microseconds_per_update_of_a_member(made):
    figures = scaling.measure("hdm_push", 4)
    assert {name: list(curve) for name, curve in figures.items()} == {
        "seeds": ["1", "4", "16", "64"],
        "batch": ["64", "256", "1024"],
        "environments": ["1", "4", "16"],
        "devices": ["1"],
        "grid": ["seeds", "settings", "ratio", "programs"],
    }
    for name in ("seeds", "environments", "devices"):  # a microsecond a row
        np.testing.assert_allclose(list(figures[name].values()), 256.0)
    np.testing.assert_allclose(list(figures["batch"].values()), [64.0, 256.0, 1024.0])
    np.testing.assert_allclose([figures["grid"]["ratio"], figures["grid"]["programs"]], [1.0, 0])  # nothing compiles


def test_populations_are_built_once_for_every_point_and_a_grid_differs_in_its_settings_alone(made):
    scaling.measure("hdm_push", 4)
    *points, one, other = made
    assert [count for count, _, _ in points] == [1, 4, 16, 64, 4, 4, 4, 4]  # 256 rows, 4 environments: the seeds' own
    changes = [(values["agent.batch_size"], values["env.num_envs"]) for _, values, _ in points]
    assert changes == [(256, 4)] * 4 + [(64, 4), (1024, 4), (256, 1), (256, 16)]
    assert one[:2] == other[:2]
    assert one[0] == 48
    assert len(set(one[2]["agent.learning_rate"].tolist())) == 1
    settings = other[2]["agent.learning_rate"].reshape(12, 4)
    assert len(set(settings[:, 0].tolist())) == 12
    assert (settings == settings[:, :1]).all()
