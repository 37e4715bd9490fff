"""The policy-gradient agent: updates against float64 NumPy, exploration, groups, hits, goals, actions."""

import functools
import itertools
import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
import reference
import scipy.stats
from scipy.special import softmax
from small_policy_gradients import ARM, CLAW, FLAT, HORIZON, LENGTHS, NUM_GOALS, made, same

from hindsight_jax import agents, training, types
from hindsight_jax.agents import policies
from hindsight_jax.agents._trajectories import (
    visited_goals,
    without_padding,
)

ROWS = {  # action set, options of the agent
    "hpg": (FLAT, {}),
    "hpg_claw_baseline": (CLAW, {"baseline": True}),
    "hpg_box": (ARM, {}),
    "hpg_unique": (FLAT, {"goals": "unique", "baseline": True}),
    "reinforce": (FLAT, {"goals": "own", "baseline": True}),
}


@functools.cache
def row(name):
    """(agent, its jitted update)."""
    action, options = ROWS[name]
    agent = made(action, **options)
    return agent, jax.jit(agent.update)


def first_state(name, seed=0, **values):
    """A policy that differs from goal to goal."""
    state = row(name)[0].init(jax.random.key(seed), {"learning_rate": 0.01} | values)
    return state._replace(params=jax.tree.map(lambda p: 2.0 * p, state.params))


def make_batch(name, seed=0, lengths=LENGTHS):
    return reference.trajectories(ROWS[name][0], lengths, HORIZON, seed)


drawn_goals = jax.jit(lambda batch, key: visited_goals(without_padding(batch), key, NUM_GOALS))


# The reference, in float64


def steps_of(batch, goal):
    """(alive, hit) [N][T], by loops: an episode ends with its length, or its first success at a state after s_0."""
    alive, hit = np.zeros((2, len(batch.length), HORIZON), bool)
    for i, length in enumerate(batch.length):
        for t in range(length):
            alive[i, t] = True
            hit[i, t] = np.array_equal(batch.achieved_goal[i, t + 1], goal[i])
            if hit[i, t]:
                break
    return alive, hit


def weights_of(log_ratio, alive):
    """[N, T]: products of the ratios up to the end of each, over their sum."""
    rho = np.exp(np.cumsum(np.where(alive, log_ratio, 0.0), axis=1))
    return rho / rho.sum(axis=0)


def outputs_of(layers, batch, goal, num_steps):
    """(inputs of the layers, outputs) at s_0 .. of each trajectory."""
    observation = np.nan_to_num(batch.observation[:, :num_steps])
    return reference.forward(layers, observation, np.repeat(goal[:, None], num_steps, axis=1))


def backed(layers, inputs, slope):
    flat = lambda x: x.reshape(-1, x.shape[-1])
    return reference.backward(layers, [flat(x) for x in inputs], flat(slope))[0]


def goal_update(name, layers, log_std, value_layers, batch, goal):
    """(metrics, gradients of the policy's layers, of its log std, of the value's layers) for one goal a trajectory."""
    action_set, options = ROWS[name]
    action = np.where(batch.action == batch.action, batch.action, 0)
    action = np.maximum(action, 0) if action.dtype.kind == "i" else action
    alive, hit = steps_of(batch, goal)
    inputs, outputs = outputs_of(layers, batch, goal, HORIZON)
    log_prob, slope, entropy = reference.readings(action_set, outputs, log_std, action)
    own = reference.readings(action_set, outputs_of(layers, batch, batch.desired_goal, HORIZON)[1], log_std, action)[0]
    log_ratio = np.zeros_like(own) if options.get("goals") == "own" else log_prob - own
    worth = np.ones(HORIZON) if options.get("goals") == "own" else HORIZON - np.arange(HORIZON)
    reward = hit * worth
    weight = weights_of(log_ratio, alive)
    some = alive.any(axis=0)
    metrics = {
        "return_mean": reward.sum(axis=1).mean(),
        "hit_fraction": hit.any(axis=1).mean(),
        "entropy": entropy[alive].sum() / max(alive.sum(), 1),
        "effective_sample_share": (1 / (weight**2).sum(axis=0) / len(weight))[some].mean(),
    }
    value_gradients, value_loss = None, 0.0
    if value_layers:
        value_loss, shaping, value_gradients = value_update(value_layers, batch, goal, alive, reward, log_ratio)
        reward = reward - shaping
        metrics["value_loss"] = value_loss
    credit = np.where(alive, reward, 0.0) * weight
    to_come = np.cumsum(credit[:, ::-1], axis=1)[:, ::-1]  # sum over t >= u
    total = np.cumsum(np.where(alive, log_prob, 0.0), axis=1)
    metrics["loss"] = value_loss - (credit * total).sum()
    pull = np.where(alive, -to_come, 0.0)
    gradients = backed(layers, inputs, pull[..., None] * slope)
    squares = 0.0 if log_std is None else (np.square(slope) * math.exp(2 * log_std) - 1).sum(-1)
    return metrics, gradients, (pull * squares).sum(), value_gradients


