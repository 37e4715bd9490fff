"""What agents share: Adam, target networks, and targets given whole."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import reference

from hindsight_jax import types
from hindsight_jax.agents import _common


def test_adam_is_optaxs_with_a_traced_rate():
    params = {"w": jnp.array([1.0, -2.0])}
    adam, state, ours = optax.adam(0.1), optax.adam(0.1).init(params), (params, _common.ADAM.init(params))
    step = jax.jit(lambda ours, gradient, rate: _common.adam_step(*ours, gradient, rate))
    for count in range(3):
        gradient = {"w": jnp.array([0.5 - count, 2.0])}
        updates, state = adam.update(gradient, state)
        params = optax.apply_updates(params, updates)
        ours = step(ours, gradient, 0.1)
        reference.close(ours[0], params)


def test_target_step_by_hand():
    """Every third update, a quarter of the way from 1 to 5."""
    step = jax.jit(jax.vmap(_common.target_step, (None, None, 0, None, None)))
    moved = step(jnp.float32(1), jnp.float32(5), jnp.arange(1, 8), jnp.float32(0.25), jnp.float32(3))
    assert moved.tolist() == [1, 1, 2, 1, 1, 2, 1]


def test_targets_get_no_gradient():
    value, target = np.array([1.0, -2.0], np.float32), np.array([0.5, 2.0], np.float32)
    loss = lambda v, y: jnp.sum(_common.td_towards(v, y))
    assert float(loss(value, target)) == 16.25  # 0.5^2 + 4^2
    slopes = jax.grad(loss, argnums=(0, 1))(value, target)
    np.testing.assert_array_equal(slopes, [[1.0, -8.0], [0.0, 0.0]])


def test_actions_of_a_box_are_clipped_and_others_are_not():
    assert _common.clipped(reference.spec(types.Box(2)), jnp.array([1.5, -3.0])).tolist() == [1.0, -1.0]
    assert _common.clipped(reference.spec(types.Discrete(2, 9)), jnp.array([7, 0])).tolist() == [7, 0]
