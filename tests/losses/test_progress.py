"""Progress in steps and its gates, the soft weights, WGCSL's weight, and the expectile loss."""

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

GAMMAS = (0.5, 0.98, 0.9999, 1.0)
floats = st.floats(-100.0, 100.0, width=32, allow_subnormal=False)
no = functools.partial(jnp.asarray, dtype=jnp.int32)


def value_of(steps, gamma):
    """The return of so many rewards of -1, in float64."""
    return -float(sum(gamma**k for k in range(steps)))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_steps_to_goal_inverts_the_return_of_that_many_steps(gamma):
    steps = np.array([0, 1, 2, 5, 20])
    values = jnp.array([value_of(n, gamma) for n in steps], jnp.float32)
    found = jax.vmap(functools.partial(losses.steps_to_goal, gamma=gamma))(values)
    np.testing.assert_allclose(found, steps, rtol=2e-4, atol=1e-6)


def test_values_that_no_number_of_steps_has():
    """Above 0 it is there; at -1 / (1 - gamma) = -2 and below it never arrives, save at gamma = 1."""
    steps = [float(losses.steps_to_goal(v, gamma=0.5)) for v in (3.0, -2.0, -7.0)]
    assert steps == [0.0, math.inf, math.inf]
    assert float(losses.steps_to_goal(-7.0, gamma=1.0)) == 7.0
    assert float(losses.progress(-7.0, -9.0, gamma=0.5)) == 0.0  # never, and never
    assert float(losses.progress(-7.0, -1.0, gamma=0.5)) == math.inf
    assert float(losses.progress(-1.0, -7.0, gamma=0.5)) == -math.inf


def test_golden_progress_and_its_indicator():
    # 1 + v / 2 is 1/8, 1/4, 1/2 at -1.75, -1.5, -1: three, two steps and one
    assert float(losses.progress(-1.75, -1.0, gamma=0.5)) == pytest.approx(2.0)
    assert float(losses.progress(-1.0, -1.5, gamma=0.5)) == pytest.approx(-1.0)
    # a step that arrives: the two steps that V(s) says and itself, whatever V(s') says
    assert [float(losses.progress(-1.5, v, gamma=0.5, arrives=True)) for v in (0.0, -1.0, math.nan)] == [3.0] * 3
    picked = [
        float(losses.progress_indicator(-1.75, v, gamma=0.5, steps=tau))
        for v, tau in ((-1.5, 0.5), (-1.5, 1.5), (-1.75, 0.0), (-1.75, -math.inf), (math.nan, -1.0))
    ]
    assert picked == [1.0, 0.0, 0.0, 1.0, 0.0]


def test_it_tells_actions_apart_where_the_indicator_of_hdm_does_not():
    """On a line with exact values at gamma 0.5: from 3 steps away to 2, 3 or 4, one step later."""
    v = {n: value_of(n, 0.5) for n in range(6)}
    after = (2, 3, 4)
    q = [-1.0 + 0.5 * v[n] for n in after]  # Q(s, a) = -1 + gamma V(s')
    # Q - V(s') is -0.25, -0.125 and -0.0625, all below log 0.95 = -0.0513: even the step that leads away
    hdm = [float(losses.hdm_indicator(q[i], v[n], gamma_hdm=0.95)) for i, n in enumerate(after)]
    gate = [float(losses.progress_indicator(v[3], v[n], gamma=0.5, steps=0.5)) for n in after]
    assert (hdm, gate) == ([1.0, 1.0, 1.0], [1.0, 0.0, 0.0])
    # from one step away, where V is 0: arriving, staying, leaving
    arrives = [losses.progress_indicator(0.0, v[n], gamma=0.5, steps=0.5, arrives=n == 0) for n in range(3)]
    assert [float(gate) for gate in arrives] == [1.0, 0.0, 0.0]


def test_golden_weights():
    assert float(losses.q_filter(-1.0, -2.0)) == 1.0
    assert float(losses.q_filter(-2.0, -1.0)) == 0.0
    assert float(losses.q_filter(-2.0, -2.0)) == 0.0
    weight = functools.partial(losses.advantage_weight, scale=2.0, largest=8.0)
    # e^-2, 1, e^2, and e^20 that is cut
    expected = [math.exp(-2), 1.0, math.exp(2), 8.0]
    np.testing.assert_allclose([weight(a) for a in (-1.0, 0.0, 1.0, 10.0)], expected, rtol=1e-6)
    assert float(losses.advantage_weight(jnp.float32(1e30), scale=1e8)) == pytest.approx(100.0)  # no overflow
    assert float(losses.advantage_weight(jnp.float32(5.0), scale=0.0)) == 1.0


def test_golden_wgcsl_weight():
    weight = functools.partial(losses.wgcsl_weight, gamma=0.5)
    # 0.5^3 e^1 = 0.3398; below the cutoff a twentieth of it; e^5 is cut at 10; a goal that was not reached counts 0
    assert float(weight(1.0, no(3), cutoff=0.0)) == pytest.approx(0.125 * math.e, rel=1e-6)
    assert float(weight(1.0, no(3), cutoff=1.0)) == pytest.approx(0.05 * 0.125 * math.e, rel=1e-6)
    assert float(weight(5.0, no(1), cutoff=-math.inf)) == pytest.approx(5.0, rel=1e-6)
    assert [float(weight(1.0, no(offset), cutoff=0.0)) for offset in (0, -4)] == [0.0, 0.0]
    assert float(weight(2.0, no(1), cutoff=3.0, smallest=0.0)) == 0.0


