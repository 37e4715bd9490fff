"""The actor-critic agent: updates against float64 NumPy, bounds of targets, the normaliser, noise, target networks."""

import functools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import agents, types
from hindsight_jax.agents._normaliser import Moments, merged

ARM = types.Box(2)
ROWS = {  # options of the agent
    "normalised": {},
    "clipped": {"normalise_inputs": False, "clip_targets": True},
    "progress": {"normalise_inputs": False, "gate": "progress", "scale_q": True},
    "wgcsl": {"normalise_inputs": False, "gate": "wgcsl"},
}
HPARAMS = {
    "learning_rate": 0.01,
    "gamma": 0.5,
    "target_rate": 0.3,
    "target_period": 2.0,
    "action_l2": 0.7,
    "q_weight": 0.6,
    "beta": 1.3,
    "percentile_rate": 20.0,
}


def made(hidden_sizes=(8, 6), **options):
    return agents.actor_critic(reference.spec(ARM), hidden_sizes=hidden_sizes, **options)


@functools.cache
def row(name):
    """(agent, its jitted update)."""
    agent = made(**ROWS[name])
    return agent, jax.jit(agent.update)


def first_state(name, seed=0, **values):
    """A state whose Q is some units large, so that bounds cut through the batch, and target networks of their own."""
    state = row(name)[0].init(jax.random.key(seed), HPARAMS | values)
    other = row(name)[0].init(jax.random.key(seed + 100))
    larger = lambda params: jax.tree.map(lambda p: 2.5 * p, params)
    return state._replace(params=larger(state.params), target_params=larger(other.params))


def make_batch(seed=0, extreme=False):
    """Rewards on both sides of [-2, 0]; or also an outlier, a coordinate that never changes, and one far from 0."""
    batch = reference.transitions(ARM, seed, (0.9, -1.5), size=32)
    if not extreme:
        return batch
    observation = batch.observation.copy()
    observation[0, 0] = 60.0
    observation[:, 1] = 3.0
    observation[:, 2] += 100.0
    return batch._replace(observation=observation)


# The reference, in float64


def statistics_of(batches):
    """(mean, std) of all observations, and of all goals, at once."""
    for name in ("observation", "goal"):
        seen = np.concatenate([getattr(batch, name) for batch in batches]).astype(np.float64)
        yield seen.mean(axis=0), np.maximum(seen.std(axis=0), 0.01)


def fed(batches, observation, goal):
    """What the networks see, with the statistics of the batches so far (none: as it is)."""
    if not batches:
        return observation, goal
    scaled = zip((observation, goal), statistics_of(batches), strict=True)
    return [np.clip((np.float64(x) - mean) / std, -5, 5) for x, (mean, std) in scaled]


def actor_of(layers, inputs):
    """(inputs of the layers, actions)."""
    inputs, outputs = reference.forward(layers, *inputs)
    return inputs, np.tanh(outputs)


def gate_of(gate, v, v_next, batch, numbers, updates):
    """The weight of each row's imitation."""
    if gate == "progress":
        arrives = reference.arrives(batch)
        before = reference.steps_of(v, numbers["gamma"])
        after = reference.steps_of(np.where(arrives, 0.0, v_next), numbers["gamma"])
        both = np.isinf(before) & np.isinf(after)
        return (np.where(both, 0, before) - np.where(both, 0, after) + arrives > numbers["progress"]).astype(float)
    advantage = batch.reward + numbers["gamma"] * batch.discount * v_next - v
    cutoff = np.quantile(advantage, min(numbers["percentile_rate"] * updates, 80.0) / 100.0)
    counts = np.where(advantage > cutoff, 1.0, 0.05) * (batch.offset > 0)
    return counts * numbers["gamma"] ** batch.offset * np.minimum(np.exp(advantage), 10.0)


