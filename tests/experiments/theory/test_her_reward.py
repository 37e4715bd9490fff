"""[D 26-28] a second way: marginals of the joint laws, and the gradients in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.theory import her_reward, learner, tabular


def table_of(rows, *names):
    """The marginal law of the named columns."""
    shape = [int(max(column)) + 1 for column in (getattr(rows, name) for name in names)]
    table = np.zeros(shape)
    np.add.at(table, tuple(getattr(rows, name) for name in names), rows.probability)
    return table


@pytest.mark.parametrize("joint", [her_reward.joint_by_index, her_reward.joint_independent])
def test_marginals_of_the_joint_laws(problem, joint):
    rho, p_future = tabular.visitation(problem, problem.mu), tabular.future_states(problem, problem.mu)
    rows = joint(problem)
    np.testing.assert_allclose(table_of(rows, "s", "a", "goal"), rho[:, :, None] * p_future, atol=1e-15)
    np.testing.assert_allclose(table_of(rows, "s", "a", "s_next"), rho[:, :, None] * problem.transition, atol=1e-15)


def test_the_branch_by_index_has_probability_one_minus_gamma(problem):
    rows = her_reward.joint_by_index(problem)
    at_once = rows.is_next & (rows.probability > 0)
    assert rows.probability[at_once].sum() == pytest.approx(1 - problem.gamma)
    np.testing.assert_array_equal(rows.goal[at_once], rows.s_next[at_once])
    by_value = rows.probability[rows.goal == rows.s_next].sum()
    assert by_value > 1 - problem.gamma + 0.01  # a later state may be the same state


def test_gradients_in_closed_form(problem, generator):
    """rho [p+ (Q - r - gamma P Q) - beta (1 - gamma) p(g | s, a)], with Q(s, a, g) pulled to r + beta at the branch."""
    q, pi = generator.normal(size=(4, 3, 4)), generator.dirichlet(np.ones(3), (4, 4))
    p_q, rows = tabular.backed_up(problem, pi, q), her_reward.joint_by_index(problem)
    rho, p_future = tabular.visitation(problem, problem.mu), tabular.future_states(problem, problem.mu)
    pulled = p_future * (q - her_reward.R - problem.gamma * p_q)
    expected = rho[:, :, None] * (pulled - her_reward.BETA * (1 - problem.gamma) * problem.transition)
    with jax.enable_x64(True):
        left = her_reward.divergence_gradient(problem, q, p_q, rows)
        right = her_reward.reward_gradient(problem, q, p_q, rows, rows.is_next)
        never = her_reward.reward_gradient(problem, q, p_q, rows, np.zeros_like(rows.is_next))
    np.testing.assert_allclose(left, expected, atol=1e-14)
    np.testing.assert_allclose(right, expected, atol=1e-14)
    np.testing.assert_allclose(never, rho[:, :, None] * pulled, atol=1e-14)


@pytest.mark.seldom
def test_the_gradient_is_that_of_the_loss_by_finite_differences():
    """The loss that `update` reports, at parameters a step apart along its gradient, falls by the gradient's square."""
    agent = learner.make_agent(imitation="always", backup="max", bounded=False)  # no choice by the moving network
    state, batch = learner.make_state(0, gamma=0.5), learner.random_batch(1)
    gradient = learner.gradient(agent, state, batch)
    leaves, structure = jax.tree.flatten(state.params)
    update = jax.jit(agent.update)
    sizes = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def loss(step):
        moved = [x - step * g.reshape(x.shape) for x, g in zip(leaves, jnp.split(gradient, sizes), strict=True)]
        moved = state._replace(params=jax.tree.unflatten(structure, moved))
        return float(update(moved, batch, jax.random.key(0))[1]["loss"])

    slope = (loss(1e-3) - loss(-1e-3)) / 2e-3
    assert slope == pytest.approx(-float(gradient @ gradient), rel=2e-2)
