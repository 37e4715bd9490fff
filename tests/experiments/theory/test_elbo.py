"""EM a second way: the M-step as the optimum of our own loss, and a case in which luck misleads hindsight."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import elbo, trajectories
from hindsight_jax import losses


def test_the_m_step_is_the_optimum_of_our_loss():
    """The gradient of the expected `losses.m_step` over the law, whole trajectories, is 0 there and not elsewhere."""
    problem, policy = trajectories.random_problem(1)
    law = trajectories.posterior(problem, policy, problem.reached)

    def loss(logits):
        log_prob = jax.nn.log_softmax(logits, axis=-1)[problem.state[:, :-1], :, problem.action]  # [N, T, G]
        each = jax.vmap(jax.vmap(losses.m_step, (1, None)), (0, None))(log_prob, jnp.ones(3))
        return jnp.sum(law * each)

    with jax.enable_x64(True):
        gradient = jax.grad(loss)
        best = trajectories.m_step(problem, law)
        np.testing.assert_allclose(gradient(jnp.log(best)), 0.0, atol=1e-12)
        assert float(jnp.abs(gradient(jnp.log(policy))).max()) > 1e-2


def test_hindsight_learns_luck_and_the_posterior_does_not():
    """One step: action 0 reaches goal 1; action 1, taken in 99 of 100, reaches it in 1 of 10 and else state 2.

    Of the ways to goal 1, 0.99 * 0.1 / (0.01 + 0.099) = 0.908 took action 1, and hindsight imitates them, however few
    they were of those that took it. Under the posterior the odds of action 0 grow tenfold in each iteration.
    """
    transition = np.zeros((3, 2, 3))
    transition[:, 0, 1], transition[:, 1, 1:] = 1.0, (0.1, 0.9)
    problem = trajectories.problem(transition, horizon=1)
    policy = np.tile([0.01, 0.99], (3, 3, 1))
    found = trajectories.m_step(problem, trajectories.hindsight(problem, policy))
    np.testing.assert_allclose(found[0, 1], [1 - 0.099 / 0.109, 0.099 / 0.109])
    for _ in range(10):
        policy = trajectories.m_step(problem, trajectories.posterior(problem, policy, problem.reached))
    assert policy[0, 1, 0] > 0.999  # odds of 1e10 / 99


def test_a_fall_is_seen():
    """Of the bound in the E-step after the first, and of success."""
    shown = elbo.Course(*np.array([[np.nan, -1, -0.9, 0.5, 0], [-0.95, -1.2, -1.0, 0.4, 0]]).T)
    assert np.isclose(elbo.largest_fall([shown], "E"), 0.25)
    assert elbo.largest_fall([shown], "M") < 0
