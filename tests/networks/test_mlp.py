"""The parts of every head: scaled inputs, the law of the first weights, layer normalisation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from forward_pass import GOALS, OBSERVATIONS, forward, made

from hindsight_jax import networks, types


def test_inputs_are_scaled_where_ranges_are_given():
    network, params, (observation, goal) = made(observation_range=OBSERVATIONS, goal_range=GOALS)
    scale = lambda x, bounds: 2 * (x - np.array(bounds.low)) / (np.array(bounds.high) - np.array(bounds.low)) - 1
    x = np.concatenate([scale(np.float64(observation), OBSERVATIONS), scale(np.float64(goal), GOALS)], axis=-1)
    assert np.abs(x).max() <= 1
    np.testing.assert_allclose(
        network.apply(params, observation, goal), forward(params, x)[:, None], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_first_weights_are_uniform_within_the_root_of_the_fan_in(layer):
    """+-1/sqrt(fan_in), weights and biases alike."""
    _, params, _ = made(types.Discrete(1, 300), hidden_sizes=(400, 200))
    dense = params["params"]["MLP_0"][f"Dense_{layer}"]
    fan_in = (5, 400, 200)[layer]
    assert dense["kernel"].shape[0] == fan_in
    bound = 1 / math.sqrt(fan_in)
    for values in dense.values():
        values = np.ravel(values)
        assert np.abs(values).max() <= bound
        assert scipy.stats.kstest(values, "uniform", (-bound, 2 * bound)).pvalue > 1e-3
    assert scipy.stats.pearsonr(np.ravel(dense["kernel"])[:200], np.ravel(dense["bias"])[:200]).pvalue > 1e-3


def test_small_first_weights_are_normal_and_biases_zero():
    """A normal law of deviation 0.1, cut at 0.2."""
    _, params, _ = made(hidden_sizes=(400, 200), initial_std=0.1)
    for layer in params["params"]["MLP_0"].values():
        assert not np.any(layer["bias"])
        law = scipy.stats.truncnorm(-2, 2, scale=0.1)
        assert scipy.stats.kstest(np.ravel(layer["kernel"]), law.cdf).pvalue > 1e-3


def test_tanh_between_the_layers():
    network, params, (observation, goal) = made(activation="tanh")
    layers = jax.tree.map(lambda p: np.asarray(p, np.float64), params)["params"]["MLP_0"]
    first, second, last = (layers[f"Dense_{i}"] for i in range(3))
    through = lambda x, layer: x @ layer["kernel"] + layer["bias"]
    x = np.tanh(through(np.concatenate([observation, goal], axis=-1), first))
    expected = through(np.tanh(through(x, second)), last)
    np.testing.assert_allclose(network.apply(params, observation, goal)[:, 0], expected, rtol=1e-5, atol=1e-5)


def test_first_weights_depend_on_the_key():
    (_, first, _), (_, same, _), (_, other, _) = made(seed=0), made(seed=0), made(seed=1)
    kernels = [p["params"]["MLP_0"]["Dense_1"]["kernel"] for p in (first, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.any(np.asarray(kernels[0]) == np.asarray(kernels[2]))


def test_layer_normalisation_frees_hidden_units_of_scale():
    """A hundred times the input of a layer changes its normalised units hardly at all."""
    network, params, (observation, goal) = made(layer_norm=True)
    scaled = jax.tree_util.tree_map_with_path(
        lambda path, p: p * (100.0 if "Dense_0" in jax.tree_util.keystr(path) else 1.0), params
    )
    np.testing.assert_allclose(
        network.apply(params, observation, goal), network.apply(scaled, observation, goal), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("shapes", [((4, 3), (2,)), ((4, 3), (1, 2))])
def test_leading_axes_that_differ_are_refused(shapes):
    network, params, _ = made()
    with pytest.raises(ValueError, match=r"goal: got float32.*of the observation, .*vmap"):
        network.apply(params, *map(jnp.ones, shapes))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_scale_to_range_keeps_shape_and_dtype(dtype):
    x = jnp.asarray([[[0.0, -1.0], [4.0, 1.0]], [[2.0, 0.0], [6.0, -2.0]]], dtype)
    scaled = networks.scale_to_range(x, GOALS)
    assert scaled.dtype == dtype
    np.testing.assert_array_equal(scaled, [[[-1, -1], [1, 1]], [[0, 0], [2, -2]]])  # nothing is clipped