def value_update(layers, batch, goal, alive, reward, log_ratio):
    """(loss, v_t - v_{t+1}, gradients)."""
    inputs, value = outputs_of(layers, batch, goal, HORIZON + 1)
    now, error, slope = value[:, :-1, 0], np.zeros(alive.shape), np.zeros(value.shape)
    after = np.zeros(alive.shape)
    after[:, :-1] = np.where(alive[:, 1:], now[:, 1:], 0.0)
    num_live = max(alive.any(axis=0).sum(), 1)
    for t in range(HORIZON):
        live = alive[:, t]
        ratio = np.exp(log_ratio[live, t])
        difference = now[live, t] - reward[live, t] - after[live, t]
        error[live, t] = ratio / ratio.sum() * difference**2 / num_live
        slope[live, t, 0] = ratio / ratio.sum() * 2 * difference / num_live
    return error.sum(), np.where(alive, now - after, 0.0), backed(layers, inputs, slope)


def goals_of(name, batch, key):
    """The goals of an update, [N, 2] each: those that are drawn, the own ones, or each visited one once."""
    kind = ROWS[name][1].get("goals")
    if kind == "own":
        return [batch.desired_goal]
    goals = np.asarray(drawn_goals(batch, key))
    if kind == "unique":
        goals = sorted({tuple(g) for i, n in enumerate(batch.length) for g in batch.achieved_goal[i, 1 : n + 1]})
    return [np.tile(goal, (len(LENGTHS), 1)) for goal in goals]


def mean_over(updates, share):
    """The means of the metrics that `goal_update` gives, and the sums of its gradients, each times `share`."""
    metrics = {name: np.mean([update[0][name] for update in updates]) for name in updates[0][0]}
    total = lambda trees: jax.tree.map(lambda *x: share * np.sum(x, axis=0), *trees)
    return metrics, *(total([update[i] for update in updates]) for i in (1, 2, 3))


@pytest.mark.parametrize("name", ROWS)
def test_updates_equal_numpy(name):
    """Loss, metrics and three steps of Adam, with trajectories of every length, of which the rest is poison."""
    action, options = ROWS[name]
    state = first_state(name)
    layers = reference.layers_of(state.params.policy)
    value = reference.layers_of(state.params.value) if options.get("baseline") else []
    deviation = [(np.zeros(()),)] if action == ARM else []
    adam, value_adam = reference.Adam(layers + deviation, 0.01), reference.Adam(value, 0.01)
    for count in (1, 2, 3):
        batch, key = make_batch(name, seed=count), jax.random.key(count)
        goals = goals_of(name, batch, key)
        share = 1 / len(LENGTHS if options.get("goals") == "unique" else goals)
        log_std = float(deviation[0][0]) if deviation else None
        updates = [goal_update(name, layers, log_std, value, batch, goal) for goal in goals]
        expected, gradients, slope, value_gradients = mean_over(updates, share)
        state, metrics = row(name)[1](state, batch, key)
        reference.assert_metrics(metrics, expected)
        moved = adam.step(gradients + [(slope,)] * len(deviation))
        layers, deviation = moved[: len(layers)], moved[len(layers) :]
        reference.assert_layers(state.params.policy, layers, rtol=0, atol=3e-4)
        if deviation:
            got = state.params.policy["params"]["log_std"]
            np.testing.assert_allclose(got, deviation[0][0], atol=3e-4)
        if value:
            value = value_adam.step(value_gradients)
            reference.assert_layers(state.params.value, value, rtol=0, atol=3e-4)
        assert int(state.updates) == count


