"""Runs and populations on a chain whose values are known: learning, counts, seeds, members, pieces, and rollouts."""

import functools
import inspect
import math
import pydoc
from typing import NamedTuple

import compiles
import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
import scipy.stats

from hindsight_jax import agents, relabel, replay, training, types

FAST = {"learning_rate": 3e-3, "target_rate": 0.05, "target_period": 1.0, "gamma": 0.9}


def law_of(values):
    return relabel.hindsight(values.get("behaviour", 0.15), values.get("next_state", 0.2))


SMALL = {
    "num_envs": 2,
    "updates_per_epoch": 2,
    "batch_size": 8,
    "warmup_trajectories": 5,
    "evaluation_episodes": 16,
}


def make_run(env=None, agent=None, law=law_of, reward_fn=None, preference=None, capacity=64, hidden=(8,), **sizes):
    """A run on the chain, tiny unless said otherwise."""
    env = env or probes.Chain(horizon=4)
    agent = agent or agents.q_learning(env.spec, distance=env.distance, hidden_sizes=hidden)
    ring = replay.make_ring(training.example_trajectory(env), capacity)
    sizes = training.RunSizes(**(SMALL | sizes))
    return training.make_run(env, agent, ring, law, reward_fn or relabel.reward_by_index(), sizes, preference)


@functools.cache
def tiny():
    return training.make_population(make_run())


def started(num_members=4, values=None, seed=0):
    """(state, keys) of the tiny population."""
    keys = training.member_keys(seed, num_members)
    return tiny().init(keys, values), keys