def expected_update(name, layers, targets, batch, seen, numbers, updates=0):
    """(metrics, gradients of actor and critic) for networks {"actor": layers, "critic": layers}."""
    size = len(batch.reward)
    now, later = fed(seen, batch.observation, batch.goal), fed(seen, batch.next_observation, batch.goal)
    v = reference.forward(targets["critic"], *later, actor_of(targets["actor"], later)[1])[1][:, 0]
    inputs, q = reference.forward(layers["critic"], *now, batch.action)
    y = batch.reward + numbers["gamma"] * batch.discount * v
    if ROWS[name].get("clip_targets"):
        y = np.minimum(np.maximum(y, -1 / (1 - numbers["gamma"])), 0)
    td = (q[:, 0] - y) ** 2
    critic_gradients, _ = reference.backward(layers["critic"], inputs, 2 * (q - y[:, None]) / size)

    actor_inputs, action = actor_of(layers["actor"], now)
    inputs, q_actor = reference.forward(layers["critic"], *now, action)
    gate = ROWS[name].get("gate")
    climb = numbers["q_weight"] if gate else 1.0
    climb = climb / np.mean(np.abs(q_actor)) if ROWS[name].get("scale_q") else climb
    actor_loss = -climb * q_actor[:, 0] + numbers["action_l2"] * np.mean(action**2, axis=1)
    _, slope = reference.backward(layers["critic"], inputs, -climb * np.ones((size, 1)) / size)
    slope = slope[:, -ARM.num_dims :] + numbers["action_l2"] * 2 * action / ARM.num_dims / size
    imitation = {}
    if gate:
        v_next = reference.forward(layers["critic"], *later, actor_of(layers["actor"], later)[1])[1][:, 0]
        weight = gate_of(gate, q_actor[:, 0], v_next, batch, numbers, updates)
        apart = action - batch.action
        minus_log_prob = 0.5 * np.sum(apart**2, axis=1) + 0.5 * ARM.num_dims * math.log(2 * math.pi)
        actor_loss = actor_loss + numbers["beta"] * weight * minus_log_prob
        slope = slope + numbers["beta"] * weight[:, None] * apart / size
        imitation = {"imitation_loss": minus_log_prob, "imitated_fraction": weight}
    actor_gradients, _ = reference.backward(layers["actor"], actor_inputs, slope * (1 - action**2))
    means = {"td_loss": td, "actor_loss": actor_loss, "q_mean": q, "target_mean": v, "reward_mean": batch.reward}
    means |= imitation
    metrics = {metric: np.mean(value) for metric, value in means.items()}
    metrics["loss"] = metrics["td_loss"] + metrics["actor_loss"]
    return metrics, {"actor": actor_gradients, "critic": critic_gradients}


def layers_of(params):
    return {name: reference.layers_of(network) for name, network in params._asdict().items()}


def assert_networks(params, layers, atol):
    for name, network in params._asdict().items():
        reference.assert_layers(network, layers[name], rtol=0, atol=atol)


@pytest.mark.parametrize("name", ROWS)
def test_updates_equal_numpy(name):
    """Loss, metrics, three steps of Adam and of the target networks; the statistics are those of all batches so far."""
    _, update = row(name)
    state = first_state(name)
    numbers = reference.numbers_of(state)
    layers, targets = layers_of(state.params), layers_of(state.target_params)
    adams = {network: reference.Adam(layers[network], numbers["learning_rate"]) for network in layers}
    seen = []
    for count in (1, 2, 3):
        batch = make_batch(seed=count, extreme=name == "normalised")
        if name == "normalised":
            seen.append(batch)
        expected, gradients = expected_update(name, layers, targets, batch, seen, numbers, count - 1)
        state, metrics = update(state, batch, jax.random.key(count))
        reference.assert_metrics(metrics, expected)
        layers = {network: adam.step(gradients[network]) for network, adam in adams.items()}
        if count % 2 == 0:
            targets = {network: reference.mixed(targets[network], layers[network], 0.3) for network in layers}
        assert_networks(state.params, layers, atol=3e-4)
        assert_networks(state.target_params, targets, atol=2e-4)
        assert int(state.updates) == count


