"""Useful floating-point operations: those that the mathematics of an update asks for, no more.

A forward pass of B rows through n weights is 2 B n operations. A backward pass is as much for the gradient with respect
to the weights and again for that with respect to the inputs, less the inputs of the network, which nobody needs. The
weights of a convolution count at every place to which its kernel goes.

Dimension key: B rows of a batch, n weights of a network, D action dims, K bins per dim.
"""

import itertools
from typing import NamedTuple

from hindsight_jax import networks, types


class Network(NamedTuple):
    """The number of weights of a network, biases left out; those of an encoder times its places."""

    first: int  # those on inputs of the network
    rest: int

    @property
    def forward(self) -> int:
        """Operations of a row, 2 n."""
        return 2 * (self.first + self.rest)

    @property
    def learn(self) -> int:
        """Operations of a row, forward and backward to the weights: 6 n less 2 of each weight on an input."""
        return 3 * self.forward - 2 * self.first


def mlp(num_inputs: int, hidden_sizes: tuple[int, ...], num_outputs: int) -> Network:
    """The multilayer perceptron of that shape.

    >>> mlp(2, (3,), 4)
    Network(first=6, rest=12)
    """
    first, *rest = [a * b for a, b in itertools.pairwise((num_inputs, *hidden_sizes, num_outputs))]
    return Network(first, sum(rest))


def convolutions(encoder: networks.ImageEncoder, pixels: int, channels: int) -> Network:
    """The encoder, on an image of `pixels` x `pixels`.

    >>> convolutions(networks.ImageEncoder(), 36, 3)  # 8 x 8 places of 8 x 8 x 3 x 32 weights; 3 x 3; one
    Network(first=393216, rest=331776)
    """
    counts = []
    for layer, side in zip(encoder.layers(), encoder.sides(pixels), strict=True):
        counts.append(side * side * layer.side * layer.side * channels * layer.maps)
        channels = layer.maps
    return Network(counts[0], sum(counts[1:]))


class OnInputs(NamedTuple):
    """A network on (observation, goal), and the part of it behind the encoder; the same network if it has none."""

    whole: Network
    mlp: Network


def head(spec: types.EnvSpec, hidden_sizes: tuple[int, ...], encoder: networks.ImageEncoder | None = None) -> Network:
    """A head on (observation, goal): one number (Box) or K (Discrete) for each of D dimensions."""
    per_dim = spec.action.num_bins if isinstance(spec.action, types.Discrete) else 1
    return network(spec, hidden_sizes, spec.action.num_dims * per_dim, encoder).whole


def network(
    spec: types.EnvSpec,
    hidden_sizes: tuple[int, ...],
    num_outputs: int,
    encoder: networks.ImageEncoder | None = None,
    num_others: int = 0,
) -> OnInputs:
    """A network on (observation, goal) and `num_others` numbers, an action's, say."""
    if spec.images is None or encoder is None:
        whole = mlp(num_inputs(spec) + num_others, hidden_sizes, num_outputs)
        return OnInputs(whole, whole)
    pixels, frames, goals = spec.images
    num_images = 2 if goals else 1
    numbers = num_others if goals else num_others + spec.goal_shape[0]
    behind = mlp(num_images * encoder.num_features(pixels) + numbers, hidden_sizes, num_outputs)
    on_numbers = numbers * (*hidden_sizes, num_outputs)[0]
    before = convolutions(encoder, pixels, 3 * frames)
    whole = Network(
        first=num_images * before.first + on_numbers,
        rest=num_images * before.rest + behind.first - on_numbers + behind.rest,
    )
    return OnInputs(whole, behind)


def num_inputs(spec: types.EnvSpec) -> int:
    """Numbers in an observation and a goal, neither an image."""
    return spec.observation_shape[0] + spec.goal_shape[0]
