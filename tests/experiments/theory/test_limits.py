"""HDM's limits [D 12, 31, 32] a second way: GCSL's gradient by our losses alone, and that the comparisons can fail."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.theory import learner, limits, tabular
from hindsight_jax import losses


def test_bytes_apart_sees_one_bit():
    left = {"a": np.zeros(3, np.float32), "b": np.ones(2, np.int32)}
    right = {"a": np.array([0.0, -0.0, 0.0], np.float32), "b": np.ones(2, np.int32)}  # equal as numbers
    assert limits.bytes_apart(left, left) == 0
    assert limits.bytes_apart(left, right) == 1


def test_a_small_gamma_hdm_is_not_her():
    assert limits.her_bytes_apart(0, 0.0) == 0
    assert limits.indicators(0, 0.1).any()
    assert limits.her_bytes_apart(0, 0.1) > 0


def test_gcsl_rows_are_the_gradient_of_behaviour_cloning():
    """Through `losses.log_prob` of the Q head, on the whole batch, without any agent."""
    state, batch = learner.make_state(0), learner.random_batch(0)

    def loss(params):
        q = learner.heads(state._replace(params=params), batch.observation, batch.goal)[:, 0]
        return jnp.mean(jax.vmap(lambda q, a: losses.behaviour_cloning(losses.log_prob(q, a[0])))(q, batch.action))

    expected = learner.flat(jax.jit(jax.grad(loss))(state.params))
    rows = limits.gcsl_rows(0)
    assert rows.shape == (len(batch.reward), len(expected))
    assert tabular.relative(rows.mean(0) - np.asarray(expected), expected) < 1e-6


def test_the_indicator_is_the_losses_own():
    state, batch = learner.make_state(1), learner.random_batch(1)
    q = learner.heads(state, batch.observation, batch.goal)
    q_next = learner.heads(state, batch.next_observation, batch.goal)
    taken = jax.vmap(losses.factorised(losses.action_value))(q, batch.action)
    best = jax.vmap(losses.factorised(losses.greedy_value))(q_next)
    ours = jax.vmap(functools.partial(losses.hdm_indicator, gamma_hdm=limits.GAMMA_HDM))(taken, best)
    np.testing.assert_array_equal(ours, limits.indicators(1))


@pytest.mark.parametrize(("gamma_hdm", "weight"), [(0.0, 1.0), (math.inf, 0.0), (1.0, 0.0), (1.0, 1.0)])
def test_the_comparison_of_scalars_can_fail(gamma_hdm, weight):
    assert limits.scalar_error(gamma_hdm, weight) > 0.1