def test_the_batch_exercises_every_branch():
    """Targets are cut at both ends, inputs are cut, and one deviation is below the least."""
    batch, targets = make_batch(seed=1), layers_of(first_state("clipped").target_params)
    later = batch.next_observation, batch.goal
    v = reference.forward(targets["critic"], *later, actor_of(targets["actor"], later)[1])[1][:, 0]
    y = batch.reward + 0.5 * batch.discount * v
    assert (y > 0).any()
    assert (y < -2).any()
    assert ((y > -2) & (y < 0)).any()
    batch = make_batch(seed=1, extreme=True)
    assert np.abs(fed([batch], batch.observation, batch.goal)[0]).max() == 5
    assert batch.observation[:, 1].std() < 0.01


# Arithmetic


def constant(agent, **values):
    """Q(s, a, g) = -2 + a0 and pi = (0.5, -0.25); the targets' -4 + 2 a0 and (-0.5, 0)."""
    state = agent.init(jax.random.key(0), {"gamma": 0.5, "action_l2": 2.0} | values)
    kernel = lambda slope: np.concatenate([np.zeros(5), [slope, 0]])[:, None]
    fill = lambda params, mean, slope, bias: params._replace(
        actor=reference.without_hidden_layers(params.actor, np.zeros((5, 2)), np.arctanh(mean)),
        critic=reference.without_hidden_layers(params.critic, kernel(slope), [bias]),
    )
    return state._replace(
        params=fill(state.params, [0.5, -0.25], 1, -2), target_params=fill(state.target_params, [-0.5, 0], 2, -4)
    )


def one_row(reward=-1.0, discount=1.0):
    """a = (0.25, 0.75)."""
    batch = reference.transitions(ARM, size=1)
    return batch._replace(
        action=np.array([[0.25, 0.75]], np.float32),
        reward=np.array([reward], np.float32),
        discount=np.array([discount], np.float32),
    )


@pytest.mark.parametrize(
    ("clip", "values", "row_values", "td_loss"),
    [
        # Q(s, a) = -2 + 0.25 = -1.75; V = -4 + 2 * -0.5 = -5
        (False, {}, {}, 3.0625),  # y = -1 - 2.5 = -3.5
        (True, {}, {}, 0.0625),  # at least -1 / (1 - 0.5) = -2
        (False, {}, {"discount": 0.0}, 0.5625),  # terminal: -1
        (True, {}, {"discount": 0.0}, 0.5625),  # within the range
        (False, {}, {"reward": 9.0}, 68.0625),  # 9 - 2.5 = 6.5
        (True, {}, {"reward": 9.0}, 3.0625),  # at most 0
        (True, {"gamma": 1.0}, {}, 18.0625),  # -6: no lower bound
        (True, {"gamma": 0.0}, {"reward": -3.0}, 0.5625),  # at least -1
    ],
)
def test_golden_targets(clip, values, row_values, td_loss):
    """The actor: Q(s, pi) = -2 + 0.5 = -1.5, and mean(pi^2) = (0.25 + 0.0625) / 2 = 0.15625: 1.5 + 2 * 0.15625."""
    agent, update = golden(clip)
    _, metrics = update(constant(agent, **values), one_row(**row_values), jax.random.key(0))
    expected = {"td_loss": td_loss, "actor_loss": 1.8125, "loss": td_loss + 1.8125, "q_mean": -1.75, "target_mean": -5}
    assert {name: float(metrics[name]) for name in expected} == pytest.approx(expected, rel=1e-5)


@functools.cache
def golden(clip):
    agent = made(hidden_sizes=(), normalise_inputs=False, clip_targets=clip)
    return agent, jax.jit(agent.update)


def test_clipped_targets_cannot_learn_rewards_of_one_and_zero():
    """A Q that is 0 everywhere then has no error at all, whatever was reached; without the bound it has."""
    errors = {}
    for clip in (False, True):
        agent, update = golden(clip)
        state = constant(agent)
        zero = lambda params: jax.tree.map(jnp.zeros_like, params)
        state = state._replace(params=zero(state.params), target_params=zero(state.target_params))
        _, metrics = update(state, one_row(reward=1.0), jax.random.key(0))
        errors[clip] = float(metrics["td_loss"])
    assert errors == {False: 1.0, True: 0.0}


# Normalisation


quick_merged = jax.jit(merged)


