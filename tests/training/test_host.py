"""Populations whose task is stepped on the host: their episodes, their bits, and what they refuse."""

import functools

import chain_runs
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain_runs import assert_close, assert_same_bits, member, plain
from host_line import HostLine

from hindsight_jax import training
from hindsight_jax.training import host

SIZES = {"num_envs": 2, "warmup_trajectories": 5, "evaluation_episodes": 4, "capacity": 16}


@functools.cache
def population():
    return training.make_population(chain_runs.make_run(HostLine(), **SIZES))


def trained(population, seeds, *calls, state=None):
    """(state, columns) after an evaluation; the epochs are cut into calls."""
    keys = jnp.stack([training.member_keys(seed, 1)[0] for seed in seeds])
    state = population.init(keys) if state is None else state
    for count in calls:
        state = population.advance(state, count)
    return population.record(state, population.evaluate(state, keys))


@pytest.fixture(scope="module")
def whole():
    return trained(population(), [3, 4], 3)


def uniform(task):
    return lambda t, observation, goal, keys: jax.vmap(task.spec.action.sample)(host.step_keys(keys, t))


def test_rounds_are_as_wide_as_the_task_and_what_is_played_over_is_dropped():
    task = HostLine(width=3)
    found = host.rollout(task, uniform(task), jax.random.key(0), 4)
    first, second = task.rounds
    assert (len(first), len(second)) == (3, 3)
    assert len({*first, *second}) == 6
    assert all(0 <= seed < 2**31 for seed in first + second)
    assert found.trajectories.observation.shape == (4, 5, 2)
    assert found.trajectories.observation[:, 0, 1].tolist() == [seed % 1000 for seed in [*first, second[0]]]


def test_an_episode_depends_on_its_key_alone_and_not_on_the_width():
    left, right = (host.rollout(task, uniform(task), jax.random.key(1), 6) for task in map(wide, (2, 3)))
    assert_same_bits(left, right)


def wide(width):
    return HostLine(width=width)


def test_what_success_is_and_where_an_episode_ends():
    """Of an environment that says it and of one that does not: the same, here."""
    said, silent = HostLine(), HostLine(says_success=False)
    found = host.rollout(said, uniform(said), jax.random.key(2), 32)
    assert_same_bits(found, host.rollout(silent, uniform(silent), jax.random.key(2), 32))
    played = found.trajectories
    last = played.observation[np.arange(32), played.length, 0]
    np.testing.assert_array_equal(found.distance_end, np.abs(last - played.desired_goal[:, 0]))
    np.testing.assert_array_equal(found.success_end, found.distance_end == 0)
    np.testing.assert_array_equal(found.success_end, found.success_any)  # it ends at the goal
    np.testing.assert_array_equal(played.terminal, found.success_end)
    assert 0.1 < found.success_end.mean() < 0.9


def test_the_ring_holds_each_members_own_episodes_warm_up_first(whole):
    """11 of 16 places: 5, then 3 times 2. No seed comes twice, and what follows a length is as it was: nothing."""
    members = plain(whole[0].members)
    assert members.env_steps.tolist() == [11 * 4, 11 * 4]
    stored = members.replay.trajectories
    ids = stored.observation[:, :11, 0, 1]
    assert len(np.unique(ids)) == 22
    assert np.all(stored.observation[:, 11:] == 0)
    reached = stored.observation[:, :11, :, 0]
    for i in np.ndindex(2, 11):
        length = stored.length[i]
        walk = np.clip(reached[i][:length] + stored.action[i][:length, 0] - 1, -3, 3)
        np.testing.assert_array_equal(reached[i][1 : length + 1], walk)


@pytest.mark.seldom
def test_members_in_turn_are_each_alone_to_the_bit(whole):
    """Sums of metrics included; `record` divides them, in another order for one member than for two."""
    together = population().advance(population().init(training.member_keys(3, 2)), 3)
    for i, seed in enumerate((3, 4)):
        before = population().advance(population().init(training.member_keys(seed, 1)), 3)
        assert_same_bits(member(before.metric_sums, 0), member(together.metric_sums, i))
        alone, columns = trained(population(), [seed], state=before)
        assert_same_bits(member(alone.members, 0), member(whole[0].members, i))
        assert_same_bits(member(alone.best, 0), member(whole[0].best, i))
        assert_close(member(columns, 0), member(whole[1], i), 1e-6)


