"""The terms of HDM: td [D 27, 28], the indicator [D 31], imitation [D 14, 32], and line 2 [D 26]."""

import functools
import math

import compiles
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from hindsight_jax import losses

# arguments of hdm, in order: q_tm1, log_prob_tm1, r_t, discount_t, v_t, v_t_online
NAMES = ("q_tm1", "log_prob_tm1", "r_t", "discount_t", "v_t", "v_t_online")
IMITATED = (-3.0, -0.25, -1.0, 0.5, -2.0, -2.0)  # -3 - -2 = -1 < log 0.5 = -0.69
SPARED = (-2.5, -0.25, -1.0, 0.5, -2.0, -2.0)  # -2.5 - -2 = -0.5, not below -0.69

floats = st.floats(-100.0, 100.0, width=32, allow_subnormal=False)
limits = st.floats(0.0, 4.0, width=32, allow_subnormal=False)


def arrays(values, dtype=jnp.float32):
    return tuple(jnp.asarray(value, dtype) for value in values)


def random_rows(num_rows, seed=0, dtype=np.float32):
    """Columns of `hdm`'s arguments, [num_rows] each, about half of which are imitated at gamma_hdm 0.5."""
    generator = np.random.default_rng(seed)
    q_tm1, v_t, noise = (generator.normal(size=num_rows) for _ in range(3))
    log_prob_tm1, r_t = -generator.uniform(0.1, 3.0, num_rows), -generator.integers(0, 2, num_rows)
    discount_t = 0.98 * np.ones(num_rows)
    columns = (q_tm1, log_prob_tm1, r_t, discount_t, v_t, q_tm1 + noise + 0.7)
    return tuple(jnp.asarray(column.astype(dtype)) for column in columns)


def reference(q_tm1, log_prob_tm1, r_t, discount_t, v_t, v_t_online, gamma_hdm, beta, upper):
    """In plain Python, without a logarithm in the indicator: exp Q < gamma_hdm exp V."""
    target = min(r_t + discount_t * v_t, upper)
    imitated = math.exp(q_tm1) < gamma_hdm * math.exp(v_t_online)
    return (q_tm1 - target) ** 2 - (beta * log_prob_tm1 if imitated else 0.0)


def same_bits(left, right):
    return np.asarray(left).tobytes() == np.asarray(right).tobytes()


def test_golden_td_error():
    assert float(losses.td_error(-4.0, -1.0, 0.5, -2.0)) == 2.0  # (-1 + 0.5 * -2) - -4: q is too low by 2
    assert float(losses.td_error(-1.0, -1.0, 0.5, -2.0)) == -1.0  # -2 - -1: too high by 1
    assert float(losses.td_error(-4.0, -1.0, 0.5, 8.0)) == 7.0  # (-1 + 4) - -4
    assert float(losses.td_error(-4.0, -1.0, 0.5, 8.0, upper=0.0)) == 4.0  # the target 3 is cut to 0
    assert float(losses.td_error(-4.0, -1.0, 0.0, 7.0)) == 3.0  # after a terminal step: -1 - -4
    by_all = jax.grad(losses.td_error, argnums=(0, 1, 2, 3))(*arrays((-4.0, -1.0, 0.5, -2.0)))
    assert [float(g) for g in by_all] == [-1.0, 0.0, 0.0, 0.0]  # through q_tm1 alone


@pytest.mark.parametrize("upper", [None, -0.5])
def test_td_is_the_square_of_td_error_to_the_bit(upper):
    q_tm1, _, *rest, _ = random_rows(64)
    at_target = rest[0] + rest[1] * rest[2]  # 64 more rows, whose error is 0
    columns = (jnp.concatenate([q_tm1, at_target]), *(jnp.tile(column, 2) for column in rest))
    error = jax.vmap(functools.partial(losses.td_error, upper=upper))(*columns)
    loss, gradient = jax.vmap(jax.value_and_grad(functools.partial(losses.td, upper=upper)))(*columns)
    assert same_bits(loss, jnp.square(error))
    np.testing.assert_array_equal(gradient, -2.0 * error)
    assert 0 < int(jnp.sum(error == 0)) < 128
    assert not bool(jnp.any(jnp.signbit(gradient) & (gradient == 0)))  # never -0.0


