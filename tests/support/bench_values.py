"""Values of a run that the bench measures in a moment."""

import math

VALUES = {
    "agent.updates_per_epoch": 2,
    "agent.backup": "double",
    "agent.imitation": "indicator",
    "agent.next_state": "relabel",
    "agent.batch_size": 8,
    "agent.hidden_sizes": (8, 8),
    "env.num_envs": 1,
    "env.horizon": 5,
    "relabel.behaviour": 0.15,
    "relabel.next_state": 0.2,
}


def positive(figures):
    assert all(math.isfinite(value) and value > 0.0 for value in figures.values()), figures
