"""The last layer's product on a CPU, beside the plain one that other devices are given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax.networks import _product


@pytest.mark.parametrize("leading", [(), (7,), (2, 3)])
def test_a_last_layer_and_its_gradients_are_those_of_a_plain_product(leading):
    """And so for members, each with a kernel of its own."""
    keys = jax.random.split(jax.random.key(0), 3)
    x, kernel = jax.random.normal(keys[0], (5, *leading, 4)), jax.random.normal(keys[1], (5, 4, 3))
    wanted = jax.random.normal(keys[2], (5, *leading, 3))
    numbers = (((len(leading),), (0,)), ((), ()))

    def loss(product, x, kernel, wanted):
        return jnp.sum((product(x, kernel) - wanted) ** 2)

    of = lambda product: jax.jit(jax.vmap(jax.value_and_grad(lambda *args: loss(product, *args), argnums=(0, 1))))
    ours = of(lambda x, kernel: _product.few_outputs(x, kernel, numbers, precision=None))(x, kernel, wanted)
    plain = of(lambda x, kernel: jnp.tensordot(x, kernel, 1))(x, kernel, wanted)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, plain)


@pytest.mark.parametrize(("platform", "transposes"), [("cpu", True), ("cuda", False)])
def test_only_a_cpu_is_given_the_transposed_kernel(platform, transposes):
    numbers = (((1,), (0,)), ((), ()))
    product = jax.jit(lambda x, kernel: _product.few_outputs(x, kernel, numbers))
    shapes = jax.ShapeDtypeStruct((7, 4), jnp.float32), jax.ShapeDtypeStruct((4, 3), jnp.float32)
    text = jax.export.export(product, platforms=[platform])(*shapes).mlir_module()
    assert ("optimization_barrier" in text) == transposes
