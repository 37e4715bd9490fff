"""Counters of a run: env steps, updates, and trajectories in the ring."""

import jax
import numpy as np
import probes
from chain_runs import begun, make_run, on_policy, started, stub, tiny

from hindsight_jax import training


def test_counts_include_the_warm_up():
    state, _ = started()
    np.testing.assert_array_equal(state.members.env_steps, 5 * 4)
    np.testing.assert_array_equal(state.members.updates, 0)
    np.testing.assert_array_equal(state.members.replay.size, 5)
    state = tiny().advance(state, 3)
    np.testing.assert_array_equal(state.members.env_steps, (5 + 3 * 2) * 4)
    np.testing.assert_array_equal(state.members.updates, 3 * 2)
    np.testing.assert_array_equal(state.members.agent.updates, 3 * 2)
    np.testing.assert_array_equal(state.members.replay.size, 5 + 3 * 2)
    assert (int(state.epochs), int(state.summed_epochs)) == (3, 3)


def test_an_on_policy_population_counts_no_warm_up_and_has_no_law():
    state = on_policy().advance(begun(), 3)
    members = state.members
    assert members.law is None
    assert members.preference is None
    np.testing.assert_array_equal(members.env_steps, 3 * 3 * 4)
    np.testing.assert_array_equal(members.updates, 3)
    np.testing.assert_array_equal(members.agent.updates, 3)
    np.testing.assert_array_equal(members.replay.size, 3)
    assert len(np.unique(np.reshape(members.replay.trajectories.action, (3, -1)), axis=0)) == 3
    _, metrics = training.pop_metrics(state)
    assert set(metrics) >= {"loss", "return_mean", "hit_fraction", "entropy", "collect_success_end"}
    assert all(np.all(np.isfinite(value)) for value in metrics.values())


def test_episodes_that_end_early_enter_the_ring_with_their_length_and_count_their_horizon():
    """Env steps are the same for all members then: the batch of episodes runs on to the horizon anyway."""
    env = probes.Disguised(horizon=6, ends_at_success=True)
    run = make_run(env, stub(env, num_updates=2, batch_size=8), warmup_trajectories=40)
    state = jax.jit(run.init)(jax.random.key(0))
    lengths = np.asarray(state.replay.trajectories.length)[:40]
    assert lengths.min() < 6
    assert int(state.env_steps) == 40 * 6
    state, _ = jax.jit(run.epoch)(state)
    assert np.asarray(state.replay.trajectories.length)[:42].sum() < int(state.env_steps) == 42 * 6
