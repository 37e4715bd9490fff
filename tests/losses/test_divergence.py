"""f-divergence Q-learning [D 18], its conjugates [D 5, 19], and its minimum over the laws [D 10, 13]."""

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

NAMES = tuple(losses.DIVERGENCES)
each_name = pytest.mark.parametrize("name", NAMES)
ROW = {"residual": -3.0, "q_policy": -4.0, "next_v": -6.0, "discount": 0.5}

# the upper ends of the domains of f*
UPPER = {"reverse_kl": 0.0, "jensen_shannon": math.log(2.0) / 2.0, "squared_hellinger": 1.0, "total_variation": 0.5}
RATIOS = np.concatenate([np.geomspace(1e-2, 0.98, 50), np.geomspace(1.02, 9.0, 50)])


def conjugate_grid(name, num=10001, low=-120.0):
    """Points of the domain of f*, dense near its upper end, past the slopes of f at all of RATIOS."""
    upper = UPPER.get(name, 17.0)
    return upper - np.geomspace(1e-9, upper - low, num)


@functools.cache
def compiled(name):
    """f, f*, and the slopes of both, of vectors."""
    row = losses.DIVERGENCES[name]
    slopes = [jax.vmap(jax.grad(function)) for function in (row.generator, row.conjugate)]
    return tuple(map(jax.jit, (row.generator, row.conjugate, *slopes)))


def test_the_table_is_that_of_the_documents():
    documented = "kl reverse_kl jensen_shannon squared_hellinger pearson_chi2 total_variation quadratic"
    assert documented.split() == list(NAMES)
    assert all(row.name == name and row.help for name, row in losses.DIVERGENCES.items())


def test_golden_divergence():
    # behaviour part: -4 - 0.5 * -6 = -1. quadratic, r = -1, x + r = 3 - 1 = 2: 2^2 / 2 + 1/2 + 1 = 3.5
    assert float(losses.divergence(**ROW, f="quadratic")) == 2.5
    # r = 0: 3^2 / 2 + 1/2
    assert float(losses.divergence(**ROW, f="quadratic", r=0.0)) == 4.0
    # pearson, r = -1: 2 + 2^2 / 4 + 1 = 4; r = -6, x + r = -3 < -2: -1 + 6
    assert float(losses.divergence(**ROW, f="pearson_chi2")) == 3.0
    assert float(losses.divergence(**ROW, f="pearson_chi2", r=-6.0)) == 4.0
    # r = -4, x + r = -1, plus 4 - 1: kl e^-2; reverse_kl -1; hellinger -1/2; total variation -1/2
    shifted = functools.partial(losses.divergence, **ROW, r=-4.0)
    np.testing.assert_allclose(shifted(f="kl"), math.exp(-2.0) + 3.0, rtol=1e-6)
    assert float(shifted(f="reverse_kl")) == 2.0
    assert float(shifted(f="squared_hellinger")) == 2.5
    assert float(shifted(f="total_variation")) == 2.5
    np.testing.assert_allclose(shifted(f="jensen_shannon"), -math.log(2 - math.exp(-2.0)) / 2 + 3.0, rtol=1e-6)


def test_golden_generators():
    # at t = 4: 4 log 4; -log 4; (4 log 4 - 5 log 2.5) / 2; (2 - 1)^2; 3^2; 3 / 2; (16 - 1) / 2
    log4, mixed = math.log(4.0), 5 * math.log(2.5)
    expected = [4 * log4, -log4, (4 * log4 - mixed) / 2, 1.0, 9.0, 1.5, 7.5]
    np.testing.assert_allclose([row.generator(4.0) for row in losses.DIVERGENCES.values()], expected, rtol=1e-6)
    # at t = 0: 0 log 0 = 0; infinite; log(2) / 2; 1; 1; 1/2; -1/2
    expected = [0.0, math.inf, math.log(2.0) / 2, 1.0, 1.0, 0.5, -0.5]
    np.testing.assert_allclose([row.generator(0.0) for row in losses.DIVERGENCES.values()], expected, rtol=1e-6)


