"""Useful floating-point operations: those that the mathematics of an update asks for, no more.

A forward pass of B rows through n weights is 2 B n operations. A backward pass is as much for the gradient with respect
to the weights and again for that with respect to the inputs, less the inputs of the first layer, which nobody needs.

Dimension key: B rows of a batch, n weights of a network, D action dims, K bins per dim.
"""

import itertools
from typing import NamedTuple

from hindsight_jax import types


class Network(NamedTuple):
    """The number of weights of a multilayer perceptron, biases left out."""

    first: int  # of the first layer
    rest: int

    @property
    def forward(self) -> int:
        """Operations of a row, 2 n."""
        return 2 * (self.first + self.rest)

    @property
    def learn(self) -> int:
        """Operations of a row, forward and backward to the weights: 6 n less 2 of each weight of the first layer."""
        return 3 * self.forward - 2 * self.first


def mlp(num_inputs: int, hidden_sizes: tuple[int, ...], num_outputs: int) -> Network:
    """The network of that shape.

    >>> mlp(2, (3,), 4)
    Network(first=6, rest=12)
    """
    first, *rest = [a * b for a, b in itertools.pairwise((num_inputs, *hidden_sizes, num_outputs))]
    return Network(first, sum(rest))


def head(spec: types.EnvSpec, hidden_sizes: tuple[int, ...]) -> Network:
    """A head on (observation, goal): one number (Box) or K (Discrete) for each of D dimensions."""
    per_dim = spec.action.num_bins if isinstance(spec.action, types.Discrete) else 1
    return mlp(num_inputs(spec), hidden_sizes, spec.action.num_dims * per_dim)


def num_inputs(spec: types.EnvSpec) -> int:
    """Numbers in an observation and a goal."""
    return spec.observation_shape[0] + spec.goal_shape[0]
