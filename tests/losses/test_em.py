"""The M-step of hEM [M 10], and the E-step of MPO."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from hindsight_jax import losses

LOG_PROB = jnp.array([-0.5, -1.5, -9.0])
MASK = jnp.array([True, True, False])
PI = jnp.log(jnp.array([0.5, 0.3, 0.2]))
Q = jnp.array([-1.0, 2.0, 0.5])
E_STEP = jax.jit(lambda log_prob, q, eta: losses.e_step(log_prob, q, temperature=eta))
M_STEP = jax.jit(jax.value_and_grad(losses.m_step))

values = st.lists(st.floats(-20.0, 20.0, width=32, allow_subnormal=False), min_size=3, max_size=3)
values = values.map(lambda entries: jnp.array(entries, jnp.float32))


def test_golden_m_step():
    assert float(losses.m_step(LOG_PROB, MASK)) == 2.0  # 0.5 + 1.5
    assert float(losses.m_step(LOG_PROB, jnp.ones(3))) == 11.0
    assert float(losses.m_step(LOG_PROB, jnp.array([0, 1, 0]))) == 1.5


def test_m_step_is_the_sum_of_behaviour_cloning():
    each = jax.vmap(losses.behaviour_cloning)(LOG_PROB)
    np.testing.assert_allclose(losses.m_step(LOG_PROB, MASK), each[0] + each[1], rtol=1e-6)


def test_golden_e_step():
    # pi 1/2 1/2, Q 0 and log 9 at eta 2: weights 1 and 3
    result = losses.e_step(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([1.0, 9.0])), temperature=2.0)
    np.testing.assert_allclose(jnp.exp(result), [0.25, 0.75], rtol=1e-6)
    # pi .5 .3 .2 and exp Q 1 2 5: .5 .6 1 of 2.1
    result = losses.e_step(PI, jnp.log(jnp.array([1.0, 2.0, 5.0])), temperature=1.0)
    np.testing.assert_allclose(jnp.exp(result), np.array([0.5, 0.6, 1.0]) / 2.1, rtol=1e-6)


def test_float64_reference():
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        q, logits = generator.normal(size=(2, 6))
        weights = np.exp(logits + q / 0.3)
        result = losses.e_step(jnp.asarray(logits), jnp.asarray(q), temperature=0.3)
        summed = losses.m_step(jnp.asarray(logits), jnp.asarray(q > 0))
        assert result.dtype == summed.dtype == jnp.float64
        np.testing.assert_allclose(result, np.log(weights / weights.sum()), rtol=1e-12)
        np.testing.assert_allclose(summed, -logits[q > 0].sum(), rtol=1e-12)


def test_gradients_by_finite_differences():
    with jax.enable_x64(True):
        log_prob = jnp.asarray(np.random.default_rng(1).normal(size=3))
        check_grads(jax.jit(lambda x: losses.m_step(jnp.square(x), MASK)), (log_prob,), order=1, modes=["rev"])


def test_gradients():
    np.testing.assert_array_equal(M_STEP(LOG_PROB, MASK)[1], [-1.0, -1.0, 0.0])
    by_all = jax.grad(lambda p, q, eta: E_STEP(p, q, eta)[0], argnums=(0, 1, 2))(PI, Q, 0.5)
    assert all(not np.any(np.asarray(gradient)) for gradient in by_all)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_what_is_masked_has_no_effect(poison):
    value, gradient = M_STEP(jnp.array([-0.5, -1.5, poison]), MASK)
    assert float(value) == 2.0
    np.testing.assert_array_equal(gradient, [-1.0, -1.0, 0.0])
    value, gradient = M_STEP(jnp.full(3, poison), jnp.zeros(3, bool))
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, jnp.zeros(3))


def test_an_impossible_step_is_seen():
    assert float(losses.m_step(jnp.array([-0.5, -jnp.inf, 0.0]), MASK)) == math.inf
    assert math.isnan(losses.m_step(jnp.array([-0.5, jnp.nan, 0.0]), MASK))


@settings(max_examples=20, deadline=None)
@given(
    log_prob=values,
    q=values,
    eta=st.floats(0.125, 8.0, width=32, allow_subnormal=False),
    shift=st.floats(-20.0, 20.0, width=32, allow_subnormal=False),
)
def test_e_step_is_a_distribution_that_prefers_value(log_prob, q, eta, shift):
    result = np.asarray(E_STEP(log_prob, q, eta))
    np.testing.assert_allclose(np.exp(result).sum(), 1.0, rtol=1e-5)
    # constants cancel, in the values and in the log-probabilities
    np.testing.assert_allclose(E_STEP(log_prob - shift, q + shift, eta), result, atol=2e-3)
    # the expected value is no lower than that of pi
    weights, pi = np.exp(np.float64(result)), np.exp(np.float64(jax.nn.log_softmax(log_prob)))
    assert weights @ np.float64(q) >= pi @ np.float64(q) - 1e-4


def test_sparse_rewards_return_the_policy_itself():
    for q in (jnp.zeros(3), jnp.full(3, -7.0), jnp.array([1e-6, -1e-6, 0.0])):
        np.testing.assert_allclose(E_STEP(PI, q, 1.0), PI, atol=2e-6)
    np.testing.assert_allclose(E_STEP(PI, Q, 1e30), PI, atol=1e-6)
    # and then the M-step has no gradient: softmax - q = 0
    logits = jnp.array([0.3, -1.0, 0.7])

    def loss(logits, q):
        log_prob = jax.nn.log_softmax(logits)
        return -jnp.sum(jnp.exp(losses.e_step(log_prob, q, temperature=1.0)) * log_prob)

    gradient = jax.jit(jax.grad(loss))
    np.testing.assert_allclose(gradient(logits, jnp.zeros(3)), np.zeros(3), atol=1e-6)
    assert np.abs(gradient(logits, Q)).max() > 0.1


def test_at_high_temperature_the_m_step_is_the_policy_gradient():
    with jax.enable_x64(True):
        logits, q, eta = jnp.array([0.3, -1.0, 0.7]), jnp.array([-1.0, 2.0, 0.5]), 1e5

        def loss(logits):
            log_prob = jax.nn.log_softmax(logits)
            return -jnp.sum(jnp.exp(losses.e_step(log_prob, q, temperature=eta)) * log_prob)

        policy_gradient = jax.jit(jax.grad(lambda x: jnp.sum(jax.nn.softmax(x) * q)))(logits)
        np.testing.assert_allclose(-eta * np.asarray(jax.jit(jax.grad(loss))(logits)), policy_gradient, rtol=1e-4)


def test_e_step_at_extremes():
    low, high = float(jnp.finfo(jnp.float32).tiny), float(jnp.finfo(jnp.float32).max)
    np.testing.assert_array_equal(jnp.exp(E_STEP(PI, Q, low)), [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(jnp.exp(E_STEP(PI, jnp.array([-1e38, 1e38, 0.0]), 1.0)), [0.0, 1.0, 0.0])
    np.testing.assert_allclose(E_STEP(PI, Q, high), PI, rtol=1e-6)
    # a barred action stays barred, whatever its value, which must not hide that of the others
    logits = jnp.array([0.0, 0.0, -jnp.inf])
    for value in (1e30, math.inf, math.nan):
        barred = losses.e_step(logits, jnp.array([1.0, 1.0, value]), temperature=1e-20)
        np.testing.assert_allclose(barred, [math.log(0.5), math.log(0.5), -math.inf], rtol=1e-6)


def test_jit_is_eager_and_vmap_is_a_loop():
    rows, masks = jnp.stack([LOG_PROB, PI]), jnp.array([[True, False, True], [True, True, True]])
    loop = [losses.m_step(row, mask) for row, mask in zip(rows, masks, strict=True)]
    np.testing.assert_allclose(jax.jit(jax.vmap(losses.m_step))(rows, masks), loop, rtol=1e-6)
    etas = jnp.array([0.5, 2.0])
    loop = [losses.e_step(row, Q, temperature=float(eta)) for row, eta in zip(rows, etas, strict=True)]
    np.testing.assert_allclose(jax.vmap(E_STEP, in_axes=(0, None, 0))(rows, Q, etas), loop, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_keeps_the_dtype_of_its_inputs(dtype):
    log_prob, q = PI.astype(dtype), Q.astype(dtype)
    assert jax.eval_shape(losses.m_step, log_prob, MASK).dtype == dtype
    for eta in (1, jnp.float32(1.0), np.float64(1.0)):
        result = jax.eval_shape(lambda p, q, eta=eta: losses.e_step(p, q, temperature=eta), log_prob, q)
        assert (result.dtype, result.shape) == (dtype, (3,))
