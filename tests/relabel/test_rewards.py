"""Rewards by index and by success, alone and in rows of the ring."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import relabel, replay, types

KEY = jax.random.key(0)
YES, NO = jnp.asarray(True), jnp.asarray(False)


def step(achieved, goal, is_next=NO, relabelled=None, terminal=NO):
    """A step whose goal is a hindsight goal if it is the next state's, unless said otherwise."""
    relabelled = is_next if relabelled is None else relabelled
    return relabel.Step(achieved, goal, is_next=is_next, relabelled=relabelled, terminal=terminal)


@jax.jit
def _rewards(law, keys):
    """Rewards by index of uniform steps of trajectories of 50 actions, one for each key."""

    def reward(key):
        key_t, key_index = jax.random.split(key)
        t = jax.random.randint(key_t, (), 0, 50)
        index = law.sample(key_index, t, 50)
        return relabel.reward_by_index()(step(jnp.zeros(2), jnp.zeros(2), index == t + 1))[0]

    return jax.vmap(reward)(keys)


@pytest.mark.parametrize(("ratio", "fraction"), [(0.2, 0.231), (0.5, 0.463), (0.6, 0.541)])
def test_the_fraction_of_rewards_zero_is_the_source_s(ratio, fraction):
    """0.85 (p + (1 - p) H/T), T = 50, H = 1 + 1/2 + .. + 1/50 = 4.49921; at p = 0.2: 0.85 (0.2 + 0.8 * 0.0899841)."""
    law, horizon = relabel.hindsight(0.15, ratio), 50
    steps = jnp.arange(horizon, dtype=jnp.int32)
    pmfs = np.asarray(jax.vmap(lambda t: law.pmf(t, horizon, horizon))(steps))
    reached = pmfs[np.arange(horizon), np.arange(horizon) + 2].mean()  # the mass of state t + 1 is entry t + 2
    harmonic = np.sum(1 / np.arange(1, horizon + 1))
    assert reached == pytest.approx(0.85 * (ratio + (1 - ratio) * harmonic / horizon), abs=1e-6)
    assert reached == pytest.approx(fraction, abs=5e-4)

    rewards = np.asarray(_rewards(law, jax.random.split(jax.random.key(9), 200_000)))
    assert (rewards == 0.0).mean() == pytest.approx(fraction, abs=0.006)  # 5 standard errors


def test_reward_by_index_ignores_values_and_never_ends():
    """[D 28] by index."""
    goal = jnp.ones(3)
    for reached, otherwise in [(0.0, -1.0), (1.0, 0.0), (1, 0)]:
        reward_fn = jax.jit(relabel.reward_by_index(reached, otherwise))
        for is_next, expected in [(True, reached), (False, otherwise)]:
            reward, discount = reward_fn(step(goal, goal, jnp.asarray(is_next)))  # equal goals do not matter
            assert (float(reward), float(discount)) == (expected, 1.0)
            assert reward.dtype == discount.dtype == jnp.float32
            assert reward.shape == discount.shape == ()


def near(achieved, goal):
    """Success within 0.5, in the first coordinate alone."""
    return jnp.abs(achieved[0] - goal[0]) < 0.5


@pytest.mark.parametrize(("reached", "otherwise"), [(1.0, 0.0), (0.0, -1.0), (2, -3)])
def test_reward_by_success_looks_at_values_and_never_ends(reached, otherwise):
    """|0.4| < 0.5 is a success and |0.5| < 0.5 is none, for hindsight goals and, where is_next is false, for others."""
    reward_fn = jax.jit(relabel.reward_by_success(near, reached, otherwise))
    for is_next in (True, False):
        for place, success in ((0.4, True), (-0.4, True), (0.5, False), (3.0, False)):
            achieved, goal = jnp.array([place, 9.0]), jnp.array([0.0, -9.0])
            reward, discount = reward_fn(step(achieved, goal, jnp.asarray(is_next)))
            assert (reward.dtype, discount.dtype) == (jnp.float32, jnp.float32)
            assert (float(reward), float(discount)) == (reached if success else otherwise, 1.0)


def test_reward_by_success_is_one_and_zero_unless_said_otherwise():
    reward_fn = relabel.reward_by_success(near)
    rewards = [float(reward_fn(step(jnp.zeros(2), goal))[0]) for goal in (jnp.zeros(2), jnp.ones(2))]
    assert rewards == [1.0, 0.0]


