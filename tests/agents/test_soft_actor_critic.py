"""SAC: its losses and gradients one by one, golden targets, the target critics, and a task with a known answer."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import agents, losses, types

ARM, KEY = types.Box(2), jax.random.key(5)
NUMBERS = {"gamma": 0.5, "target_rate": 0.3, "target_period": 2.0, "target_entropy": -0.7, "initial_temperature": 0.4}


@functools.cache
def made():
    """(agent, its jitted update)."""
    agent = agents.soft_actor_critic(reference.spec(ARM), hidden_sizes=(8, 6))
    return agent, jax.jit(agent.update)


def first_state():
    """Target critics of their own."""
    state = made()[0].init(jax.random.key(0), NUMBERS)
    return state._replace(target_params=made()[0].init(jax.random.key(9)).params.critics)


def q_of(critics, observation, goal, action):
    """Both values [2, B], by the layers."""
    return jnp.stack([_forward(critic, observation, goal, action)[:, 0] for critic in critics])


def _forward(params, *parts):
    dense, x = params["params"]["MLP_0"], jnp.concatenate(parts, axis=-1)
    for i in range(len(dense)):
        x = x @ dense[f"Dense_{i}"]["kernel"] + dense[f"Dense_{i}"]["bias"][None]
        x = jnp.maximum(x, 0) if i < len(dense) - 1 else x
    return x


def drawn_by(actor, observation, goal, key):
    """(action, log_prob [B])."""
    mean, raw = jnp.split(_forward(actor, observation, goal), 2, axis=-1)
    log_std = -1.5 + 3.5 * jnp.tanh(raw)
    u = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    return jnp.tanh(u), jax.vmap(losses.tanh_gaussian_log_prob)(mean, log_std, u)


def three_losses(state, batch, key):
    """Of the critics, of the actor and of the temperature, each as a function of its own parameters."""
    params, key_now, key_later = state.params, *jax.random.split(key)
    alpha = jnp.exp(params.log_temperature)
    later, log_prob = drawn_by(params.actor, batch.next_observation, batch.goal, key_later)
    v = jnp.min(q_of(state.target_params, batch.next_observation, batch.goal, later), axis=0) - alpha * log_prob
    y = batch.reward + 0.5 * batch.discount * v

    def of_actor(actor):
        action, log_prob = drawn_by(actor, batch.observation, batch.goal, key_now)
        q = jnp.min(q_of(params.critics, batch.observation, batch.goal, action), axis=0)
        return jnp.mean(alpha * log_prob - q)

    of_critics = lambda critics: jnp.mean((q_of(critics, batch.observation, batch.goal, batch.action) - y[None]) ** 2)
    entropy = -jnp.mean(drawn_by(params.actor, batch.observation, batch.goal, key_now)[1])
    of_temperature = lambda log_temperature: log_temperature * (entropy - -0.7 * 2)
    return {"actor": of_actor, "critics": of_critics, "log_temperature": of_temperature}, (v, entropy, alpha)


def test_every_loss_steps_its_own_parameters_and_metrics_are_the_batchs():
    state, batch = first_state(), jax.tree.map(jnp.asarray, reference.transitions(ARM))
    after, metrics = made()[1](state, batch, KEY)
    each, (v, entropy, alpha) = three_losses(state, batch, KEY)
    found = jax.jit(lambda params: {name: jax.value_and_grad(f)(getattr(params, name)) for name, f in each.items()})
    values = found(state.params)
    for name, (_, gradient) in values.items():  # Adam's first moment is a tenth of the gradient
        moment = jax.tree.map(lambda m: 10 * m, getattr(after.adam.mu, name))
        reference.close(moment, gradient, rtol=1e-3, atol=1e-6)
    reference.assert_metrics(
        metrics,
        {
            "td_loss": values["critics"][0],
            "actor_loss": values["actor"][0],
            "q_mean": jnp.mean(q_of(state.params.critics, batch.observation, batch.goal, batch.action)),
            "target_mean": jnp.mean(v),
            "reward_mean": jnp.mean(batch.reward),
            "entropy": entropy,
            "temperature": alpha,
            "loss": sum(value for value, _ in values.values()),
        },
    )


def test_golden_target():
    """Constant critics and a policy with log pi = 0: y = -1 + 0.5 min(-3, -4) = -3; Q = -2: (-2 + 3)^2 = 1."""
    agent = agents.soft_actor_critic(reference.spec(ARM), hidden_sizes=())
    state = agent.init(jax.random.key(0), {"gamma": 0.5, "initial_temperature": 1e-6})
    of = lambda params, value: reference.without_hidden_layers(params, np.zeros((7, 1)), [value])
    of_all = lambda critics, values: tuple(map(of, critics, values))
    state = state._replace(
        params=state.params._replace(critics=of_all(state.params.critics, (-2.0, -2.0))),
        target_params=of_all(state.target_params, (-3.0, -4.0)),
    )
    batch = reference.transitions(ARM, size=6)._replace(
        reward=np.full(6, -1.0, np.float32), discount=np.array([1, 1, 1, 0, 0, 0], np.float32)
    )
    _, metrics = jax.jit(agent.update)(state, batch, KEY)
    # where nothing follows y = -1, and (-2 + 1)^2 = 1, too
    assert float(metrics["td_loss"]) == pytest.approx(1.0, abs=1e-4)
    assert float(metrics["target_mean"]) == pytest.approx(-4.0, abs=1e-4)


def test_target_params_move_every_target_period_updates():
    state, update = first_state(), made()[1]
    for count in (1, 2):
        before = state.target_params
        state, _ = update(state, reference.transitions(ARM, count), jax.random.key(count))
        if count % 2:
            reference.same_bits(state.target_params, before)
        else:
            mixed = jax.tree.map(lambda t, p: 0.7 * t + 0.3 * p, before, state.params.critics)
            reference.close(state.target_params, mixed, atol=1e-6)


def test_first_networks():
    """Two critics of keys of their own, whose targets are copies."""
    state = made()[0].init(jax.random.key(0))
    reference.same_bits(state.params.critics, state.target_params)
    first, second = (reference.layers_of(critic)[0][0] for critic in state.params.critics)
    assert not np.any(first == second)


@pytest.mark.seldom
def test_one_step_of_a_quadratic_reward_has_its_best_action_its_entropy_and_its_temperature():
    """r = -4 (a - 0.4)^2, and nothing follows: a Gaussian of std s with entropy -1/2 has s^2 = e^-1 / (2 pi e).

    At rest exp(Q / alpha) has this variance: alpha = 8 s^2 = 0.172.
    """
    box = types.Box(1)
    agent = agents.soft_actor_critic(reference.spec(box), hidden_sizes=(32, 32))

    def step(state, key):
        key_action, key_update = jax.random.split(key)
        action = jax.random.uniform(key_action, (128, 1), minval=-1.0)
        zero = jax.tree.map(lambda x: jnp.zeros((128, *x.shape[1:]), x.dtype), reference.transitions(box))
        batch = zero._replace(action=action, reward=-4.0 * jnp.square(action[:, 0] - 0.4))
        return agent.update(state, batch, key_update)

    learn = jax.jit(lambda state: jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 1500)))
    state, metrics = learn(agent.init(jax.random.key(0), {"learning_rate": 3e-3, "target_entropy": -0.5}))
    best = float(agent.act(state, jnp.zeros(3), jnp.zeros(2), KEY, False)[0])
    assert best == pytest.approx(0.4, abs=0.05)
    assert float(metrics["entropy"][-300:].mean()) == pytest.approx(-0.5, abs=0.05)
    expected = 8 * math.exp(-1) / (2 * math.pi * math.e)
    assert float(metrics["temperature"][-300:].mean()) == pytest.approx(expected, rel=0.25)
    assert float(metrics["td_loss"][-300:].mean()) < 1e-2