def moments_of(*batches):
    shape = batches[0].shape[1:]
    moments = Moments(jnp.zeros(()), jnp.zeros(shape), jnp.ones(shape))
    for batch in batches:
        moments = quick_merged(moments, batch)
    return moments


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(
    st.lists(st.sampled_from([1, 4, 23]), min_size=1, max_size=5), st.floats(-1e3, 1e3), st.integers(0, 2**31)
)
def test_merged_moments_are_those_of_everything_at_once(sizes, offset, seed):
    """In any order."""
    generator = np.random.default_rng(seed)
    batches = [(offset + generator.normal(size=(size, 3)) * [1, 5, 0]).astype(np.float32) for size in sizes]
    together = np.concatenate(batches).astype(np.float64)
    for moments in (moments_of(*batches), moments_of(*batches[::-1])):
        assert float(moments.count) == sum(sizes)
        np.testing.assert_allclose(moments.mean, together.mean(axis=0), rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(np.sqrt(moments.variance), together.std(axis=0), rtol=1e-3, atol=1e-3)


def test_moments_stay_right_over_many_batches():
    """Far from 0 and for long: sums of squares in float32 would have lost the variance of 1."""
    generator = np.random.default_rng(0)
    batches = (1000 + generator.normal(size=(2000, 256, 1))).astype(np.float32)
    first = Moments(jnp.zeros(()), jnp.zeros(1), jnp.ones(1))
    moments, _ = jax.lax.scan(lambda moments, batch: (merged(moments, batch), None), first, jnp.asarray(batches))
    together = batches.astype(np.float64)
    assert float(moments.count) == 512_000
    assert float(moments.mean[0]) == pytest.approx(together.mean(), abs=1e-3)
    assert float(moments.variance[0]) == pytest.approx(together.var(), rel=1e-3)


def test_acting_sees_normalised_inputs():
    agent, _ = row("normalised")
    state = agent.init(jax.random.key(0))
    batches = [make_batch(seed, extreme=True) for seed in (0, 5)]
    observation, goal = batches[0].observation[3], batches[0].goal[3]
    act = lambda state: agent.act(state, observation, goal, jax.random.key(0), False)
    clipped = np.clip(observation, -5, 5), np.clip(goal, -5, 5)  # nothing seen yet
    layers = reference.layers_of(state.params.actor)
    np.testing.assert_allclose(act(state), actor_of(layers, clipped)[1], atol=1e-5)
    state = state._replace(
        normaliser=state.normaliser._replace(
            observation=moments_of(*(batch.observation for batch in batches)),
            goal=moments_of(*(batch.goal for batch in batches)),
        )
    )
    situation = fed(batches, observation, goal)
    np.testing.assert_allclose(act(state), actor_of(layers, situation)[1], atol=1e-5)


def test_without_normalisation_there_are_no_statistics():
    assert row("clipped")[0].init(jax.random.key(0)).normaliser is None


# Target networks and first states


def test_target_networks_move_every_target_period_updates():
    _, update = row("clipped")
    state = first_state("clipped", target_period=3.0, target_rate=0.25)
    for count in range(1, 5):
        before = state.target_params
        state, _ = update(state, make_batch(seed=count), jax.random.key(count))
        if count % 3:
            reference.same_bits(state.target_params, before)
        else:
            mixed = jax.tree.map(lambda t, p: 0.75 * t + 0.25 * p, before, state.params)
            reference.close(state.target_params, mixed, atol=1e-7)


def test_the_defaults_are_those_of_hers_own_code():
    hparams = agents.ActorCriticHparams()
    assert (hparams.learning_rate, hparams.gamma, hparams.target_rate, hparams.target_period) == (1e-3, 0.98, 0.05, 40)
    assert (hparams.noise, hparams.epsilon, hparams.action_l2) == (0.2, 0.3, 1.0)
    state = jax.eval_shape(agents.actor_critic(reference.spec(ARM)).init, jax.random.key(0))
    shapes = [[layer["kernel"].shape for layer in network["params"]["MLP_0"].values()] for network in state.params]
    assert shapes == [[(5, 256), (256, 256), (256, 256), (256, 2)], [(7, 256), (256, 256), (256, 256), (256, 1)]]


def test_first_networks():
    """The target networks are copies, actor and critic of keys of their own; options reach both."""
    state = row("clipped")[0].init(jax.random.key(0))
    reference.same_bits(state.params, state.target_params)
    actor, critic = (layers[1][0] for layers in layers_of(state.params).values())
    assert not np.any(actor == critic)
    normalised = jax.eval_shape(made(layer_norm=True).init, jax.random.key(0))
    assert all("LayerNorm_1" in network["params"]["MLP_0"] for network in normalised.params)


# Actions


def test_noise_is_gaussian_and_clipped():
    agent, _ = golden(False)
    drawn = reference.actions_of(agent, constant(agent, noise=0.4, epsilon=0.0))
    assert np.abs(drawn).max() <= 1
    reference.assert_clipped_gaussian(drawn, (0.5, -0.25), 0.4)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / math.sqrt(len(drawn))


def test_uniform_actions_come_with_probability_epsilon():
    agent, _ = golden(False)
    drawn = reference.actions_of(agent, constant(agent, noise=0.0, epsilon=0.3))
    reference.assert_uniform_with(0.3, drawn, (0.5, -0.25))


def test_without_exploration_the_actor_acts():
    agent, _ = golden(False)
    actions = reference.actions_of(agent, constant(agent, noise=0.4, epsilon=1.0), 3, explore=False)
    np.testing.assert_allclose(actions, [[0.5, -0.25]] * 3, rtol=1e-6)


def test_a_discrete_action_set_is_refused():
    with pytest.raises(ValueError, match=r"spec\.action: got Discrete.*DDPG needs a Box.*continuous"):
        agents.actor_critic(reference.spec(types.Discrete(1, 3)))


# Learning


@pytest.mark.seldom
def test_it_learns_to_move_to_the_goal():
    """One step, s' = s + a / 2 with -(s' - g)^2 as reward: the best action is 2 (g - s), within the bounds."""
    agent = made(hidden_sizes=(32, 32))

    def situations(key):
        near = lambda key: jax.random.uniform(key, (64, 2), minval=-1.0, maxval=1.0)
        observation, goal, action = map(near, jax.random.split(key, 3))
        return jnp.pad(observation, ((0, 0), (0, 1))), goal, action

    def step(state, key):
        observation, goal, action = situations(key)
        after = observation[:, :2] + action / 2
        nothing = jnp.zeros(64)
        reward = -jnp.sum(jnp.square(after - goal), axis=1)
        batch = types.Transition(
            observation,
            action,
            observation,
            goal,
            goal,
            after,
            reward,
            nothing,
            nothing > 0,
            nothing > 0,
            offset=jnp.zeros(64, jnp.int32),
            start_reward=nothing,
        )
        return agent.update(state, batch, key)[0], None

    state = agent.init(jax.random.key(0), {"action_l2": 0.0, "learning_rate": 3e-3})
    state, _ = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys))(
        state, jax.random.split(jax.random.key(1), 200)
    )
    observation, goal, _ = situations(jax.random.key(2))
    act = jax.jit(jax.vmap(lambda o, g: agent.act(state, o, g, jax.random.key(0), False)))
    best = jnp.clip(2 * (goal - observation[:, :2]), -1.0, 1.0)
    error = float(jnp.mean(jnp.abs(act(observation, goal) - best)))
    assert error < 0.15, error


