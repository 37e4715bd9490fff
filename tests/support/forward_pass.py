"""Small networks, and their forward pass in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import networks, types

FLAT, CLAW = types.Discrete(1, 5), types.Discrete(3, 2)
OBSERVATIONS = types.Range(low=(-2.0, 0.0, 10.0), high=(2.0, 0.5, 20.0))
GOALS = types.Range(low=(0.0, -1.0), high=(4.0, 1.0))


def inputs(num_rows, seed=0):
    generator = np.random.default_rng(seed)
    observation = generator.uniform(OBSERVATIONS.low, OBSERVATIONS.high, (num_rows, 3)).astype(np.float32)
    return jnp.asarray(observation), jnp.asarray(generator.uniform(GOALS.low, GOALS.high, (num_rows, 2)), jnp.float32)


def made(action=FLAT, seed=0, num_rows=4, **options):
    """(network, its parameters, a batch of inputs)."""
    network = networks.QNetwork(action=action, **({"hidden_sizes": (8, 6)} | options))
    observation, goal = inputs(num_rows)
    return network, network.init(jax.random.key(seed), observation, goal), (observation, goal)


def forward(params, x, layer_norm=False):
    """The MLP in float64: dense layers, ReLU between them, layer normalisation before each ReLU if asked for."""
    layers = jax.tree.map(lambda p: np.asarray(p, np.float64), params)["params"]["MLP_0"]
    count = sum(name.startswith("Dense") for name in layers)
    x = np.asarray(x, np.float64)
    for i in range(count):
        x = x @ layers[f"Dense_{i}"]["kernel"] + layers[f"Dense_{i}"]["bias"]
        if i == count - 1:
            return x
        if layer_norm:
            norm = layers[f"LayerNorm_{i}"]
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * norm["scale"] + norm[
                "bias"
            ]
        x = np.maximum(x, 0.0)
