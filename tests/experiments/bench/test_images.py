"""Images in the bench: rates of drawing, and an update beside its arithmetic at peak."""

import numpy as np
import pytest
from bench_values import positive

from experiments.bench import images, timing


@pytest.mark.seldom
def test_rates_and_costs_agree_with_one_another(monkeypatch):
    monkeypatch.setattr(timing, "SIDE", 64)
    for name, value in (("TASKS", ("four_rooms",)), ("STATES", 2), ("REPEATS", 1), ("UPDATES", 1), ("ROUNDS", 1)):
        monkeypatch.setattr(images, name, value)
    monkeypatch.setattr(images, "CAPACITIES", (20, 40))
    rates = images.images_per_second(36)
    assert list(rates) == ["four_rooms", "four_rooms, as people see it"]
    cost = images.update(36)
    positive(rates)
    positive(cost)
    of_rings = [cost[f"milliseconds, ring of {capacity} trajectories"] for capacity in images.CAPACITIES]
    np.testing.assert_allclose(cost["ratio"], of_rings[1] / cost["milliseconds_at_peak"])
    np.testing.assert_allclose(cost["ratio of rings"], of_rings[1] / of_rings[0])
