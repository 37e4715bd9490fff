"""Contrastive RL: energies, gradients loss by loss, what it does not read, and the ratio that its critic learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from hindsight_jax import agents, losses, networks, types
from hindsight_jax.agents.contrastive import SMALLEST_SQUARE, energies, energy

ARM, KEY = types.Box(2), jax.random.key(5)
NUMBERS = {"logsumexp_weight": 0.3, "target_entropy": -0.7, "initial_temperature": 0.4}


@functools.cache
def made(symmetric=False):
    """(agent, its jitted update)."""
    options = {"hidden_sizes": (8,), "representation_size": 4, "layer_norm": False, "symmetric": symmetric}
    agent = agents.contrastive(reference.spec(ARM), **options)
    return agent, jax.jit(agent.update)


# Energies


def test_energies_are_minus_the_distances_of_all_pairs():
    phi, psi = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    expected = -np.sqrt(np.square(np.float64(phi)[:, None] - psi[None]).sum(-1) + SMALLEST_SQUARE)
    np.testing.assert_allclose(energies(phi, psi), expected, rtol=1e-5)
    np.testing.assert_allclose(energy(phi, psi), np.diagonal(expected), rtol=1e-6)


def test_equal_representations_have_a_slope_of_zero():
    """And not NaN: the square root has none at 0."""
    same = jnp.ones((2, 3))
    for of in (energy, energies):
        assert np.isfinite(jax.grad(lambda x, of=of: jnp.sum(of(x, same)))(same)).all()
    np.testing.assert_allclose(energy(same, same), [-1e-3, -1e-3], rtol=1e-6)


# Losses


def forward(params, *parts):
    dense, x = params, jnp.concatenate(parts, axis=-1)
    for i in range(len(dense)):
        x = x @ dense[f"Dense_{i}"]["kernel"] + dense[f"Dense_{i}"]["bias"][None]
        x = jnp.maximum(x, 0) if i < len(dense) - 1 else x
    return x


def three_losses(state, batch, symmetric):
    """Of the encoders, of the actor and of the temperature, each as a function of its own parameters."""
    params, alpha = state.params, jnp.exp(state.params.log_temperature)

    def encoded(encoders, action):
        parts = encoders["params"]
        return forward(parts["of_action"], batch.observation, action), forward(parts["of_goal"], batch.goal)

    def logits(encoders):
        phi, psi = encoded(encoders, batch.action)
        return -jnp.sqrt(jnp.sum(jnp.square(phi[:, None] - psi[None]), axis=-1) + SMALLEST_SQUARE)

    def of_encoders(encoders):
        all_pairs = logits(encoders)
        directions = (all_pairs, all_pairs.T) if symmetric else (all_pairs,)
        info_nce = lambda pairs: -jnp.mean(jnp.diagonal(pairs) - jnp.log(jnp.mean(jnp.exp(pairs), axis=1)))
        return sum(map(info_nce, directions)) + 0.3 * jnp.mean(jnp.square(jnp.log(jnp.sum(jnp.exp(all_pairs), axis=1))))

    def draw(actor):
        mean, raw = jnp.split(forward(actor["params"]["MLP_0"], batch.observation, batch.goal), 2, axis=-1)
        log_std = -1.5 + 3.5 * jnp.tanh(raw)
        u = mean + jnp.exp(log_std) * jax.random.normal(KEY, mean.shape)
        return jnp.tanh(u), jax.vmap(losses.tanh_gaussian_log_prob)(mean, log_std, u)

    def of_actor(actor):
        action, log_prob = draw(actor)
        phi, psi = encoded(params.encoders, action)
        return jnp.mean(alpha * log_prob + jnp.linalg.norm(phi - psi, axis=-1))

    entropy = -jnp.mean(draw(params.actor)[1])
    of_temperature = lambda log_temperature: log_temperature * (entropy - -0.7 * 2)
    return {"actor": of_actor, "encoders": of_encoders, "log_temperature": of_temperature}, logits(params.encoders)


@pytest.mark.parametrize("symmetric", [False, True])
def test_every_loss_steps_its_own_parameters_and_metrics_are_the_batchs(symmetric):
    agent, update = made(symmetric)
    state, batch = agent.init(jax.random.key(0), NUMBERS), jax.tree.map(jnp.asarray, reference.transitions(ARM))
    after, metrics = update(state, batch, KEY)
    each, logits = three_losses(state, batch, symmetric)
    found = jax.jit(lambda params: {name: jax.value_and_grad(f)(getattr(params, name)) for name, f in each.items()})
    values = found(state.params)
    for name, (_, gradient) in values.items():  # Adam's first moment is a tenth of the gradient
        moment = jax.tree.map(lambda m: 10 * m, getattr(after.adam.mu, name))
        reference.close(moment, gradient, rtol=1e-3, atol=1e-5)
    penalty = 0.3 * losses.logsumexp_penalty(logits)
    expected = {
        "contrastive_loss": values["encoders"][0] - penalty,
        "contrastive_accuracy": np.mean(np.argmax(logits, axis=1) == np.arange(12)),
        "energy_mean": np.diagonal(logits).mean(),
        "actor_loss": values["actor"][0],
        "temperature": 0.4,
        "loss": sum(value for value, _ in values.values()),
    }
    assert set(metrics) == {*expected, "entropy"}
    reference.assert_metrics({name: metrics[name] for name in expected}, expected)


def test_rewards_discounts_and_what_comes_after_are_not_read():
    agent, update = made()
    state, batch = agent.init(jax.random.key(0)), reference.transitions(ARM)
    other = batch._replace(
        reward=batch.reward + 7, discount=1 - batch.discount, next_observation=batch.next_observation * 5
    )
    reference.same_bits(update(state, batch, KEY), update(state, other, KEY))
    moved = batch._replace(goal=batch.goal[::-1].copy())  # the pairs are another set
    assert float(update(state, moved, KEY)[1]["contrastive_loss"]) != float(
        update(state, batch, KEY)[1]["contrastive_loss"]
    )


def test_one_row_has_nothing_to_be_told_from():
    agent, _ = made()
    batch = reference.transitions(ARM, size=1)
    with pytest.raises(ValueError, match=r"^batch: got one row, but it must hold at least two .*Replay\.sample"):
        agent.update(agent.init(jax.random.key(0)), batch, KEY)


@pytest.mark.seldom
def test_the_critic_learns_the_ratio_of_each_goals_probabilities():
    """Two actions lead to three goals by (6, 3, 1) / 10 and (1, 3, 6) / 10; all goals: (7, 6, 7) / 20.

    A batch holds each pair as often as that. f - log(p(g | a) / p(g)) is then the same for all goals of an action.
    """
    counts = np.array([[6, 3, 1], [1, 3, 6]])
    action, goal = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    batch = jax.tree.map(lambda x: jnp.zeros((20, *x.shape[1:]), x.dtype), reference.transitions(types.Box(1)))
    goals = jnp.array([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    batch = batch._replace(action=jnp.asarray(2.0 * action[:, None] - 1, jnp.float32), goal=goals[goal])
    agent = agents.contrastive(reference.spec(types.Box(1)), hidden_sizes=(32,), representation_size=16)
    step = lambda state, key: (agent.update(state, batch, key)[0], None)
    learn = jax.jit(lambda state: jax.lax.scan(step, state, jax.random.split(KEY, 2000))[0])
    state = learn(agent.init(jax.random.key(0), {"learning_rate": 2e-3, "logsumexp_weight": 0.01}))
    encoders = networks.ContrastiveEncoders((32,), 16)
    psi = encoders.apply(state.params.encoders, goals, method="psi")
    phi, _ = encoders.apply(state.params.encoders, jnp.zeros((2, 3)), jnp.zeros((2, 2)), jnp.array([[-1.0], [1.0]]))
    learnt = np.stack([energy(jnp.tile(row[None], (3, 1)), psi) for row in phi])
    ratio = np.log(counts / 10) - np.log(counts.sum(0) / 20)
    difference = learnt - ratio
    np.testing.assert_allclose(difference, np.tile(difference.mean(1, keepdims=True), (1, 3)), atol=0.1)
    assert np.ptp(learnt, axis=1).min() > 1.0  # of log 6 = 1.79
