"""[D 15-19, 43-47] a second way: D_f from the generator, and the loss by the definition of its two terms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.theory import divergence_optimum, tabular
from hindsight_jax import losses


def test_the_two_laws_are_laws():
    data = divergence_optimum.case()
    assert data.p_pi.sum() == pytest.approx(1.0)
    assert data.p_mu.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(data.p_pi.sum((0, 1)), data.goals)


@pytest.mark.parametrize("f", losses.DIVERGENCES)
def test_closed_forms_are_those_of_the_generators(f):
    """D_f(p, q) = E_q f(p / q)."""
    data = divergence_optimum.case(1)
    with jax.enable_x64(True):
        generator = np.asarray(losses.DIVERGENCES[f].generator(jnp.asarray(data.p_pi / data.p_mu)))
    exact = divergence_optimum.CLOSED_FORMS[f](data.p_pi, data.p_mu)
    assert np.sum(data.p_mu * generator) == pytest.approx(exact, abs=1e-12)
    assert exact > 0.01


@pytest.mark.parametrize("f", losses.DIVERGENCES)
def test_residual_at_the_optimum_is_that_of_its_q(f):
    data = divergence_optimum.case()
    with jax.enable_x64(True):
        residual = divergence_optimum.best_residual(data, f)
    q = divergence_optimum.q_of_residual(data, residual)
    p_q = tabular.backed_up(data.problem, data.pi, q)
    np.testing.assert_allclose(q - data.problem.gamma * p_q, residual, atol=1e-12)


def test_the_loss_by_its_two_expectations():
    """KL: E_{p_mu} exp(r - d - 1) - r + E_{p_pi} d, whose second part is Lemma 4.1's left side."""
    data = divergence_optimum.case()
    q = np.random.default_rng(4).normal(size=data.p_mu.shape)
    d = q - data.problem.gamma * tabular.backed_up(data.problem, data.pi, q)
    expected = np.sum(data.p_mu * np.exp(divergence_optimum.R - d - 1)) - divergence_optimum.R + np.sum(data.p_pi * d)
    with jax.enable_x64(True):
        assert float(divergence_optimum.loss(data, jnp.asarray(q), "kl")) == pytest.approx(expected, abs=1e-12)


def test_a_sampled_next_state_only_matters_with_noise():
    """With deterministic dynamics the sampled residual is the exact one."""
    data = divergence_optimum.case()
    transition = np.eye(3)[np.array([[1, 2], [0, 1], [2, 0]])]
    problem = data.problem._replace(transition=transition)
    p_mu = tabular.visitation(problem, problem.mu)[:, :, None] * tabular.future_states(problem, problem.mu)
    fixed = data._replace(problem=problem, p_mu=p_mu)
    with jax.enable_x64(True):
        q = jnp.asarray(np.random.default_rng(4).normal(size=data.p_mu.shape))
        gap = lambda of: float(
            divergence_optimum.loss(of, q, "kl", sampled=True) - divergence_optimum.loss(of, q, "kl")
        )
        assert gap(fixed) == pytest.approx(0.0, abs=1e-13)
        assert gap(data) > 1e-3
