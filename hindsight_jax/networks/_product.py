"""A matrix product whose gradient XLA computes faster on a CPU.

Dimension key: B batch (any leading axes), I inputs, O outputs.
"""

from typing import Any

import jax

from hindsight_jax import by_device


def transposed_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x [B, I] times the kernel [I, O] -> [B, O], by the transposed kernel.

    The kernel's gradient is a sum over B. XLA's CPU computes it as [O, I] faster than as [I, O] where O is small beside
    I, or B large: so the kernel enters transposed, and the barrier keeps XLA from undoing that.

    >>> import jax.numpy as jnp
    >>> transposed_product(jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 0.0, 3.0], [0.0, 1.0, 3.0]])).tolist()
    [[1.0, 2.0, 9.0]]
    """
    transposed = jax.lax.optimization_barrier(kernel.T)
    return jax.lax.dot_general(x, transposed, (((x.ndim - 1,), (1,)), ((), ())))


def few_outputs(x: jax.Array, kernel: jax.Array, dimension_numbers: Any, **options: Any) -> jax.Array:
    """`jax.lax.dot_general` as `flax.linen.Dense` calls it, for a layer of few outputs: [B, I], [I, O] -> [B, O]."""
    as_it_is = lambda x, kernel: jax.lax.dot_general(x, kernel, dimension_numbers, **options)
    return by_device.choose(x, kernel, cpu=transposed_product, elsewhere=as_it_is)
