import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from hindsight_jax import losses

LOSS = losses.hindsight_policy_gradient
JITTED = jax.jit(LOSS)
WITH_GRADIENT = jax.jit(jax.value_and_grad(LOSS))
SHAPE = (4, 3)

tables = st.lists(st.floats(-30.0, 0.0, width=32, allow_subnormal=False), min_size=12, max_size=12)
tables = tables.map(lambda entries: jnp.array(entries, jnp.float32).reshape(SHAPE))
lengths = st.lists(st.integers(0, 3), min_size=4, max_size=4)
masks = lengths.map(lambda each: jnp.asarray(np.arange(3) < np.array(each)[:, None]))


def random_arguments(seed=0, dtype=np.float32, shape=SHAPE):
    """log_prob, log_prob_behaviour_goal, reward, and a mask of different lengths, the first full and the last empty."""
    generator = np.random.default_rng(seed)
    log_prob, behaviour = (-generator.uniform(0.1, 3.0, shape).astype(dtype) for _ in range(2))
    lengths = np.linspace(shape[1], 0, shape[0]).astype(int)
    mask = np.arange(shape[1]) < lengths[:, None]
    return tuple(jnp.asarray(x) for x in (log_prob, behaviour, generator.normal(size=shape).astype(dtype), mask))


def reference(log_prob, behaviour, reward, mask):
    """The formula with loops, and without a logarithm of rho."""
    num_trajectories, num_steps = np.shape(mask)
    total = 0.0
    for t in range(num_steps):
        alive = [i for i in range(num_trajectories) if mask[i, t]]
        rho = [math.prod(math.exp(log_prob[i, u] - behaviour[i, u]) for u in range(t + 1) if mask[i, u]) for i in alive]
        for i, weight in zip(alive, rho, strict=True):
            summed = sum(log_prob[i, u] for u in range(t + 1) if mask[i, u])
            total -= reward[i, t] * weight / sum(rho) * summed
    return total