def test_reward_by_success_eager_jitted_mapped_and_traced_are_the_same():
    achieved, goal = jax.random.uniform(KEY, (2, 16, 2))
    is_next = jnp.arange(16) % 2 == 0
    steps = step(achieved, goal, is_next, terminal=~is_next)

    def rewards(reached, otherwise):
        return jax.vmap(relabel.reward_by_success(near, reached, otherwise))(steps)

    eager = relabel.reward_by_success(near, 0.25, -0.5)
    expected = [float(eager(jax.tree.map(lambda x, i=i: x[i], steps))[0]) for i in range(16)]
    assert set(expected) == {0.25, -0.5}
    np.testing.assert_array_equal(rewards(0.25, -0.5)[0], expected)
    np.testing.assert_array_equal(jax.jit(rewards)(jnp.float32(0.25), jnp.float32(-0.5))[0], expected)
    members = jax.jit(jax.vmap(rewards))(jnp.array([0.25, 7.0]), jnp.array([-0.5, 6.0]))[0]  # of a population
    np.testing.assert_array_equal(members[0], expected)
    np.testing.assert_array_equal(members[1], np.where(np.equal(expected, 0.25), 7.0, 6.0))


@pytest.mark.parametrize(("law", "hits"), [(relabel.behaviour(), [0, 0, 1]), (relabel.next_state(), [1, 1, 1])])
def test_rows_of_the_ring_are_rewarded_by_success(law, hits):
    """States 0, 1, 2, 3 and the goal 3, which the last action reaches: its own goal earns the reward there alone."""
    states = jnp.arange(4.0)[:, None]
    length, ended = jnp.asarray(3, jnp.int32), jnp.asarray(True)
    stored = types.Trajectory(states, states, jnp.zeros((3, 1), jnp.int32), jnp.array([3.0]), length, ended)
    ring = replay.make_ring(stored, capacity=1)
    state = ring.add(ring.init(), jax.tree.map(lambda x: x[None], stored))
    rows = jax.jit(lambda state: ring.sample(state, KEY, 64, law, relabel.reward_by_success(near)))(state)
    t = np.asarray(rows.observation[:, 0], int)
    assert set(t) == {0, 1, 2}
    np.testing.assert_array_equal(rows.reward, np.array(hits, np.float32)[t])
    np.testing.assert_array_equal(rows.discount, 1.0)


@pytest.mark.parametrize(
    ("is_next", "relabelled", "terminal", "discount"),
    [
        (YES, YES, NO, 0.0),  # a hindsight goal that is reached, by index
        (NO, YES, NO, 1.0),
        (NO, YES, YES, 1.0),  # the episode ended at its own goal, which is not this row's
        (NO, NO, YES, 0.0),  # the episode ended at its own goal
        (NO, NO, NO, 1.0),
    ],
)
def test_absorbing_goals_end_by_index_or_where_the_episode_ended_at_its_own(is_next, relabelled, terminal, discount):
    """The reward stays: a behaviour goal earns -1 by index even where it is reached."""
    goal = jnp.zeros(2)
    row = step(goal, goal, is_next, relabelled, terminal)
    absorbing, keeping = relabel.reward_by_index(absorbing=True)(row), relabel.reward_by_index()(row)
    assert [float(x) for x in absorbing] == [0.0 if is_next else -1.0, discount]
    assert float(keeping[1]) == 1.0


def test_absorbing_goals_end_at_a_success():
    """By value, for goals of either kind: 0.4 is within 0.5 of the goal, 0.6 is not."""
    reward_fn = relabel.reward_by_success(near, absorbing=True)
    rows = [step(jnp.array([place, 0.0]), jnp.zeros(2), relabelled=kind) for place in (0.4, 0.6) for kind in (YES, NO)]
    assert [[float(x) for x in reward_fn(row)] for row in rows] == [[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 2


def test_a_terminal_trajectory_ends_at_its_last_step_alone():
    """Three actions, ended at their own goal: with that goal, the last row has discount 0 if goals are absorbing."""
    states = jnp.arange(4.0)[:, None]
    stored = types.Trajectory(
        states, states, jnp.zeros((3, 1), jnp.int32), jnp.array([3.0]), jnp.asarray(3, jnp.int32), terminal=YES
    )
    ring = replay.make_ring(stored, capacity=1)
    state = ring.add(ring.init(), jax.tree.map(lambda x: x[None], stored))
    for terminal, last in ((YES, 0.0), (NO, 1.0)):
        state = state._replace(trajectories=state.trajectories._replace(terminal=terminal[None]))
        rows = ring.sample(state, KEY, 64, relabel.behaviour(), relabel.reward_by_index(absorbing=True))
        np.testing.assert_array_equal(rows.discount, np.where(rows.observation[:, 0] == 2, last, 1.0))
