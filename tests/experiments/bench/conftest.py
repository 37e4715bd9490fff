"""A clock of ours, and a bench that takes a moment."""

import types

import jax.numpy as jnp
import pytest

from experiments.bench import measure, ring, timing


class Clock:
    """Time passes only in calls, each with a list of durations."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def call(self, name, durations):
        left = iter(durations)

        def tick():
            self.order.append(name)
            self.now += next(left)
            return jnp.zeros(())

        return tick


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(ring, "SIZES", (10_000, 20_000))
    monkeypatch.setattr(measure, "ENV_BATCH", 2)
