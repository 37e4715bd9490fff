import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from hindsight_jax import losses

ACTION = jnp.array([0.5, -1.0])

floats = st.floats(-100.0, 100.0, width=32, allow_subnormal=False)


def test_golden():
    assert float(losses.dpg_actor(jnp.array(-3.0), ACTION, l2=0.0)) == 3.0
    # the mean of 0.25 and 1 is 0.625, and not their sum
    assert float(losses.dpg_actor(jnp.array(-3.0), ACTION, l2=2.0)) == 3.0 + 2.0 * 0.625


def test_float64_reference():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        for num_dims in (1, 3, 9):
            q, l2, action = rng.normal(), rng.uniform(), rng.normal(size=num_dims)
            loss = losses.dpg_actor(jnp.asarray(q), jnp.asarray(action), l2=l2)
            assert loss.dtype == jnp.float64
            np.testing.assert_allclose(loss, -q + l2 * sum(a * a for a in action) / num_dims, rtol=1e-12)


def test_gradients():
    by_q, by_action, by_l2 = jax.grad(lambda q, a, l2: losses.dpg_actor(q, a, l2=l2), argnums=(0, 1, 2))(
        -3.0, ACTION, 2.0
    )
    assert float(by_q) == -1.0
    np.testing.assert_array_equal(by_action, 2.0 * ACTION)  # l2 * 2 a / A
    assert float(by_l2) == 0.625


def test_gradients_by_finite_differences_through_a_critic():
    with jax.enable_x64(True):
        action = jnp.array([0.3, -0.7, 1.2])

        def loss(action, l2):
            q = -jnp.sum(jnp.square(action - 0.5))
            return losses.dpg_actor(q, action, l2=l2)

        assert loss(action, 0.1).dtype == jnp.float64
        check_grads(jax.jit(loss), (action, jnp.array(0.7)), order=1, modes=["rev"])


def test_descent_finds_the_best_action_of_a_quadratic_critic():
    # -Q + l2 mean a^2 = sum_i (a_i - c_i)^2 + l2 / 2 sum_i a_i^2 is least at a = c / (1 + l2 / 2)
    best = jnp.array([0.6, -0.4])

    def loss(action):
        return losses.dpg_actor(-jnp.sum(jnp.square(action - best)), action, l2=0.5)

    gradient, action = jax.jit(jax.grad(loss)), np.zeros(2, np.float32)
    for _ in range(40):
        action = action - np.float32(0.25) * np.asarray(gradient(action))
    np.testing.assert_allclose(action, best / 1.25, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    q=floats, entries=st.lists(floats, min_size=3, max_size=3), l2=st.floats(0.0, 10.0, width=32, allow_subnormal=False)
)
def test_the_penalty_is_even_and_only_adds(q, entries, l2):
    action = jnp.array(entries, jnp.float32)
    loss = float(losses.dpg_actor(q, action, l2=l2))
    assert loss >= -q
    assert loss == float(losses.dpg_actor(q, -action, l2=l2))


def test_jit_is_eager_and_vmap_is_a_loop():
    qs, actions = jnp.array([-1.0, 2.0, 0.5]), jnp.arange(6.0).reshape(3, 2)
    loss = lambda q, action: losses.dpg_actor(q, action, l2=0.3)
    loop = [loss(q, action) for q, action in zip(qs, actions, strict=True)]
    np.testing.assert_allclose(jax.jit(jax.vmap(loss))(qs, actions), loop, rtol=1e-6)
    weights = jnp.array([0.0, 1.0, 4.0])
    by_weight = jax.vmap(lambda l2: losses.dpg_actor(-3.0, ACTION, l2=l2))(weights)
    np.testing.assert_array_equal(by_weight, 3.0 + 0.625 * weights)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_keeps_the_dtype_of_its_inputs(dtype):
    result = jax.eval_shape(lambda q, a: losses.dpg_actor(q, a, l2=1), jnp.zeros((), dtype), jnp.zeros(2, dtype))
    assert (result.dtype, result.shape) == (dtype, ())


def test_l2_has_no_default_and_no_position():
    with pytest.raises(TypeError):
        losses.dpg_actor(1.0, ACTION)
    with pytest.raises(TypeError):
        losses.dpg_actor(1.0, ACTION, 1.0)
