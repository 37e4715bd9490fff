"""NCE [D 8, 9], InfoNCE and the limit between them [D 22, 23], and the weight of many steps [D 24, 25, 30]."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from hindsight_jax import losses

LOGITS = jnp.log(jnp.array([[4.0, 1.0, 1.0], [2.0, 2.0, 2.0], [1.0, 6.0, 3.0]]))
NEGATIVES = jnp.array([-1.0, 0.5, 2.0])
Q, Q_NEXT = jnp.array([-1.0, 0.5, 2.0]), jnp.array([[0.0, -2.0], [1.0, 1.0], [-1.0, 3.0]])
NCE = jax.jit(lambda positive, negatives, k: losses.nce(positive, negatives, k=k))
INFO_NCE, WEIGHT = jax.jit(losses.info_nce), jax.jit(losses.energy_weight)

matrices = st.lists(st.floats(-20.0, 20.0, width=32, allow_subnormal=False), min_size=9, max_size=9)
matrices = matrices.map(lambda entries: np.array(entries, np.float32).reshape(3, 3))


def test_golden_nce():
    # k = 2, p = log 2: log(1 + 1); n = log 2, log 6: log(1 + 1), log(1 + 3), times 2 / 2
    value = losses.nce(jnp.log(2.0), jnp.log(jnp.array([2.0, 6.0])), k=2.0)
    np.testing.assert_allclose(value, math.log(2) + math.log(2) + math.log(4), rtol=1e-6)
    # k = 1 and one negative: the ordinary cross-entropy of two classes
    value = losses.nce(0.3, jnp.array([-0.7]), k=1)
    np.testing.assert_allclose(value, math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(-0.7)), rtol=1e-6)


def test_golden_info_nce():
    # rows: 4 of a mean 2, 2 of 2, 3 of 10 / 3: -(log 2 + 0 + log 0.9) / 3
    np.testing.assert_allclose(losses.info_nce(LOGITS), -(math.log(2.0) + math.log(0.9)) / 3, rtol=1e-6)


def test_golden_logsumexp_penalty():
    # rows sum to 6, 6 and 10
    expected = (2 * math.log(6) ** 2 + math.log(10) ** 2) / 3
    np.testing.assert_allclose(losses.logsumexp_penalty(LOGITS), expected, rtol=1e-6)
    # columns are goals, and no row: they sum to 7, 9 and 6
    expected = (math.log(7) ** 2 + math.log(9) ** 2 + math.log(6) ** 2) / 3
    np.testing.assert_allclose(losses.logsumexp_penalty(LOGITS.T), expected, rtol=1e-6)


def test_the_penalty_vanishes_with_its_slope_where_rows_sum_to_one():
    value, slope = jax.value_and_grad(losses.logsumexp_penalty)(jax.nn.log_softmax(LOGITS, axis=1))
    np.testing.assert_allclose(value, 0.0, atol=1e-12)
    np.testing.assert_allclose(slope, np.zeros((3, 3)), atol=1e-6)
    # elsewhere it is 2 / B logsumexp_i softmax_ij: row 0 has 2 / 3 log 6 (4, 1, 1) / 6
    slope = jax.grad(losses.logsumexp_penalty)(LOGITS)
    np.testing.assert_allclose(slope[0], 2 / 3 * math.log(6) * np.array([4, 1, 1]) / 6, rtol=1e-5)
    # far away it neither overflows nor is it NaN
    assert float(losses.logsumexp_penalty(1e6 * jnp.eye(3))) == pytest.approx(1e12)
    assert np.isfinite(jax.grad(losses.logsumexp_penalty)(jnp.full((3, 3), -1e15))).all()


def test_binary_nce_with_as_many_negatives_as_a_batch_has_is_the_cross_entropy_of_pairs():
    """Logits of k = B - 1 negatives, log k added: the mean of B cross-entropies per row."""
    k = len(LOGITS) - 1
    others = jnp.array([[1, 2], [0, 2], [0, 1]])
    shifted = LOGITS + math.log(k)
    rows = [losses.nce(shifted[i, i], shifted[i, others[i]], k=k) for i in range(3)]
    cross_entropy = jax.nn.softplus(jnp.where(jnp.eye(3, dtype=bool), -LOGITS, LOGITS))
    np.testing.assert_allclose(rows, cross_entropy.sum(axis=1), rtol=1e-6)


def test_golden_energy_weight():
    # q 1 2 5 of 8; q_next 1+3, 2+2, (nearly 0)+8 of 16; G = 3, discount 1/2: 3/8 - 3/8, 6/8 - 3/8, 15/8 - 6/8
    q, table = np.log(np.array([1.0, 2.0, 5.0], np.float32)), np.array([[1.0, 3.0], [2.0, 2.0], [1e-30, 8.0]])
    q_next = np.log(table).astype(np.float32)
    np.testing.assert_allclose(WEIGHT(q, q_next, 0.5), [0.0, 3 / 8, 9 / 8], atol=1e-6)


def test_float64_reference():
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        p, n, k = generator.normal(), generator.normal(size=5), 7.0
        delta, noise = p - math.log(k), n - math.log(k)
        sigmoid = lambda x: 1 / (1 + np.exp(-x))
        expected = -np.log(sigmoid(delta)) - k * np.mean(np.log(1 - sigmoid(noise)))
        result = NCE(p, n, k)
        np.testing.assert_allclose(result, expected, rtol=1e-12)
        logits = generator.normal(size=(4, 4)) * 3
        expected = -np.mean(np.diag(logits) - np.log(np.mean(np.exp(logits), axis=1)))
        info = INFO_NCE(logits)
        np.testing.assert_allclose(info, expected, rtol=1e-12)
        q, q_next = generator.normal(size=4), generator.normal(size=(4, 3))
        mean = np.mean(np.exp(q_next), axis=1)
        expected = np.exp(q) / np.mean(np.exp(q)) - 0.9 * mean / np.mean(mean)  # [D 25], as printed
        weight = WEIGHT(q, q_next, 0.9)
        np.testing.assert_allclose(weight, expected, rtol=1e-11)
        assert result.dtype == info.dtype == weight.dtype == jnp.float64


def test_gradients_by_finite_differences():
    with jax.enable_x64(True):
        generator = np.random.default_rng(1)
        arguments = tuple(jnp.asarray(generator.normal(size=shape)) for shape in ((), (4,), (3, 3)))

        def loss(p, n, logits, k):
            return losses.nce(p, n, k=k) + losses.info_nce(logits) + losses.logsumexp_penalty(logits)

        check_grads(jax.jit(loss), (*arguments, jnp.array(3.0)), order=1, modes=["rev"])


def test_the_weight_is_stopped():
    by_all = jax.jit(jax.grad(lambda *args: losses.energy_weight(*args)[0], argnums=(0, 1, 2)))(Q, Q_NEXT, 0.9)
    assert all(not np.any(np.asarray(gradient)) for gradient in by_all)


def test_info_nce_of_uninformative_logits_is_zero():
    for num_pairs in (1, 2, 3):
        np.testing.assert_allclose(INFO_NCE(np.zeros((num_pairs, num_pairs), np.float32)), 0.0, atol=1e-6)
    # whatever is the same for every goal cancels
    same = np.repeat(np.array([[-7.0], [0.0], [30.0]], np.float32), 3, axis=1)
    np.testing.assert_allclose(INFO_NCE(same), 0.0, atol=1e-5)


def test_info_nce_depends_on_the_pairing():
    plain, permuted = float(INFO_NCE(LOGITS)), float(INFO_NCE(LOGITS[:, jnp.array([1, 2, 0])]))
    # the goals turned by one: 1 of a mean 2, 2 of 2, 1 of 10 / 3
    np.testing.assert_allclose(permuted, -(math.log(0.5) + math.log(0.3)) / 3, rtol=1e-6)
    assert permuted > plain + 0.5
    # but not on the order of the pairs
    order = jnp.array([2, 0, 1])
    np.testing.assert_allclose(INFO_NCE(LOGITS[order][:, order]), plain, rtol=1e-5)
    # rows are (s, a): transposed it is another loss
    assert abs(float(INFO_NCE(LOGITS.T)) - plain) > 0.01


@settings(max_examples=20, deadline=None)
@given(logits=matrices, shift=st.floats(-20.0, 20.0, width=32, allow_subnormal=False))
def test_info_nce_is_bounded_and_shifts_of_rows_cancel(logits, shift):
    value = float(INFO_NCE(logits))
    assert value >= -math.log(3.0) - 1e-5
    shifted = logits + np.array([[shift], [0.0], [-shift]], np.float32)
    np.testing.assert_allclose(INFO_NCE(shifted), value, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(
    table=matrices,
    q=st.lists(st.floats(-50.0, 50.0, width=32, allow_subnormal=False), min_size=3, max_size=3),
    discount=st.floats(0, 1),
)
def test_the_mean_weight_is_one_minus_the_discount(table, q, discount):
    weight = np.asarray(WEIGHT(np.array(q, np.float32), table, np.float32(discount)))
    np.testing.assert_allclose(weight.mean(), 1.0 - discount, atol=1e-5)
    assert weight.min() >= -3.0 * discount - 1e-5
    assert weight.max() <= 3.0 + 1e-5


def test_weights_of_a_law_that_does_not_move():
    # Q(s', a, g) = Q(s, a, g) for all a: w = (1 - discount) G softmax(q)
    table = np.repeat(np.asarray(Q)[:, None], 4, axis=1)
    np.testing.assert_allclose(WEIGHT(Q, table, 0.9), 0.1 * 3 * jax.nn.softmax(Q), rtol=1e-4)


def many_negatives(logits, k):
    """nce over all pairs, normalised over the same columns, less what tends to a constant."""
    log_mean = jax.nn.logsumexp(logits, axis=1, keepdims=True) - math.log(logits.shape[1])
    relative = logits - log_mean
    each = jax.vmap(lambda p, n: losses.nce(p, n, k=k))(jnp.diagonal(relative), relative)
    return jnp.mean(each) - jnp.log(k) - 1.0


def test_nce_with_many_negatives_tends_to_info_nce():
    with jax.enable_x64(True):
        logits = jnp.asarray(np.random.default_rng(2).normal(size=(5, 5)))
        expected, gradient = jax.jit(jax.value_and_grad(losses.info_nce))(logits)
        with_gradient = jax.jit(jax.value_and_grad(many_negatives))
        errors = []
        for k in (1e2, 1e4, 1e6):
            value, by_logits = with_gradient(logits, k)
            errors.append([abs(float(value - expected)), float(jnp.max(jnp.abs(by_logits - gradient)))])
        # at the rate 1 / k
        np.testing.assert_allclose(np.diff(np.log10(errors), axis=0), -2.0, atol=0.05)
        assert np.max(errors[-1]) < 1e-5


def test_nce_recovers_the_ratio_of_two_laws():
    # 3 goals, drawn by .7 .2 .1 and at random by .2 .3 .5: the best logits are log of the ratios, for every k
    data, noise = jnp.array([0.7, 0.2, 0.1]), jnp.array([0.2, 0.3, 0.5])
    goals = jnp.repeat(jnp.arange(3), jnp.array([2, 3, 5]), total_repeat_length=10)

    def loss(logits, k):
        return jnp.dot(data, jax.vmap(lambda p: losses.nce(p, logits[goals], k=k))(logits))

    gradient = jax.jit(jax.grad(loss))
    for k in (0.5, 4.0, 100.0):
        np.testing.assert_allclose(gradient(jnp.log(data / noise), k), jnp.zeros(3), atol=1e-5)
        assert float(jnp.max(jnp.abs(gradient(jnp.zeros(3), k)))) > 0.1


def test_extreme_values_are_never_nan():
    largest = float(jnp.finfo(jnp.float32).max)
    with_gradient = jax.jit(jax.value_and_grad(lambda p, n, k: losses.nce(p, n, k=k), argnums=(0, 1)))
    for p in (-largest, -1e10, 0.0, 1e10, largest):
        for k in (1e-37, 1.0, 1e30, largest):
            value, gradients = with_gradient(p, jnp.array([-largest, -100.0, 0.0]), k)
            assert float(value) >= 0.0
            assert all(np.isfinite(gradient).all() for gradient in gradients)
    matrix = jnp.array([[1e30, -1e30], [-1e30, 1e30]])
    assert float(INFO_NCE(matrix)) == float(jnp.float32(-math.log(2.0)))
    np.testing.assert_allclose(INFO_NCE(-matrix), 2e30, rtol=1e-6)
    slope = jax.jit(jax.grad(losses.info_nce))
    assert np.isfinite(slope(-matrix)).all()
    # a goal that is left out of a row, and an action that is barred
    left_out = jnp.array([[0.0, -jnp.inf], [0.0, 0.0]])
    np.testing.assert_allclose(INFO_NCE(left_out), -math.log(2.0) / 2, rtol=1e-6)
    assert np.isfinite(slope(left_out)).all()
    barred = WEIGHT(jnp.array([1e30, 0.0]), jnp.array([[-jnp.inf, 0.0], [-1e30, 0.0]]), 0.5)
    np.testing.assert_allclose(barred, [2.0 - 0.5, -0.5], rtol=1e-6)


def test_jit_is_eager_and_vmap_is_a_loop():
    positives, ks = jnp.array([0.3, -1.0]), jnp.array([1.0, 50.0])
    loop = [losses.nce(p, NEGATIVES, k=float(k)) for p, k in zip(positives, ks, strict=True)]
    np.testing.assert_allclose(jax.vmap(NCE, in_axes=(0, None, 0))(positives, NEGATIVES, ks), loop, rtol=1e-5)
    batches = jnp.stack([LOGITS, LOGITS.T])
    loop = [losses.info_nce(logits) for logits in batches]
    np.testing.assert_allclose(jax.vmap(INFO_NCE)(batches), loop, rtol=1e-5)
    loop = [losses.energy_weight(Q, Q_NEXT, discount) for discount in (0.5, 0.9)]
    batched = jax.vmap(WEIGHT, in_axes=(None, None, 0))(Q, Q_NEXT, jnp.array([0.5, 0.9]))
    np.testing.assert_allclose(batched, jnp.stack(loop), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_keeps_the_dtype_of_its_inputs(dtype):
    def all_losses(p, n, logits, q, q_next):
        of_pairs = losses.info_nce(logits) + losses.logsumexp_penalty(logits)
        return losses.nce(p, n, k=jnp.float32(2.0)), of_pairs, losses.energy_weight(q, q_next, 0.9)

    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape in ((), (3,), (3, 3), (3,), (3, 2))]
    results = jax.eval_shape(all_losses, *shapes)
    assert [(result.dtype, result.shape) for result in results] == [(dtype, ()), (dtype, ()), (dtype, (3,))]