def test_golden():
    # one step: rho = .75 / .5 and .25 / .5, W = .75 and .25: -(2 * .75 log .75 + -1 * .25 log .25)
    log_prob, behaviour = jnp.log(jnp.array([[0.75], [0.25]])), jnp.log(jnp.array([[0.5], [0.5]]))
    expected = -(2 * 0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    value = JITTED(log_prob, behaviour, np.array([[2.0], [-1.0]], np.float32), np.ones((2, 1), np.float32))
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_golden_of_two_steps():
    # rho at 0: 2, 1; W = 2/3, 1/3. The second ends there, so at 1 the first has W = 1 whatever its rho.
    # rewards 3, 6 at 0 and 5 at 1: -(3 * 2/3 log .8 + 6 * 1/3 log .2 + 5 (log .8 + log .5))
    log_prob = jnp.log(jnp.array([[0.8, 0.5], [0.2, 0.9]]))
    behaviour = jnp.log(jnp.array([[0.4, 0.25], [0.2, 0.1]]))
    reward, mask = jnp.array([[3.0, 5.0], [6.0, 7.0]]), jnp.array([[1.0, 1.0], [1.0, 0.0]])
    expected = -(2 * math.log(0.8) + 2 * math.log(0.2) + 5 * math.log(0.4))
    value, gradient = WITH_GRADIENT(log_prob, behaviour, reward, mask)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    # each log pi has the weighted rewards of its own and later steps: 2 + 5 and 5; 2
    np.testing.assert_allclose(gradient, [[-7.0, -5.0], [-2.0, 0.0]], rtol=1e-6)


def test_a_trajectory_that_has_ended_may_keep_its_weight():
    # as above, with the end padded: mask 1, no ratio, no reward. rho at 1: 2 * 2 and 1, so the first has 4/5 of 5
    log_prob = jnp.log(jnp.array([[0.8, 0.5], [0.2, 1.0]]))
    behaviour = jnp.log(jnp.array([[0.4, 0.25], [0.2, 1.0]]))
    gradient = WITH_GRADIENT(log_prob, behaviour, jnp.array([[3.0, 5.0], [6.0, 0.0]]), jnp.ones((2, 2)))[1]
    np.testing.assert_allclose(gradient, [[-6.0, -4.0], [-2.0, 0.0]], rtol=1e-6)


def test_float64_reference():
    with jax.enable_x64(True):
        for seed in range(3):
            arguments = random_arguments(seed, np.float64)
            result = JITTED(*arguments)
            assert result.dtype == jnp.float64
            np.testing.assert_allclose(result, reference(*(np.asarray(x) for x in arguments)), rtol=1e-12)


def test_a_mask_with_holes_and_masks_of_numbers():
    log_prob, behaviour, reward, _ = random_arguments()
    mask = jnp.array([[True, False, True], [False, True, True], [True, True, False], [False, False, True]])
    result = JITTED(log_prob, behaviour, reward, mask)
    arrays = [np.asarray(x, np.float64) for x in (log_prob, behaviour, reward, mask)]
    np.testing.assert_allclose(result, reference(*arrays), rtol=1e-5)
    for dtype in (jnp.float32, jnp.uint8):
        assert float(JITTED(log_prob, behaviour, reward, mask.astype(dtype))) == float(result)


def test_gradients_by_finite_differences():
    # the weights are stopped: held by a constant log_prob_behaviour_goal - log_prob
    with jax.enable_x64(True):
        log_prob, behaviour, reward, mask = random_arguments(1, np.float64)
        ratio = behaviour - log_prob
        check_grads(jax.jit(lambda x: LOSS(x, x + ratio, reward, mask)), (log_prob,), order=1, modes=["rev"])
        held = jax.jit(jax.grad(lambda x: LOSS(x, x + ratio, reward, mask)))(log_prob)
        gradient = WITH_GRADIENT(log_prob, behaviour, reward, mask)[1]
        np.testing.assert_allclose(gradient, held, rtol=1e-12)


def test_the_gradient_flows_through_log_prob_alone():
    log_prob, behaviour, reward, mask = random_arguments()
    by_all = jax.jit(jax.grad(LOSS, argnums=(0, 1, 2, 3)))(log_prob, behaviour, reward, mask.astype(jnp.float32))
    assert np.abs(np.asarray(by_all[0])[np.asarray(mask)]).min() > 0.0
    for gradient in by_all[1:]:
        np.testing.assert_array_equal(gradient, jnp.zeros(SHAPE))


def two_steps(parameters):
    """log pi of the four trajectories of two binary actions, [4, 2], the second of which sees the first."""
    first, second = jax.nn.log_softmax(parameters[0]), jax.nn.log_softmax(parameters[1:3], axis=-1)
    a = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return jnp.stack([first[a[:, 0]], second[a[:, 0], a[:, 1]]], axis=1)


def exact_case():
    """Parameters, rewards, and the gradient of the return: all trajectories, equally likely for the behaviour goal."""
    generator = np.random.default_rng(3)
    parameters = jnp.asarray(generator.normal(size=(3, 2)))
    step0, step1 = generator.normal(size=2), generator.normal(size=4)
    reward = jnp.asarray(np.stack([np.repeat(step0, 2), step1], axis=1))

    def expected_return(parameters):
        return jnp.sum(jnp.exp(jnp.sum(two_steps(parameters), axis=1)) * jnp.sum(reward, axis=1))

    return parameters, reward, jax.jit(jax.grad(expected_return))(parameters)


@jax.jit
@jax.grad
def surrogate_gradient(parameters, reward):
    uniform, alive = np.full((4, 2), -math.log(2.0)), np.ones((4, 2), bool)
    return LOSS(two_steps(parameters), uniform, reward, alive)


def test_on_every_trajectory_at_once_it_is_minus_the_gradient_of_the_return():
    with jax.enable_x64(True):
        parameters, reward, expected = exact_case()
        np.testing.assert_allclose(
            surrogate_gradient(parameters, reward), -np.asarray(expected), rtol=1e-10, atol=1e-12
        )


def test_which_baselines_leave_the_expected_gradient():
    with jax.enable_x64(True):
        parameters, reward, expected = exact_case()
        by_time = np.array([0.7, -5.0])
        shifted = surrogate_gradient(parameters, np.asarray(reward) - by_time)
        np.testing.assert_allclose(shifted, -np.asarray(expected), rtol=1e-10, atol=1e-12)
        # any function of the state: V(s_0), V(s_1) by the first action, 0 after the end
        value = np.array([[0.3, -2.0], [0.3, -2.0], [0.3, 40.0], [0.3, 40.0]])
        after = np.concatenate([value[:, 1:], np.zeros((4, 1))], axis=1)
        by_state = surrogate_gradient(parameters, np.asarray(reward) - value + after)
        np.testing.assert_allclose(by_state, -np.asarray(expected), rtol=1e-10, atol=1e-12)
        biased = surrogate_gradient(parameters, np.asarray(reward) - value)
        assert np.abs(np.asarray(biased) + np.asarray(expected)).max() > 0.1


def test_on_the_behaviour_goal_the_weights_are_even():
    log_prob, _, reward, mask = random_arguments()
    _, gradient = WITH_GRADIENT(log_prob, log_prob, reward, mask)
    alive = np.asarray(mask)
    credit = alive * np.asarray(reward) / np.maximum(alive.sum(axis=0), 1)
    to_go = np.cumsum(credit[:, ::-1], axis=1)[:, ::-1]
    np.testing.assert_allclose(gradient, -(alive * to_go), rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(log_prob=tables, behaviour=tables, mask=masks)
def test_weights_of_the_alive_sum_to_one(log_prob, behaviour, mask):
    # with reward 1 at step t alone, minus the gradient at t is the column of weights
    alive = np.asarray(mask)
    for t in range(3):
        reward = np.zeros(SHAPE, np.float32)
        reward[:, t] = 1.0
        weights = -np.asarray(WITH_GRADIENT(log_prob, behaviour, reward, mask)[1])[:, t]
        assert weights.min() >= 0.0
        np.testing.assert_allclose(weights.sum(), float(alive[:, t].any()), rtol=1e-5)
        np.testing.assert_array_equal(weights[~alive[:, t]], 0.0)


@settings(max_examples=20, deadline=None)
@given(log_prob=tables, behaviour=tables, mask=masks, poison=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_masked_has_no_effect(log_prob, behaviour, mask, poison):
    reward = np.arange(12.0, dtype=np.float32).reshape(SHAPE)
    clean = WITH_GRADIENT(log_prob, behaviour, reward, mask)
    poisoned = [np.where(mask, x, np.float32(poison)) for x in (log_prob, behaviour, reward)]
    for one, other in zip(clean, WITH_GRADIENT(*poisoned, mask), strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.isfinite(other).all()


def test_nothing_overflows():
    # ratios of e^+-3000: the largest takes the whole weight, here the second trajectory's
    log_prob, behaviour = jnp.array([[-2000.0, -1e3], [-1.0, -1.0]]), jnp.array([[-1.0, -1.0], [-2e3, -1e3]])
    value, gradient = WITH_GRADIENT(log_prob, behaviour, jnp.ones((2, 2)), jnp.ones((2, 2)))
    assert float(value) == 3.0  # -(-1) - (-1 - 1)
    np.testing.assert_array_equal(gradient, [[0.0, 0.0], [-2.0, -1.0]])


def test_an_impossible_action_takes_its_trajectory_out():
    log_prob = jnp.array([[-jnp.inf, -1.0], [-1.0, -2.0]])
    behaviour, reward, mask = jnp.full((2, 2), -1.0), jnp.array([[5.0, 6.0], [1.0, 1.0]]), jnp.ones((2, 2))
    value, gradient = WITH_GRADIENT(log_prob, behaviour, reward, mask)
    assert float(value) == 4.0  # 1 * 1 + 1 * (1 + 2), of the second alone
    np.testing.assert_array_equal(gradient, [[0.0, 0.0], [-2.0, -1.0]])
    nothing = WITH_GRADIENT(jnp.full((2, 2), -jnp.inf), behaviour, reward, mask)
    assert float(nothing[0]) == 0.0
    np.testing.assert_array_equal(nothing[1], jnp.zeros((2, 2)))


def test_nothing_alive_is_zero():
    log_prob, behaviour, reward, _ = random_arguments()
    value, gradient = WITH_GRADIENT(log_prob, behaviour, reward, jnp.zeros(SHAPE))
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, jnp.zeros(SHAPE))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_nan_that_counts_is_seen(position):
    arguments = list(random_arguments())
    arguments[position] = arguments[position].at[0, 0].set(jnp.nan)
    assert math.isnan(JITTED(*arguments))


def test_jit_is_eager_and_vmap_is_a_loop_over_goals():
    goals = [random_arguments(seed) for seed in range(3)]
    loop = [LOSS(*arguments) for arguments in goals]  # not compiled
    stacked = [jnp.stack(column) for column in zip(*goals, strict=True)]
    np.testing.assert_allclose(jax.jit(jax.vmap(LOSS))(*stacked), loop, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_keeps_the_dtype_of_its_inputs(dtype):
    log_prob, behaviour, reward, mask = random_arguments()
    result = jax.eval_shape(LOSS, *(x.astype(dtype) for x in (log_prob, behaviour, reward)), mask)
    assert (result.dtype, result.shape) == (dtype, ())