# Several critics, noise on targets, an actor that moves now and then


def test_the_lowest_critic_makes_the_target_and_the_first_one_steers():
    """Both targets say -4 + 2 a0 and -7 + 2 a0; the online ones -2 + a0 and 5."""
    agent = made(hidden_sizes=(), normalise_inputs=False, num_critics=2)
    one = constant(golden(False)[0])
    pair = lambda first, second: jax.tree.map(lambda a, b: jnp.stack([a, b]), first, second)
    raised = lambda critic, bias, slope=1.0: jax.tree.map(
        lambda p: jnp.full_like(p, bias) if p.ndim == 1 else slope * p, critic
    )
    state = agent.init(jax.random.key(0), one.hparams._asdict())
    state = state._replace(
        params=one.params._replace(critic=pair(one.params.critic, raised(one.params.critic, 5.0, 0.0))),
        target_params=one.target_params._replace(
            critic=pair(one.target_params.critic, raised(one.target_params.critic, -7.0))
        ),
    )
    after, metrics = jax.jit(agent.update)(state, one_row(), jax.random.key(0))
    # y = -1 + 0.5 (-7 + 2 * -0.5) = -5: errors of -1.75 and 5
    expected = {"td_loss": 3.25**2 + 10.0**2, "actor_loss": 1.8125, "target_mean": -8.0, "q_mean": (-1.75 + 5.0) / 2}
    assert {name: float(metrics[name]) for name in expected} == pytest.approx(expected, rel=1e-5)
    assert all(len(leaf) == 2 for leaf in jax.tree.leaves(after.params.critic))


