"""What all of this is for: on flip_bit, hindsight learns what the same agent does not learn without it."""

import numpy as np
import pytest

import hindsight_jax as hj


@pytest.mark.seldom
def test_hindsight_beats_no_hindsight_on_flip_bit():
    """Ten bits, three seeds: one program, whose members differ in the share of goals that are not relabelled alone.

    A random walk of ten steps passes over one goal in a hundred. Rewards go by success: by index, goals that are not
    relabelled would never be rewarded, and could not win.
    """
    overrides = {
        "env.size": 10,
        "env.num_envs": 4,
        "agent.hidden_sizes": (64,),
        "agent.batch_size": 64,
        "agent.hindsight_bound": False,
        "relabel.rewards": "success",
        "replay.warmup": 50,
        "replay.capacity": 400,
        "evaluation.episodes": 200,
        "evaluation.every": 10_000,  # once, at the end
    }
    shares = {"relabel.behaviour": [0.15, 1.0]}
    found = hj.train("her_flip_bit", seeds=3, grid=shares, overrides=overrides, total_steps=2400)
    hindsight, none = found["success_end"][..., -1]
    assert np.all(hindsight > 0.5)
    assert np.all(none < 0.1)