def test_the_quadratic_is_the_paper_s():
    # [D 19] f*(x) = (x + r)^2 / 2 + c, of f(t) = t^2 / 2 - r t - c, where f(1) = 0 makes c = 1/2 - r
    for r in (-1.0, 0.0, 0.7):
        c = 0.5 - r
        for residual in (-2.0, 0.3):
            loss = losses.divergence(residual, 0.0, 0.0, 0.5, f="quadratic", r=r)
            np.testing.assert_allclose(loss, (r - residual) ** 2 / 2 + c, rtol=1e-6)
        for t in (-1.0, 0.5, 3.0):
            generator = losses.DIVERGENCES["quadratic"].generator(t) - r * (t - 1)
            np.testing.assert_allclose(generator, t**2 / 2 - r * t - c, rtol=1e-5, atol=1e-6)


@each_name
def test_the_conjugate_of_the_conjugate_is_the_generator(name):
    generator, conjugate, slope_of_f, slope_of_conjugate = compiled(name)
    with jax.enable_x64(True):
        t, x = np.append(RATIOS, 1.0), conjugate_grid(name)
        f, f_star = np.asarray(generator(t)), np.asarray(conjugate(x))
        assert abs(f[-1]) < 1e-12  # f(1) = 0: a law is at distance zero from itself
        assert np.isfinite(f_star).all()
        # Fenchel and Young: t x <= f(t) + f*(x), everywhere; and the supremum over x touches it
        gap = f[:, None] + f_star[None] - t[:, None] * x[None]
        assert gap.min() > -1e-12
        np.testing.assert_allclose(gap.min(axis=1), 0.0, atol=2e-3)
        # exactly where x is the slope of f at t
        slope = np.asarray(slope_of_f(t))
        np.testing.assert_allclose(t * slope - np.asarray(conjugate(slope)), f, rtol=1e-9, atol=1e-12)
        if name != "total_variation":  # whose slopes are two numbers only
            np.testing.assert_allclose(slope_of_conjugate(slope), t, rtol=1e-6)


@each_name
def test_the_conjugate_is_the_supremum_over_ratios(name):
    generator, conjugate, *_ = compiled(name)
    with jax.enable_x64(True):
        t = np.concatenate([[0.0], np.geomspace(1e-6, 1e4, 20001)])
        t = np.concatenate([-t[:0:-1], t]) if name == "quadratic" else t
        x = np.linspace(-4.0, min(UPPER.get(name, 3.0), 3.0) - 0.05, 23)
        supremum = (x[:, None] * t[None] - np.asarray(generator(t))[None]).max(axis=1)
        np.testing.assert_allclose(conjugate(x), supremum, rtol=1e-4, atol=1e-4)


@each_name
def test_the_conjugate_is_convex_and_grows(name):
    _, conjugate, *_ = compiled(name)
    with jax.enable_x64(True):
        x = np.linspace(-4.0, min(UPPER.get(name, 4.0), 4.0) - 1e-6, 2001)
        slopes = np.diff(np.asarray(conjugate(x)))
        assert np.diff(slopes).min() > -1e-12
        # ratios below 0, which the quadratic alone admits, are slopes below 0
        assert (slopes.min() > -1e-15) == (name != "quadratic")


