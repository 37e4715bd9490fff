"""Goals and first successes of trajectories, how likely their actions were, and how evenly they weigh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import scipy.stats
from small_policy_gradients import ARM, CLAW, FLAT, HORIZON, LENGTHS

from hindsight_jax.agents._trajectories import (
    effective_sample_share,
    exploring_log_prob,
    hits,
    unique_goals,
    visited_goals,
    without_padding,
)


def test_the_weights_know_how_actions_were_chosen():
    """(1 - e) pi + e / K^D: 0.6 * 0.1 + 0.4 / 5 = 0.14 of five actions, 0.6 * 0.1 + 0.4 / 8 = 0.11 of 2^3."""
    log_prob, epsilon = jnp.log(jnp.array(0.1)), jnp.array(0.4)
    for action, expected in ((FLAT, 0.14), (CLAW, 0.11), (ARM, 0.16)):  # of a Box the density is 1/2 a dimension
        got = exploring_log_prob(reference.spec(action, HORIZON), log_prob, epsilon)
        np.testing.assert_allclose(jnp.exp(got), expected, rtol=1e-5)
        assert exploring_log_prob(reference.spec(action, HORIZON), log_prob, jnp.array(0.0)) == log_prob


def test_hits_by_hand():
    """Codes of states; the goal is 7. T = 4."""
    achieved = np.array(
        [
            [7, 1, 2, 3, 4],  # s_0 does not count: no hit
            [0, 7, 7, 3, 7],  # by the first action; later ones do not count
            [0, 1, 2, 3, 7],  # by the last
            [0, 1, 7, 7, 7],  # of length 1: the rest was never done
            [0, 1, 7, 0, 0],  # of length 2: by its last action
            [7, 7, 7, 7, 7],  # of length 0
        ],
        np.float32,
    )
    batch = reference.trajectories(FLAT, [4, 4, 4, 1, 2, 0], 4)._replace(achieved_goal=achieved)
    alive, hit = hits(lambda a, g: a == g, batch, jnp.full(6, 7.0))
    rows = lambda table: ["".join(map(str, row)) for row in np.asarray(table, int)]
    assert rows(alive) == ["1111", "1000", "1111", "1000", "1100", "0000"]
    assert rows(hit) == ["0000", "1000", "0001", "0000", "0100", "0000"]


def test_every_visited_state_is_equally_likely_a_goal():
    """Each state is 10 i + t: of s_1 .. s_length, never s_0, never what was not visited."""
    lengths = [3, 0, 1, 2]
    states = 10.0 * np.arange(4)[:, None] + np.arange(4)
    batch = reference.trajectories(FLAT, lengths, 3)._replace(achieved_goal=jnp.float32(states))
    drawn = np.asarray(jax.jit(lambda key: visited_goals(batch, key, 60_000))(jax.random.key(0)))
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [1, 2, 3, 21, 31, 32]
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_goals_are_what_was_visited_whatever_was_visited_again():
    """As NumPy's unique has them; repeated trajectories, in another order, have the same goals."""
    found = jax.jit(lambda batch: unique_goals(without_padding(batch)))
    for seed in range(3):
        batch = reference.trajectories(FLAT, LENGTHS, HORIZON, seed)
        again = jax.tree.map(lambda x: x[[5, 0, 3, 1, 1, 4, 2, 0, 0, 5]], batch)
        visits = [g for i, n in enumerate(batch.length) for g in batch.achieved_goal[i, 1 : n + 1]]
        for one in (batch, again):
            goals, is_first = found(one)
            kept = np.asarray(goals)[np.asarray(is_first)]
            np.testing.assert_array_equal(kept[np.lexsort(kept.T[::-1])], np.unique(visits, axis=0))
        assert len(kept) < len(visits)


def test_effective_sample_share_by_hand():
    """Ratios 3 and 1, then 1 and 3: W = (3/4, 1/4) has 1 / (2 * 10/16) = 0.8, (1/2, 1/2) has 1; not alive, none."""
    share = jax.jit(effective_sample_share)
    log_ratio = np.log([[3.0, 1.0, 1.0], [1.0, 3.0, 1.0]]).astype(np.float32)
    alive = np.array([[True, True, False], [True, True, False]])
    assert float(share(log_ratio, alive)) == pytest.approx(0.9)
    huge = np.array([[500.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)  # one weight is 1
    assert float(share(huge, alive)) == pytest.approx(0.5)
