"""The imitation agent [D 12] [M 10]: updates against float64 NumPy, exploration around mode and samples."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import scipy.integrate
import scipy.optimize
import scipy.stats
from scipy.special import softmax

from hindsight_jax import agents, types

FLAT, CLAW, ARM = types.Discrete(1, 5), types.Discrete(3, 2), types.Box(2)


def made(action=FLAT, hidden_sizes=(8, 6), **options):
    return agents.imitation(reference.spec(action), hidden_sizes=hidden_sizes, **options)


@functools.cache
def row(action):
    """(agent, its jitted update)."""
    agent = made(action)
    return agent, jax.jit(agent.update)


# Updates


def expected_update(action_set, layers, log_std, batch):
    """(metrics, gradients of the layers, slope in the log std): -log pi, by the mean over the batch."""
    inputs, outputs = reference.forward(layers, batch.observation, batch.goal)
    log_prob, slope, entropy = reference.readings(action_set, outputs, log_std, batch.action)
    gradients, _ = reference.backward(layers, inputs, -slope / len(slope))
    squares = 0.0 if log_std is None else np.square(slope) * math.exp(2 * log_std) - 1
    return {"loss": -log_prob.mean(), "entropy": entropy.mean()}, gradients, -np.sum(squares) / len(slope)


@pytest.mark.parametrize("action", [FLAT, CLAW, ARM])
def test_updates_equal_numpy(action):
    """Loss, metrics and three steps of Adam; a Gaussian's deviation learns with the rest."""
    agent, update = row(action)
    state = agent.init(jax.random.key(0), {"learning_rate": 0.01})
    state = state._replace(params=jax.tree.map(lambda p: 2.5 * p, state.params))
    layers = reference.layers_of(state.params)
    deviation = [(np.zeros(()),)] if action == ARM else []
    adam = reference.Adam(layers + deviation, 0.01)
    for count in (1, 2, 3):
        batch = reference.transitions(action, seed=count)
        log_std = float(deviation[0][0]) if deviation else None
        expected, gradients, slope = expected_update(action, layers, log_std, batch)
        state, metrics = update(state, batch, jax.random.key(count))
        reference.assert_metrics(metrics, expected)
        moved = adam.step(gradients + [(slope,)] * len(deviation))
        layers, deviation = moved[: len(layers)], moved[len(layers) :]
        reference.assert_layers(state.params, layers, rtol=0, atol=2e-4)
        if deviation:
            np.testing.assert_allclose(state.params["params"]["log_std"], deviation[0][0], atol=2e-4)
        assert int(state.updates) == count


@pytest.mark.parametrize(
    ("action", "outputs", "taken", "loss"),
    [
        (types.Discrete(2, 2), np.log([1.0, 1.0, 1.0, 4.0]), [0, 1], math.log(2 * 5 / 4)),  # 1/2 times 4/5
        (types.Box(2), [0.5, -1.0], [0.5, 1.0], math.log(2 * math.pi) + 2),  # std 1: distances 0 and 2
    ],
)
def test_golden_losses(action, outputs, taken, loss):
    agent = made(action, ())
    state = with_outputs(agent, outputs)
    batch = reference.transitions(action, size=1)
    batch = batch._replace(action=np.asarray([taken], batch.action.dtype))
    _, metrics = jax.jit(agent.update)(state, batch, jax.random.key(0))
    assert float(metrics["loss"]) == pytest.approx(loss, rel=1e-5)


def test_rewards_and_the_order_of_rows_do_not_matter():
    agent, update = row(FLAT)
    state, batch = agent.init(jax.random.key(0)), reference.transitions(FLAT)
    expected = update(state, batch, jax.random.key(0))
    other = batch._replace(reward=batch.reward + 7, discount=0 * batch.discount, next_observation=-batch.observation)
    reference.same_bits(update(state, other, jax.random.key(1)), expected)
    turned = jax.tree.map(lambda x: x[::-1], batch)
    after, metrics = update(state, turned, jax.random.key(0))
    reference.close((after.adam.mu, metrics), (expected[0].adam.mu, expected[1]))