def member(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def plain(tree):
    """Keys as integers, everything as NumPy."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x: np.array(jax.random.key_data(x) if is_key(x) else x), tree)


def assert_same_bits(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b, strict=True), plain(left), plain(right))


def assert_close(left, right, tolerance):
    """Integers and booleans to the bit, floats within the tolerance."""

    def compare(a, b):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance if a.dtype.kind == "f" else 0)

    jax.tree.map(compare, plain(left), plain(right))


# Learning


def learner(env, **options):
    agent = agents.q_learning(
        env.spec, distance=env.distance, hidden_sizes=(64,), hparams=agents.QLearningHparams(**FAST), **options
    )
    return agent, {
        "num_envs": 4,
        "updates_per_epoch": 50,
        "batch_size": 64,
        "warmup_trajectories": 100,
        "capacity": 400,
    }


def test_her_and_hdm_learn_the_chain():
    """Two seeds of each reach and keep every goal. Without the goal, no policy reaches more than one in five."""
    env = probes.Chain()
    agent, sizes = learner(env)
    run = make_run(env, agent, evaluation_episodes=200, **sizes)
    population, keys = training.make_population(run), training.member_keys(0, 4)
    state = population.init(keys, {"agent.gamma_hdm": jnp.array([0.0, 0.0, 0.85, 0.85])})  # 0 is HER
    before = population.evaluate(state, keys)
    state = population.advance(state, 40)
    after = population.evaluate(state, keys)
    assert np.all(before["success_end"] < 0.8)
    np.testing.assert_array_equal(after["success_end"], 1.0)
    np.testing.assert_array_equal(after["success_any"], 1.0)
    np.testing.assert_array_equal(after["distance_end"], 0.0)
    cell, goal = np.divmod(np.arange(25), 5)
    for i in range(4):
        move = np.argmax(q_values(env, member(state.members.agent, i)), axis=-1) - 1
        np.testing.assert_array_equal(np.clip(cell + move, 0, 4), cell + np.sign(goal - cell))


def test_learnt_values_are_the_exact_ones_for_each_gamma():
    """Episodes of two steps never see a goal four cells away: only a bootstrap beyond the last step finds its value.

    If the last step counted as terminal, half of all rows would end in V = 0: far below the exact -3.4 of gamma 0.9.
    """
    env, gammas = probes.Chain(horizon=2), (0.0, 0.5, 0.9)
    agent, sizes = learner(env, imitation="none")
    law = relabel.mixture((0.5, relabel.behaviour()), (0.5, relabel.future()))
    run = make_run(env, agent, law, env.reward_by_success, **sizes)
    population = training.make_population(run)
    values = {"agent.gamma": jnp.array(gammas), "agent.epsilon": jnp.ones(len(gammas))}
    state = population.init(training.member_keys(0, len(gammas)), values)
    state = population.advance(state, 60)
    for i, gamma in enumerate(gammas):
        learnt = q_values(env, member(state.members.agent, i))
        np.testing.assert_allclose(learnt, np.reshape(env.exact_q(gamma), (25, 3)), atol=0.15)


def q_values(env, state):
    """Q of every (cell, goal) and action, [25, 3]."""
    dense = jax.tree.map(np.asarray, state.params["params"]["MLP_0"])
    one_hot = np.eye(env.num_cells)
    x = np.array([[*one_hot[cell], *one_hot[goal]] for cell in range(5) for goal in range(5)])
    hidden = np.maximum(x @ dense["Dense_0"]["kernel"] + dense["Dense_0"]["bias"], 0)
    return hidden @ dense["Dense_1"]["kernel"] + dense["Dense_1"]["bias"]


# Counts and seeds


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


def test_seeds_are_all_different():
    """In their first weights, their warm-up, what they collect, and what they learn."""
    state, _ = started()
    first = plain(state.members)
    state, metrics = training.pop_metrics(tiny().advance(state, 3))
    last = plain(state.members)
    kernel = lambda members: members.agent.params["params"]["MLP_0"]["Dense_0"]["kernel"]
    for values in (
        kernel(first),
        first.replay.trajectories.action,
        first.replay.trajectories.desired_goal,
        first.key,
        kernel(last),
        last.replay.trajectories.action[:, 5:11],
        last.key,
        plain(metrics)["loss"],
    ):
        assert len(np.unique(values.reshape(4, -1), axis=0)) == 4


def test_keys_of_members_are_those_of_their_seeds():
    keys = training.member_keys(5, 3)
    np.testing.assert_array_equal(plain(keys), plain(jnp.stack([jax.random.key(seed) for seed in (5, 6, 7)])))
    with pytest.raises(ValueError, match="num_members"):
        training.member_keys(0, 0)


@pytest.mark.seldom
def test_the_run_alone_equals_its_member():
    """The population adds nothing to `Run`: init and epochs of one member, jitted without vmap."""
    run, (state, _) = make_run(), started(4)
    epoch, alone = jax.jit(run.epoch), jax.jit(run.init)(jax.random.key(2))
    state = tiny().advance(state, 2)
    for _ in range(2):
        alone, _ = epoch(alone)
    assert_close(member(state.members, 2), alone, 1e-5)


@pytest.mark.parametrize("piece", [100, 10, 1])
def test_pieces_of_a_run_change_no_bit(piece):
    """100 epochs in 1, 10 and 100 calls; evaluations in between change nothing either."""
    state, keys = started()
    for i in range(100 // piece):
        state = tiny().advance(state, piece)
        if i % 3 == 0:
            tiny().evaluate(state, keys)
    assert int(state.epochs) == 100
    assert_same_bits(state, whole_run())


@functools.cache
def whole_run():
    """100 epochs in calls of 1, 2, 3, 90 and 4."""
    state, _ = started()
    for num_epochs in (1, 2, 3, 90, 4):
        state = tiny().advance(state, num_epochs)
    return plain(state)


def test_collecting_metrics_changes_nothing_else():
    state, _ = started()
    for _ in range(4):
        state, _ = training.pop_metrics(tiny().advance(state, 25))
    assert_same_bits((state.members, state.epochs), (whole_run().members, whole_run().epochs))


def test_any_number_of_epochs_and_any_evaluation_compile_once():
    population = tiny()
    state, keys = started()
    sizes = []
    for num_epochs in (1, 3, 2, 0):
        state = population.advance(state, num_epochs)
        population.evaluate(state, keys)
        state, _ = training.pop_metrics(state)
        sizes.append((population.advance._cache_size(), population.evaluate._cache_size()))
    assert len(set(sizes)) == 1
    assert max(sizes[0]) <= 2  # populations of 4 and of 1, if that was used before


# Members that differ


def test_members_with_values_of_their_own_equal_separate_runs():
    values = {
        "agent.gamma_hdm": jnp.array([0.0, 0.85, 0.85, math.inf]),
        "relabel.next_state": jnp.array([0.2, 0.0, 1.0, 0.2]),
        "relabel.behaviour": jnp.array([0.15, 0.15, 0.0, 0.15]),
        "agent.epsilon": jnp.array([0.1, 0.0, 1.0, 0.1]),
    }
    state, keys = started(4, values)
    first = plain(state.members)
    np.testing.assert_array_equal(state.members.agent.hparams.gamma_hdm, values["agent.gamma_hdm"])
    state, metrics = training.pop_metrics(tiny().advance(state, 5))
    np.testing.assert_array_equal(metrics["imitated_fraction"][jnp.array([0, 3])], [0.0, 1.0])
    assert 0.0 < float(metrics["imitated_fraction"][1]) < 1.0
    assert float(metrics["reward_mean"][2]) == 0.0  # all goals are next states
    assert -1.0 < float(metrics["reward_mean"][1]) < 0.0  # the last step's future is its next state
    results = tiny().evaluate(state, keys)
    for i in range(4):
        alone, key = started(1, {name: value[i : i + 1] for name, value in values.items()}, seed=i)
        assert_close(member(first, i), member(alone.members, 0), 0)
        alone, expected = training.pop_metrics(tiny().advance(alone, 5))
        assert_close(member(state.members, i), member(alone.members, 0), 1e-5)
        assert_close(member(metrics, i), member(expected, 0), 1e-5)
        assert_close(member(results, i), member(tiny().evaluate(alone, key), 0), 1e-5)


def test_values_equal_to_the_defaults_change_nothing():
    defaults = {"agent.gamma_hdm": 0.85, "relabel.next_state": 0.2, "relabel.behaviour": 0.15, "agent.epsilon": 0.1}
    values = {name: jnp.full(4, value) for name, value in defaults.items()}
    assert_same_bits(started(4, values)[0], started(4)[0])


def test_a_member_that_breaks_leaves_the_others_alone():
    """NaN in the weights of member 1: the bits of all others are those of a sound population."""
    sound, _ = started()
    broken, _ = started()
    poison = lambda x: x.at[1].set(jnp.nan)
    agent = broken.members.agent._replace(params=jax.tree.map(poison, broken.members.agent.params))
    broken = broken._replace(members=broken.members._replace(agent=agent))
    sound, broken = tiny().advance(sound, 5), tiny().advance(broken, 5)
    assert np.isnan(broken.metric_sums["loss"][1])
    others = np.array([0, 2, 3])
    assert_same_bits(
        jax.tree.map(lambda x: x[others], plain((broken.members, broken.metric_sums))),
        jax.tree.map(lambda x: x[others], plain((sound.members, sound.metric_sums))),
    )


# Metrics and evaluation


def test_collected_metrics_are_means_over_epochs():
    state, _ = started()
    _, none = training.pop_metrics(state)
    assert all(np.all(np.isnan(value)) for value in none.values())
    each = []
    for _ in range(3):
        state, metrics = training.pop_metrics(tiny().advance(state, 1))
        each.append(metrics)
    again, _ = started()
    again, together = training.pop_metrics(tiny().advance(again, 3))
    assert set(together) >= {"loss", "td_loss", "q_mean", "reward_mean", "imitated_fraction", "collect_success_end"}
    for name, value in together.items():
        np.testing.assert_allclose(value, np.mean([metrics[name] for metrics in each], axis=0), rtol=1e-5, atol=1e-6)
    assert int(again.summed_epochs) == 0
    assert not any(np.any(value) for value in again.metric_sums.values())


def test_evaluation_changes_no_state_and_depends_on_keys_and_epoch():
    state, keys = started()
    before = plain(state)
    first, same = tiny().evaluate(state, keys), tiny().evaluate(state, keys)
    assert_same_bits(state, before)
    assert_same_bits(first, same)
    assert {name: value.shape for name, value in first.items()} == dict.fromkeys(first, (4,))
    other_keys = tiny().evaluate(state, training.member_keys(100, 4))
    other_epoch = tiny().evaluate(state._replace(epochs=state.epochs + 1), keys)
    for other in (other_keys, other_epoch):
        assert not np.array_equal(first["distance_end"], other["distance_end"])


# What a run asks of its agent


class StubState(NamedTuple):
    keys: jax.Array  # u32[U, 2], of every update so far
    batches: types.Transition  # [U, B, ...], of every update so far
    count: jax.Array


def stub(env, num_updates, batch_size):
    """An agent on `probes.Disguised` that is `coded` while exploring and `mirrored` else, and remembers its batches."""
    ring = replay.make_ring(training.example_trajectory(env), 1)
    sample = lambda key: ring.sample(ring.init(), key, batch_size, relabel.future(), relabel.reward_by_index())
    batch = jax.eval_shape(sample, jax.random.key(0))

    def init(key, values):
        del key, values
        batches = jax.tree.map(lambda x: jnp.zeros((num_updates, *x.shape), x.dtype), batch)
        return StubState(jnp.zeros((num_updates, 2), jnp.uint32), batches, jnp.int32(0))

    def act(state, observation, goal, key, explore):
        del state
        return (coded if explore else mirrored)(observation, goal, key)

    def update(state, batch, key):
        keys = state.keys.at[state.count].set(jax.random.key_data(key))
        batches = jax.tree.map(lambda seen, new: seen.at[state.count].set(new), state.batches, batch)
        count = state.count + 1
        return StubState(keys, batches, count), {"count": count.astype(jnp.float32)}

    return agents.Agent(init, act, update)


def test_no_key_is_used_twice():
    """In init, in an epoch (collect, sample, learn), and in an evaluation."""
    run, key = make_run(preference=relabel.prefer(lambda achieved, goal: jnp.any(achieved != goal))), jax.random.key(0)
    state = jax.eval_shape(run.init, key)
    with jax.debug_key_reuse(True):
        jax.jit(run.init).trace(key)
        jax.jit(run.epoch).trace(state)
        jax.jit(run.evaluate).trace(state, key)


def code_of(observation, goal):
    """0, 1 or 2 from every entry of what a policy is given, f32[..] of [.., 6] and [.., 5]; other shapes raise."""
    return (observation @ np.array([0, 1, 2, 3, 4, 2**20], np.float32) + goal @ np.arange(5, dtype=np.float32)) % 3


def coded(observation, goal, key):
    """An action from which a test can tell what the policy was given."""
    del key
    return code_of(observation, goal)[None].astype(jnp.int32)


def mirrored(observation, goal, key):
    return 2 - coded(observation, goal, key)


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


def test_the_warm_up_is_uniform():
    run = make_run(probes.Chain(horizon=8), capacity=1000, warmup_trajectories=1000)
    stored = jax.jit(run.init)(jax.random.key(0)).replay.trajectories
    counts = np.bincount(np.ravel(stored.action), minlength=3)
    assert counts.sum() == 8000
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    steps = np.asarray(stored.action)[..., 0]
    table = np.zeros((3, 3))
    np.add.at(table, (steps[:, :-1].ravel(), steps[:, 1:].ravel()), 1)
    assert scipy.stats.chi2_contingency(table).pvalue > 1e-3


def test_an_advance_writes_the_ring_in_place():
    """Nothing of the size of the ring is copied or held beside it."""
    env = probes.Disguised(horizon=4)
    run = make_run(env, stub(env, num_updates=2, batch_size=8), capacity=20_000)
    population = training.make_population(run)
    state = jax.eval_shape(population.init, training.member_keys(0, 2))
    with compiles.optimised():
        memory = population.advance.lower(state, 3).compile().memory_analysis()
    num_bytes = 2 * replay.make_ring(training.example_trajectory(env), 20_000).num_bytes
    assert memory.alias_size_in_bytes >= num_bytes
    assert memory.temp_size_in_bytes < 0.05 * num_bytes


# On policy


def policy_gradient(env):
    return agents.policy_gradient(env.spec, success=env.success, hidden_sizes=(8,), num_goals=3)


def make_on_policy(env=None, agent=None, law=None, capacity=3, **sizes):
    """A run of a policy gradient on the chain: three trajectories and one update an epoch."""
    env = env or probes.Chain(horizon=4)
    sizes = {"num_envs": 3, "updates_per_epoch": 1, "warmup_trajectories": 0, "evaluation_episodes": 16} | sizes
    return make_run(env, agent or policy_gradient(env), law, capacity=capacity, **sizes)


@functools.cache
def on_policy():
    return training.make_population(make_on_policy())


def begun(num_members=3, seed=0, values=None):
    """The first state of the on-policy population."""
    return on_policy().init(training.member_keys(seed, num_members), values)


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


def test_pieces_of_an_on_policy_run_change_no_bit_and_compile_once():
    """Cut anywhere, carried through host memory as a checkpoint carries it, with evaluations in between."""
    whole, cut, keys = on_policy().advance(begun(), 12), begun(), training.member_keys(0, 3)
    sizes = set()
    for num_epochs in (1, 0, 4, 2, 5):
        cut = on_policy().advance(carried(cut), num_epochs)
        on_policy().evaluate(cut, keys)
        sizes.add((on_policy().advance._cache_size(), on_policy().evaluate._cache_size()))
    assert_same_bits(cut, whole)
    assert len(sizes) == 1


def carried(state):
    """The state after a trip through NumPy, typed keys and all."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    back = lambda old, new: jax.random.wrap_key_data(jnp.array(new)) if is_key(old) else jnp.array(new)
    return jax.tree.map(back, state, plain(state))


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"warmup_trajectories": 1},
            r"^sizes\.warmup_trajectories: got 1, but it must be 0 for an agent that learns",
        ),
        ({"warmup_trajectories": None}, r"^sizes\.warmup_trajectories: got None, but it must be 0"),
        ({"updates_per_epoch": 2}, r"^sizes\.updates_per_epoch: got 2, but it must be 1 for an agent that learns"),
        ({"updates_per_epoch": 0}, r"^sizes\.updates_per_epoch: got 0, but it must be 1"),
        ({"capacity": 2}, r"^sizes\.num_envs: got 3.*capacity, 2"),
        ({"capacity": 4}, r"^ring\.capacity: got 4, but it must hold the trajectories of one collection, 3\. Make"),
        ({"num_envs": 2}, r"^ring\.capacity: got 3, but it must hold the trajectories of one collection, 2\. Make"),
        ({"num_envs": 0}, r"^sizes\.num_envs: got 0"),
        ({"evaluation_episodes": 0}, r"^sizes\.evaluation_episodes: got 0"),
        (
            {"law": relabel.future()},
            r"^law: got .*, but the agent learns from trajectories\. Pass a goal law for an agent",
        ),
        ({"law": law_of}, r"^law: got .*, but the agent learns from trajectories\."),
    ],
)
def test_sizes_that_are_not_on_policy_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_on_policy(**arguments)