def test_golden_td():
    assert float(losses.td(-4.0, -1.0, 0.5, -2.0)) == 4.0  # (-4 - (-1 + 0.5 * -2))^2 = (-2)^2, no half
    assert float(losses.td(-4.0, -1.0, 0.5, 8.0)) == 49.0  # (-4 - (-1 + 4))^2
    assert float(losses.td(-4.0, -1.0, 0.5, 8.0, upper=0.0)) == 16.0  # the target 3 is cut to 0
    assert float(losses.td(-4.0, -1.0, 0.5, 8.0, upper=1.0)) == 25.0  # to 1
    assert float(losses.td(-4.0, -1.0, 0.5, -2.0, upper=0.0)) == 4.0  # -2 is below the bound
    assert float(losses.td(-4.0, -1.0, 0.0, 7.0)) == 9.0  # after a terminal step s' does not matter: (-4 + 1)^2


def test_golden_hdm_indicator():
    # log 0.5 = -0.693
    assert float(losses.hdm_indicator(-3.0, -2.0, gamma_hdm=0.5)) == 1.0  # -1 is below
    assert float(losses.hdm_indicator(-2.5, -2.0, gamma_hdm=0.5)) == 0.0  # -0.5 is not
    # log 1 = 0: strictly below
    assert float(losses.hdm_indicator(-2.0, -2.0, gamma_hdm=1.0)) == 0.0
    assert float(losses.hdm_indicator(-2.125, -2.0, gamma_hdm=1.0)) == 1.0


def test_golden_hdm():
    # td (-3 - (-1 + 0.5 * -2))^2 = 1, imitated: 2 * 0.25
    assert float(losses.hdm(*IMITATED, gamma_hdm=0.5, beta=2.0)) == 1.5
    # td (-2.5 + 2)^2 = 0.25, not imitated
    assert float(losses.hdm(*SPARED, gamma_hdm=0.5, beta=2.0)) == 0.25
    # td (-3 + 2.5)^2 = 0.25 with the target -2 cut to -2.5, imitated: 1 * 0.25
    assert float(losses.hdm(*IMITATED, gamma_hdm=0.5, beta=1.0, upper=-2.5)) == 0.5


def test_golden_next_state():
    assert float(losses.next_state(-4.0, gamma_hdm=0.75, beta=2.0)) == 2.0  # -2 * 0.25 * -4
    assert float(losses.next_state(-4.0, gamma_hdm=1.0, beta=2.0)) == 0.0
    assert float(losses.next_state(-4.0, gamma_hdm=0.0, beta=0.5)) == 2.0
    # to minimise it is to raise Q(s, a, s')
    assert float(jax.grad(functools.partial(losses.next_state, gamma_hdm=0.75, beta=2.0))(-4.0)) == -0.5


@pytest.mark.parametrize("upper", [None, 0.0])
def test_float64_reference(upper):
    with jax.enable_x64(True):
        columns = random_rows(200, dtype=np.float64)
        loss = functools.partial(losses.hdm, gamma_hdm=0.5, beta=0.7, upper=upper)
        result = jax.vmap(loss)(*columns)
        bound = math.inf if upper is None else upper
        expected = [reference(*row, 0.5, 0.7, bound) for row in np.stack(columns, 1).tolist()]
        indicator = jax.vmap(functools.partial(losses.hdm_indicator, gamma_hdm=0.5))(columns[0], columns[5])
        assert result.dtype == indicator.dtype == jnp.float64
        assert 0.2 < float(jnp.mean(indicator)) < 0.8
        np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_keeps_the_dtype_of_its_inputs(dtype):
    def all_losses(*row):
        return [
            losses.td(*row[:4], upper=0.0),
            losses.td_error(*row[:4], upper=0.0),
            losses.hdm_indicator(*row[:2], gamma_hdm=jnp.float32(0.5)),
            losses.hdm(*row, gamma_hdm=0.5, beta=np.float64(1.0), upper=jnp.float32(0.0)),
            losses.next_state(row[0], gamma_hdm=0.5, beta=1),
        ]

    results = jax.eval_shape(all_losses, *arrays(IMITATED, dtype))
    assert [(result.dtype, result.shape) for result in results] == [(dtype, ())] * 5