def test_it_learns_what_it_sees():
    """One action, from different goals: the likelihood of it becomes nearly 1."""
    agent, update = row(FLAT)
    state = agent.init(jax.random.key(0), {"learning_rate": 0.01})
    batch = reference.transitions(FLAT)
    batch = batch._replace(action=np.full_like(batch.action, 3))
    for _ in range(100):
        state, metrics = update(state, batch, jax.random.key(0))
    assert float(metrics["loss"]) < 0.05
    assert agent.act(state, batch.observation[0], batch.goal[0], jax.random.key(0), False).tolist() == [3]


# A deviation that learns from its own samples


def collected_variance(variance):
    """E min(x^2, 1) of x ~ N(0, variance): that of actions around 0, clipped to [-1, 1]; by quadrature."""
    law = scipy.stats.norm(0, math.sqrt(variance))
    within, _ = scipy.integrate.quad(lambda x: x * x * law.pdf(x), -1, 1)
    return within + 2 * law.sf(1)


def learnt_from_itself(agent, batch_size=512, updates=300):
    """(entropy before, mean entropy of the last updates), of updates on what the agent collects."""
    here = jax.tree.map(lambda x: jnp.zeros((batch_size, *x.shape[1:]), x.dtype), reference.transitions(ARM))

    def step(state, key):
        act = lambda key: agent.act(state, here.observation[0], here.goal[0], key, True)
        actions = jax.vmap(act)(jax.random.split(key, batch_size))
        return agent.update(state, here._replace(action=actions), key)

    state = agent.init(jax.random.key(0), {"noise": 0.5, "learning_rate": 0.03})
    _, metrics = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys))(
        state, jax.random.split(jax.random.key(1), updates)
    )
    return float(metrics["entropy"][0]), float(metrics["entropy"][-150:].mean())


def test_a_learnt_deviation_holds_the_noise_of_exploration_and_a_fixed_one_does_not():
    """Of a sample with noise 0.5 the variance is s^2 + 1/4 before the clip: what is learnt, the maximum of likelihood,
    rests where that of the clipped actions is s^2 again, at s = 0.663.
    """
    rest = scipy.optimize.brentq(lambda std: collected_variance(std**2 + 0.5**2) - std**2, 0.1, 1.0)
    assert rest == pytest.approx(0.663, abs=5e-4)
    entropy = lambda std: 2 * (math.log(std) + 0.5 * math.log(2 * math.pi * math.e))
    assert learnt_from_itself(made(ARM, (), std=0.0)) == pytest.approx((entropy(1.0), entropy(rest)), abs=0.02)
    assert learnt_from_itself(made(ARM, (), std=0.2)) == pytest.approx((entropy(0.2), entropy(0.2)), abs=1e-5)


@pytest.mark.parametrize(("exploration", "variance"), [("mode", 0.25), ("sample", 0.2**2 + 0.25)])
def test_a_sample_has_the_fixed_deviation(exploration, variance):
    agent = made(ARM, (), exploration=exploration, std=0.2)
    drawn = reference.actions_of(agent, with_outputs(agent, [0.5, -0.25], noise=0.5))
    reference.assert_clipped_gaussian(drawn, (0.5, -0.25), math.sqrt(variance))


def test_averaged_weights_are_a_running_mean_and_act_without_exploration():
    """Over 3 updates: p1, (p1 + p2) / 2, (p1 + p2 + p3) / 3, then 2/3 of the mean and 1/3 of p4. They learn nothing."""
    agent, (plain, update) = made(ARM, averaging=3), row(ARM)
    state, newest = agent.init(jax.random.key(0)), plain.init(jax.random.key(0))
    assert newest.averaged is None
    close, seen = functools.partial(np.testing.assert_allclose, atol=1e-6), []
    for shares in ([1], [1 / 2] * 2, [1 / 3] * 3, [2 / 9] * 3 + [1 / 3]):
        batch = reference.transitions(ARM, seed=len(seen))
        newest, _ = update(newest, batch, jax.random.key(0))
        state, _ = agent.update(state, batch, jax.random.key(0))
        seen.append(newest.params)
        mean = jax.tree.map(lambda *p, shares=shares: sum(w * x for w, x in zip(shares, p, strict=True)), *seen)
        jax.tree.map(close, state.averaged, mean)
    jax.tree.map(close, state.params, newest.params)
    inputs = jnp.ones(3), jnp.ones(2), jax.random.key(1)
    exploring, acting = (agent.act(state, *inputs, explore) for explore in (True, False))
    np.testing.assert_array_equal(acting, plain.act(newest._replace(params=state.averaged), *inputs, False))
    np.testing.assert_allclose(exploring, plain.act(newest, *inputs, True), atol=1e-6)
    assert not np.allclose(acting, plain.act(newest, *inputs, False), atol=1e-6)


