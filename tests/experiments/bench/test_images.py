"""Images in the bench: rates of drawing, an update beside its arithmetic at peak, and a run."""

import numpy as np
import pytest
from bench_values import positive
from named_runs import SMALL

from experiments.bench import images, timing
from hindsight_jax import presets


@pytest.mark.seldom
def test_rates_and_costs_agree_with_one_another(monkeypatch):
    monkeypatch.setattr(timing, "SIDE", 64)
    for name, value in (("TASKS", ("four_rooms",)), ("STATES", 2), ("REPEATS", 1), ("UPDATES", 1), ("ROUNDS", 1)):
        monkeypatch.setattr(images, name, value)
    monkeypatch.setattr(images, "CAPACITIES", (80, 160))
    rates = images.images_per_second(36)
    assert list(rates) == ["four_rooms", "four_rooms, as people see it"]
    cost = images.update(36)
    positive(rates)
    positive(cost)
    of_rings = [cost[f"milliseconds, ring of {capacity} trajectories"] for capacity in images.CAPACITIES]
    np.testing.assert_allclose(cost["ratio"], of_rings[1] / cost["milliseconds_at_peak"])
    np.testing.assert_allclose(cost["ratio of rings"], of_rings[1] / of_rings[0])


@pytest.mark.slow
def test_rates_of_a_run_agree_with_its_numbers(monkeypatch):
    monkeypatch.setattr(timing, "SIDE", 64)
    monkeypatch.setattr(images, "RUN", "hem_navigation")
    monkeypatch.setattr(images, "ROUNDS", 1)
    tiny = SMALL | {"env.size": 2, "env.pixels": 36, "agent.updates_per_epoch": 2, "evaluation.every": 6}  # 2 epochs
    config = presets.config
    monkeypatch.setattr(presets, "config", lambda name: config(name, tiny))
    figures = images.run(2)
    positive(figures)
    updates, env_steps = (figures[f"{name}_per_second_all_members"] for name in ("updates", "env_steps"))
    np.testing.assert_allclose(updates / env_steps, 2 / 3)  # a trajectory of three steps an epoch
    gflop = presets.build(images.RUN, presets.config(images.RUN)).flops_per_update / 1e9
    np.testing.assert_allclose(figures["whole_run_gflops"], updates * gflop)
    share = figures["whole_run_gflops"] / figures["matmul_peak_gflops"]
    np.testing.assert_allclose(figures["whole_run_share_of_peak"], share)