def test_python_floats_follow_the_arrays():
    with jax.enable_x64(True):
        mixed = losses.td(jnp.float32(-4.0), -1.0, 0.5, -2.0)
        assert mixed.dtype == jnp.float32
        assert losses.td(-4.0, -1.0, 0.5, -2.0).dtype == jnp.float64
    assert losses.td(-4.0, -1.0, 0.5, -2.0).dtype == jnp.float32
    assert not losses.td(-4.0, -1.0, 0.5, -2.0).weak_type


@pytest.mark.parametrize("row", [IMITATED, SPARED])
def test_gradients_by_finite_differences(row):
    with jax.enable_x64(True):
        q_tm1, log_prob_tm1, *rest = arrays(row, jnp.float64)

        def loss(q_tm1, log_prob_tm1, beta):
            pushed = losses.next_state(q_tm1, gamma_hdm=0.3, beta=beta)
            return pushed + losses.hdm(q_tm1, log_prob_tm1, *rest, gamma_hdm=0.5, beta=beta, upper=0.0)

        check_grads(jax.jit(loss), (q_tm1, log_prob_tm1, jnp.array(2.0)), order=1)


def test_td_stops_the_whole_target():
    gradients = jax.grad(losses.td, argnums=(0, 1, 2, 3))(*arrays((-4.0, -1.0, 0.5, -2.0)))
    assert [float(g) for g in gradients] == [-4.0, 0.0, 0.0, 0.0]  # 2 (-4 + 2), and nothing through the target
    by_bound = jax.grad(lambda upper: losses.td(-4.0, -1.0, 0.5, 8.0, upper=upper))(0.0)
    assert float(by_bound) == 0.0


def test_hdm_indicator_has_no_gradient():
    by_all = jax.grad(lambda q, v, g: losses.hdm_indicator(q, v, gamma_hdm=g), argnums=(0, 1, 2))
    for gamma_hdm in (0.0, 0.5, math.inf):
        assert [float(g) for g in by_all(-3.0, -2.0, gamma_hdm)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("row", "imitation"), [(IMITATED, -2.0), (SPARED, 0.0)])
def test_gradients_of_hdm(row, imitation):
    loss = functools.partial(losses.hdm, gamma_hdm=0.5, beta=2.0)
    gradients = dict(zip(NAMES, jax.grad(loss, argnums=range(6))(*arrays(row)), strict=True))
    expected = dict.fromkeys(NAMES, 0.0) | {"q_tm1": 2.0 * (row[0] + 2.0), "log_prob_tm1": imitation}  # target -2
    assert {name: float(g) for name, g in gradients.items()} == expected


@pytest.mark.parametrize("wrap", [lambda f: f, compiles.jit_as_users_do], ids=["eager", "jit"])
def test_gamma_hdm_zero_is_td_to_the_bit(wrap):
    columns = random_rows(64)

    def both(loss):
        return wrap(jax.vmap(jax.value_and_grad(loss)))

    value, gradient = both(lambda q, p, r, d, v, w: losses.hdm(q, p, r, d, v, w, gamma_hdm=0.0, beta=3.0))(*columns)
    expected, expected_gradient = both(lambda q, p, r, d, v, w: losses.td(q, r, d, v))(*columns)
    assert same_bits(value, expected)
    assert same_bits(gradient, expected_gradient)