@each_name
def test_outside_of_its_domain_it_is_infinite_and_never_nan(name):
    row = losses.DIVERGENCES[name]
    largest = float(jnp.finfo(jnp.float32).max)
    upper = np.float32(UPPER.get(name, 1.0))
    near = [np.nextafter(upper, np.float32(sign * math.inf)) for sign in (-1, 1)]
    points = jnp.array(
        [-math.inf, -largest, -1e10, -1.0, -0.0, 0.0, *near, upper, upper + 0.01, 2.0, 1e10, largest, math.inf]
    )
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(row.conjugate)))(points)
    assert not np.isnan(values).any()
    assert not np.isnan(slopes).any()
    outside = ~np.asarray(row.domain(points))
    np.testing.assert_array_equal(np.asarray(values)[outside], math.inf)
    np.testing.assert_array_equal(np.asarray(slopes)[outside], 0.0)
    assert outside.any() == (name in UPPER)
    if name in UPPER:
        assert outside[-5:].all()
        assert not outside[:4].any()
    generated = compiled(name)[0](jnp.array([-1.0, -largest]))
    assert np.isposinf(generated).all() == (name != "quadratic")


def test_the_loss_is_never_nan():
    def all_losses(residual, r):
        each = functools.partial(losses.divergence, q_policy=-2.0, next_v=-1.0, discount=0.5)
        loss = lambda residual, r, name: each(residual, f=name, r=r)
        return [jax.value_and_grad(loss, argnums=(0, 1))(residual, r, name) for name in NAMES]

    residuals = jnp.array([-1e30, -100.0, -1.0, 0.0, 1.0, 100.0, 1e30])
    batched = jax.jit(jax.vmap(all_losses, in_axes=(0, None)))
    for r in (-1.0, 0.0, 3.0):
        for leaf in jax.tree.leaves(batched(residuals, r)):
            assert not np.isnan(leaf).any()


def test_four_domains_need_the_shift():
    # a residual of -1, that of a converged HER agent
    unshifted = {name: float(losses.divergence(-1.0, 0.0, 0.0, 0.5, f=name, r=0.0)) for name in NAMES}
    assert {name for name, value in unshifted.items() if math.isinf(value)} == set(UPPER)
    shifted = {name: float(losses.divergence(-1.0, 0.0, 0.0, 0.5, f=name)) for name in NAMES}
    assert {name for name, value in shifted.items() if math.isinf(value)} == {"reverse_kl"}
    assert math.isfinite(losses.divergence(-1.0, 0.0, 0.0, 0.5, f="reverse_kl", r=-1.5))


def test_the_shift_moves_the_residual_and_nothing_else():
    residuals = np.linspace(0.2, 3.0, 15, dtype=np.float32)
    all_losses = lambda d, r: jnp.stack([losses.divergence(d, d, 0.0, 0.5, f=name, r=r) for name in NAMES])
    batched = jax.jit(jax.vmap(all_losses, in_axes=(0, None)))
    np.testing.assert_allclose(batched(residuals - 2.0, -2.0), batched(residuals, 0.0), rtol=1e-4, atol=1e-5)


def visits(kernel, start, gamma):
    """Discounted visits of a Markov chain: (1 - gamma) start (I - gamma kernel)^-1."""
    return (1 - gamma) * np.linalg.solve((np.eye(len(start)) - gamma * kernel).T, start)


def tabular_problem(seed=0, num_states=3, num_actions=2, gamma=0.7):
    """Dynamics [S, A, S], policy [S, A, G], goals [G], and the laws of pi and mu [S, A, G]. Every state is a goal."""
    generator = np.random.default_rng(seed)
    dynamics = generator.dirichlet(np.ones(num_states), size=(num_states, num_actions))
    mu = generator.dirichlet(np.ones(num_actions), size=num_states)
    policy = np.moveaxis(generator.dirichlet(np.ones(num_actions), size=(num_states, num_states)), 2, 1)
    start, goals = generator.dirichlet(np.ones(num_states), size=2)
    future = np.linalg.inv(np.eye(num_states) - gamma * np.einsum("sa,sap->sp", mu, dynamics))
    p_plus = (1 - gamma) * np.einsum("sap,pg->sag", dynamics, future)  # [D 4]
    rho_mu = visits(np.einsum("sa,sap->sp", mu, dynamics), start, gamma)[:, None] * mu
    kernels = np.einsum("sag,sap->gsp", policy, dynamics)
    rho_pi = np.stack([visits(kernel, start, gamma) for kernel in kernels], axis=1)
    p_pi = goals * rho_pi[:, None] * policy
    return dynamics, policy, goals, p_pi, rho_mu[:, :, None] * p_plus


