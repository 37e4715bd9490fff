import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from hindsight_jax import losses

Q = jnp.array([-3.0, -1.0, -2.0])
ONE = jnp.array(1)
HEADS = jnp.array([[-3.0, -1.0, -2.0], [5.0, 4.0, 6.0]])
MELLOW = functools.partial(losses.mellow_value, temperature=0.2)

# every primitive with the number of heads and of actions that it takes
PRIMITIVES = {
    "action_value": (losses.action_value, 1, 1),
    "greedy_value": (losses.greedy_value, 1, 0),
    "double_value": (lambda q, selector: losses.double_value(q, selector=selector), 2, 0),
    "mellow_value": (MELLOW, 1, 0),
    "log_prob": (losses.log_prob, 1, 1),
}
each_primitive = pytest.mark.parametrize(
    ("primitive", "num_heads", "num_actions"), PRIMITIVES.values(), ids=PRIMITIVES.keys()
)

floats = st.floats(-50.0, 50.0, width=32, allow_subnormal=False)
# two sizes only: every other one would compile anew
heads = st.sampled_from([1, 5]).flatmap(lambda k: st.lists(floats, min_size=k, max_size=k))
heads = heads.map(lambda entries: jnp.array(entries, jnp.float32))
temperatures = st.floats(0.0625, 64.0, width=32, allow_subnormal=False)


def random_arguments(shape, num_heads, num_actions, seed=0, dtype=np.float32):
    """Heads of the shape [*batch, K], then actions of the shape [*batch]."""
    generator = np.random.default_rng(seed)
    made = [jnp.asarray(generator.normal(size=shape).astype(dtype) * 3) for _ in range(num_heads)]
    return made + [jnp.asarray(generator.integers(shape[-1], size=shape[:-1]), jnp.int32) for _ in range(num_actions)]


def test_the_package_lists_its_public_names():
    assert set(losses.__all__) >= {"action_value", "greedy_value", "double_value", "mellow_value", "factorised"}
    functions = set(losses.__all__) - {"DIVERGENCES"}
    assert all(callable(getattr(losses, name)) and getattr(losses, name).__doc__ for name in functions)


def test_golden_action_value():
    assert [float(losses.action_value(Q, jnp.array(k))) for k in range(3)] == [-3.0, -1.0, -2.0]
    assert float(losses.action_value(Q, 2)) == -2.0  # a Python int is an action too


def test_golden_greedy_value():
    assert float(losses.greedy_value(Q)) == -1.0


def test_golden_double_value():
    # the selector's best is entry 2, whose value by q is -2; the best by q would be -1
    assert float(losses.double_value(Q, selector=jnp.array([0.0, 1.0, 7.0]))) == -2.0