def test_a_run_that_is_cut_and_goes_on_with_other_environments_has_the_same_bits(whole):
    keys = training.member_keys(3, 2)
    half = population().advance(population().init(keys), 2)
    other = training.make_population(chain_runs.make_run(HostLine(), **SIZES))
    template = other.template(keys)
    shapes = lambda tree: [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]
    assert shapes(template) == shapes(half)
    again = trained(other, [3, 4], 1, state=half)
    assert_same_bits(again, whole)


@pytest.mark.seldom  # compiles both
def test_columns_are_those_of_a_task_in_jax(whole):
    columns = chain_runs.tiny()
    state, keys = chain_runs.started(2)
    state = columns.advance(state, 1)
    _, of_jax = columns.record(state, columns.evaluate(state, keys))
    assert list(whole[1]) == list(of_jax)
    assert all(np.isfinite(column).all() for column in whole[1].values())


def test_evaluations_draw_their_own_episodes(whole):
    run = chain_runs.make_run(HostLine(), **SIZES)
    population = training.make_population(run)
    keys = training.member_keys(0, 1)
    state = population.init(keys)
    before = len(run.spec.env.rounds)
    results = population.evaluate(state, keys)
    assert_same_bits(results, population.evaluate(state, keys))
    first, second = run.spec.env.rounds[before:][:2], run.spec.env.rounds[before:][2:]
    assert first == second
    population.evaluate(state._replace(epochs=state.epochs + 1), keys)
    assert not {*map(tuple, first)} & {*map(tuple, run.spec.env.rounds[before + 4 :])}


def test_refusals():
    run = chain_runs.make_run(HostLine(), **SIZES)
    with pytest.raises(ValueError, match="env: got HostLine, but it is stepped on the host"):
        training.rollout(run.spec.env, lambda *_: None, jax.random.key(0), 2)
    with pytest.raises(ValueError, match="env: got HostLine, but it is stepped on the host"):
        jax.eval_shape(run.init, jax.random.key(0))
    with pytest.raises(ValueError, match=r"devices: got 2 devices, but the members of HostLine.*share one device"):
        training.make_population(run, [Device(0), Device(1)])
    with pytest.raises(ValueError, match=r"chunk: got 2, but the members of HostLine.*learn one at a time"):
        training.make_population(run, chunk=2)
    population = training.make_population(run)
    keys = training.member_keys(0, 1)
    with pytest.raises(ValueError, match="gamma: got"):
        population.compile(keys, {"agent.gamma": jnp.array([3.0])})
    with pytest.raises(ValueError, match="num_epochs"):
        population.advance(population.template(keys), 1.5)


class Device:
    """Stands in for one that this machine has not."""

    platform, process_index = "gpu", 0

    def __init__(self, id_):
        self.id = id_


def test_devices_of_a_run(monkeypatch):
    of_jax, of_host = chain_runs.make_run(), chain_runs.make_run(HostLine(), **SIZES)
    four = [Device(i) for i in range(4)]
    assert training.devices_of(of_jax, 4, four) == tuple(four)
    assert training.devices_of(of_host, 4, four) == (four[0],)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match=r"processes: got 2, but the members of HostLine.* by one process"):
        training.devices_of(of_host, 4)


def test_later_epochs_and_evaluations_compile_nothing():
    tiny, keys = population(), training.member_keys(3, 2)
    compiled = []

    def once(state):
        state = tiny.advance(state, 1)
        return tiny.record(state, tiny.evaluate(state, keys))[0]

    def note(event, seconds, **more):
        if event.endswith("backend_compile_duration"):
            compiled.append(more["fun_name"])

    state = once(tiny.init(keys))
    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        once(state)
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    assert compiled == []


def test_a_member_that_breaks_is_frozen_and_harms_no_other():
    tiny, keys = population(), training.member_keys(3, 2)

    def epoch(broken):
        state = tiny.init(keys)
        agent = state.members.agent
        params = jax.tree.map(lambda x: x.at[0].set(jnp.nan) if broken else x, agent.params)
        state = tiny.advance(state._replace(members=state.members._replace(agent=agent._replace(params=params))), 1)
        return tiny.record(state, tiny.evaluate(state, keys))

    state, columns = epoch(broken=True)
    healthy, _ = epoch(broken=False)
    assert columns["frozen"].tolist() == [1, 0]
    assert np.isnan(columns["success_end"]).tolist() == [True, False]
    assert_same_bits(member(state.members, 1), member(healthy.members, 1))