def test_the_batches_exercise_every_branch():
    """Hits by the first and the last action, ends by length and by a hit, with several goals, and without a step."""
    goals = [np.tile(goal, (len(LENGTHS), 1)) for goal in itertools.product(range(3), repeat=2)]
    tables = [steps_of(make_batch("hpg", seed=seed), goal) for seed in (1, 2, 3) for goal in goals]
    alive, hit = (np.array(x) for x in zip(*tables, strict=True))
    assert hit.sum(axis=(0, 1)).min() >= 1
    by_length = alive[:, :, -1] & ~hit[:, :, -1]
    assert by_length.any()
    assert (hit.any(axis=2).sum(axis=1) > 1).any()
    assert (alive.sum(axis=2)[:, 3] == 0).all()


# Exploration


def test_exploration_is_the_mixture_that_the_weights_suppose():
    """30,000 draws: each action's share within 4 sigma of (1 - e) pi + e / 5."""
    agent = made()
    state = agent.init(jax.random.key(1), {"epsilon": 0.4})
    head = policies.head_of_one(
        policies.policy(agent_spec := reference.spec(FLAT, HORIZON), (8, 6)),
        state.params.policy,
        *inputs_of(agent_spec),
    )
    expected = 0.6 * np.asarray(jax.nn.softmax(head[0])) + 0.4 / 5
    act = jax.jit(jax.vmap(lambda key: agent.act(state, *inputs_of(agent_spec), key, True)))
    counts = np.bincount(np.asarray(act(jax.random.split(jax.random.key(2), 30_000)))[:, 0], minlength=5)
    assert np.all(np.abs(counts / 30_000 - expected) < 4 * np.sqrt(expected * (1 - expected) / 30_000))


def inputs_of(spec):
    return jnp.full(spec.observation_shape, 0.3), jnp.full(spec.goal_shape, -0.2)


# Groups


def test_groups_average_what_each_would_have_learnt_alone():
    """Two groups of three: the first Adam moment, 0.1 times the gradient, is the mean of the groups' own."""
    agent, alone = made(group_size=3), row("hpg")
    state, batch = first_state("hpg"), make_batch("hpg")
    key = jax.random.key(3)
    after, metrics = jax.jit(agent.update)(state, batch, key)
    keys = jax.random.split(key, 2)
    halves = [jax.tree.map(lambda x, i=i: x[3 * i : 3 * i + 3], batch) for i in range(2)]
    own = [jax.jit(alone[0].update)(state, half, k) for half, k in zip(halves, keys, strict=True)]
    mean = jax.tree.map(lambda a, b: (a + b) / 2, own[0][0].adam.mu, own[1][0].adam.mu)
    reference.close(after.adam.mu.policy, mean.policy, atol=1e-5)
    for name, value in metrics.items():
        np.testing.assert_allclose(value, (own[0][1][name] + own[1][1][name]) / 2, rtol=1e-5, err_msg=name)
    assert abs(float(own[0][1]["loss"]) - float(own[1][1]["loss"])) > 1e-3  # the halves do differ


def test_one_group_is_the_whole_batch():
    agent, state, batch = made(group_size=len(LENGTHS)), first_state("hpg"), make_batch("hpg")
    one, _ = jax.jit(agent.update)(state, batch, jax.random.key(0))
    whole, _ = row("hpg")[1](state, batch, jax.random.key(0))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), one, whole)))


def test_groups_change_nothing_for_own_goals():
    """All weights are 1/N there, so that a mean of means is the mean."""
    agent = made(goals="own", baseline=False, group_size=2)
    state, batch = agent.init(jax.random.key(0)), make_batch("reinforce")
    grouped, _ = jax.jit(agent.update)(state, batch, jax.random.key(0))
    whole, _ = jax.jit(made(goals="own", baseline=False).update)(state, batch, jax.random.key(0))
    reference.close(grouped.adam.mu.policy, whole.adam.mu.policy, atol=1e-6)


