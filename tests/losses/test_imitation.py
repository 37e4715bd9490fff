"""Log-probabilities [D 32] and the loss of imitation [D 11, 12]."""

import math
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from hindsight_jax import losses

LOGITS = jnp.array([0.5, -1.0, 2.0])
HEADS = jnp.array([[0.5, -1.0, 2.0], [1.0, 1.0, 0.0]])
ONE = jnp.array(1)

MEAN, LOG_STD, ACTION = jnp.array([0.5, -1.0, 2.0]), jnp.array([0.0, 0.7, -0.4]), jnp.array([0.0, 1.5, 2.1])

logits_lists = st.lists(st.floats(-50.0, 50.0, width=32, allow_subnormal=False), min_size=4, max_size=4)


def test_golden_log_prob():
    # softmax(log 1, log 2, log 5) = 1/8, 2/8, 5/8
    logits = jnp.log(jnp.array([1.0, 2.0, 5.0]))
    np.testing.assert_allclose(losses.log_prob(logits, ONE), math.log(2.0 / 8.0), rtol=1e-6)
    # a second dim with 1/4, 3/4: the log of 2/8 times 3/4
    heads = jnp.log(jnp.array([[2.0, 6.0], [1.0, 3.0]]))
    expected = math.log(2.0 / 8.0 * 3.0 / 4.0)
    np.testing.assert_allclose(losses.factorised(losses.log_prob)(heads, jnp.array([0, 1])), expected, rtol=1e-6)


def test_golden_behaviour_cloning():
    assert float(losses.behaviour_cloning(jnp.array(-2.5))) == 2.5
    assert float(losses.behaviour_cloning(0.75)) == -0.75  # a density may exceed 1


def test_golden_gaussian_log_prob():
    # the standard normal at 0 is 1 / sqrt(2 pi); two dims are a product
    zeros = jnp.zeros(2)
    np.testing.assert_allclose(losses.gaussian_log_prob(zeros, zeros, zeros), -math.log(2 * math.pi), rtol=1e-6)
    # mean 1, std 2, a = 5: z = 2, -2 - log 2 - log(2 pi) / 2; and mean 0, std 1/2, a = 0: + log 2 - log(2 pi) / 2
    mean, log_std, a = jnp.array([1.0, 0.0]), jnp.log(jnp.array([2.0, 0.5])), jnp.array([5.0, 0.0])
    np.testing.assert_allclose(losses.gaussian_log_prob(mean, log_std, a), -2 - math.log(2 * math.pi), rtol=1e-6)


def test_gaussian_log_prob_against_the_standard_library():
    with jax.enable_x64(True):
        rows = np.random.default_rng(2).normal(size=(3, 4))
        density = math.prod(statistics.NormalDist(m, math.exp(s)).pdf(x) for m, s, x in rows.T)
        result = losses.gaussian_log_prob(*(jnp.asarray(row) for row in rows))
        assert result.dtype == jnp.float64
        np.testing.assert_allclose(result, math.log(density), rtol=1e-12)


def test_gradients_of_gaussian_log_prob():
    with jax.enable_x64(True):
        arguments = [jnp.asarray(row) for row in np.random.default_rng(3).normal(size=(3, 4))]
        check_grads(jax.jit(losses.gaussian_log_prob), arguments, order=1)
    # at the mean: no slope, and -1 in log_std
    by_all = jax.jit(jax.grad(losses.gaussian_log_prob, argnums=(0, 1, 2)))(MEAN, LOG_STD, MEAN)
    np.testing.assert_array_equal(by_all, [[0.0] * 3, [-1.0] * 3, [0.0] * 3])


def test_the_density_is_largest_at_the_mean_and_its_std_is_fitted():
    peak = losses.gaussian_log_prob(MEAN, LOG_STD, MEAN)
    assert float(losses.gaussian_log_prob(MEAN, LOG_STD, ACTION)) < float(peak)
    # the likelihood of a deviation d is stationary at std = |d|
    by_log_std = jax.jit(jax.grad(losses.gaussian_log_prob, argnums=1))(MEAN, jnp.log(jnp.abs(ACTION - MEAN)), ACTION)
    np.testing.assert_allclose(by_log_std, jnp.zeros(3), atol=1e-5)


@pytest.mark.parametrize("log_std", [-3e38, -200.0, -87.0, 87.0, 200.0, 3e38])
@pytest.mark.parametrize("deviation", [0.0, 1e-30, 1.0, 3e38])
def test_extreme_gaussians_are_never_nan(log_std, deviation):
    arguments = jnp.zeros(1), jnp.array([log_std]), jnp.array([deviation])
    value, gradients = jax.value_and_grad(losses.gaussian_log_prob, argnums=(0, 1, 2))(*arguments)
    assert not any(bool(jnp.any(jnp.isnan(x))) for x in (value, *gradients))
    if deviation == 0.0:
        np.testing.assert_allclose(value, -log_std - 0.5 * math.log(2 * math.pi), rtol=1e-6)