def test_gamma_hdm_infinite_is_td_and_imitation():
    columns = random_rows(64)

    def sum_of_both(q, p, r, d, v, w):
        return losses.td(q, r, d, v) + 3.0 * losses.behaviour_cloning(p)

    loss = functools.partial(losses.hdm, gamma_hdm=math.inf, beta=3.0)
    left = jax.vmap(jax.value_and_grad(loss, argnums=range(6)))(*columns)
    right = jax.vmap(jax.value_and_grad(sum_of_both, argnums=range(6)))(*columns)
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert same_bits(one, other)


def test_beta_zero_is_td():
    columns = random_rows(64)
    off = jax.vmap(functools.partial(losses.hdm, gamma_hdm=0.5, beta=0))(*columns)
    np.testing.assert_array_equal(off, jax.vmap(losses.td)(columns[0], *columns[2:5]))


@settings(max_examples=20, deadline=None)
@given(q_tm1=floats, v_t_online=floats)
def test_the_ends_of_gamma_hdm(q_tm1, v_t_online):
    assert float(losses.hdm_indicator(q_tm1, v_t_online, gamma_hdm=0.0)) == 0.0
    assert float(losses.hdm_indicator(q_tm1, v_t_online, gamma_hdm=0)) == 0.0
    assert float(losses.hdm_indicator(q_tm1, v_t_online, gamma_hdm=math.inf)) == 1.0


@settings(max_examples=20, deadline=None)
@given(q_tm1=floats, v_t_online=floats, gammas=st.tuples(limits, limits).map(sorted))
def test_a_larger_gamma_hdm_imitates_no_less(q_tm1, v_t_online, gammas):
    fewer, more = (float(losses.hdm_indicator(q_tm1, v_t_online, gamma_hdm=gamma)) for gamma in gammas)
    assert fewer <= more
    assert {fewer, more} <= {0.0, 1.0}


@pytest.mark.parametrize("gamma_hdm", [0.0, 0.5])
def test_an_impossible_action_that_is_not_imitated_adds_nothing(gamma_hdm):
    row = arrays((SPARED[0], -math.inf, *SPARED[2:]))

    def loss(row, gamma_hdm, beta):
        return losses.hdm(*row, gamma_hdm=gamma_hdm, beta=beta)

    value, gradients = jax.value_and_grad(loss, argnums=(0, 1, 2))(row, gamma_hdm, 2.0)
    assert float(value) == 0.25
    assert [float(g) for g in jax.tree.leaves(gradients)] == [-1.0, *[0.0] * 7]
    imitated = loss(arrays((IMITATED[0], -math.inf, *IMITATED[2:])), 0.5, 2.0)
    assert float(imitated) == math.inf  # where it is imitated, the loss says so


def test_an_impossible_action_through_the_head():
    def loss(q):
        rest = (-1.0, 0.5, -2.0, -2.0)
        return losses.hdm(-2.5, losses.log_prob(q, 1), *rest, gamma_hdm=0.5, beta=2.0)

    np.testing.assert_array_equal(jax.grad(loss)(jnp.array([0.0, -jnp.inf])), [0.0, 0.0])


def test_jit_is_eager():
    for row in (IMITATED, SPARED):
        loss = functools.partial(losses.hdm, gamma_hdm=0.5, beta=2.0, upper=0.0)
        np.testing.assert_allclose(jax.jit(loss)(*arrays(row)), loss(*row), rtol=1e-6)


def test_vmap_is_a_loop():
    columns = random_rows(8)
    loss = functools.partial(losses.hdm, gamma_hdm=0.5, beta=2.0)
    loop = [loss(*(column[i] for column in columns)) for i in range(8)]
    np.testing.assert_allclose(jax.vmap(loss)(*columns), loop, rtol=1e-6)