def test_a_batch_that_makes_no_whole_groups_is_refused():
    agent = made(group_size=4)
    with pytest.raises(ValueError, match=r"batch: got 6 trajectories, but .* multiple of group_size, 4"):
        agent.update(agent.init(jax.random.key(0)), make_batch("hpg"), jax.random.key(0))


# Hits, goals, weights


@pytest.mark.parametrize(("goals", "worth"), [("visited", [4.0, 3.0, 2.0, 1.0]), ("own", [1.0] * 4)])
@pytest.mark.parametrize("step", range(4))
def test_the_reward_is_the_number_of_steps_left(goals, worth, step):
    """The goal is reached by that action of each trajectory, and kept: the last is still worth 1."""
    name, count = "hpg" if goals == "visited" else "reinforce", len(LENGTHS)
    batch = jax.tree.map(lambda x: np.repeat(x[:1], count, axis=0), make_batch(name))
    achieved = np.full((count, HORIZON + 1, 2), 5.0, np.float32)
    achieved[:, : step + 1] = np.nan  # equal to nothing, itself included
    batch = batch._replace(achieved_goal=achieved, desired_goal=np.full((count, 2), 5.0, np.float32))
    keys = map(jax.random.key, itertools.count())
    key = next(k for k in keys if not np.isnan(drawn_goals(batch, k)).any())
    _, metrics = row(name)[1](first_state(name), batch, key)
    assert float(metrics["return_mean"]) == worth[step]
    assert float(metrics["hit_fraction"]) == 1.0
    assert float(metrics["effective_sample_share"]) == pytest.approx(1.0)


def small_batch():
    """Two trajectories of two steps: phi is 1, then 2; and 1, then 1 again. The first takes action 0 twice."""
    achieved = np.array([[[9.0, 0.0], [1.0, 0.0], [2.0, 0.0]], [[9.0, 0.0], [1.0, 0.0], [1.0, 0.0]]], np.float32)
    batch = reference.trajectories(types.Discrete(1, 2), (2, 2), 2)
    return batch._replace(achieved_goal=achieved, action=np.array([[[0], [0]], [[1], [1]]], np.int32))


@pytest.mark.parametrize("compiled", [True, pytest.param(False, marks=pytest.mark.seldom)])
def test_each_visited_goal_counts_once_by_hand(compiled):
    """A policy that does not see its goal: all weights are 1/2. Rewards are 2 by the first action and 1 by the second.

    Goal 1 (visited three times) is worth 2/2 to the first action of both; goal 2 is worth 1/2 to both actions of the
    first trajectory. Summed over the goals, and a mean over the trajectories (1/2): 3/4, 1/4 of the first, 1/2, 0 of
    the second. The slope of log pi(a) in the bias of action 0 is 1/2 for a = 0, else -1/2: that of the loss is
    -(3/4 + 1/4 - 1/2) / 2 = -1/4, of which Adam's first moment is a tenth. By visits, goal 1 would count three times.
    """
    agent = made(types.Discrete(1, 2), (), horizon=2, goals="unique")
    state = agent.init(jax.random.key(0))
    policy = reference.without_hidden_layers(state.params.policy, np.zeros((5, 2)), np.zeros(2))
    state = state._replace(params=state.params._replace(policy=policy))
    update = jax.jit(agent.update) if compiled else agent.update
    after, metrics = update(state, small_batch(), jax.random.key(0))
    moment = after.adam.mu.policy["params"]["MLP_0"]["Dense_0"]["bias"]
    np.testing.assert_allclose(moment, [-0.025, 0.025], rtol=1e-5)
    # goal 1: 2 and 2, both hit; goal 2: 1 and 0, half of them. Means over trajectories, then goals
    assert float(metrics["return_mean"]) == pytest.approx((2 + 0.5) / 2)
    assert float(metrics["hit_fraction"]) == pytest.approx((1 + 0.5) / 2)