# Actions


def with_outputs(agent, outputs, **values):
    """A state whose policy has these logits, or means, everywhere."""
    state = agent.init(jax.random.key(0), values)
    outputs = np.ravel(outputs)
    params = reference.without_hidden_layers(state.params, np.zeros((5, len(outputs))), outputs)
    return state._replace(params=params)


@pytest.mark.parametrize("exploration", ["mode", "sample"])
@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_discrete_exploration(exploration, epsilon):
    """With probability epsilon all dimensions are uniform together, else all the mode, or all a sample."""
    agent, logits = made(CLAW, (), exploration=exploration), np.array([[0.0, 1.0], [2.0, 0.0], [0.5, 0.0]])
    drawn = reference.actions_of(agent, with_outputs(agent, logits, epsilon=epsilon))
    assert drawn.dtype == np.int32
    per_dim = softmax(logits, axis=-1) if exploration == "sample" else np.eye(2)[[1, 0, 0]]
    expected = (1 - epsilon) * np.einsum("i,j,k->ijk", *per_dim).ravel() + epsilon / 8
    counts = np.bincount(np.ravel_multi_index(tuple(drawn.T), (2, 2, 2)), minlength=8)
    possible = expected > 0
    assert counts[possible].sum() == len(drawn)
    if possible.sum() > 1:
        assert scipy.stats.chisquare(counts[possible], len(drawn) * expected[possible]).pvalue > 1e-3


@pytest.mark.parametrize(("exploration", "variance"), [("mode", 0.25), ("sample", 1.25)])
def test_box_exploration(exploration, variance):
    """Noise of deviation 0.5 on the mean, or on a sample of deviation 1; then clipped."""
    agent = made(ARM, (), exploration=exploration)
    drawn = reference.actions_of(agent, with_outputs(agent, [0.5, -0.25], noise=0.5))
    reference.assert_clipped_gaussian(drawn, (0.5, -0.25), math.sqrt(variance))


def test_uniform_actions_of_a_box():
    agent = made(ARM, (), exploration="mode")
    drawn = reference.actions_of(agent, with_outputs(agent, [0.5, -0.25], noise=0.0, epsilon=0.3))
    reference.assert_uniform_with(0.3, drawn, (0.5, -0.25))


def test_without_exploration_the_mode_acts():
    agent = made(CLAW, ())
    state = with_outputs(agent, [[0.0, 1.0], [2.0, 0.0], [0.5, 0.0]], epsilon=1.0)
    assert reference.actions_of(agent, state, 2, explore=False).tolist() == [[1, 0, 0]] * 2
    agent = made(ARM, ())
    state = with_outputs(agent, [0.5, -1.5], noise=1.0, epsilon=1.0)
    assert reference.actions_of(agent, state, 2, explore=False).tolist() == [[0.5, -1.0]] * 2  # clipped


def test_or_a_sample_acts_without_noise_and_uniform_actions():
    agent = made(FLAT, (), exploration="mode", acting="sample")
    logits = np.array([0.0, 1.0, 2.0, 0.0, -1.0])
    drawn = reference.actions_of(agent, with_outputs(agent, logits, epsilon=1.0), explore=False)
    assert scipy.stats.chisquare(np.bincount(drawn[:, 0]), len(drawn) * softmax(logits)).pvalue > 1e-3
    agent = made(ARM, (), acting="sample", std=0.2)
    drawn = reference.actions_of(agent, with_outputs(agent, [0.5, -0.9], noise=1.0, epsilon=1.0), explore=False)
    reference.assert_clipped_gaussian(drawn, (0.5, -0.9), 0.2)
