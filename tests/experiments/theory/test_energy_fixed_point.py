"""[D 24] at rest a second way: the future by summing over steps, and the loss by a loop over its terms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.theory import energy_fixed_point as energy
from experiments.theory import tabular


def test_the_loss_by_a_loop(generator):
    """-(1 - gamma) Q(s, a, s') + mean_g [exp Q / E exp Q - gamma sum_a exp Q' / E sum_a exp Q'] Q, s' in the mean."""
    world, q = energy.problem(0), generator.normal(size=(5, 3, 5))
    rho, total = tabular.visitation(world, world.mu), 0.0
    for s, a, x in np.ndindex(5, 3, 5):
        now, later = np.exp(q[s, a]), np.exp(q[x]).sum(0)
        weight = now / now.mean() - world.gamma * later / later.mean()
        total += rho[s, a] * world.transition[s, a, x] * (np.mean(weight * q[s, a]) - (1 - world.gamma) * q[s, a, x])
    with jax.enable_x64(True):
        assert float(energy.energy_loss(energy.data_of(world), jnp.asarray(q))) == pytest.approx(total)


def test_the_table_holds_the_future_of_its_marginal(generator):
    """p+ = (1 - gamma) sum_k gamma^k P(s_t+1+k = g | s, a), summed to 200 steps."""
    world, pi = energy.problem(1), generator.dirichlet(np.ones(3), 5)
    step, at, future = np.einsum("sa,sax->sx", pi, world.transition), world.transition, 0.0
    for k in range(200):
        future = future + (1 - world.gamma) * world.gamma**k * at
        at = at @ step
    table = energy.table_of(world, pi)
    np.testing.assert_allclose(energy.future_of(table), future, atol=1e-12)
    np.testing.assert_allclose(energy.marginal_of(table), pi, atol=1e-6)


def test_with_the_behaviour_as_marginal_the_softmax_is_its_posterior():
    """P(a | s, goal ahead) is proportional to mu(a | s) p+(g | s, a)."""
    world = energy.problem(2)
    joint = world.mu[:, :, None] * tabular.future_states(world, world.mu)
    posterior = np.swapaxes(joint / joint.sum(1, keepdims=True), 1, 2)
    np.testing.assert_allclose(tabular.softmax_policy(energy.table_of(world, world.mu)), posterior, atol=1e-12)
