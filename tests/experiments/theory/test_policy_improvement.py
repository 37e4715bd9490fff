"""hEM's theorem 3 a second way: success by simulation, and the M-step [M 10] as the optimum of our own loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.theory import policy_improvement as theorem
from hindsight_jax import losses


def test_dynamics_by_hand():
    table = theorem.dynamics(0.0)
    # cell 0 is a corner: down to 5, up stays, right to 1, left stays
    assert [int(table[0, a].argmax()) for a in range(4)] == [5, 0, 1, 0]
    assert [int(table[12, a].argmax()) for a in range(4)] == [17, 7, 13, 11]
    noisy = theorem.dynamics(0.2)
    assert noisy[12, 0, 17] == pytest.approx(0.8 + 0.05)
    assert noisy[12, 0, 11] == pytest.approx(0.05)
    np.testing.assert_allclose(noisy.sum(-1), 1.0)


def test_success_of_a_known_policy():
    """Always right, four steps: the four cells to the right are hit, the start itself is not come back to."""
    policy = np.zeros((4, 25, 25, 4))
    policy[..., 2] = 1.0
    expected = np.zeros(25)
    expected[1:5] = 1.0
    np.testing.assert_array_equal(theorem.success(policy, theorem.dynamics(0.0)), expected)
    np.testing.assert_array_equal(theorem.success(policy[:2], theorem.dynamics(0.0))[:5], [0, 1, 1, 0, 0])


def test_success_by_simulation():
    generator, transition = np.random.default_rng(0), theorem.dynamics(0.2)
    policy = generator.dirichlet(np.ones(4), (5, 25, 25))
    exact, hits, count = theorem.success(policy, transition)[6], 0, 3000
    for _ in range(count):
        cell = theorem.START
        for t in range(5):
            move = generator.choice(4, p=policy[t, cell, 6])
            cell = generator.choice(25, p=transition[cell, move])
            if cell == 6:
                hits += 1
                break
    error = np.sqrt(exact * (1 - exact) / count)
    assert hits / count == pytest.approx(exact, abs=4 * error)


def test_one_trajectory_is_followed_to_each_of_its_goals():
    """Right, right, left, down: from 0 over 1, 2, 1 to 6. Seeing t, the policy walks it; else it may turn at 1."""
    states, actions = np.array([[0, 1, 2, 1, 6]]), np.array([[2, 2, 3, 0]])
    step, policy = theorem.improve(states, actions, theorem.dynamics(0.0), timed=True)
    assert (step.bound, step.least) == (3 / 25, pytest.approx(1.0))
    np.testing.assert_array_equal(policy[3, 1, 6], [1, 0, 0, 0])
    untimed, policy = theorem.improve(states, actions, theorem.dynamics(0.0), timed=False)
    # towards 6, at cell 1: right at t = 1 with weight 1/3 (goals 2, 1, 6 are ahead), down at t = 3 with weight 1
    np.testing.assert_allclose(policy[0, 1, 6], [0.75, 0, 0.25, 0])
    assert untimed.least < 1.0


def test_the_counts_are_the_optimum_of_the_m_step():
    """The gradient of the expected `losses.m_step` [M 10] in the logits is 0 at the counted policy."""
    generator, horizon = np.random.default_rng(3), 4
    states, actions = theorem.rollouts(generator, theorem.uniform_policy(horizon), theorem.dynamics(0.0), 3)
    law = theorem.future_law(horizon)
    policy = jnp.asarray(theorem.m_step(states, actions, timed=True), jnp.float32)
    t = np.arange(horizon)

    def loss(logits):
        total = 0.0
        for path, moves in zip(states, actions, strict=True):
            for i in range(1, horizon + 1):  # each goal of the trajectory, with the weight of its draw at each step
                heads = logits[t, path[:-1], path[i]]
                log_prob = jax.vmap(losses.log_prob)(heads, jnp.asarray(moves))
                total += losses.m_step(log_prob * law[:, i], jnp.ones(horizon))
        return total

    gradient = jax.jit(jax.grad(loss))
    logits = jnp.log(jnp.maximum(policy, 1e-12))
    np.testing.assert_allclose(gradient(logits), 0.0, atol=1e-6)
    assert float(jnp.abs(gradient(jnp.zeros_like(logits))).max()) > 0.1
