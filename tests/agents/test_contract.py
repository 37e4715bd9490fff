"""What every agent keeps: members, one trace, donated states, compiled and not, and refusals at its three doors.

The Q-learning agent has these in a file of its own.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import agents, types

FLAT, ARM, HORIZON = types.Discrete(1, 5), types.Box(2), 4
VALUES = {
    "imitation": agents.ImitationValues,
    "actor_critic": agents.ActorCriticValues,
    "policy_gradient": agents.PolicyGradientValues,
}
MEMBERS = {  # numbers in which two members differ
    "imitation": {"learning_rate": (0.01, 0.002)},
    "actor_critic": {
        "learning_rate": (0.01, 0.002),
        "gamma": (0.5, 0.9),
        "target_rate": (0.1, 1.0),
        "target_period": (1.0, 2.0),
        "action_l2": (0.0, 2.0),
    },
    "policy_gradient": {"learning_rate": (0.01, 0.002)},
}


def made(name, **options):
    if name == "imitation":
        return agents.imitation(reference.spec(ARM), hidden_sizes=(), **options)
    if name == "actor_critic":
        return agents.actor_critic(reference.spec(ARM), hidden_sizes=(), **options)
    success = lambda achieved, goal: jnp.all(achieved == goal)
    spec = reference.spec(FLAT, HORIZON)
    return agents.policy_gradient(spec, success=success, hidden_sizes=(), num_goals=2, baseline=True, **options)


@functools.cache
def row(name):
    """(agent, its jitted init, its jitted update that takes the state's memory)."""
    agent = made(name)
    return agent, jax.jit(agent.init), jax.jit(agent.update, donate_argnums=0)


def make_batch(name, seed=0):
    if name == "policy_gradient":
        return reference.trajectories(FLAT, (4, 2, 4), HORIZON, seed)
    return reference.transitions(ARM, seed)


every_agent = pytest.mark.parametrize("name", VALUES)


@every_agent
def test_members_equal_a_loop_and_trace_once(name):
    """Members have numbers, keys and batches of their own; what comes out has the types of what went in."""
    agent, init, update = row(name)
    keys, traces = jax.random.split(jax.random.key(4), 2), []

    @jax.jit
    def update_together(states, batches, keys):
        traces.append(None)
        return jax.vmap(agent.update)(states, batches, keys)

    own = [{number: jnp.float32(pair[i]) for number, pair in MEMBERS[name].items()} for i in range(2)]
    members = [init(key, values) for key, values in zip(keys, own, strict=True)]
    together = jax.tree.map(lambda *x: jnp.stack(x), *members)
    for step in range(2):
        batches = [make_batch(name, seed=10 * step + i) for i in range(2)]
        stacked = jax.tree.map(lambda *x: np.stack(x), *batches)
        update_keys = jax.random.split(jax.random.key(step), 2)
        together, metrics = update_together(together, stacked, update_keys)
        alone = [update(*arguments) for arguments in zip(members, batches, update_keys, strict=True)]
        members = [state for state, _ in alone]
        for i in range(2):
            reference.close(jax.tree.map(lambda x, i=i: x[i], (together, metrics)), alone[i], rtol=2e-5, atol=2e-6)
    assert len(traces) == 1
    biases = [jax.tree.leaves(state.params)[0] for state in members]
    assert not np.allclose(*biases)


@pytest.mark.seldom
@every_agent
def test_compiled_or_not(name):
    agent, init, update = row(name)
    expected = agent.update(init(jax.random.key(0)), make_batch(name), jax.random.key(1))
    reference.close(update(init(jax.random.key(0)), make_batch(name), jax.random.key(1)), expected, rtol=2e-5)


@every_agent
def test_a_state_begins_with_its_key_and_its_values(name):
    init = row(name)[1]
    one, same, other = (init(jax.random.key(seed)) for seed in (0, 0, 1))
    reference.same_bits(one, same)
    assert not np.allclose(*(jax.tree.leaves(state.params)[0] for state in (one, other)))
    assert reference.numbers_of(one) == pytest.approx(VALUES[name]()._asdict())
    assert int(one.updates) == 0
    assert made(name).batch == ("trajectories" if name == "policy_gradient" else "transitions")


@every_agent
@pytest.mark.parametrize("values", [{"learning_rat": 0.9}, {"agent.gamma": 0.9}, {"learning_rate": [0.9, 0.8]}])
def test_unknown_or_wrong_values_are_refused(name, values):
    with pytest.raises(ValueError, match="values"):
        row(name)[0].init(jax.random.key(0), values)


OUT_OF_RANGE = {
    "learning_rate": (-1e-3, math.inf),
    "epsilon": (1.5, -0.1),
    "noise": (-0.1, math.inf),
    "gamma": (1.01, -0.1),
    "target_rate": (-0.1, 2.0),
    "target_period": (0.0, 0.5),
    "action_l2": (-1.0, math.inf),
}


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, kind in VALUES.items() for n in kind._fields])
def test_known_values_out_of_range_are_refused(name, number):
    """By `init`, as defaults or as a member's own, and by `check`, in one of many members."""
    agent = row(name)[0]
    for value in (*OUT_OF_RANGE[number], math.nan):
        with pytest.raises(ValueError, match=number):
            agent.init(jax.random.key(0), {number: value})
        with pytest.raises(ValueError, match=number):
            made(name, values=VALUES[name](**{number: value})).init(jax.random.key(0))
        with pytest.raises(ValueError, match=number):
            agent.check({number: np.array([1.0, value])})