def test_noise_on_targets_is_cut_and_stays_in_the_box():
    """V^ = -4 + 2 a0 of the action -0.5: noise of deviation 9, cut at 0.25, gives -5.5 or -4.5 and little else."""
    agent = made(hidden_sizes=(), normalise_inputs=False, smooth_targets=True)
    state, update = constant(agent, target_noise=9.0, target_noise_clip=0.25), jax.jit(agent.update)
    values = [float(update(state, one_row(), jax.random.key(i))[1]["target_mean"]) for i in range(40)]
    assert min(values) == pytest.approx(-5.5)
    assert max(values) == pytest.approx(-4.5)
    wide = constant(agent, target_noise=9.0, target_noise_clip=9.0)
    values = [float(update(wide, one_row(), jax.random.key(i))[1]["target_mean"]) for i in range(40)]
    assert (min(values), max(values)) == pytest.approx((-6.0, -2.0))  # actions of -1 and 1


def test_the_actor_moves_every_policy_period_updates():
    """Between them it and its Adam stand still; when it moves, its Adam has seen the updates that it made alone."""
    agent = made(normalise_inputs=False, policy_period=2)
    state, update = agent.init(jax.random.key(0), HPARAMS), jax.jit(agent.update)
    for count in range(1, 5):
        before = state
        state, _ = update(state, make_batch(seed=count), jax.random.key(count))
        assert not np.array_equal(*(jax.tree.leaves(s.params.critic)[1] for s in (state, before)))
        if count % 2:
            reference.same_bits((state.params.actor, state.adam.actor), (before.params.actor, before.adam.actor))
        else:
            assert not np.array_equal(*(jax.tree.leaves(s.params.actor)[1] for s in (state, before)))
        assert int(state.adam.actor.count) == count // 2
        assert int(state.adam.critic.count) == count


# Imitation: `constant` has Q(s, a) = -2 + a0 and pi = (0.5, -0.25), so V = -1.5; the row took (0.25, 0.75), Q = -1.75


SQUARES = 0.5 * (0.25**2 + 1.0**2) + math.log(2 * math.pi)  # -log N(a; pi, 1)


@pytest.mark.parametrize(
    ("gate", "values", "weight"),
    [
        ("always", {}, 1.0),
        ("q_filter", {}, 0.0),  # -1.75 is not above -1.5
        ("indicator", {"gamma_hdm": 0.8}, 1.0),  # -1.75 + 1.5 = -0.25 < log 0.8 = -0.223
        ("indicator", {"gamma_hdm": 0.75}, 0.0),  # not below -0.288
        ("progress", {"progress": 0.5}, 0.0),  # V is -1.5 at s and s'
        ("progress", {"progress": -0.5}, 1.0),
        # A = -1 + 0.5 * -1.5 + 1.5 = -0.25; the offset is 3: 0.5^3 e^-0.25; a twentieth, since A is not above itself
        ("wgcsl", {}, 0.05 * 0.125 * math.exp(-0.25)),
    ],
)
def test_golden_gates(gate, values, weight):
    agent = made(hidden_sizes=(), normalise_inputs=False, gate=gate)
    batch = one_row()._replace(offset=np.array([3], np.int32), is_next=np.array([False]))
    state = constant(agent, q_weight=2.0, beta=3.0, **values)
    _, metrics = jax.jit(agent.update)(state, batch, jax.random.key(0))
    # q_weight (-Q) + l2 mean(pi^2) + beta w (-log pi) = 2 * 1.5 + 2 * 0.15625 + 3 w SQUARES
    expected = {
        "imitated_fraction": weight,
        "imitation_loss": SQUARES,
        "actor_loss": 3.3125 + 3.0 * weight * SQUARES,
    }
    assert {name: float(metrics[name]) for name in expected} == pytest.approx(expected, rel=1e-5)


