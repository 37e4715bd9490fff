"""What the tests of agents share: a spec, random data for it, and networks and Adam in float64 NumPy, by hand.

Dimension key: B batch, N trajectories, T horizon, D action dims, K bins per dim.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from scipy.special import log_softmax

from hindsight_jax import types


def spec(action, horizon=50):
    """Observations of 3 numbers, goals of 2."""
    box = lambda n: types.Range((-1.0,) * n, (1.0,) * n)
    return types.EnvSpec((3,), (2,), action, horizon, 0.05, False, box(3), box(2))


def actions(action, shape, generator):
    """Random actions of the set, [*shape, D]."""
    if isinstance(action, types.Box):
        return generator.uniform(-1, 1, (*shape, action.num_dims)).astype(np.float32)
    return generator.integers(0, action.num_bins, (*shape, action.num_dims)).astype(np.int32)


def transitions(action, seed=0, rewards=(0.0, -1.0), size=12):
    """Random transitions of every kind: behaviour goals, next states, far goals, terminal steps, starts at the goal."""
    generator = np.random.default_rng(seed)
    normal = lambda *shape: generator.normal(size=shape).astype(np.float32)
    offset = generator.permutation(np.resize([0, 1, 1, 2, 3, 7], size)).astype(np.int32)
    next_achieved_goal = normal(size, 2)
    is_next = offset == 1
    batch = types.Transition(
        observation=normal(size, 3),
        action=actions(action, (size,), generator),
        next_observation=normal(size, 3),
        goal=np.where(is_next[:, None], next_achieved_goal, normal(size, 2)),
        achieved_goal=normal(size, 2),
        next_achieved_goal=next_achieved_goal,
        reward=np.where(is_next, *rewards).astype(np.float32),
        discount=(np.arange(size) % 4 != 3).astype(np.float32),
        is_next=is_next,
        relabelled=offset > 0,
        offset=offset,
        start_reward=np.where(np.arange(size) % 4 == 1, *rewards).astype(np.float32),
    )
    rests = (np.arange(size) % 4 == 2)[:, None]
    return batch._replace(achieved_goal=np.where(rests, batch.goal, batch.achieved_goal))


def arrives(batch):
    """Which rows come to their goal, by index or by reward, from elsewhere."""
    there = (batch.start_reward >= 0) | np.all(batch.achieved_goal == batch.goal, axis=-1)
    return (batch.is_next | (batch.reward >= 0)) & ~there


def trajectories(action, lengths, horizon, seed=0):
    """Random trajectories with goals on a grid of 3 x 3 cells; steps that were not taken hold poison."""
    generator = np.random.default_rng(seed)
    count, lengths = len(lengths), np.asarray(lengths, np.int32)
    beyond = np.arange(horizon + 1)[None] > lengths[:, None]
    observation = generator.normal(size=(count, horizon + 1, 3)).astype(np.float32)
    achieved_goal = generator.integers(0, 3, (count, horizon + 1, 2)).astype(np.float32)
    action = actions(action, (count, horizon), generator)
    observation[beyond], achieved_goal[beyond] = np.nan, np.nan
    action[beyond[:, 1:]] = np.nan if action.dtype.kind == "f" else -7777
    return types.Trajectory(
        observation=observation,
        achieved_goal=achieved_goal,
        action=action,
        desired_goal=generator.integers(0, 3, (count, 2)).astype(np.float32),
        length=lengths,
        terminal=lengths < horizon,
    )


# Networks


def layers_of(params):
    """[(kernel, bias), ..] of an MLP in float64."""
    dense = params["params"]["MLP_0"]
    as_double = lambda x: np.asarray(x, np.float64)
    return [
        (as_double(dense[f"Dense_{i}"]["kernel"]), as_double(dense[f"Dense_{i}"]["bias"])) for i in range(len(dense))
    ]


def forward(layers, *parts):
    """The inputs of every layer, and the outputs of the last, for the parts side by side."""
    x = np.concatenate([np.asarray(part, np.float64) for part in parts], axis=-1)
    inputs = [x]
    for i, (kernel, bias) in enumerate(layers):
        x = x @ kernel + bias
        if i < len(layers) - 1:
            x = np.maximum(x, 0.0)
            inputs.append(x)
    return inputs, x


def backward(layers, inputs, slope):
    """Gradients [(kernel, bias), ..] and that in the input, for the slope [B, outputs] of a loss in the outputs."""
    gradients = []
    for i in reversed(range(len(layers))):
        gradients.insert(0, (inputs[i].T @ slope, slope.sum(axis=0)))
        slope = slope @ layers[i][0].T
        if i > 0:
            slope = slope * (inputs[i] > 0)
    return gradients, slope


def readings(action_set, outputs, log_std, action):
    """(log_prob [..], its slope in a policy's outputs [.., outputs], entropy [..]) of actions [.., D]."""
    if isinstance(action_set, types.Box):
        law = scipy.stats.norm(outputs, math.exp(log_std))
        slope = (action - outputs) / math.exp(2 * log_std)
        return law.logpdf(action).sum(-1), slope, law.entropy().sum(-1)
    heads = outputs.reshape(*outputs.shape[:-1], *action_set)
    one_hot = np.eye(action_set.num_bins)[action]
    log_pi = log_softmax(heads, axis=-1)
    entropy = -(np.exp(log_pi) * log_pi).sum((-2, -1))
    return (one_hot * log_pi).sum((-2, -1)), (one_hot - np.exp(log_pi)).reshape(outputs.shape), entropy


class Adam:
    """Adam (0.9, 0.999, 1e-8) of a list of tuples of arrays, in float64."""

    def __init__(self, layers, learning_rate):
        self.layers, self.learning_rate, self.count = layers, learning_rate, 0
        self.moments = [[(np.zeros_like(x), np.zeros_like(x)) for x in layer] for layer in layers]

    def step(self, gradients):
        """The layers after one more step."""
        self.count += 1
        layers, moments = [], []
        for arrays, slopes, old in zip(self.layers, gradients, self.moments, strict=True):
            pairs = [(0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g) for (m, v), g in zip(old, slopes, strict=True)]
            unbiased = [(m / (1 - 0.9**self.count), v / (1 - 0.999**self.count)) for m, v in pairs]
            moved = zip(arrays, unbiased, strict=True)
            layers.append(tuple(p - self.learning_rate * m / (np.sqrt(v) + 1e-8) for p, (m, v) in moved))
            moments.append(pairs)
        self.layers, self.moments = layers, moments
        return layers


def mixed(target, online, rate):
    """Layers of a target network after a step of `rate` towards the online one."""
    move = lambda t, p: (1 - rate) * t + rate * p
    return [tuple(map(move, t, p)) for t, p in zip(target, online, strict=True)]


def without_hidden_layers(params, kernel, bias):
    """The parameters of a network without hidden layers, with this kernel and bias."""
    dense = {"kernel": np.asarray(kernel, np.float32), "bias": np.asarray(bias, np.float32)}
    expected = params["params"]["MLP_0"]["Dense_0"]
    assert {name: value.shape for name, value in dense.items()} == {n: v.shape for n, v in expected.items()}
    return {"params": params["params"] | {"MLP_0": {"Dense_0": jax.tree.map(jnp.asarray, dense)}}}


# Comparisons


def numbers_of(state):
    """The hyper-parameters of a state as Python floats."""
    return {name: float(value) for name, value in state.hparams._asdict().items()}


def assert_layers(params, layers, **tolerance):
    """The parameters of an MLP are these layers."""
    for got, expected in zip(layers_of(params), layers, strict=True):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, **tolerance)