def test_golden_mellow_value():
    # tau 2, q / tau = log 1, log 3: 2 (log(1 + 3) - log 2) = 2 log 2
    q = 2.0 * jnp.log(jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(losses.mellow_value(q, temperature=2.0), 2.0 * math.log(2.0), rtol=1e-6)


def test_golden_factorised():
    assert float(losses.factorised(losses.action_value)(HEADS, jnp.array([1, 0]))) == 4.0  # -1 + 5
    assert float(losses.factorised(losses.greedy_value)(HEADS)) == 5.0  # -1 + 6
    # the selector's best are entry 0, then 1: -3 + 4. One argmax over concatenated heads would choose a single entry
    selector = jnp.array([[9.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert float(losses.factorised(losses.double_value)(HEADS, selector=selector)) == 1.0


def test_float64_reference():
    with jax.enable_x64(True):
        for seed in range(5):
            selector, q, a = random_arguments((7,), 2, 1, seed, np.float64)
            n, k, tau = np.asarray(q), int(a), 0.3
            mellow = losses.mellow_value(q, temperature=tau)
            double = losses.double_value(q, selector=selector)
            results = [losses.action_value(q, a), losses.greedy_value(q), double, mellow]
            assert {result.dtype for result in results} == {jnp.dtype("float64")}
            expected = [n[k], n.max(), n[np.asarray(selector).argmax()], tau * np.log(np.mean(np.exp(n / tau)))]
            np.testing.assert_allclose(results, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
@each_primitive
def test_keeps_the_dtype_of_the_head(primitive, num_heads, num_actions, dtype):
    made = random_arguments((4,), num_heads, num_actions)
    result = jax.eval_shape(primitive, *(x.astype(dtype) for x in made[:num_heads]), *made[num_heads:])
    assert result.dtype == dtype
    assert result.shape == ()


def test_mellow_takes_any_scalar_for_a_temperature():
    expected = losses.mellow_value(Q, temperature=2.0)
    for temperature in (2, jnp.array(2), np.float64(2.0), jnp.bfloat16(2.0), np.array(2.0, np.float32)):
        np.testing.assert_array_equal(losses.mellow_value(Q, temperature=temperature), expected)


def test_gradients_by_finite_differences():
    with jax.enable_x64(True):
        selector, q, a = random_arguments((6,), 2, 1, 3, np.float64)
        weights = jnp.array([1.0, 2.0, 3.0, 4.0])  # so that a wrong term is not hidden by another

        def all_values(q, tau):
            mellow = losses.mellow_value(q, temperature=tau)
            plain = [losses.action_value(q, a), losses.greedy_value(q), losses.double_value(q, selector=selector)]
            return jnp.dot(weights, jnp.stack([*plain, mellow]))

        check_grads(jax.jit(all_values), (q, jnp.array(0.7)), order=1)


def test_the_gradient_of_action_value_is_one_hot():
    np.testing.assert_array_equal(jax.grad(losses.action_value)(Q, ONE), [0.0, 1.0, 0.0])


def test_the_gradient_of_mellow_value_is_a_softmax():
    gradient = jax.grad(lambda q: losses.mellow_value(q, temperature=0.5))(Q)
    np.testing.assert_allclose(gradient, jax.nn.softmax(Q / 0.5), rtol=1e-6)


def test_the_selector_gets_no_gradient():
    by_selector = jax.grad(lambda selector: losses.double_value(Q, selector=selector))
    np.testing.assert_array_equal(by_selector(HEADS[1]), [0.0, 0.0, 0.0])


def test_ties():
    tied = jnp.array([1.0, 4.0, 4.0])
    assert float(losses.greedy_value(tied)) == 4.0
    np.testing.assert_array_equal(jax.grad(losses.greedy_value)(tied), [0.0, 0.5, 0.5])
    assert float(losses.double_value(Q, selector=tied)) == -1.0  # the first of the tied, entry 1
    np.testing.assert_allclose(losses.mellow_value(jnp.full(5, 3.0), temperature=0.1), 3.0, rtol=1e-6)


@pytest.mark.parametrize("temperature", [1e-3, 1e-10])  # at 1e-10, q / tau would overflow
@pytest.mark.parametrize("scale", [1e4, 1e30, -1e30])
def test_mellow_is_stable_for_large_values(scale, temperature):
    q = jnp.array([1.0, 0.5, 1.0]) * scale
    value, gradient = jax.value_and_grad(lambda q: losses.mellow_value(q, temperature=temperature))(q)
    np.testing.assert_allclose(value, jnp.max(q), rtol=1e-6)  # tau log K is nothing beside the values
    np.testing.assert_array_equal(gradient, [0.5, 0.0, 0.5] if scale > 0 else [0.0, 1.0, 0.0])


def test_mellow_bars_minus_infinity():
    # exp(-inf) = 0: 1 (log(1 + 1 + 0) - log 3)
    value, gradient = jax.value_and_grad(MELLOW)(jnp.array([2.0, 2.0, -jnp.inf]))
    np.testing.assert_allclose(value, 2.0 + 0.2 * math.log(2.0 / 3.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.5, 0.5, 0.0], rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(q=heads, temperature=temperatures)
def test_mellow_lies_between_mean_and_maximum(q, temperature):
    value = float(losses.mellow_value(q, temperature=temperature))
    slack = 1e-5 * (50.0 + temperature)
    assert float(jnp.mean(q)) - slack <= value <= float(jnp.max(q)) + slack


@settings(max_examples=20, deadline=None)
@given(q=heads)
def test_mellow_tends_to_its_limits(q):
    # max - tau log K <= mellow <= max, and mellow - mean <= range^2 / (8 tau) (Hoeffding)
    assert abs(float(losses.mellow_value(q, temperature=1e-6) - jnp.max(q))) <= 1e-5
    assert abs(float(losses.mellow_value(q, temperature=1e4) - jnp.mean(q))) <= 100.0**2 / 8e4 + 1e-2


@settings(max_examples=20, deadline=None)
@given(q=heads, temperature=temperatures, shift=floats)
def test_mellow_shifts_with_its_values(q, temperature, shift):
    shifted = losses.mellow_value(q + jnp.float32(shift), temperature=temperature)
    np.testing.assert_allclose(shifted, losses.mellow_value(q, temperature=temperature) + shift, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(q=heads)
def test_double_value_by_itself_is_greedy(q):
    assert float(losses.double_value(q, selector=q)) == float(losses.greedy_value(q))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([1, 5]).flatmap(lambda k: st.tuples(*[st.lists(floats, min_size=k, max_size=k)] * 2)))
def test_double_value_is_at_most_greedy(pair):
    selector, q = (jnp.array(entries, jnp.float32) for entries in pair)
    assert float(losses.double_value(q, selector=selector)) <= float(losses.greedy_value(q))


@each_primitive
def test_jit_is_eager(primitive, num_heads, num_actions):
    made = random_arguments((5,), num_heads, num_actions)
    np.testing.assert_allclose(jax.jit(primitive)(*made), primitive(*made), rtol=1e-6)


@each_primitive
def test_vmap_is_a_loop(primitive, num_heads, num_actions):
    made = random_arguments((4, 5), num_heads, num_actions)
    loop = [primitive(*(x[i] for x in made)) for i in range(4)]
    np.testing.assert_allclose(jax.vmap(primitive)(*made), loop, rtol=1e-6)


@each_primitive
def test_factorised_sums_over_dims(primitive, num_heads, num_actions):
    made = random_arguments((3, 5), num_heads, num_actions)
    total = sum(float(primitive(*(x[d] for x in made))) for d in range(3))
    np.testing.assert_allclose(losses.factorised(primitive)(*made), total, rtol=1e-5)


@each_primitive
def test_factorised_with_one_dim_is_flat(primitive, num_heads, num_actions):
    made = random_arguments((5,), num_heads, num_actions)
    one_dim = losses.factorised(primitive)(*(x[None] for x in made))
    np.testing.assert_allclose(one_dim, primitive(*made), rtol=1e-6)


def test_factorised_of_every_joint_action():
    # over all K^D joint actions with Q(s, a) = sum_d q[d, a_d]: the flat primitives give what the factorised ones do
    joint = (HEADS[0][:, None] + HEADS[1][None, :]).ravel()
    soft = losses.factorised(losses.mellow_value)(HEADS, temperature=0.7)
    np.testing.assert_allclose(losses.factorised(losses.greedy_value)(HEADS), losses.greedy_value(joint), rtol=1e-6)
    np.testing.assert_allclose(soft, losses.mellow_value(joint, temperature=0.7), rtol=1e-6)
    both = losses.factorised(losses.log_prob)(HEADS, jnp.array([1, 2]))
    np.testing.assert_allclose(both, losses.log_prob(joint, 1 * 3 + 2), rtol=1e-6)


def test_factorised_maps_over_a_batch():
    made = random_arguments((4, 3, 5), 1, 1)
    mapped = losses.factorised(losses.action_value)
    loop = [mapped(*(x[i] for x in made)) for i in range(4)]
    np.testing.assert_allclose(jax.jit(jax.vmap(mapped))(*made), loop, rtol=1e-6)


def test_factorised_keeps_the_name():
    assert losses.factorised(losses.action_value).__name__ == "action_value"
    assert losses.factorised(losses.action_value).__doc__ == losses.action_value.__doc__


def test_factorised_maps_what_has_an_axis_by_keyword_too():
    mapped, by_name = losses.factorised(losses.action_value), {"q": HEADS, "a": jnp.array([1, 0])}
    assert float(mapped(**by_name)) == float(mapped(HEADS, a=by_name["a"])) == 4.0  # -1 + 5
    assert float(mapped(HEADS, a=2)) == 4.0  # a scalar goes to every dim: -2 + 6
    temperature = jnp.array([0.5, 2.0])  # one for each dim
    expected = sum(losses.mellow_value(head, temperature=t) for head, t in zip(HEADS, temperature, strict=True))
    soft = losses.factorised(losses.mellow_value)(HEADS, temperature=temperature)
    np.testing.assert_allclose(soft, expected, rtol=1e-6)


def test_temperatures_map():
    taus = jnp.array([0.1, 1.0, 10.0])
    mapped = jax.vmap(lambda tau: losses.mellow_value(Q, temperature=tau))(taus)
    np.testing.assert_allclose(mapped, [losses.mellow_value(Q, temperature=float(t)) for t in taus], rtol=1e-6)
    summed = jax.vmap(lambda tau: losses.factorised(losses.mellow_value)(HEADS, temperature=tau))(taus)
    expected = [sum(losses.mellow_value(head, temperature=float(t)) for head in HEADS) for t in taus]
    np.testing.assert_allclose(summed, expected, rtol=1e-6)


@pytest.mark.parametrize("primitive", [losses.action_value, losses.log_prob])
@pytest.mark.parametrize("action", [-1, 3, 2**31 - 1, -(2**31)])
def test_an_action_out_of_range(primitive, action):
    with pytest.raises(ValueError, match=r"a: got .*\[0, 2\]"):
        primitive(Q, jnp.array(action))
    with pytest.raises(ValueError, match=r"a: got .*\[0, 2\]"):
        primitive(Q, action)
    value, gradient = jax.jit(jax.value_and_grad(primitive))(Q, jnp.array(action))
    assert math.isnan(value)
    np.testing.assert_array_equal(gradient, jnp.zeros(3))
    assert math.isnan(losses.factorised(primitive)(HEADS, jnp.array([0, action])))


def test_one_bad_action_spoils_no_other_example():
    values = jax.vmap(losses.action_value)(HEADS, jnp.array([-1, 2]))
    np.testing.assert_array_equal(values, [np.nan, 6.0])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_actions_of_any_integer_dtype(dtype):
    q = jnp.arange(300.0)  # more entries than an int8 can count
    largest = min(int(np.iinfo(dtype).max), 299)
    with jax.enable_x64(True):
        values = [jax.jit(losses.action_value)(q, dtype(k)) for k in (0, largest)]
        np.testing.assert_array_equal(values, [0.0, largest])
        assert np.iinfo(dtype).max <= 299 or math.isnan(jax.jit(losses.action_value)(q, dtype(300)))
        assert np.iinfo(dtype).bits < 64 or math.isnan(jax.jit(losses.action_value)(q, dtype(2**32)))


def test_what_a_swap_would_hide_is_keyword_only():
    with pytest.raises(TypeError):
        losses.mellow_value(Q, 0.2)
    with pytest.raises(TypeError):
        losses.double_value(Q, Q)