def test_golden_expectile():
    # 0.9 * 2^2 and 0.1 * 2^2; another sign decides; half of the square at 1/2
    assert float(losses.expectile(2.0, tau=0.9)) == pytest.approx(3.6)
    assert float(losses.expectile(-2.0, tau=0.9)) == pytest.approx(0.4)
    assert float(losses.expectile(-2.0, tau=0.9, positive=jnp.asarray(True))) == pytest.approx(3.6)
    assert float(losses.expectile(3.0, tau=0.5)) == 4.5


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
def test_the_least_expectile_loss_is_at_the_expectile(tau):
    """Of targets 0 and 1 it is tau: tau (1 - m) = (1 - tau) m."""
    loss = lambda m: losses.expectile(0.0 - m, tau=tau) + losses.expectile(1.0 - m, tau=tau)
    m = jnp.float32(0.3)
    for _ in range(200):
        m = m - 0.25 * jax.grad(loss)(m)
    assert float(m) == pytest.approx(tau, abs=1e-4)


def test_gradients():
    """Weights have none; steps and the expectile agree with finite differences, and stay finite at the limits."""
    for weight in (
        lambda x: losses.progress_indicator(x, x + 0.1, gamma=0.9, steps=0.0),
        lambda x: losses.q_filter(x, -1.0),
        lambda x: losses.advantage_weight(x, scale=3.0),
        lambda x: losses.wgcsl_weight(x, no(2), gamma=0.9, cutoff=0.0),
    ):
        assert float(jax.grad(weight)(jnp.float32(-0.5))) == 0.0
    for gamma in (0.5, 1.0):
        slopes = [float(jax.grad(functools.partial(losses.steps_to_goal, gamma=gamma))(v)) for v in (-1.0, -2.0, 0.5)]
        assert np.isfinite(slopes).all()
    with jax.enable_x64(True):
        check_grads(lambda v: losses.steps_to_goal(v, gamma=0.9), (jnp.array(-3.0),), order=1, modes=["rev"])
        for error in (-1.5, 2.0):
            check_grads(lambda e: losses.expectile(e, tau=0.7), (jnp.array(error),), order=1, modes=["rev"])


@settings(max_examples=50, deadline=None)
@given(v=floats, w=floats, gamma=st.sampled_from(GAMMAS))
def test_progress_is_antisymmetric_and_grows_with_the_value_of_what_follows(v, w, gamma):
    progress = functools.partial(losses.progress, gamma=gamma)
    there, back = float(progress(v, w)), float(progress(w, v))
    assert there == -back
    assert there >= 0.0 or w < v


def test_jit_is_eager_and_vmap_is_a_loop():
    v, w = jnp.array([-1.0, -1.9, -2.5, 0.5]), jnp.array([-0.5, -1.95, -1.0, 0.0])
    for loss in (
        functools.partial(losses.progress, gamma=0.5),
        functools.partial(losses.progress_indicator, gamma=0.5, steps=0.5),
        losses.q_filter,
    ):
        loop = jnp.stack([loss(a, b) for a, b in zip(v, w, strict=True)])
        np.testing.assert_allclose(jax.jit(jax.vmap(loss))(v, w), loop, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.steps_to_goal(jnp.zeros(3), gamma=0.9), "^v: got float32"),
        (lambda: losses.steps_to_goal(-1.0, gamma=0.0), "^gamma: got 0"),
        (lambda: losses.progress(-1.0, jnp.int32(0), gamma=0.9), "^v_t: got int32"),
        (lambda: losses.progress_indicator(-1.0, -1.0, gamma=0.9, steps=math.nan), "^steps: got nan"),
        (lambda: losses.q_filter(jnp.zeros(2), 0.0), "^q_tm1: got float32"),
        (lambda: losses.advantage_weight(0.0, scale=-1.0), "^scale: got -1"),
        (lambda: losses.advantage_weight(0.0, scale=1.0, largest=math.inf), "^largest: got inf"),
        (lambda: losses.wgcsl_weight(0.0, 1.0, gamma=0.9, cutoff=0.0), "^offset: got"),
        (lambda: losses.wgcsl_weight(0.0, no(1), gamma=1.1, cutoff=0.0), "^gamma: got 1.1"),
        (lambda: losses.expectile(0.0, tau=1.5), "^tau: got 1.5"),
        (lambda: losses.expectile(0.0, tau=0.5, positive=jnp.float32(1.0)), "^positive: got float32"),
        (lambda: losses.progress(-1.0, -1.0, gamma=0.5, arrives=0.5), "^arrives: got "),
        (lambda: losses.progress(-1.0, -1.0, gamma=0.5, arrives=jnp.array([True])), "^arrives: got "),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
