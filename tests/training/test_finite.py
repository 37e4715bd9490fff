"""NaN and infinities, put into one member of three at every point of every algorithm: found by the next record, that
member frozen and named alone, its best agent kept, and the others the same to the bit.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import presets, relabel, replay, training
from hindsight_jax.envs import base

BY_DEFAULT = ("hdm", "reinforce")
CONTINUOUS = ("actor_critic", "soft_actor_critic", "contrastive")  # kinds of agent that need such actions
# Rows of a kind of agent that another row stands for, and that compile for long.
SLOW = ("hdm_progress", "td3_her", "hdm_ac", "wgcsl", "gcivl", "f_divergence", "energy_based")
MARKS = dict.fromkeys(BY_DEFAULT, ()) | dict.fromkeys(SLOW, pytest.mark.slow)
every_algorithm = pytest.mark.parametrize(
    "algorithm",
    [pytest.param(name, marks=MARKS.get(name, pytest.mark.seldom)) for name in presets.ALGORITHMS],
)
SMALL = {
    "env.num_envs": 2,
    "agent.group_size": 0,
    "agent.hidden_sizes": (6,),
    "evaluation.episodes": 4,
    "agent.batch_size": 16,
    "agent.updates_per_epoch": 3,
    "replay.warmup": 3,
    "replay.capacity": 8,
}
MARK = 7.0  # no state of these tasks has it: the reward of such an achieved goal is NaN


def made(algorithm, change=lambda env: env):
    """(experiment, run): the algorithm on two bits, or on navigation where actions are continuous."""
    kind = presets.ALGORITHMS[algorithm].agent
    name = f"{algorithm}_{'navigation' if kind in CONTINUOUS else 'flip_bit'}"
    values = presets.config(name)
    values |= {field: value for field, value in (SMALL | {"env.size": 2}).items() if field in values}
    experiment = presets.build(name, values)
    env, on_policy = change(experiment.env), kind == "policy_gradient"

    def reward(step):
        of, discount = relabel.reward_by_index()(step)
        return jnp.where(jnp.any(step.next_achieved_goal == MARK), jnp.nan, of), discount

    sizes = training.RunSizes(
        num_envs=2,
        updates_per_epoch=1 if on_policy else 3,
        batch_size=2 if on_policy else 16,
        warmup_trajectories=0 if on_policy else 3,
        evaluation_episodes=4,
    )
    ring = replay.make_ring(training.example_trajectory(env), 2 if on_policy else 8)
    law = None if on_policy else lambda values: relabel.hindsight(0.5, 0.2)
    return training.make_run(env, experiment.agent, ring, law, reward, sizes)


@functools.cache
def begun(algorithm):
    """(run, population, keys, the leaves of a state after two epochs and a record): the state is donated."""
    run = made(algorithm)
    population, keys = training.make_population(run), training.member_keys(0, 3)
    state = population.advance(population.init(keys), 2)
    state, _ = population.record(state, population.evaluate(state, keys))
    return run, population, keys, jax.tree.map(jnp.copy, state)


def gone_on(algorithm, change=lambda members: members):
    """(state, columns) two epochs later, after a change to the members."""
    _, population, keys, state = begun(algorithm)
    state = jax.tree.map(jnp.copy, state)
    state = state._replace(members=change(state.members))
    state = population.advance(state, 2)
    return population.record(state, population.evaluate(state, keys))


@functools.cache
def healthy(algorithm):
    return gone_on(algorithm)


def spoilt(tree, value, leaf=0):
    """One float leaf of a tree [M, ...] holds the value in member 1, all over."""
    leaves, structure = jax.tree.flatten(tree)
    floats = [i for i, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.floating)]
    leaves[floats[leaf]] = leaves[floats[leaf]].at[1].set(value)
    return jax.tree.unflatten(structure, leaves)


def agent(field, value, leaf=0):
    return lambda m: m._replace(agent=m.agent._replace(**{field: spoilt(getattr(m.agent, field), value, leaf)}))


def stored(value, *fields):
    """Every stored entry of these fields of the ring."""

    def change(members):
        old = members.replay.trajectories
        new = {field: getattr(old, field).at[1].set(value) for field in fields}
        return members._replace(replay=members.replay._replace(trajectories=old._replace(**new)))

    return change


def one_slot(members):
    """The last state of the newest trajectory, which few transitions read."""
    old, newest = members.replay.trajectories, members.replay.next_slot[1] - 1
    observation = old.observation.at[1, newest, old.length[1, newest]].set(jnp.nan)
    return members._replace(replay=members.replay._replace(trajectories=old._replace(observation=observation)))


AGENT = {
    "parameter": (agent("params", jnp.nan), "agent.params."),
    "infinite parameter": (agent("params", jnp.inf, leaf=-1), "agent.params."),
    "optimiser": (agent("adam", jnp.nan), "agent.adam."),
    "hyper-parameter": (agent("hparams", jnp.nan), "agent.hparams."),
    "gradient": (
        agent("hparams", 1e38),
        ("agent.", "metrics.", "batch."),
    ),  # the learning rate: finite, its steps are not
}
VALUES = {"target network": (agent("target_params", jnp.nan), "agent.target_params.")}
RING = {
    "observation": (stored(jnp.nan, "observation"), "replay.trajectories.observation"),
    "achieved goal": (stored(jnp.nan, "achieved_goal"), "replay.trajectories.achieved_goal"),
    "desired goal": (stored(jnp.inf, "desired_goal"), "replay.trajectories.desired_goal"),
    "one slot": (one_slot, "replay.trajectories.observation"),
    "law": (lambda m: m._replace(law=spoilt(m.law, jnp.nan)), "law."),
    "huge observation": (stored(3e38, "observation"), ("metrics.", "agent.")),
}
REWARD = {"reward": (stored(MARK, "achieved_goal"), "batch.reward")}
ACTION = {"action": (stored(jnp.nan, "action"), "replay.trajectories.action")}


def points_of(algorithm):
    kind = presets.ALGORITHMS[algorithm].agent
    learns_values = kind in ("q_learning", "actor_critic", "soft_actor_critic")
    return (
        AGENT
        | (VALUES | REWARD if learns_values else {})
        | (RING if kind != "policy_gradient" else {})
        | (ACTION if kind in CONTINUOUS else {})
    )


def of(tree, member):
    return jax.tree.map(lambda x: x[member], tree)


def check(algorithm, change, named):
    run, _, _, before = begun(algorithm)
    state, columns = gone_on(algorithm, change)
    wanted, wanted_columns = healthy(algorithm)
    assert columns["frozen"].tolist() == [0, 1, 0]
    assert np.isnan(columns["success_end"][1])
    assert np.isnan(columns["success_any"][1])
    for one in (0, 2):
        left, right = (state.members, state.best, columns), (wanted.members, wanted.best, wanted_columns)
        reference.same_bits(of(left, one), of(right, one))
    reference.same_bits(of(state.best, 1), of(before.best, 1))
    member = training.local_member(state.members, 1)
    fault = run.diagnose(member)
    assert fault.tensor is not None
    assert fault.tensor.startswith(named), fault
    assert 0 <= fault.update - int(before.members.updates[1]) <= 6
    assert fault.update >= int(member.updates)
    assert str(fault) == f"{fault.tensor} was not finite at update {fault.update:,}"


@every_algorithm
def test_a_tensor_that_is_not_finite_freezes_its_member_alone_and_is_named(algorithm):
    points = points_of(algorithm)
    assert len(points) >= (5 if presets.ALGORITHMS[algorithm].agent == "policy_gradient" else 11)
    for name, (change, named) in points.items():
        try:
            check(algorithm, change, named)
        except AssertionError as error:
            raise AssertionError(f"{algorithm}, {name}: {error}") from error


@pytest.mark.parametrize("algorithm", BY_DEFAULT)
def test_a_member_that_is_healthy_is_not_frozen(algorithm):
    state, columns = healthy(algorithm)
    assert columns["frozen"].tolist() == [0, 0, 0]
    assert all(np.isfinite(column).all() for column in columns.values())
    assert state.members.updates.tolist() == [state.members.updates[0]] * 3


class Faulty(base.Wrapper):
    """Makes one field of the observation NaN in the episodes whose goal is the first corner."""

    def __init__(self, env, field):
        super().__init__(env)
        self.field = field

    def reset(self, rng):
        state = self.env.reset(rng)
        return self.spoilt(state) if self.field == "desired_goal" else state

    def step(self, state, action):
        return self.spoilt(self.env.step(state, action))

    def spoilt(self, state):
        bad = jnp.all(state.obs["desired_goal"] == 0) | jnp.any(jnp.isnan(state.obs["desired_goal"]))
        broken = jnp.where(bad, jnp.nan, state.obs[self.field])
        return state.replace(obs=state.obs | {self.field: broken})


@pytest.mark.parametrize("field", ["observation", "achieved_goal", "desired_goal"])
@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param(name, marks=[] if name == "reinforce" else [pytest.mark.seldom])
        for name in ("reinforce", "hpg", "hpg_baseline", "hdm", "gcsl")
    ],
)
def test_what_an_environment_breaks_is_found_where_it_was_stored(algorithm, field):
    if algorithm == "reinforce" and field != "observation":
        pytest.skip("one field is enough for the default suite; the other algorithms try all")
    run = made(algorithm, lambda env: Faulty(env, field))
    population, keys = training.make_population(run), training.member_keys(0, 6)
    state = population.advance(population.init(keys), 1)
    state, columns = population.record(state, population.evaluate(state, keys))
    held = getattr(state.members.replay.trajectories, field)
    broken = ~np.isfinite(held).all(axis=tuple(range(1, held.ndim)))
    assert 0 < broken.sum() < 6, "choose other seeds"
    np.testing.assert_array_equal(np.asarray(columns["frozen"], bool), broken)
    for member in np.flatnonzero(broken):
        fault = run.diagnose(training.local_member(state.members, int(member)))
        assert fault.tensor == f"replay.trajectories.{field}"