def test_a_step_that_arrives_has_made_all_the_progress_that_was_left():
    """-1.5 at gamma 0.5 is two steps before the one that arrives: three."""
    agent = made(hidden_sizes=(), normalise_inputs=False, gate="progress")
    update = jax.jit(agent.update)
    row = one_row()
    weight_of = lambda tau, **values: float(
        update(constant(agent, progress=tau), row._replace(**values), jax.random.key(0))[1]["imitated_fraction"]
    )
    yes, no = np.array([True]), np.array([False])
    assert [weight_of(2.9, is_next=yes), weight_of(3.1, is_next=yes), weight_of(0.1, is_next=no)] == [1.0, 0.0, 0.0]
    # unless it starts there: a hand that pushes nothing, or a step within the threshold
    assert weight_of(0.1, is_next=yes, achieved_goal=row.goal) == 0.0
    assert weight_of(0.1, is_next=yes, start_reward=np.zeros(1, np.float32)) == 0.0


def advantages(state, batch):
    """r + gamma V(s') - V(s) of every row."""
    value = lambda x: agent_value(state, x, batch.goal)
    discount = float(state.hparams.gamma) * batch.discount
    return batch.reward + discount * value(batch.next_observation) - value(batch.observation)


def agent_value(state, observation, goal):
    """Q(s, pi(s, g), g)."""
    layers = layers_of(state.params)
    action = actor_of(layers["actor"], (observation, goal))[1]
    return reference.forward(layers["critic"], observation, goal, action)[1][:, 0]


def test_the_cutoff_of_wgcsl_rises_to_the_eightieth_percentile():
    """At first nearly all rows count in full; after 8,000 updates at 0.01 a fifth of them."""
    agent = made(normalise_inputs=False, gate="wgcsl")
    state = first_state("clipped")._replace(hparams=agents.ActorCriticHparams(percentile_rate=jnp.float32(0.01)))
    batch = make_batch(seed=3)._replace(offset=np.full(32, 1, np.int32))
    fractions = []
    for updates in (0, 8_000, 10**6):
        _, metrics = jax.jit(agent.update)(state._replace(updates=jnp.int32(updates)), batch, jax.random.key(0))
        fractions.append(float(metrics["imitated_fraction"]))
    assert fractions[0] > fractions[1] == fractions[2] > 0.0
    # 32 rows of offset 1: the 7 with the largest advantage count in full, the others a twentieth
    advantage = np.sort(advantages(state, batch))
    expected = state.hparams.gamma * np.minimum(np.exp(advantage), 10.0) * np.where(np.arange(32) >= 25, 1.0, 0.05)
    assert fractions[1] == pytest.approx(expected.mean(), rel=1e-5)


def test_scaled_q_and_the_bound_of_hindsight():
    """Q over its mean |Q| is -1 of one row. What reached the goal in 3 - 1 more steps: V^ is at least -1, not -5."""
    agent = made(hidden_sizes=(), normalise_inputs=False, scale_q=True, hindsight_bound=True)
    batch = one_row()._replace(offset=np.array([3], np.int32), is_next=np.array([False]))
    _, metrics = jax.jit(agent.update)(constant(agent), batch, jax.random.key(0))
    expected = {"actor_loss": 1.0 + 2 * 0.15625, "target_mean": -1.0, "td_loss": (-1.75 + 1.5) ** 2}
    assert {name: float(metrics[name]) for name in expected} == pytest.approx(expected, rel=1e-5)