def test_hyper_parameters_map():
    gammas, betas = jnp.array([0.0, 0.3, 0.5, jnp.inf]), jnp.array([1.0, 2.0, 3.0, 4.0])
    uppers = jnp.array([0.0, -2.5, jnp.inf, -3.0])

    def loss(gamma_hdm, beta, upper):
        return losses.hdm(*IMITATED, gamma_hdm=gamma_hdm, beta=beta, upper=upper)

    # td is 1 or, where the target -2 is cut, (-3 + 2.5)^2 and 0; imitated from 0.5 on (log 0.3 = -1.2), at 0.25 beta
    expected = [1.0, 0.25, 1.0 + 0.75, 0.0 + 1.0]
    np.testing.assert_array_equal(jax.jit(jax.vmap(loss))(gammas, betas, uppers), expected)
    pushed = jax.vmap(lambda g, b: losses.next_state(-4.0, gamma_hdm=g, beta=b))(gammas[:3], betas[:3])
    np.testing.assert_allclose(pushed, [4.0, 5.6, 6.0], rtol=1e-6)  # 1 * 1 * 4, 2 * 0.7 * 4, 3 * 0.5 * 4
    indicators = jax.vmap(lambda g: losses.hdm_indicator(-3.0, -2.0, gamma_hdm=g))(gammas)
    np.testing.assert_array_equal(indicators, [0.0, 0.0, 1.0, 1.0])


def with_argument(loss, row, name, value, **hyper_parameters):
    """A call of the loss in which the named argument has the value."""
    arguments = {**row, **hyper_parameters, name: value}
    positional = [arguments.pop(each) for each in row]
    return loss(*positional, **arguments)


HDM = (losses.hdm, dict(zip(NAMES, IMITATED, strict=True)), {"gamma_hdm": 0.5, "beta": 1.0})
TD = (losses.td, {"q_tm1": -4.0, "r_t": -1.0, "discount_t": 0.5, "v_t": -2.0}, {})
TD_ERROR = (losses.td_error, TD[1], {})
INDICATOR = (losses.hdm_indicator, {"q_tm1": -3.0, "v_t_online": -2.0}, {"gamma_hdm": 0.5})
NEXT_STATE = (losses.next_state, {"q_next_goal": -4.0}, {"gamma_hdm": 0.5, "beta": 1.0})
USERS = [
    (loss, name)
    for name, all_losses in {
        "gamma_hdm": (HDM, INDICATOR, NEXT_STATE),
        "beta": (HDM, NEXT_STATE),
        "upper": (HDM, TD, TD_ERROR),
    }.items()
    for loss in all_losses
]
each_user = pytest.mark.parametrize(("loss", "name"), USERS, ids=[f"{loss[0].__name__}-{name}" for loss, name in USERS])


@each_user
def test_a_hyper_parameter_may_be_any_scalar(loss, name):
    function, row, hyper_parameters = loss
    expected = with_argument(function, row, name, 1.0, **hyper_parameters)
    for value in (1, jnp.array(1), jnp.float32(1.0), np.float64(1.0), np.array(1.0), jnp.bfloat16(1.0)):
        assert same_bits(with_argument(function, row, name, value, **hyper_parameters), expected)


def test_next_state_refuses_infinity_and_takes_more_than_one():
    with pytest.raises(ValueError, match="gamma_hdm: got inf"):
        losses.next_state(-4.0, gamma_hdm=math.inf, beta=1.0)
    assert float(losses.next_state(-4.0, gamma_hdm=1.5, beta=1.0)) == -2.0  # -1 * -0.5 * -4


def test_hyper_parameters_are_keyword_only():
    for function, row, hyper_parameters in (HDM, INDICATOR, NEXT_STATE):
        with pytest.raises(TypeError):
            function(*row.values(), *hyper_parameters.values())
    with pytest.raises(TypeError):
        losses.td(*TD[1].values(), 0.0)
    with pytest.raises(TypeError):
        losses.td_error(*TD[1].values(), 0.0)


def test_two_precisions_are_refused_when_promotion_is_strict():
    with jax.enable_x64(True), pytest.raises(ValueError, match="promotion"):
        losses.td(jnp.float32(-4.0), -1.0, 0.5, jnp.float64(-2.0))
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        assert losses.td(jnp.float32(-4.0), -1.0, 0.5, jnp.float64(-2.0)).dtype == jnp.float64
