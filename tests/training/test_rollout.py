"""Rollouts against a walk in Python; starts, goals and actions are fresh."""

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
import scipy.stats
from chain_runs import code_of, coded, go, right


def uniform(observation, goal, key):
    del observation, goal
    return jax.random.randint(key, (1,), 0, 3, dtype=jnp.int32)


@pytest.mark.parametrize("ends_at_success", [False, True])
@pytest.mark.parametrize("policy", [right, coded])
def test_a_rollout_equals_a_walk(policy, ends_at_success):
    """Every state, the last included; where success ends an episode, its length counts the action that reached it.

    The policy is given the observation and the episode's goal, and each of the two is stored in its place.
    """
    env = probes.Disguised(horizon=6, ends_at_success=ends_at_success)
    rollout = go(env, policy)
    stored = rollout.trajectories
    assert stored.observation.shape == (200, 7, 6)
    assert stored.action.shape == (200, 6, 1)
    asked = code_of(stored.observation[:, :-1], stored.desired_goal[:, None]) if policy is coded else 2
    np.testing.assert_array_equal(stored.action[..., 0], np.broadcast_to(asked, (200, 6)))
    label, step = env.label_and_step(stored.observation)
    np.testing.assert_array_equal(step, np.broadcast_to(np.arange(7), (200, 7)))
    np.testing.assert_array_equal(label, np.broadcast_to(label[:, :1], (200, 7)))
    np.testing.assert_array_equal(stored.achieved_goal, env.achieved_goal(jnp.asarray(stored.observation)))
    cells, goals = stored.achieved_goal.argmax(-1), stored.desired_goal.argmax(-1)
    lengths = set()
    for n in range(200):
        cell, reached = cells[n, 0], []
        for t in range(6):
            cell = min(max(cell + stored.action[n, t, 0] - 1, 0), 4)
            assert cells[n, t + 1] == cell
            reached.append(cell == goals[n])
        length = reached.index(True) + 1 if ends_at_success and any(reached) else 6
        assert stored.length[n] == length
        assert stored.terminal[n] == (ends_at_success and any(reached))
        assert rollout.success_any[n] == any(reached)
        assert rollout.success_end[n] == reached[length - 1]
        assert rollout.distance_end[n] == abs(cells[n, length] - goals[n])
        lengths.add(length)
    assert lengths == ({1, 2, 3, 4, 5, 6} if ends_at_success and policy is coded else lengths)
    assert len(lengths) > 1 or not ends_at_success
    assert 0 < rollout.success_end.mean() < 1
    assert (rollout.success_any != rollout.success_end).any() != ends_at_success


def test_starts_goals_and_action_keys_are_all_fresh():
    """Uniform and independent: start and goal, actions of neighbouring steps and of neighbouring environments."""
    stored = go(probes.Chain(horizon=6), uniform, num_envs=2000).trajectories
    start, goal = stored.observation[:, 0].argmax(-1), stored.desired_goal.argmax(-1)
    assert scipy.stats.chisquare(np.bincount(5 * start + goal, minlength=25)).pvalue > 1e-3
    action = stored.action[..., 0]
    for here, there in ((action[:, :-1], action[:, 1:]), (action[:-1], action[1:])):
        assert scipy.stats.chisquare(np.bincount((3 * here + there).ravel(), minlength=9)).pvalue > 1e-3
    assert not np.array_equal(
        action, go(probes.Chain(horizon=6), uniform, num_envs=2000, seed=1).trajectories.action[..., 0]
    )
