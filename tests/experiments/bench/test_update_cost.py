"""The cost of an update: its time beside the time of its arithmetic at peak."""

import numpy as np
import pytest
from bench_values import positive

from experiments.bench import timing, update_cost
from hindsight_jax import presets


@pytest.mark.seldom
def test_the_costs_of_updates_agree_with_one_another(monkeypatch):
    small = {"agent.hidden_sizes": (8,), "env.num_envs": 2}
    config = presets.config
    monkeypatch.setattr(presets, "config", lambda name: config(name) | small)
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(timing, "SIDE", 64)
    costs = update_cost.measure(["gcsl_flip_bit", "reinforce_flip_bit"], 2)
    assert list(costs) == ["gcsl_flip_bit", "reinforce_flip_bit"]
    for name, cost in costs.items():
        positive(cost._asdict())
        np.testing.assert_allclose(cost.ratio, cost.milliseconds / cost.milliseconds_at_peak)
        assert cost.useful_gflop == presets.build(name, presets.config(name)).flops_per_update / 1e9
