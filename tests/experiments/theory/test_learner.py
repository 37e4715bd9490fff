"""The rows that the claims feed to the real agents."""

import jax
import numpy as np

from experiments.theory import learner


def test_all_rows_are_the_goals_of_one_step():
    rows = learner.all_rows(seed=0, t=2, horizon=5)
    np.testing.assert_array_equal(rows.offset, [0, -1, 0, 1, 2, 3])
    np.testing.assert_array_equal(rows.goal[3], rows.next_achieved_goal[3])  # s_3 is the next state of step 2
    np.testing.assert_array_equal(rows.goal[2], rows.achieved_goal[2])
    np.testing.assert_array_equal(rows.reward, [-1, -1, -1, 0, -1, -1])


def test_a_random_batch_has_rows_of_every_kind():
    batch = learner.random_batch(0)
    assert set(np.asarray(batch.offset).tolist()) == {0, 1, 2, 3, 7}
    is_next = np.asarray(batch.is_next)
    np.testing.assert_array_equal(batch.goal[is_next], batch.next_achieved_goal[is_next])
    np.testing.assert_array_equal(batch.reward, np.where(is_next, 0.0, -1.0))
    np.testing.assert_array_equal(batch.relabelled, np.asarray(batch.offset) > 0)


def test_the_gradient_of_a_batch_is_the_mean_of_its_rows():
    agent, batch = learner.make_agent(), jax.tree.map(lambda x: x[:6], learner.random_batch(1))
    state = learner.make_state(0)
    rows = np.asarray(learner.row_gradients(agent, state, batch))
    np.testing.assert_allclose(learner.gradient(agent, state, batch), rows.mean(0), rtol=1e-4, atol=1e-5)
