"""Runs that learn from a data set: which rows a batch holds, what offline leaves out, members and their loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
from chain_runs import SMALL, assert_close, law_of, make_on_policy, member, plain, stub

from hindsight_jax import agents, datasets, envs, relabel, replay, training


@functools.cache
def collected(env, seed=9, episodes=20):
    return datasets.collect(env, None, jax.random.key(seed), episodes)


def run_with(env, share, agent=None, trajectories=None, law=law_of, **sizes):
    """A tiny run on the chain with a data set."""
    if share == 1.0:
        sizes = {"warmup_trajectories": 0} | sizes
    agent = agent or agents.q_learning(env.spec, distance=env.distance, hidden_sizes=(8,))
    ring = replay.make_ring(training.example_trajectory(env), 1 if share == 1.0 else 64)
    data = training.Data(*datasets.to_ring(trajectories or collected(env)), share)
    sizes = training.RunSizes(**(SMALL | sizes))
    return training.make_run(env, agent, ring, law, relabel.reward_by_index(), sizes, data=data)


def labels(env, observation):
    """The episode of each state of the disguised chain: every reset draws another."""
    return env.label_and_step(np.asarray(observation))[0]


@pytest.mark.parametrize(
    ("share", "rows"), [(0.3, 2), *(pytest.param(*x, marks=pytest.mark.seldom) for x in ((0.9, 7), (1.0, 8)))]
)
def test_a_batch_holds_just_its_share_of_the_data(share, rows):
    """0.3 of 8 is 2.4, and 0.9 of it 7.2: whole transitions, the data's first; each by the law, within its episode."""
    env = probes.Disguised(horizon=4)
    run = run_with(env, share, updates_per_epoch=50)
    state = jax.jit(run.init)(jax.random.key(0))
    batch = jax.jit(run.sample)(state, jax.random.key(1))
    assert batch.observation.shape == (50, 8, 6)
    of_data = np.isin(labels(env, batch.observation), labels(env, collected(env).observation[:, 0]))
    np.testing.assert_array_equal(of_data, np.broadcast_to(np.arange(8) < rows, (50, 8)))
    first = jax.tree.map(lambda x: np.asarray(x)[:, :rows].reshape(50 * rows, *x.shape[2:]), batch)
    episode = labels(env, first.observation)
    trajectory = np.argmax(labels(env, collected(env).observation[:, 0]) == episode[:, None], axis=1)
    step = env.label_and_step(first.observation)[1]
    goals = collected(env).achieved_goal[trajectory, step + first.offset]
    np.testing.assert_array_equal(first.goal[first.relabelled], goals[first.relabelled])
    np.testing.assert_array_equal(first.reward, np.where(first.is_next, 0.0, -1.0))


def test_pairs_of_the_data_are_drawn_alike():
    """Chi-square of 16,000 draws over 80 pairs: below its 99.9 % point of 79 degrees of freedom, 124.8."""
    env = probes.Disguised(horizon=4)
    run = run_with(env, 1.0, updates_per_epoch=2000)
    batch = jax.jit(run.sample)(jax.jit(run.init)(jax.random.key(0)), jax.random.key(1))
    label, step = env.label_and_step(np.asarray(batch.observation).reshape(-1, 6))
    _, counts = np.unique(np.stack([label, step]), axis=1, return_counts=True)
    assert counts.size == 80
    assert np.sum((counts - 200.0) ** 2 / 200.0) < 124.8


def test_an_offline_epoch_takes_no_env_step():
    """It counts them, as one that collects would; neither its start nor its epoch has a step of the task in it."""
    env = probes.Chain(horizon=4)
    run = run_with(env, 1.0)
    state = jax.jit(run.init)(jax.random.key(0))
    assert (int(state.env_steps), int(state.replay.size)) == (0, 0)
    after, metrics = jax.jit(run.epoch)(state)
    assert (int(after.env_steps), int(after.updates), int(after.replay.size)) == (8, 2, 0)
    assert "collect_success_end" not in metrics
    assert steps_in(env, run.init, jax.random.key(0)) == 0
    assert steps_in(env, run.epoch, state) == 0
    assert steps_in(env, run.evaluate, state, jax.random.key(0)) > 0
    online = run_with(env, 0.5)
    assert steps_in(env, online.init, jax.random.key(0)) > 0
    assert steps_in(env, online.epoch, jax.eval_shape(online.init, jax.random.key(0))) > 0


def steps_in(env, function, *arguments):
    """How often tracing the function traces the task's step."""
    traced, step = [], type(env).step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(env, "step", lambda *given: (traced.append(1), step(env, *given))[1], raising=False)
        jax.eval_shape(function, *arguments)
    return len(traced)


@pytest.mark.seldom
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_members_are_runs_of_their_own_that_share_one_data_set(share):
    """Member i of a population is the run of seed i; no array of the data is in their state."""
    env = probes.Chain(horizon=4)
    run = run_with(env, share)
    population, keys = training.make_population(run), training.member_keys(0, 3)
    state = population.init(keys)
    sizes = {leaf.shape for leaf in jax.tree.leaves(plain(state.members.replay.trajectories))}
    assert {shape[:2] for shape in sizes} == {(3, 1 if share == 1.0 else 64)}
    state = population.advance(state, 3)
    init, epoch = jax.jit(run.init), jax.jit(run.epoch)
    for i in range(3):
        alone = init(keys[i])
        for _ in range(3):
            alone, _ = epoch(alone)
        assert_close(member(state.members, i), alone, 1e-5)


