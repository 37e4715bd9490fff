import doctest
import importlib
import math

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

logits_lists = st.lists(st.floats(-50.0, 50.0, width=32), min_size=4, max_size=4)


def test_doctests():
    result = doctest.testmod(importlib.import_module("hindsight_jax.losses.imitation"))
    assert result.attempted >= 2
    assert result.failed == 0


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
@given(entries=logits_lists, shift=st.floats(-50.0, 50.0, width=32))
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


WRONG = {
    "log_prob: a batch": (lambda: losses.log_prob(HEADS, jnp.array([0, 1])), r"logits: .*rank 1.*jax\.vmap"),
    "log_prob: a batched head": (lambda: losses.log_prob(HEADS, ONE), r"logits: .*rank 1.*jax\.vmap"),
    "log_prob: batched actions": (lambda: losses.log_prob(LOGITS, jnp.array([0, 1])), r"a: .*rank 0.*jax\.vmap"),
    "log_prob: a scalar head": (lambda: losses.log_prob(jnp.array(1.0), ONE), r"logits: .*rank 1"),
    "log_prob: integer logits": (lambda: losses.log_prob(jnp.arange(3), ONE), r"logits: .*floating"),
    "log_prob: boolean logits": (lambda: losses.log_prob(jnp.array([True, False]), ONE), r"logits: .*floating"),
    "log_prob: empty": (lambda: losses.log_prob(jnp.zeros(0), 0), r"logits: .*at least one"),
    "log_prob: a float action": (lambda: losses.log_prob(LOGITS, 1.0), r"a: .*integer"),
    "log_prob: a boolean action": (lambda: losses.log_prob(LOGITS, jnp.array(True)), r"a: .*integer"),
    "behaviour_cloning: a batch": (lambda: losses.behaviour_cloning(LOGITS), r"log_prob_tm1: .*rank 0.*jax\.vmap"),
    "behaviour_cloning: [1]": (lambda: losses.behaviour_cloning(jnp.ones(1)), r"log_prob_tm1: .*rank 0"),
    "behaviour_cloning: an integer": (lambda: losses.behaviour_cloning(jnp.array(-1)), r"log_prob_tm1: .*floating"),
    "behaviour_cloning: a Python int": (lambda: losses.behaviour_cloning(-1), r"log_prob_tm1: got -1.*floating"),
    "behaviour_cloning: a boolean": (lambda: losses.behaviour_cloning(jnp.array(True)), r"log_prob_tm1: .*floating"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