def test_chunks_of_goals_change_nothing(monkeypatch):
    """One goal at a time, all at once; 15 visits hold fewer goals, so that some chunks are never computed."""
    state, batch = first_state("hpg_unique"), make_batch("hpg_unique", seed=1)
    results = []
    for rows in (1, 2**20):
        monkeypatch.setattr(sys.modules[agents.policy_gradient.__module__], "ROWS", rows)
        results.append(jax.jit(made(**ROWS["hpg_unique"][1]).update)(state, batch, jax.random.key(0)))
    reference.close(results[0][0].adam.mu, results[1][0].adam.mu)
    reference.close(results[0][1], results[1][1])


def test_a_batch_without_a_single_step_changes_nothing():
    """Not by NaN either: all gradients are 0."""
    for name in ("hpg_claw_baseline", "reinforce", "hpg_unique"):
        state = first_state(name)
        after, metrics = row(name)[1](state, make_batch(name, lengths=[0] * len(LENGTHS)), jax.random.key(0))
        reference.same_bits(after.params, state.params)
        assert set(map(float, metrics.values())) == {0.0}


@pytest.mark.parametrize("name", ["hpg_claw_baseline", "hpg_box", "hpg_unique"])
def test_what_was_never_done_has_no_effect(name):
    """NaN and other poison, or anything else."""
    batch, other = make_batch(name, seed=3), make_batch(name, seed=4, lengths=[HORIZON] * len(LENGTHS))
    beyond = np.arange(HORIZON + 1)[None] > batch.length[:, None]
    fill = lambda x, y, where: np.where(where.reshape(*where.shape, *(1,) * (x.ndim - 2)), y, x)
    filled = batch._replace(
        observation=fill(batch.observation, other.observation, beyond),
        achieved_goal=fill(batch.achieved_goal, other.achieved_goal, beyond),
        action=fill(batch.action, other.action, beyond[:, 1:]),
    )
    results = [row(name)[1](first_state(name), b, jax.random.key(0)) for b in (batch, filled)]
    reference.same_bits(*results)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(results))


@pytest.mark.parametrize("name", ["hpg", "reinforce"])
def test_the_order_of_trajectories_does_not_matter(name):
    """The same goals in the same slots, so that the same ones are drawn."""
    batch = make_batch(name, lengths=[HORIZON] * len(LENGTHS))
    batch = batch._replace(achieved_goal=np.tile(batch.achieved_goal[:1], (len(LENGTHS), 1, 1)))
    turned = jax.tree.map(lambda x: x[[3, 1, 0, 5, 4, 2]], batch)
    once, metrics = row(name)[1](first_state(name), batch, jax.random.key(0))
    again, metrics_again = row(name)[1](first_state(name), turned, jax.random.key(0))
    reference.close(once.adam.mu, again.adam.mu)
    reference.close(metrics, metrics_again)


# Acting


def with_bias(agent, bias, num_outputs):
    state = agent.init(jax.random.key(0))
    policy = reference.without_hidden_layers(state.params.policy, np.zeros((5, num_outputs)), bias)
    return state._replace(params=state.params._replace(policy=policy))


def test_exploring_samples_the_policy_and_acting_takes_its_mode():
    agent, logits = made(CLAW, ()), np.array([[0.0, 1.0], [2.0, 0.0], [0.5, 0.0]])
    state = with_bias(agent, logits.ravel(), 6)
    drawn = reference.actions_of(agent, state)
    assert drawn.dtype == np.int32
    counts = np.bincount(np.ravel_multi_index(tuple(drawn.T), (2, 2, 2)), minlength=8)
    first, second, third = softmax(logits, axis=-1)
    expected = np.einsum("i,j,k->ijk", first, second, third).ravel()
    assert scipy.stats.chisquare(counts, len(drawn) * expected).pvalue > 1e-3
    assert reference.actions_of(agent, state, 2, explore=False).tolist() == [[1, 0, 0]] * 2


