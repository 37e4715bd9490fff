"""[D 9, 22, 23] (Lemma 4.2) a second way: the gradients written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from experiments.theory import noise_contrastive


@pytest.mark.parametrize("k", [1.0, 30.0, 2.0**18])
def test_gradients_written_out(k):
    """With x = exp Q / Z: noise -sum_g (w_g - x_g mean w) / G, w = -x / (1 + x / k), and the like for the positive."""
    generator = np.random.default_rng(1)
    q, p_future = generator.normal(size=20), generator.dirichlet(np.ones(20))
    x = np.exp(q) / np.mean(np.exp(q))
    pushed = x / (1 + x / k)  # k sigmoid(Delta), the weight of the gradient of Q - log Z at each noise goal
    noise = (pushed - x * pushed.mean()) / 20
    weight = p_future * scipy.special.expit(np.log(x / k))
    positive = weight - weight.sum() * x / 20
    with jax.enable_x64(True):
        q64, p64 = jnp.asarray(q), jnp.asarray(p_future)
        found_noise = np.asarray(jax.grad(noise_contrastive.noise_term)(q64, k))
        found_positive = np.asarray(jax.grad(noise_contrastive.positive_term)(q64, p64, k))
        whole = np.asarray(jax.grad(noise_contrastive.contrastive)(q64, p64, k))
        reference = np.asarray(jax.grad(noise_contrastive.limit)(q64, p64))
    np.testing.assert_allclose(found_noise, noise, atol=1e-14)
    np.testing.assert_allclose(found_positive, positive, atol=1e-14)
    np.testing.assert_allclose(whole, reference + noise + positive, atol=1e-14)
    np.testing.assert_allclose(reference, x / 20 - p_future, atol=1e-14)
