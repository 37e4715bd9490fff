"""[D 43-50] a second way: fixed points by hand, and what the optima of contrastive losses [D 9, 23] must satisfy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special

from experiments.theory import mutual_information as lemma
from experiments.theory import tabular


def test_the_circulant_case_by_a_root_of_three_numbers():
    """One step: Q(a, g) = -pi(a | g) / p(g | a) with pi = softmax Q; the PMI is log 3 p."""
    p = np.array([0.7, 0.2, 0.1])
    pi = scipy.optimize.root(lambda pi: scipy.special.softmax(-pi / p) - pi, np.full(3, 1 / 3), tol=1e-14).x
    q = -pi / p
    formula = q - np.log(np.mean(np.exp(q))) - np.log(pi / p)
    np.testing.assert_allclose(formula, np.log(3 * p), atol=1e-12)
    found = lemma.converge(lemma.circulant())
    np.testing.assert_allclose(np.sort(found.pmi[0, 0]), np.log(3 * np.sort(p)), atol=1e-12)
    np.testing.assert_allclose(found.mu, 1 / 3, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_assumptions_of_the_lemma_hold_where_it_fails(seed):
    """Converged, and the marginal of pi's visits is mu's: only the lemma is wrong."""
    problem = tabular.random_problem(np.random.default_rng(seed), num_states=3, num_actions=2, gamma=0.5)
    found = lemma.converge(problem)
    assert found.moved < 1e-13
    problem = problem._replace(mu=found.mu)
    hindsight = tabular.visitation(problem, found.mu)[:, :, None] * tabular.future_states(problem, found.mu)
    goals = hindsight.sum((0, 1))
    rho = tabular.visitation(problem, found.mu)
    np.testing.assert_allclose(hindsight.sum(-1), rho, atol=1e-14)
    np.testing.assert_allclose(np.exp(found.pmi) * goals, hindsight / rho[:, :, None], atol=1e-13)
    assert found.error > 0.1


def test_population_is_its_table():
    data = lemma.population(0)
    counts = np.zeros(data.pmi.shape)
    np.add.at(counts, (data.pair, data.goal), 1)
    joint = counts / counts.sum()
    expected = np.log(joint / (joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)))
    np.testing.assert_allclose(data.pmi, expected, atol=1e-14)


def test_the_losses_on_the_population_are_the_papers_expectations():
    """[D 23], and [D 9] with k noise samples to one of data, by sums over the table."""
    data, q = lemma.population(1), np.random.default_rng(2).normal(size=(6, 5))
    counts = np.zeros(data.pmi.shape)
    np.add.at(counts, (data.pair, data.goal), 1)
    joint = counts / counts.sum()
    noise = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    contrast = -np.sum(joint * q) + np.sum(joint.sum(1) * np.log(np.exp(q) @ joint.sum(0)))
    k = 8.0
    sigmoid = scipy.special.expit(q - np.log(k))
    classify = -np.sum(joint * np.log(sigmoid)) - k * np.sum(noise * np.log(1 - sigmoid))
    with jax.enable_x64(True):
        assert float(lemma.info_nce_loss(data, jnp.asarray(q))) == pytest.approx(contrast, abs=1e-13)
        assert float(lemma.nce_loss(data, jnp.asarray(q), k)) == pytest.approx(classify, abs=1e-12)


def test_the_pmi_is_stationary_with_a_normaliser_too():
    """NCE with the logits Q - log Z of [D 22]: the PMI has Z = 1 for every pair, hence is its optimum as well."""
    data = lemma.population(0)

    def loss(q):
        log_z = jax.nn.logsumexp(q[:, data.goal], axis=1) - np.log(len(data.goal))
        return lemma.nce_loss(data, q - log_z[:, None], 4.0)

    gradient = jax.jit(jax.grad(loss))
    with jax.enable_x64(True):
        assert np.abs(gradient(jnp.asarray(data.pmi))).max() < 1e-15
        assert np.abs(gradient(jnp.asarray(data.pmi + np.eye(6, 5)))).max() > 1e-3
    single = gradient(jnp.asarray(data.pmi, jnp.float32))
    assert np.abs(single).max() < 1e-6
