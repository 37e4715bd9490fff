"""The density of a squashed Gaussian, the soft value, and the losses of a soft actor and of its temperature."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.test_util import check_grads

from hindsight_jax import losses

MEAN, LOG_STD, U = jnp.array([0.5, -1.0]), jnp.array([0.0, -0.5]), jnp.array([1.5, -1.2])
LOG_PROB = jax.jit(losses.tanh_gaussian_log_prob)


def test_golden_log_prob():
    # z = 1 and -0.2 e^0.5; log std 0 and -0.5; log(1 - tanh^2): log sech^2 of 1.5 and 1.2
    gaussian = -0.5 * (1 + 0.04 * math.e) + 0.5 - math.log(2 * math.pi)
    squash = -2 * math.log(math.cosh(1.5)) - 2 * math.log(math.cosh(1.2))
    np.testing.assert_allclose(LOG_PROB(MEAN, LOG_STD, U), gaussian - squash, rtol=1e-6)


def test_it_is_a_density_of_the_action():
    """Its exponential sums to 1 over a = tanh(u), du = da / (1 - a^2)."""
    action = np.linspace(-1, 1, 20_001, dtype=np.float64)[1:-1]
    with jax.enable_x64(True):
        each = jax.vmap(lambda a: LOG_PROB(jnp.array([0.3]), jnp.array([-0.4]), jnp.arctanh(a)[None]))(action)
    assert float(np.sum(np.exp(each)) * 1e-4) == pytest.approx(1, abs=1e-6)


def test_log_prob_by_float64():
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        for num_dims in (1, 3):
            mean, log_std, u = generator.normal(size=(3, num_dims))
            expected = scipy.stats.norm(mean, np.exp(log_std)).logpdf(u).sum() - np.log(1 - np.tanh(u) ** 2).sum()
            found = LOG_PROB(mean, log_std, u)
            assert found.dtype == jnp.float64
            np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_large_actions_keep_their_density_and_its_slope():
    """Where tanh(u) has rounded to +-1: log(1 - tanh(u)^2) = 2 log 2 - 2 |u| to the last digit, and its slope -2."""
    of = jax.jit(jax.value_and_grad(lambda u: losses.tanh_gaussian_log_prob(u[None], jnp.zeros(1), u[None])))
    for u in (20.0, 1e4, 1e30):
        for sign in (1, -1):  # mean = u: what is left is the squashing
            value, slope = of(jnp.float32(sign * u))
            np.testing.assert_allclose(value, 2 * u - 2 * math.log(2) - 0.5 * math.log(2 * math.pi), rtol=1e-6)
            assert float(slope) == 2 * sign


def test_golden_losses():
    assert float(losses.soft_value(-4.0, 1.5, temperature=2.0)) == -7.0
    assert float(losses.soft_actor(-4.0, 1.5, temperature=2.0)) == 7.0
    assert float(losses.soft_actor(-4.0, 1.5, temperature=0.0)) == 4.0
    # the entropy is 1.5 nats below a target of 0: the temperature shall rise
    assert float(losses.temperature_loss(-0.5, 1.5, target_entropy=0.0)) == 0.75
    # a target of the soft critic: -1 + 0.9 (-4 - 2 * 1.5) = -7.3, and (-7 + 7.3)^2
    target = losses.soft_value(-4.0, 1.5, temperature=2.0)
    np.testing.assert_allclose(losses.td(-7.0, -1.0, 0.9, target), 0.09, rtol=1e-4)


def test_gradients():
    by_q, by_log_prob = jax.grad(lambda q, p: losses.soft_actor(q, p, temperature=0.3), argnums=(0, 1))(1.0, 2.0)
    assert (float(by_q), float(by_log_prob)) == (-1.0, pytest.approx(0.3))
    of_temperature = jax.grad(lambda t, p: losses.temperature_loss(t, p, target_entropy=-1.0), argnums=(0, 1))
    # -(2 - 1) to the temperature, nothing to the policy
    assert [float(slope) for slope in of_temperature(0.7, 2.0)] == [-1.0, 0.0]


def test_gradients_by_finite_differences():
    with jax.enable_x64(True):
        arguments = tuple(jnp.asarray(x) for x in np.random.default_rng(1).normal(size=(3, 2)))

        def loss(mean, log_std, noise):
            """An actor's: the action is drawn, and the critic sees its tanh."""
            u = mean + jnp.exp(log_std) * noise
            log_prob = losses.tanh_gaussian_log_prob(mean, log_std, u)
            return losses.soft_actor(-jnp.sum(jnp.square(jnp.tanh(u) - 0.5)), log_prob, temperature=0.7)

        check_grads(jax.jit(loss), arguments, order=1, modes=["rev"])
        check_grads(jax.jit(losses.tanh_gaussian_log_prob), arguments, order=1, modes=["rev"])


def test_jit_is_eager_and_vmap_is_a_loop():
    means, us = jnp.stack([MEAN, -MEAN]), jnp.stack([U, U + 1])
    loop = [losses.tanh_gaussian_log_prob(mean, LOG_STD, u) for mean, u in zip(means, us, strict=True)]
    np.testing.assert_allclose(jax.vmap(LOG_PROB, (0, None, 0))(means, LOG_STD, us), loop, rtol=1e-6)
    temperatures = jnp.array([0.0, 0.5, 2.0])
    found = jax.jit(jax.vmap(lambda t: losses.soft_actor(-1.0, 2.0, temperature=t)))(temperatures)
    np.testing.assert_allclose(found, [1.0, 2.0, 5.0])


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_keeps_the_dtype_of_its_inputs(dtype):
    def all_losses(q, p, a):
        return (
            losses.tanh_gaussian_log_prob(a, a, a),
            losses.soft_value(q, p, temperature=1),
            losses.soft_actor(q, p, temperature=jnp.float32(1)),
            losses.temperature_loss(q, p, target_entropy=-1.0),
        )

    results = jax.eval_shape(all_losses, *(jax.ShapeDtypeStruct(shape, dtype) for shape in ((), (), (2,))))
    assert [(result.dtype, result.shape) for result in results] == [(dtype, ())] * 4