def test_factorised_gaussians_are_rows_of_actions():
    heads = [jnp.stack([x, x + 1.0]) for x in (MEAN, LOG_STD, ACTION)]
    whole = losses.gaussian_log_prob(*(x.reshape(6) for x in heads))
    np.testing.assert_allclose(losses.factorised(losses.gaussian_log_prob)(*heads), whole, rtol=1e-6)
    with pytest.raises(ValueError, match=r"mean: got float32\[\].*rank 1.*not factorised"):
        losses.factorised(losses.gaussian_log_prob)(MEAN, LOG_STD, ACTION)


def test_gaussian_jit_is_eager_and_vmap_is_a_loop():
    columns = [jnp.stack([x, x * 2.0, -x]) for x in (MEAN, LOG_STD, ACTION)]
    loop = [losses.gaussian_log_prob(*(column[i] for column in columns)) for i in range(3)]
    np.testing.assert_allclose(jax.jit(jax.vmap(losses.gaussian_log_prob))(*columns), loop, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_gaussian_keeps_the_dtype(dtype):
    result = jax.eval_shape(losses.gaussian_log_prob, *(x.astype(dtype) for x in (MEAN, LOG_STD, ACTION)))
    assert (result.dtype, result.shape) == (dtype, ())


def test_float64_reference():
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        for _ in range(5):
            logits, a = generator.normal(size=7) * 3, int(generator.integers(7))
            expected = logits[a] - np.log(np.sum(np.exp(logits)))
            result = losses.log_prob(jnp.asarray(logits), a)
            assert result.dtype == jnp.float64
            np.testing.assert_allclose(result, expected, rtol=1e-12)
            np.testing.assert_allclose(losses.behaviour_cloning(result), -expected, rtol=1e-12)


def test_gradients_by_finite_differences():
    with jax.enable_x64(True):
        logits = jnp.asarray(np.random.default_rng(1).normal(size=6))
        check_grads(jax.jit(lambda x: losses.behaviour_cloning(losses.log_prob(x, ONE))), (logits,), order=1)


def test_the_gradient_raises_the_action_taken():
    # of -log softmax(l)[a]: softmax(l) - onehot(a)
    gradient = jax.grad(lambda x: losses.behaviour_cloning(losses.log_prob(x, ONE)))(LOGITS)
    np.testing.assert_allclose(gradient, jax.nn.softmax(LOGITS) - jax.nn.one_hot(1, 3), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_large_logits_are_stable(scale):
    value, gradient = jax.value_and_grad(losses.log_prob)(jnp.array([scale, 0.0, scale]), 0)
    np.testing.assert_allclose(value, math.log(0.5), rtol=1e-6)  # e^0 is nothing beside e^scale
    np.testing.assert_allclose(gradient, [0.5, 0.0, -0.5])
    assert float(losses.log_prob(jnp.array([scale, 0.0]), 1)) == float(jnp.float32(-scale))


def test_a_barred_action():
    logits = jnp.array([0.0, -jnp.inf, 0.0])
    np.testing.assert_allclose(losses.log_prob(logits, 0), math.log(0.5), rtol=1e-6)
    assert float(losses.log_prob(logits, 1)) == -math.inf


@settings(max_examples=20, deadline=None)
@given(entries=logits_lists, shift=st.floats(-50.0, 50.0, width=32, allow_subnormal=False))
def test_probabilities_sum_to_one_and_shifts_cancel(entries, shift):
    logits = jnp.array(entries, jnp.float32)
    log_probs = [losses.log_prob(logits, k) for k in range(len(entries))]
    assert max(float(value) for value in log_probs) <= 0.0
    np.testing.assert_allclose(sum(math.exp(value) for value in log_probs), 1.0, rtol=1e-5)
    np.testing.assert_allclose(losses.log_prob(logits + jnp.float32(shift), 0), log_probs[0], atol=1e-4)


def test_jit_is_eager_and_vmap_is_a_loop():
    actions = jnp.array([0, 2])
    loop = [losses.log_prob(head, a) for head, a in zip(HEADS, actions, strict=True)]
    np.testing.assert_allclose(jax.vmap(losses.log_prob)(HEADS, actions), loop, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(losses.log_prob)(LOGITS, ONE), losses.log_prob(LOGITS, ONE), rtol=1e-6)
    column = jnp.array([-1.0, 0.5])
    np.testing.assert_array_equal(jax.jit(jax.vmap(losses.behaviour_cloning))(column), -column)