def test_a_box_is_sampled_and_clipped():
    """Means 0.5 and 1.5, deviation 1."""
    agent = made(ARM, ())
    state = with_bias(agent, [0.5, 1.5], 2)
    drawn = reference.actions_of(agent, state)
    reference.assert_clipped_gaussian(drawn, (0.5, 1.5), 1.0)
    np.testing.assert_array_equal(reference.actions_of(agent, state, 1, explore=False), [[0.5, 1.0]])


# Learning


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"num_goals": 8}, id="hpg"),
        pytest.param({"goals": "own", "baseline": True}, id="reinforce", marks=pytest.mark.seldom),
    ],
)
def test_it_learns_to_reach_goals(options):
    """On a chain of 5 cells, in 4 steps; a random walk reaches about half."""
    env = probes.Chain(horizon=4, ends_at_success=True)
    agent = agents.policy_gradient(env.spec, success=env.success, hidden_sizes=(32,), **options)

    def epoch(state, key):
        key_collect, key_update = jax.random.split(key)
        act = lambda *inputs: agent.act(state, *inputs, True)
        episodes = training.rollout(env, act, key_collect, 32)
        return agent.update(state, episodes.trajectories, key_update)[0], jnp.mean(episodes.success_any)

    state = agent.init(jax.random.key(0), {"learning_rate": 0.01})
    _, success = jax.jit(lambda state, keys: jax.lax.scan(epoch, state, keys))(
        state, jax.random.split(jax.random.key(1), 150)
    )
    assert float(jnp.mean(success[:5])) < 0.7
    assert float(jnp.mean(success[-10:])) > 0.9


# Options


@pytest.mark.seldom
def test_options_reach_both_networks():
    spec = reference.spec(FLAT, HORIZON)._replace(observation_range=types.Range((-2.0,) * 3, (2.0,) * 3))
    make = lambda **options: agents.policy_gradient(spec, success=same, baseline=True, goals="own", **options)
    params = jax.eval_shape(make(layer_norm=True).init, jax.random.key(0)).params
    assert all("LayerNorm_1" in network["params"]["MLP_0"] for network in params)
    batch, metrics = make_batch("hpg"), []
    for scale in (False, True):
        agent = make(hidden_sizes=(), scale_inputs=scale)
        state = agent.init(jax.random.key(0))
        metrics.append(jax.jit(agent.update)(state, batch, jax.random.key(0))[1])
    assert all(float(metrics[0][name]) != float(metrics[1][name]) for name in ("value_loss", "entropy"))


def test_first_weights_and_activation_reach_both_networks():
    """Deviations 0.01 and 0.001, cut at two of them, and biases 0; tanh of one hidden unit, by hand."""
    make = lambda **options: made(baseline=True, hidden_sizes=(300,), first_weights="small", **options)
    state = jax.jit(make().init)(jax.random.key(0))
    for network, std in ((state.params.policy, 0.01), (state.params.value, 0.001)):
        kernel, bias = reference.layers_of(network)[0]
        assert 1.9 * std < np.abs(kernel).max() <= 2 * std
        assert not bias.any()
    agent = made(hidden_sizes=(1,), activation="tanh")
    state = agent.init(jax.random.key(0))
    state = state._replace(params=jax.tree.map(lambda p: -10 * p, state.params))  # a negative hidden unit
    (first, bias), (last, offset) = reference.layers_of(state.params.policy)
    hidden = np.tanh(np.full(5, 0.5) @ first + bias)
    action = agent.act(state, jnp.full(3, 0.5), jnp.full(2, 0.5), jax.random.key(0), False)
    assert int(action[0]) == np.argmax(hidden @ last + offset) != np.argmax(offset)


def test_networks_start_from_keys_of_their_own():
    params = first_state("hpg_claw_baseline").params
    policy, value = (reference.layers_of(network)[1][0] for network in params)
    assert not np.any(policy == value)
    assert first_state("hpg").params.value is None


def test_options_are_refused_with_their_range():
    with pytest.raises(ValueError, match=r"^num_goals: got 0, but .* an integer in \[1, .* It is: visited goals"):
        made(num_goals=0)
    with pytest.raises(ValueError, match=r"^group_size: got 2\.5, but it must be an integer in \[0, "):
        made(group_size=2.5)
