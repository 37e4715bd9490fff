"""Heads against a float64 NumPy forward pass: Q of discrete actions, policies and critics of continuous ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forward_pass import CLAW, FLAT, GOALS, OBSERVATIONS, forward, inputs, made

from hindsight_jax import networks, types


@pytest.mark.parametrize("action", [FLAT, CLAW])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_q_network_equals_numpy(action, layer_norm):
    """Observation first, then goal; one number per dimension and bin, dimensions first."""
    network, params, (observation, goal) = made(action, layer_norm=layer_norm)
    expected = forward(params, np.concatenate([observation, goal], axis=-1), layer_norm).reshape(4, *action)
    q = network.apply(params, observation, goal)
    assert q.dtype == jnp.float32
    np.testing.assert_allclose(q, expected, rtol=1e-5, atol=1e-5)


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
        (networks.TanhGaussianPolicy, (), {"action": ARM}),
    ],
    ids=["critic", "gaussian", "tanh gaussian"],
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


@pytest.mark.parametrize("layer_norm", [False, True])
def test_tanh_gaussian_policy_equals_numpy(layer_norm):
    """Means first, then what becomes the deviations, within (e^-5, e^2)."""
    network, params, situation = head(networks.TanhGaussianPolicy, action=ARM, layer_norm=layer_norm)
    mean, log_std = network.apply(params, *situation)
    outputs = forward(params, np.concatenate(situation, axis=-1), layer_norm)
    np.testing.assert_allclose(mean, outputs[:, :3], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(log_std, -1.5 + 3.5 * np.tanh(outputs[:, 3:]), rtol=1e-5, atol=1e-5)
    last = params["params"]["MLP_0"]["Dense_2"]
    for bias, limit in ((30.0, 2.0), (-30.0, -5.0)):
        far = {"params": {"MLP_0": params["params"]["MLP_0"] | {"Dense_2": last | {"bias": jnp.full(6, bias)}}}}
        np.testing.assert_allclose(network.apply(far, *situation)[1], np.full((4, 3), limit), rtol=1e-6)


def test_a_fixed_deviation_is_no_parameter():
    network, params, situation = head(networks.GaussianPolicy, action=ARM, std=0.2)
    assert set(params["params"]) == {"MLP_0"}
    mean, spread = network.apply(params, *situation)
    np.testing.assert_allclose(mean, forward(params, np.concatenate(situation, axis=-1)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(spread, np.full((4, 3), np.log(0.2)), rtol=1e-6)


@pytest.mark.parametrize("log_std", [-7.0, -1.5, 3.0])
def test_a_deviation_beyond_its_limits_can_come_back(log_std):
    network = networks.GaussianPolicy(action=types.Box(2), hidden_sizes=(4,))
    observation, goal = inputs(3)
    params = network.init(jax.random.key(0), observation, goal)
    of = lambda value: jnp.sum(network.apply({"params": params["params"] | {"log_std": value}}, observation, goal)[1])
    assert float(jax.grad(of)(jnp.float32(log_std))) == 3 * 2  # three rows of two dimensions, one number