def mean_loss(q, name, r, problem, gamma=0.7):
    """The loss over all (s, a, s+, g), by their exact probabilities."""
    dynamics, policy, goals, _, p_mu = problem
    q_policy = jnp.sum(policy * q, axis=1)  # [S, G]
    next_v = jnp.einsum("sap,pg->sag", dynamics, q_policy)
    s, a, hindsight, g = (index.ravel() for index in np.indices((*q.shape, len(goals))))
    loss = functools.partial(losses.divergence, f=name, r=r)
    residual = q - gamma * next_v
    rows = jax.vmap(loss)(residual[s, a, hindsight], q_policy[s, g], next_v[s, a, g], jnp.full(s.shape, gamma))
    return jnp.sum(p_mu[s, a, hindsight] * goals[g] * rows)


@each_name
def test_the_minimum_over_q_is_minus_the_divergence(name):
    with jax.enable_x64(True):
        dynamics, policy, goals, p_pi, p_mu = problem = tabular_problem()
        np.testing.assert_allclose([p_pi.sum(), p_mu.sum()], 1.0, rtol=1e-12)
        generator, _, slope, _ = compiled(name)
        r, gamma = -0.4, 0.7
        ratio = (p_pi / p_mu).ravel()
        distance = float(np.dot(p_mu.ravel(), generator(ratio)))
        residual = (r - np.asarray(slope(ratio))).reshape(p_pi.shape)
        # Q from its residual, goal by goal: (I - gamma P^pi) Q = residual
        operator = np.einsum("sap,pbg->gsapb", dynamics, policy).reshape(len(goals), 6, 6)
        flat = np.moveaxis(residual, 2, 0).reshape(len(goals), 6, 1)
        q = np.moveaxis(np.linalg.solve(np.eye(6) - gamma * operator, flat).reshape(len(goals), 3, 2), 0, 2)
        loss = jax.jit(jax.value_and_grad(functools.partial(mean_loss, name=name, r=r, problem=problem)))
        # total variation's slopes are at the end of its domain, where rounding of the residual must not matter
        value, gradient = loss(q + 1e-9 / (1 - gamma) if name == "total_variation" else q)
        assert distance > 0.01
        np.testing.assert_allclose(value, -distance, rtol=1e-6)
        if name != "total_variation":
            np.testing.assert_allclose(gradient, np.zeros(q.shape), atol=1e-8)
        for seed in range(3):
            noise = np.random.default_rng(seed).normal(size=q.shape)
            assert float(loss(q + 0.05 * noise)[0]) > float(value)


def test_gradients_by_finite_differences():
    with jax.enable_x64(True):
        row = tuple(jnp.asarray(value, jnp.float64) for value in (-1.9, -4.0, -6.0, 0.5))

        def weighted(*arguments):
            *row, r = arguments
            each = [losses.divergence(*row, f=name, r=r) for name in NAMES]
            assert all(loss.dtype == jnp.float64 for loss in each)
            return sum((2.0 + i) * loss for i, loss in enumerate(each))  # so that a wrong term is not hidden by another

        for r in (-4.0, -2.5):
            check_grads(jax.jit(weighted), (*row, jnp.array(r)), order=1, modes=["rev"])


def test_nothing_is_stopped():
    loss = functools.partial(losses.divergence, f="quadratic")
    gradients = jax.grad(loss, argnums=(0, 1, 2, 3))(-3.0, -4.0, -6.0, 0.5)
    assert [float(gradient) for gradient in gradients] == [-2.0, 1.0, -0.5, 6.0]  # d - r, 1, -gamma, -v


