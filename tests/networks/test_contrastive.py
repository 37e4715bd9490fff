"""The encoders of contrastive RL against a float64 NumPy forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forward_pass import GOALS, OBSERVATIONS, forward, inputs

from hindsight_jax import networks

ACTION = jnp.array([[0.5, -1.0], [0.0, 1.0], [-0.75, 0.0], [0.1, 0.2]])


def made(**options):
    """(encoders, their parameters, observation and goal)."""
    encoders = networks.ContrastiveEncoders(hidden_sizes=(8, 6), representation_size=5, **options)
    observation, goal = inputs(4)
    return encoders, encoders.init(jax.random.key(0), observation, goal, ACTION), observation, goal


def one(params, name):
    """One encoder's parameters, where `forward` looks for them."""
    return {"params": {"MLP_0": params["params"][name]}}


@pytest.mark.parametrize("layer_norm", [False, True])
def test_both_equal_numpy(layer_norm):
    """phi sees observation, then action; psi the goal alone."""
    encoders, params, observation, goal = made(layer_norm=layer_norm)
    phi, psi = encoders.apply(params, observation, goal, ACTION)
    assert phi.shape == psi.shape == (4, 5)
    seen = np.concatenate([observation, ACTION], axis=-1)
    np.testing.assert_allclose(phi, forward(one(params, "of_action"), seen, layer_norm), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(psi, forward(one(params, "of_goal"), goal, layer_norm), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(encoders.apply(params, observation, ACTION, method="phi"), phi)
    np.testing.assert_array_equal(encoders.apply(params, goal[:2], method="psi"), psi[:2])


def test_observation_and_goal_are_scaled_and_actions_are_not():
    plain, params, observation, goal = made()
    scaled, _, _, _ = made(observation_range=OBSERVATIONS, goal_range=GOALS)
    ready = networks.scale_to_range(observation, OBSERVATIONS), networks.scale_to_range(goal, GOALS)
    for got, expected in zip(
        scaled.apply(params, observation, goal, ACTION), plain.apply(params, *ready, ACTION), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