def test_the_compiled_epoch_holds_no_copy_of_the_data():
    """They are an argument of it: a constant would be compiled into each program."""
    env = probes.Chain(horizon=4)
    run = run_with(env, 1.0, trajectories=collected(env, episodes=1237))
    population, keys = training.make_population(run), training.member_keys(0, 2)
    lowered = population.advance.__wrapped__.lower(population.init(keys), 1, run.spec.data.state).as_text()
    assert "tensor<1237x5x5xf32>" in lowered
    assert not [line for line in lowered.splitlines() if "constant" in line and "1237x5x5" in line]


@pytest.mark.seldom
def test_every_update_of_the_data_sees_other_rows():
    env = probes.Disguised(horizon=4)
    run = run_with(env, 1.0, agent=stub(env, num_updates=6, batch_size=8), updates_per_epoch=3)
    state = jax.jit(run.init)(jax.random.key(0))
    epoch = jax.jit(run.epoch)
    state, _ = epoch(state)
    state, _ = epoch(state)
    assert len(np.unique(state.agent.batches.observation, axis=0)) == 6


@pytest.mark.seldom
def test_a_frozen_member_can_be_diagnosed_offline():
    env = probes.Chain(horizon=4)
    run = run_with(env, 1.0)
    state = jax.jit(run.init)(jax.random.key(0))
    params = jax.tree.map(lambda x: jnp.full_like(x, 3e38), state.agent.params)
    state, metrics = jax.jit(run.epoch)(state._replace(agent=state.agent._replace(params=params)))
    assert bool(state.frozen)
    assert int(state.env_steps) == 8
    assert np.isnan(metrics["td_loss"])
    assert "not finite at update" in str(run.diagnose(state))


# Refusals


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.0, r"data\.share: got 0\.0, but of 8 transitions it is 0, and both the data and the run must have one"),
        (0.05, r"data\.share: got 0\.05, but of 8 transitions it is 0"),
        (0.97, r"data\.share: got 0\.97, but of 8 transitions it is 8"),
        (1.5, r"data\.share: got 1\.5, but it must be a number in \[0, 1\]"),
        (float("nan"), r"data\.share: got nan"),
    ],
)
def test_shares_without_a_transition_of_each_kind_are_refused(share, message):
    with pytest.raises(ValueError, match=message):
        run_with(probes.Chain(horizon=4), share)


def test_data_of_another_task_or_kind_are_refused():
    env = probes.Chain(horizon=4)
    data = datasets.to_ring(collected(env))
    with pytest.raises(ValueError, match=r"ring: got a ring of trajectories whose observation is .*training\.Data\("):
        run_with(probes.Disguised(horizon=4), 0.5, trajectories=collected(env))
    with pytest.raises(ValueError, match="data: got tuple, but its type must be Data"):
        _with_data(env, (*data, 0.5))
    with pytest.raises(ValueError, match="state: got Trajectory, but its type must be ReplayState"):
        _with_data(env, training.Data(data[0], collected(env), 0.5))
    with pytest.raises(
        ValueError, match=r"sizes\.warmup_trajectories: got 5, but it must be 0 for a run that collects"
    ):
        run_with(env, 1.0, warmup_trajectories=5)
    with pytest.raises(ValueError, match="data: got a data set, but the agent learns from trajectories of its own"):
        _with_data(env, training.Data(*data, 0.5), agent=make_on_policy(env).spec.agent)
    pixels = envs.make("point_mass", pixels=48)
    with pytest.raises(ValueError, match="data: got a data set for a task that is seen as images"):
        _with_data(pixels, training.Data(*data, 0.5), agent=agents.imitation(pixels.spec, hidden_sizes=(8,)))


def _with_data(env, data, agent=None):
    ring = replay.make_ring(training.example_trajectory(env), 64)
    agent = agent or agents.q_learning(env.spec, distance=env.distance, hidden_sizes=(8,))
    sizes = training.RunSizes(**SMALL)
    return training.make_run(env, agent, ring, law_of, relabel.reward_by_index(), sizes, data=data)


# Learning


@pytest.mark.seldom
def test_random_data_alone_teach_the_chain():
    """Imitation of goals of the future, from 400 random episodes: from one goal in two to nearly all of them."""
    env = probes.Chain()
    agent = agents.imitation(env.spec, hidden_sizes=(64,))
    sizes = {"updates_per_epoch": 50, "batch_size": 64, "evaluation_episodes": 200}
    run = run_with(env, 1.0, agent, collected(env, episodes=400), relabel.future(), **sizes)
    population, keys = training.make_population(run), training.member_keys(0, 3)
    state = population.init(keys)
    before = population.evaluate(state, keys)
    after = population.evaluate(population.advance(state, 20), keys)
    assert np.all(before["success_end"] < 0.6)
    assert np.all(after["success_end"] > 0.9)