def test_a_divergence_of_your_own():
    half = losses.DIVERGENCES["kl"]
    # f = t log t / 2 has f*(x) = exp(2 x - 1) / 2
    half = half._replace(generator=lambda t: 0.5 * t * jnp.log(t), conjugate=lambda x: 0.5 * jnp.exp(2.0 * x - 1.0))
    loss = losses.divergence(**ROW, f=half, r=-4.0)
    np.testing.assert_allclose(loss, 0.5 * math.exp(-3.0) + 3.0, rtol=1e-6)


@jax.jit
def sums_of_both(t, x):
    """f(t) + f*(x) of every row."""
    return [row.generator(t) + row.conjugate(x) for row in losses.DIVERGENCES.values()]


@settings(max_examples=20, deadline=None)
@given(
    t=st.floats(0.0, 50.0, width=32, allow_subnormal=False), x=st.floats(-50.0, 50.0, width=32, allow_subnormal=False)
)
def test_fenchel_and_young(t, x):
    for bound in sums_of_both(np.float32(t), np.float32(x)):
        assert t * x <= float(bound) + 1e-4 * (1.0 + abs(t * x))


def test_jit_is_eager_and_vmap_is_a_loop():
    rows = jnp.array([[-0.5, -1.0, -2.0, 0.9], [-3.0, -4.0, -6.0, 0.5], [0.5, 0.2, -1.0, 0.0]])
    rs = jnp.array([-1.0, -4.0, 0.0])
    for name in ("kl", "jensen_shannon"):
        loop = [losses.divergence(*row, f=name, r=float(r)) for row, r in zip(rows, rs, strict=True)]
        batched = jax.jit(jax.vmap(lambda row, r, name=name: losses.divergence(*row, f=name, r=r)))
        np.testing.assert_allclose(batched(rows, rs), loop, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
@each_name
def test_keeps_the_dtype_of_its_inputs(name, dtype):
    for r in (-1, jnp.float32(-1.0), np.float64(-1.0)):
        loss = functools.partial(losses.divergence, f=name, r=r)
        result = jax.eval_shape(loss, *[jax.ShapeDtypeStruct((), dtype)] * 4)
        assert (result.dtype, result.shape) == (dtype, ())


def test_f_has_no_default_and_no_position():
    with pytest.raises(TypeError):
        losses.divergence(*ROW.values())
    with pytest.raises(TypeError):
        losses.divergence(*ROW.values(), "kl")


@each_name
def test_up_to_a_ratio_it_is_the_supremum_over_the_ratios_below(name):
    """f*(x) = sup x t - f(t) over t <= 5: finite everywhere, the old one below f'(5), and of slope 5 above."""
    largest = 5.0
    cut, old = losses.up_to_ratio(name, largest), losses.DIVERGENCES[name]
    ratios = np.linspace(-40.0 if name == "quadratic" else 1e-6, largest, 400_001)
    values = np.asarray(old.generator(jnp.asarray(ratios)), np.float64)
    for x in (-30.0, -1.0, -0.2, 0.1, 0.45, 0.9, 3.0, 50.0):
        value, slope = jax.value_and_grad(cut.conjugate)(x)
        np.testing.assert_allclose(value, np.max(x * ratios - values), rtol=2e-4, atol=2e-4)
        assert float(slope) <= largest
        if x > 6.0:
            assert float(slope) == largest
    assert float(cut.generator(jnp.float32(1.0))) == 0.0
    assert math.isinf(cut.generator(jnp.float32(5.1)))


def test_a_largest_ratio_may_be_traced_and_keeps_the_dtype_of_the_loss():
    loss = lambda largest: losses.divergence(**ROW, f=losses.up_to_ratio("squared_hellinger", largest), r=0.0)
    # x = 3; f'(4) = 1/2 and f(4) = 1: 4 * 3 - 1, and -1 of the behaviour part; f'(9) = 2/3 and f(9) = 4: 9 * 3 - 4 - 1
    np.testing.assert_allclose(jax.jit(jax.vmap(loss))(jnp.array([4.0, 9.0])), [10.0, 22.0], rtol=1e-6)
