"""Policies: what their heads mean, against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import scipy.stats
from scipy.special import softmax

from hindsight_jax import losses, types
from hindsight_jax.agents import policies

FLAT, CLAW, ARM = types.Discrete(1, 4), types.Discrete(3, 2), types.Box(2)
LOGITS = {
    FLAT: np.array([[0.5, -1.0, 2.0, 0.0]], np.float32),
    CLAW: np.array([[0.0, 1.0], [2.0, 0.0], [0.5, 0.0]], np.float32),
}
GAUSSIAN = np.array([0.3, -2.0], np.float32), np.array([-0.5, 0.7], np.float32)


def made(action):
    return policies.policy(reference.spec(action), (8,))


@pytest.mark.parametrize("action", [FLAT, CLAW])
def test_a_softmax_for_each_dimension(action):
    """The whole law, by all actions: log-probabilities sum to 1 and give the entropy."""
    policy, logits = made(action), LOGITS[action]
    shape = (action.num_bins,) * action.num_dims
    every = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=-1).astype(np.int32)
    log_prob = np.asarray(jax.jit(jax.vmap(policy.log_prob, (None, 0)))(logits, every), np.float64)
    expected = np.log([np.prod(softmax(np.float64(logits), axis=-1)[range(action.num_dims), a]) for a in every])
    np.testing.assert_allclose(log_prob, expected, rtol=1e-5)
    assert float(policy.entropy(logits)) == pytest.approx(scipy.stats.entropy(np.exp(expected)), rel=1e-5)
    np.testing.assert_array_equal(policy.mode(logits), every[np.argmax(expected)])
    drawn = np.asarray(jax.jit(jax.vmap(policy.sample, (None, 0)))(logits, keys(30_000)))
    assert drawn.dtype == policy.mode(logits).dtype == np.int32
    counts = np.bincount(np.ravel_multi_index(tuple(drawn.T), shape), minlength=len(every))
    assert scipy.stats.chisquare(counts, len(drawn) * np.exp(expected)).pvalue > 1e-3


def keys(count):
    return jax.random.split(jax.random.key(0), count)


def test_one_dimension_is_a_flat_set():
    """To the bit the losses' own reading of a flat head, gradient included."""
    policy, logits = made(FLAT), jnp.asarray(LOGITS[FLAT])
    for a in range(FLAT.num_bins):
        ours = jax.value_and_grad(policy.log_prob)(logits, jnp.array([a]))
        flat = jax.value_and_grad(losses.log_prob)(logits[0], jnp.array(a))
        reference.same_bits((ours[0], ours[1][0]), flat)


def test_logits_far_apart():
    """No NaN in entropy or gradient: 0 log 0 is 0."""
    policy, logits = made(FLAT), jnp.array([[1e4, 0.0, -1e4, 0.0]])
    value, gradient = jax.value_and_grad(policy.entropy)(logits)
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, np.zeros((1, 4)))


def test_a_gaussian():
    policy = made(ARM)
    mean, log_std = (x.astype(np.float64) for x in GAUSSIAN)
    law = scipy.stats.norm(mean, np.exp(log_std))
    for action in (np.array([0.3, -2.0]), np.array([-1.0, 1.0])):
        log_prob = policy.log_prob(GAUSSIAN, action.astype(np.float32))
        assert float(log_prob) == pytest.approx(law.logpdf(action).sum(), rel=1e-5)
    assert float(policy.entropy(GAUSSIAN)) == pytest.approx(law.entropy().sum(), rel=1e-5)
    np.testing.assert_array_equal(policy.mode(GAUSSIAN), GAUSSIAN[0])
    drawn = np.asarray(jax.jit(jax.vmap(policy.sample, (None, 0)))(GAUSSIAN, keys(30_000)), np.float64)
    scaled = (drawn - mean) / np.exp(log_std)
    assert all(scipy.stats.kstest(values, "norm").pvalue > 1e-3 for values in scaled.T)  # and not clipped
    assert abs(np.corrcoef(scaled.T)[0, 1]) < 4 / np.sqrt(len(scaled))


@pytest.mark.parametrize("action", [CLAW, ARM])
def test_the_head_of_one_state_and_goal_is_a_row_of_a_batch(action):
    policy = made(action)
    batch = reference.transitions(action, size=3)
    params = policy.network.init(jax.random.key(0), batch.observation, batch.goal)
    together = policy.network.apply(params, batch.observation, batch.goal)
    alone = policies.head_of_one(policy, params, jnp.asarray(batch.observation[1]), jnp.asarray(batch.goal[1]))
    reference.close(alone, jax.tree.map(lambda x: x[1], together))


@pytest.mark.parametrize("action", [CLAW, ARM])
def test_options_reach_the_network(action):
    spec = reference.spec(action)
    network = policies.policy(spec, (8, 4), layer_norm=True, scale_inputs=True).network
    assert (network.action, network.hidden_sizes, network.layer_norm) == (action, (8, 4), True)
    assert (network.observation_range, network.goal_range) == (spec.observation_range, spec.goal_range)
    if action == ARM:
        assert policies.policy(spec, (8,), std=0.2).network.std == 0.2
    assert made(action).network.observation_range is made(action).network.goal_range is None