@every_agent
@pytest.mark.parametrize(("observation", "goal"), [((4, 3), (4, 2)), ((2,), (3,)), ((3,), (1, 2)), ((3,), ())])
def test_act_refuses_batches_and_wrong_shapes(name, observation, goal):
    agent, init, _ = row(name)
    with pytest.raises(ValueError, match=r"(observation|goal): got .*vmap"):
        agent.act(init(jax.random.key(0)), jnp.zeros(observation), jnp.zeros(goal), jax.random.key(0), True)


BROKEN_BATCHES = {
    "one alone": lambda b: jax.tree.map(lambda x: x[0], b),
    "empty": lambda b: jax.tree.map(lambda x: x[:0], b),
    "two axes": lambda b: jax.tree.map(lambda x: x[None], b),
    "flat action": lambda b: b._replace(action=b.action[..., 0]),
    "short observations": lambda b: b._replace(observation=b.observation[..., :2]),
    "other size": lambda b: b._replace(action=b.action[:2]),
}
BROKEN_TRAJECTORIES = {
    "other horizon": lambda b: b._replace(
        observation=b.observation[:, :-1], achieved_goal=b.achieved_goal[:, :-1], action=b.action[:, :-1]
    ),
    "no last state": lambda b: b._replace(observation=b.observation[:, :-1]),
    "one goal for all": lambda b: b._replace(desired_goal=b.desired_goal[0]),
    "length of floats": lambda b: b._replace(length=b.length.astype(np.float32)),
}


@every_agent
@pytest.mark.parametrize("fault", BROKEN_BATCHES)
def test_update_refuses_a_batch(name, fault):
    agent, init, _ = row(name)
    with pytest.raises(ValueError, match=r"batch.*: got"):
        agent.update(init(jax.random.key(0)), BROKEN_BATCHES[fault](make_batch(name)), jax.random.key(0))


@pytest.mark.parametrize("fault", BROKEN_TRAJECTORIES)
def test_update_refuses_trajectories(fault):
    agent, init, _ = row("policy_gradient")
    batch = BROKEN_TRAJECTORIES[fault](make_batch("policy_gradient"))
    with pytest.raises(ValueError, match=r"batch\.\w+: got .*(rollout|int32)"):
        agent.update(init(jax.random.key(0)), batch, jax.random.key(0))
