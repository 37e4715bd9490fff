"""Implicit V-learning: updates against float64 NumPy, gates and expectiles by arithmetic, values of a small chain."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import agents, types
from hindsight_jax.agents.bounds import reached_value

FLAT, ARM = types.Discrete(1, 5), types.Box(2)
HPARAMS = {"learning_rate": 0.01, "gamma": 0.5, "target_rate": 0.3, "target_period": 2.0, "expectile": 0.8}
ROWS = {
    "hdm_v": {"weighting": "progress", "hindsight_bound": True},
    "gcivl": {"weighting": "advantage", "num_values": 2, "bounded": False},
    "plain": {"weighting": "none"},
}


def made(action=ARM, hidden_sizes=(8, 6), **options):
    std = {"std": 0.5} if isinstance(action, types.Box) else {}
    return agents.implicit_value(reference.spec(action), hidden_sizes=hidden_sizes, **std, **options)


@functools.cache
def row(name, action=ARM):
    """(agent, its jitted update)."""
    agent = made(action, **ROWS[name])
    return agent, jax.jit(agent.update)


def layers_of(params):
    """(layers of the policy, those of each value network)."""
    count = len(jax.tree.leaves(params.value)[0])
    return reference.layers_of(params.policy), values_of(params.value, count)


def values_of(value, count):
    return [reference.layers_of(jax.tree.map(lambda x, n=n: x[n], value)) for n in range(count)]


# The reference, in float64


def gate_of(options, v, v_next, batch):
    if options["weighting"] == "none":
        return np.ones_like(v)
    if options["weighting"] == "advantage":  # U(s') - U(s) of U(s) = -1 + gamma V(s), 0 at the goal
        ends = batch.is_next | (batch.reward == 0)
        at_s, at_next = -1.0 + 0.5 * v, np.where(ends, 0.0, -1.0 + 0.5 * v_next)
        return np.minimum(np.exp(10.0 * (at_next - at_s)), 100.0)
    arrives = reference.arrives(batch)
    before, after = reference.steps_of(v, 0.5), reference.steps_of(np.where(arrives, 0.0, v_next), 0.5)
    both = np.isinf(before) & np.isinf(after)
    return (np.where(both, 0, before) - np.where(both, 0, after) + arrives > 0.5).astype(float)


def expected_update(name, action_set, layers, targets, batch):
    """(metrics, gradients of policy and of each value network)."""
    options, size = ROWS[name], len(batch.reward)
    policy, values = layers
    at = lambda layers, x: reference.forward(layers, x, batch.goal)[1][:, 0]
    v_targets = np.array([at(target, batch.next_observation) for target in targets])
    if options.get("hindsight_bound"):
        bound = [float(reached_value(jnp.int32(offset), jnp.float32(0.5))) for offset in batch.offset]
        v_targets = np.maximum(v_targets, bound)
    ys = batch.reward + 0.5 * batch.discount * v_targets  # [N, B]: each network its own
    if options.get("bounded", True):
        ys = np.minimum(ys, 0.0)
    positive = ys.min(axis=0) >= np.mean([at(target, batch.observation) for target in targets], axis=0)
    tau = np.where(positive, 0.8, 1 - 0.8)
    loss, gradients = 0.0, []
    for layer, y in zip(values, ys, strict=True):
        inputs, v = reference.forward(layer, batch.observation, batch.goal)
        loss = loss + tau * (y - v[:, 0]) ** 2
        gradients.append(reference.backward(layer, inputs, (2 * tau * (v[:, 0] - y))[:, None] / size)[0])
    v = np.mean([at(layer, batch.observation) for layer in values], axis=0)
    v_next = np.mean([at(layer, batch.next_observation) for layer in values], axis=0)
    weight = gate_of(options, v, v_next, batch)
    inputs, outputs = reference.forward(policy, batch.observation, batch.goal)
    log_prob, slope, _ = reference.readings(action_set, outputs, math.log(0.5), batch.action)
    policy_gradients, _ = reference.backward(policy, inputs, -(weight[:, None] * slope) / size)
    means = {
        "value_loss": loss,
        "value_mean": v,
        "target_mean": v_targets.min(axis=0),
        "reward_mean": batch.reward,
        "imitation_loss": -log_prob,
        "imitated_fraction": weight,
        "loss": loss - weight * log_prob,
    }
    return {metric: np.mean(value) for metric, value in means.items()}, policy_gradients, gradients


@pytest.mark.parametrize(("name", "action"), [("hdm_v", ARM), ("gcivl", ARM), ("hdm_v", FLAT), ("plain", FLAT)])
def test_updates_equal_numpy(name, action):
    """Loss, metrics, three steps of Adam and of the target networks."""
    agent, update = row(name, action)
    count = ROWS[name].get("num_values", 1)
    state, other = agent.init(jax.random.key(0), HPARAMS), agent.init(jax.random.key(100))
    larger = lambda params: jax.tree.map(lambda p: 2.5 * p, params)
    state = state._replace(params=larger(state.params), target_value=larger(other.params.value))
    (policy, values), targets = layers_of(state.params), values_of(state.target_value, count)
    adams = [reference.Adam(layers, 0.01) for layers in (policy, *values)]
    for step in (1, 2, 3):
        batch = reference.transitions(action, seed=step, size=32)
        expected, policy_gradients, gradients = expected_update(name, action, (policy, values), targets, batch)
        state, metrics = update(state, batch, jax.random.key(step))
        reference.assert_metrics(metrics, expected)
        pairs = zip(adams, (policy_gradients, *gradients), strict=True)
        policy, *values = [adam.step(gradient) for adam, gradient in pairs]
        if step % 2 == 0:
            targets = [reference.mixed(t, v, 0.3) for t, v in zip(targets, values, strict=True)]
        reference.assert_layers(state.params.policy, policy, rtol=0, atol=3e-4)
        for n in range(count):
            of_n = lambda tree, n=n: jax.tree.map(lambda x: x[n], tree)
            reference.assert_layers(of_n(state.params.value), values[n], rtol=0, atol=3e-4)
            reference.assert_layers(of_n(state.target_value), targets[n], rtol=0, atol=3e-4)


def test_the_batch_exercises_every_branch():
    """Some rows are imitated and some are not, some targets are cut at 0, some values raised by what was reached."""
    agent, update = row("hdm_v")
    state = agent.init(jax.random.key(0), HPARAMS)
    larger = lambda params: jax.tree.map(lambda p: 2.5 * p, params)
    state = state._replace(params=larger(state.params), target_value=larger(state.target_value))
    batch = reference.transitions(ARM, seed=1, size=32)
    _, metrics = update(state, batch, jax.random.key(0))
    assert 0.0 < float(metrics["imitated_fraction"]) < 1.0
    (_, values), targets = layers_of(state.params), values_of(state.target_value, 1)
    v = reference.forward(targets[0], batch.next_observation, batch.goal)[1][:, 0]
    bound = np.array([float(reached_value(jnp.int32(offset), jnp.float32(0.5))) for offset in batch.offset])
    assert (bound > v).any()
    assert (bound < v).any()
    assert (batch.reward + 0.5 * batch.discount * np.maximum(v, bound) > 0).any()
    assert len(values) == 1


def test_rows_that_are_not_imitated_do_not_move_the_policy():
    """With a gate that nothing passes the policy stands still, while the values learn."""
    agent, update = row("hdm_v")
    state = agent.init(jax.random.key(0), HPARAMS | {"progress": 1e6})
    after, metrics = update(state, reference.transitions(ARM, seed=1), jax.random.key(0))
    assert float(metrics["imitated_fraction"]) == 0.0
    reference.same_bits(after.params.policy, state.params.policy)
    assert not np.array_equal(*(jax.tree.leaves(tree.params.value)[0] for tree in (after, state)))


def chain(size, count=600, seed=0):
    """A walk on a line of `size` cells, one-hot, with steps of -1, 0, 1 (actions 0, 1, 2): every (s, a, g)."""
    generator = np.random.default_rng(seed)
    s, g, a = (generator.integers(0, n, count) for n in (size, size, 3))
    after = np.clip(s + a - 1, 0, size - 1)
    one_hot = np.eye(size, dtype=np.float32)
    is_next = after == g
    offset = np.where(is_next, 1, 0).astype(np.int32)
    return types.Transition(
        observation=one_hot[s],
        action=a[:, None].astype(np.int32),
        next_observation=one_hot[after],
        goal=one_hot[g],
        achieved_goal=one_hot[s],
        next_achieved_goal=one_hot[after],
        reward=np.where(is_next, 0.0, -1.0).astype(np.float32),
        discount=np.where(is_next, 0.0, 1.0).astype(np.float32),
        is_next=is_next,
        relabelled=offset > 0,
        offset=offset,
        start_reward=np.where(s == g, 0.0, -1.0).astype(np.float32),
    )


@pytest.mark.seldom
def test_the_policy_walks_along_a_line():
    """From every cell to every goal, the last step included."""
    size, box = 6, types.Range((0.0,) * 6, (1.0,) * 6)
    spec = types.EnvSpec((size,), (size,), types.Discrete(1, 3), 20, 0.05, False, box, box)
    agent = agents.implicit_value(spec, hidden_sizes=(64,), weighting="progress")
    state = agent.init(jax.random.key(0), {"expectile": 0.98, "gamma": 0.9, "target_rate": 0.05, "learning_rate": 3e-3})
    batch = chain(size)
    step = lambda state, key: (agent.update(state, batch, key)[0], None)
    state, _ = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys))(
        state, jax.random.split(jax.random.key(1), 3000)
    )
    one_hot = jnp.eye(size)
    for s in range(size):
        for g in range(size):
            action = int(agent.act(state, one_hot[s], one_hot[g], jax.random.key(1), False)[0])
            if s != g:
                assert np.sign(action - 1) == np.sign(g - s), (s, g)


def test_exploring_adds_noise_and_uniform_actions():
    agent, _ = row("plain")
    noisy = reference.actions_of(agent, agent.init(jax.random.key(0), {"noise": 0.1, "epsilon": 0.0}))
    np.testing.assert_allclose(noisy.std(axis=0), 0.1, rtol=0.2)
    state = agent.init(jax.random.key(0), {"noise": 0.0, "epsilon": 0.0})
    greedy = agent.act(state, jnp.zeros(3), jnp.ones(2), jax.random.key(0), False)
    still = agent.act(state, jnp.zeros(3), jnp.ones(2), jax.random.key(0), True)
    np.testing.assert_array_equal(greedy, still)
    drawn = reference.actions_of(agent, agent.init(jax.random.key(0), {"noise": 0.0, "epsilon": 1.0}))
    assert np.abs(drawn.mean(axis=0)).max() < 0.1
    assert np.abs(drawn).max() <= 1.0
