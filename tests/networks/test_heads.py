"""Networks against a float64 NumPy forward pass, and the law of their first weights."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hindsight_jax import networks, types

FLAT, CLAW = types.Discrete(1, 5), types.Discrete(3, 2)
OBSERVATIONS = types.Range(low=(-2.0, 0.0, 10.0), high=(2.0, 0.5, 20.0))
GOALS = types.Range(low=(0.0, -1.0), high=(4.0, 1.0))


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


def inputs(num_rows, seed=0):
    generator = np.random.default_rng(seed)
    observation = generator.uniform(OBSERVATIONS.low, OBSERVATIONS.high, (num_rows, 3)).astype(np.float32)
    return jnp.asarray(observation), jnp.asarray(generator.uniform(GOALS.low, GOALS.high, (num_rows, 2)), jnp.float32)


def made(action=FLAT, seed=0, num_rows=4, **options):
    """(network, its parameters, a batch of inputs)."""
    network = networks.QNetwork(action=action, **({"hidden_sizes": (8, 6)} | options))
    observation, goal = inputs(num_rows)
    return network, network.init(jax.random.key(seed), observation, goal), (observation, goal)


def forward(params, x, layer_norm=False):
    """The MLP in float64: dense layers, ReLU between them, layer normalisation before each ReLU if asked for."""
    layers = jax.tree.map(lambda p: np.asarray(p, np.float64), params)["params"]["MLP_0"]
    count = sum(name.startswith("Dense") for name in layers)
    x = np.asarray(x, np.float64)
    for i in range(count):
        x = x @ layers[f"Dense_{i}"]["kernel"] + layers[f"Dense_{i}"]["bias"]
        if i == count - 1:
            return x
        if layer_norm:
            norm = layers[f"LayerNorm_{i}"]
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * norm["scale"] + norm[
                "bias"
            ]
        x = np.maximum(x, 0.0)


@pytest.mark.parametrize("action", [FLAT, CLAW])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_q_network_equals_numpy(action, layer_norm):
    """Observation first, then goal; one number per dimension and bin, dimensions first."""
    network, params, (observation, goal) = made(action, layer_norm=layer_norm)
    expected = forward(params, np.concatenate([observation, goal], axis=-1), layer_norm).reshape(4, *action)
    q = network.apply(params, observation, goal)
    assert q.dtype == jnp.float32
    np.testing.assert_allclose(q, expected, rtol=1e-5, atol=1e-5)


def test_inputs_are_scaled_where_ranges_are_given():
    network, params, (observation, goal) = made(observation_range=OBSERVATIONS, goal_range=GOALS)
    scale = lambda x, bounds: 2 * (x - np.array(bounds.low)) / (np.array(bounds.high) - np.array(bounds.low)) - 1
    x = np.concatenate([scale(np.float64(observation), OBSERVATIONS), scale(np.float64(goal), GOALS)], axis=-1)
    assert np.abs(x).max() <= 1
    np.testing.assert_allclose(
        network.apply(params, observation, goal), forward(params, x)[:, None], rtol=1e-5, atol=1e-5
    )


def test_observation_and_goal_both_matter():
    network, params, (observation, goal) = made()
    q = network.apply(params, observation, goal)
    for moved in ((observation + 1, goal), (observation, goal + 1)):
        assert np.abs(network.apply(params, *moved) - q).min() > 1e-6


@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_any_leading_axes(leading):
    network, params, _ = made(CLAW)
    q = network.apply(params, jnp.ones((*leading, 3)), jnp.ones((*leading, 2)))
    assert q.shape == (*leading, 3, 2)


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
    with pytest.raises(ValueError, match=r"goal: got float32.*observation float32.*vmap"):
        network.apply(params, *map(jnp.ones, shapes))


# Heads of continuous actions

ARM = types.Box(3)
ACTION = jnp.array([[0.5, -1.0, 0.25], [0.0, 1.0, -0.5], [-0.75, 0.0, 1.0], [0.1, 0.2, 0.3]])


def head(kind, *arguments, **options):
    """(network, its parameters, a batch of inputs), the action among them if there is one."""
    network = kind(hidden_sizes=(8, 6), **options)
    situation = (*inputs(4), *arguments)
    return network, network.init(jax.random.key(0), *situation), situation


@pytest.mark.parametrize("layer_norm", [False, True])
def test_deterministic_policy_equals_numpy(layer_norm):
    network, params, situation = head(networks.DeterministicPolicy, action=ARM, layer_norm=layer_norm)
    action = network.apply(params, *situation)
    expected = np.tanh(forward(params, np.concatenate(situation, axis=-1), layer_norm))
    assert action.dtype == jnp.float32
    np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arguments", [(), (ACTION,)], ids=["V", "Q"])
def test_critic_equals_numpy(arguments):
    """Observation, goal, then the action if there is one; one number, without an axis."""
    network, params, situation = head(networks.Critic, *arguments, layer_norm=True)
    value = network.apply(params, *situation)
    assert value.shape == (4,)
    expected = forward(params, np.concatenate(situation, axis=-1), layer_norm=True)[:, 0]
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "arguments", "options"),
    [
        (networks.Critic, (ACTION,), {}),
        (networks.GaussianPolicy, (), {"action": ARM}),
    ],
    ids=["critic", "gaussian"],
)
def test_heads_scale_observation_and_goal_alone(kind, arguments, options):
    scaled, params, situation = head(kind, *arguments, observation_range=OBSERVATIONS, goal_range=GOALS, **options)
    plain, _, _ = head(kind, *arguments, **options)
    ready = [networks.scale_to_range(x, bounds) for x, bounds in zip(situation, (OBSERVATIONS, GOALS), strict=False)]
    together = zip(
        jax.tree.leaves(scaled.apply(params, *situation)),
        jax.tree.leaves(plain.apply(params, *ready, *arguments)),
        strict=True,
    )
    for got, expected in together:
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize(("log_std", "held"), [(0.0, 0.0), (-1.5, -1.5), (-7.0, -5.0), (3.0, 2.0)])
def test_gaussian_policy_has_one_deviation_for_all(log_std, held):
    network, params, situation = head(networks.GaussianPolicy, action=ARM)
    assert float(params["params"]["log_std"]) == 0.0
    params = {"params": params["params"] | {"log_std": jnp.float32(log_std)}}
    mean, spread = network.apply(params, *situation)
    np.testing.assert_allclose(mean, forward(params, np.concatenate(situation, axis=-1)), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(spread, np.full((4, 3), held, np.float32))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_scale_to_range_keeps_shape_and_dtype(dtype):
    x = jnp.asarray([[[0.0, -1.0], [4.0, 1.0]], [[2.0, 0.0], [6.0, -2.0]]], dtype)
    scaled = networks.scale_to_range(x, GOALS)
    assert scaled.dtype == dtype
    np.testing.assert_array_equal(scaled, [[[-1, -1], [1, 1]], [[0, 0], [2, -2]]])  # nothing is clipped


@pytest.mark.parametrize("log_std", [-7.0, -1.5, 3.0])
def test_a_deviation_beyond_its_limits_can_come_back(log_std):
    network = networks.GaussianPolicy(action=types.Box(2), hidden_sizes=(4,))
    observation, goal = inputs(3)
    params = network.init(jax.random.key(0), observation, goal)
    of = lambda value: jnp.sum(network.apply({"params": params["params"] | {"log_std": value}}, observation, goal)[1])
    assert float(jax.grad(of)(jnp.float32(log_std))) == 3 * 2  # three rows of two dimensions, one number
