"""[D 21, 53-59] a second way: the gradients by loops over states, actions and goals, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.theory import importance_weight, tabular


def by_loops(problem, q, marginal):
    """The gradient of [D 53] in Q(s, a, g): rho(s, a) (softmax_g Q - gamma E_{s'} sum_a' pi^ p+ / (rho+ G))."""
    num_states, num_actions, num_goals = q.shape
    rho, gradient = tabular.visitation(problem, problem.mu), np.zeros_like(q)
    for s, a, g in np.ndindex(q.shape):
        pushed = np.exp(q[s, a, g]) / np.exp(q[s, a]).sum()
        pulled = 0.0
        for x in range(num_states):
            for b in range(num_actions):
                likelihood = np.exp(q[x, b, g]) / np.exp(q[x, b]).mean()
                pulled += problem.transition[s, a, x] * marginal[x, b] * likelihood / num_goals
        gradient[s, a, g] = rho[s, a] * (pushed - problem.gamma * pulled)
    return gradient


@pytest.mark.parametrize("definition", ["silent", "defined"])
def test_gradients_by_loops(problem, generator, definition):
    q = generator.normal(size=(4, 3, 4))
    shares = np.exp(q).sum(2)
    marginal = shares / shares.sum(1, keepdims=True)
    if definition == "defined":
        marginal = (np.exp(q) / np.exp(q).sum(1, keepdims=True)).mean(2)
    with jax.enable_x64(True):
        data = importance_weight.Data(
            *(jnp.asarray(x)[None] for x in (problem.transition, tabular.visitation(problem, problem.mu))),
            jnp.asarray([problem.gamma]),
        )
        found = {name: np.asarray(x[0]) for name, x in importance_weight.gradients(data, jnp.asarray(q)[None]).items()}
    expected = by_loops(problem, q, marginal)
    np.testing.assert_allclose(found[definition], expected, atol=1e-14)
    assert np.allclose(found["ours"], expected, atol=1e-14) is (definition == "silent")
    assert found["drift"] < 1e-14


def test_if_q_ignores_the_goal_both_marginals_agree(problem, generator):
    """If Q ignores the goal there is one policy, and its marginals are itself."""
    q = jnp.asarray(np.repeat(generator.normal(size=(4, 3, 1)), 5, axis=2), jnp.float32)
    np.testing.assert_allclose(
        importance_weight.exponential_marginal(q), importance_weight.policy_marginal(q), atol=1e-6
    )
