"""One epoch, on and off policy: collect, store, sample and learn, each with keys of its own."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
from chain_runs import assert_same_bits, code_of, go, make_on_policy, make_run, mirrored, plain, policy_gradient, stub

from hindsight_jax import agents, relabel, training, types

# What a run asks of its agent


def test_no_key_is_used_twice():
    """In init, in an epoch (collect, sample, learn), and in an evaluation."""
    run, key = make_run(preference=relabel.prefer(lambda achieved, goal: jnp.any(achieved != goal))), jax.random.key(0)
    state = jax.eval_shape(run.init, key)
    with jax.debug_key_reuse(True):
        jax.jit(run.init).trace(key)
        jax.jit(run.epoch).trace(state)
        jax.jit(run.evaluate).trace(state, key)


def test_a_run_collects_with_exploration_learns_from_fresh_draws_and_evaluates_without():
    """Every part in its place, from the environment through the ring to the update."""
    env = probes.Disguised(horizon=4)
    run = make_run(env, stub(env, num_updates=6, batch_size=8), num_envs=3, updates_per_epoch=3)
    state = jax.jit(run.init)(jax.random.key(0))
    epoch = jax.jit(run.epoch)
    state, first = epoch(state)
    state, second = epoch(state)
    assert (float(first["count"]), float(second["count"])) == (2.0, 5.0)  # means over the epoch's updates
    assert int(state.replay.size) == 11
    stored = jax.tree.map(lambda x: x[:11], plain(state.replay.trajectories))
    asked = code_of(stored.observation[:, :-1], stored.desired_goal[:, None])
    np.testing.assert_array_equal(stored.action[5:, :, 0], asked[5:])  # exploration
    assert np.any(stored.action[:5, :, 0] != asked[:5])  # the warm-up is uniform
    np.testing.assert_array_equal(stored.achieved_goal, env.achieved_goal(jnp.asarray(stored.observation)))
    assert len(np.unique(state.agent.keys, axis=0)) == 6
    assert len(np.unique(state.agent.batches.observation, axis=0)) == 6
    rows = jax.tree.map(lambda x: x.reshape(48, *x.shape[2:]), plain(state.agent.batches))
    assert_rows_of(stored, rows, env)
    evaluated = jax.jit(run.evaluate)(state, jax.random.key(1))
    expected = go(env, mirrored, num_envs=16, seed=1)
    assert set(evaluated) == {"success_end", "success_any", "distance_end"}
    for name, value in evaluated.items():
        assert float(value) == pytest.approx(getattr(expected, name).mean())


def assert_rows_of(stored, rows, env):
    """Each transition is the step of a stored trajectory that its observation names."""
    label, t = env.label_and_step(rows.observation)
    labels = env.label_and_step(stored.observation)[0][:, 0]
    assert len(np.unique(labels)) == len(labels)
    n = np.argmax(labels == label[:, None], axis=1)
    for part in ("observation", "action", "achieved_goal"):
        np.testing.assert_array_equal(getattr(rows, part), getattr(stored, part)[n, t])
    np.testing.assert_array_equal(rows.next_observation, stored.observation[n, t + 1])
    np.testing.assert_array_equal(rows.next_achieved_goal, stored.achieved_goal[n, t + 1])
    goal = np.where(rows.relabelled[:, None], stored.achieved_goal[n, t + rows.offset], stored.desired_goal[n])
    np.testing.assert_array_equal(rows.goal, goal)
    assert 0 < rows.relabelled.mean() < 1


# On policy


class Seen(NamedTuple):
    """The batch of the last update, its key, and how many there were."""

    batch: types.Trajectory
    key: jax.Array  # u32[2]
    count: jax.Array


def watcher(env, num_envs):
    """An on-policy agent that moves at random, or right when it is evaluated, and keeps what `update` was given."""
    example = training.example_trajectory(env)

    def init(key, values):
        del key, values
        batch = jax.tree.map(lambda x: jnp.zeros((num_envs, *x.shape), x.dtype), example)
        return Seen(batch, jnp.zeros(2, jnp.uint32), jnp.int32(0))

    def act(state, observation, goal, key, explore):
        del state, observation, goal
        return jax.random.randint(key, (1,), 0, 3, dtype=jnp.int32) if explore else jnp.full((1,), 2, jnp.int32)

    def update(state, batch, key):
        return Seen(batch, jax.random.key_data(key), state.count + 1), {"loss": jnp.mean(batch.length * 1.0)}

    return agents.Agent(init, act, update, batch="trajectories")


def test_an_on_policy_update_sees_what_its_epoch_collected_whole_and_in_order():
    """Nothing of an earlier epoch, nothing drawn, nothing relabelled: the rollout of this epoch's key, to the bit."""
    env = probes.Chain(horizon=4, ends_at_success=True)
    run = make_on_policy(env, watcher(env, 3))
    state, epoch, collect = jax.jit(run.init)(jax.random.key(0)), jax.jit(run.epoch), jax.jit(run.collect)
    assert int(state.env_steps) == int(state.replay.size) == 0
    keys, lengths, before = set(), set(), None
    for count in range(1, 4):
        fresh = plain(collect(state, jax.random.split(state.key, 4)[1]))
        state, metrics = epoch(state)
        assert_same_bits(state.agent.batch, fresh.trajectories)
        assert_same_bits(state.replay.trajectories, fresh.trajectories)
        assert before is None or not np.array_equal(before.action, fresh.trajectories.action)
        before = fresh.trajectories
        lengths |= set(before.length.tolist())
        keys.add(tuple(np.asarray(state.agent.key)))
        assert int(state.agent.count) == int(state.updates) == count
        assert int(state.env_steps) == 3 * 4 * count
        assert float(metrics["loss"]) == pytest.approx(before.length.mean())
        assert float(metrics["collect_success_end"]) == pytest.approx(fresh.success_end.mean())
    assert len(keys) == 3
    assert len(lengths) > 1


def test_each_function_of_an_on_policy_epoch_is_traced_once():
    """One act and one update, however many steps, trajectories and goals there are."""
    env, traces = probes.Chain(horizon=4), []
    agent = policy_gradient(env)

    def counted(name, function):
        return lambda *arguments: traces.append(name) or function(*arguments)

    agent = agent._replace(update=counted("update", agent.update), act=counted("act", agent.act))
    run = make_on_policy(env, agent)
    state = jax.eval_shape(run.init, jax.random.key(0))
    assert traces == []  # no warm-up
    epoch = jax.jit(run.epoch)
    for _ in range(3):
        epoch.trace(state)
    assert sorted(traces) == ["act", "update"]


def test_no_key_of_an_on_policy_run_is_used_twice():
    run, key = make_on_policy(), jax.random.key(0)
    state = jax.eval_shape(run.init, key)
    with jax.debug_key_reuse(True):
        jax.jit(run.init).trace(key)
        jax.jit(run.epoch).trace(state)
        jax.jit(run.evaluate).trace(state, key)