def test_an_agent_of_transitions_needs_a_law_and_a_warm_up():
    with pytest.raises(ValueError, match=r"^law: got None, but the agent learns from transitions\. Pass a goal law"):
        make_run(law=None)
    with pytest.raises(ValueError, match=r"^sizes\.warmup_trajectories: got 0"):
        make_run(warmup_trajectories=0)


def test_numbers_of_a_law_are_refused_on_policy():
    with pytest.raises(ValueError, match="numbers of the law may be given only if"):
        jax.eval_shape(make_on_policy().init, jax.random.key(0), {"relabel.next_state": 0.5})


# Rollouts


def go(env, policy, num_envs=200, seed=0):
    return jax.tree.map(
        np.asarray, jax.jit(lambda key: training.rollout(env, policy, key, num_envs))(jax.random.key(seed))
    )


def right(observation, goal, key):
    """Passes over the goal, if it lies ahead."""
    del observation, goal, key
    return jnp.full((1,), 2, jnp.int32)


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


# Help and refusals


@pytest.mark.parametrize("make", [lambda: tiny(), make_run, lambda: make_run().spec.ring])
def test_help_describes_every_function(make):
    """Each has a docstring of its own, and takes no bound argument."""
    functions = [value for value in make() if callable(value)]
    assert len({pydoc.getdoc(function) for function in functions}) == len(functions)
    for function in functions:
        text = pydoc.render_doc(function, renderer=pydoc.plaintext)
        assert function.__doc__.splitlines()[0] in text
        assert not {"run", "ring", "programs", "population"} & set(inspect.signature(function).parameters)


def test_numbers_of_a_fixed_law_are_refused():
    with pytest.raises(ValueError, match="law"):
        make_run(law=relabel.future()).init(jax.random.key(0), {"relabel.next_state": 0.3})


@pytest.mark.parametrize("values", [{"agent.gamma_hdm": [-1.0, 0.5]}, {"agent.target_period": [0.0, 1.0]}])
def test_numbers_of_members_out_of_range_are_refused(values):
    """Inside of jit they are not known: they are checked before it."""
    values = {name: jnp.array(value) for name, value in values.items()}
    with pytest.raises(ValueError, match=next(iter(values)).removeprefix("agent.")):
        tiny().init(training.member_keys(0, 2), values)


def test_the_law_that_was_passed_outlives_the_donated_state():
    law, env = relabel.hindsight(0.15, 0.2), probes.Disguised(horizon=4)
    state = make_run(env, stub(env, num_updates=2, batch_size=8), law).init(jax.random.key(0))
    jax.jit(lambda state: state._replace(updates=state.updates + 1), donate_argnums=0)(state)
    assert state.law.weights.is_deleted()
    assert not law.weights.is_deleted()