def assert_metrics(metrics, expected):
    """f32[] each, of the same names, close."""
    assert set(metrics) == set(expected)
    assert all(m.shape == () and m.dtype == np.float32 for m in metrics.values())
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=2e-4, atol=2e-5, err_msg=name)


def same_bits(left, right):
    """Equal to the bit, dtypes included."""
    is_key = lambda x: jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    plain = lambda x: jax.random.key_data(x) if isinstance(x, jax.Array) and is_key(x) else x
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(plain(a), plain(b), strict=True), left, right)


def close(left, right, rtol=1e-5, atol=1e-6):
    """Every leaf within the tolerance."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), left, right)


# Acting


def steps_of(v, gamma):
    """Steps of reward -1 that a value says."""
    left = np.maximum(1 + (1 - gamma) * np.minimum(np.float64(v), 0), 0)
    return np.divide(np.log(left, where=left > 0, out=np.full_like(left, -np.inf)), math.log(gamma))


def actions_of(agent, state, num_draws=30_000, explore=True):
    """[num_draws, D], all in the same situation, 0."""
    act = lambda key: agent.act(state, jnp.zeros(3), jnp.zeros(2), key, explore)
    return np.asarray(jax.jit(jax.vmap(act))(jax.random.split(jax.random.key(1), num_draws)))


def assert_share(happened, probability):
    """An event in as many draws as its probability says, within four standard deviations."""
    assert abs(np.mean(happened) - probability) <= 4 * math.sqrt(probability * (1 - probability) / len(happened))


def assert_clipped_gaussian(drawn, mean, std):
    """Each dimension: Gaussian within (-1, 1), and what lies beyond at the bounds."""
    for values, centre in zip(np.float64(drawn).T, mean, strict=True):
        assert_share(values == 1, scipy.stats.norm.sf(1, centre, std))
        assert_share(values == -1, scipy.stats.norm.cdf(-1, centre, std))
        within = scipy.stats.truncnorm((-1 - centre) / std, (1 - centre) / std, centre, std)
        assert scipy.stats.kstest(values[np.abs(values) < 1], within.cdf).pvalue > 1e-3


def assert_uniform_with(probability, drawn, otherwise):
    """With that probability all dimensions are uniform in [-1, 1] together, else all are `otherwise`."""
    away = np.abs(drawn - np.asarray(otherwise)).max(axis=1) > 1e-6
    assert_share(away, probability)
    assert all(scipy.stats.kstest(values, "uniform", (-1, 2)).pvalue > 1e-3 for values in drawn[away].T)
