"""Useful floating-point operations of one update, for every kind of agent: those of the mathematics alone.

A forward pass of B rows through n weights takes 2 B n operations. A backward pass takes as many for the gradient with
respect to the weights, and again for the gradient with respect to the inputs, except those of the first layer.

Dimension key: B rows of a batch, n weights of a network, D action dims, N trajectories of T steps.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hindsight_jax import presets, types


class Network(NamedTuple):
    """The number of weights of a multilayer perceptron, without biases."""

    first: int  # of the first layer
    rest: int

    @property
    def forward(self) -> int:
        """Operations of one row: 2 n."""
        return 2 * (self.first + self.rest)

    @property
    def learn(self) -> int:
        """Operations of one row, forward and backward to the weights: 6 n - 2 first."""
        return 3 * self.forward - 2 * self.first


def mlp(num_inputs: int, hidden_sizes: tuple[int, ...], num_outputs: int) -> Network:
    """The weights of a network of this shape.

    >>> mlp(2, (3,), 4)
    Network(first=6, rest=12)
    """
    first, *rest = [a * b for a, b in itertools.pairwise((num_inputs, *hidden_sizes, num_outputs))]
    return Network(first, sum(rest))


def is_counted(name: str) -> bool:
    """Whether `of_update` knows the kind of agent of the run `name`."""
    algorithm, _, _ = presets.split(name)
    return presets.ALGORITHMS[algorithm].agent in _COUNTS


def of_update(name: str, spec: types.EnvSpec, config: Mapping[str, Any]) -> float:
    """Useful operations of one update of the run `name` with this config. KeyError unless `is_counted(name)`.

    >>> box = types.Range((0.0,) * 4, (1.0,) * 4)
    >>> spec = types.EnvSpec((4,), (4,), types.Discrete(1, 9), 50, 0.05, False, box, box)
    >>> of_update("gcsl_push_paper", spec, presets.config("gcsl_push_paper"))  # 256 (6 * 125,900 - 2 * 3,200)
    191744000.0
    """
    algorithm, _, _ = presets.split(name)
    return float(_COUNTS[presets.ALGORITHMS[algorithm].agent](spec, config))


def _policy(spec: types.EnvSpec, config: Mapping[str, Any]) -> Network:
    """The network of (s, g) with one output (Box) or K outputs (Discrete) for each of D action dimensions."""
    per_dim = spec.action.num_bins if isinstance(spec.action, types.Discrete) else 1
    inputs = spec.observation_shape[0] + spec.goal_shape[0]
    return mlp(inputs, config["agent.hidden_sizes"], spec.action.num_dims * per_dim)


def _q_learning(spec: types.EnvSpec, config: Mapping[str, Any]) -> int:
    """Learn at (s, g) and a forward pass of the target network at (s', g).

    A forward pass of the online network at (s', g) for double Q-learning or the indicator; learn at (s', g) too for the
    next-state loss.
    """
    network = _policy(spec, config)
    passes = network.learn + network.forward
    if config["agent.backup"] == "double" or config["agent.imitation"] == "indicator":
        passes += network.forward
    if config["agent.next_state"] == "loss":
        passes += network.learn
    return config["agent.batch_size"] * passes


def _imitation(spec: types.EnvSpec, config: Mapping[str, Any]) -> int:
    return config["agent.batch_size"] * _policy(spec, config).learn


def _actor_critic(spec: types.EnvSpec, config: Mapping[str, Any]) -> int:
    """Critic: learn, and a forward pass of both target networks at s'. Actor: learn through the critic.

    The actor's loss needs a forward pass of the critic and a backward pass to its action inputs, 2 (rest + D H) with H
    units in the first layer; the critic's weights get no gradient there.
    """
    actor, num_dims = _policy(spec, config), spec.action.num_dims
    inputs = spec.observation_shape[0] + spec.goal_shape[0] + num_dims
    critic = mlp(inputs, config["agent.hidden_sizes"], 1)
    to_action = 2 * (critic.rest + num_dims * config["agent.hidden_sizes"][0])
    passes = critic.learn + actor.forward + critic.forward + actor.learn + critic.forward + to_action
    return config["agent.batch_size"] * passes


def _policy_gradient(spec: types.EnvSpec, config: Mapping[str, Any]) -> int:
    """Learn at every step for every goal; a forward pass for the behaviour goals if the loss has other goals."""
    network, steps = _policy(spec, config), config["env.num_envs"] * spec.horizon
    inputs = spec.observation_shape[0] + spec.goal_shape[0]
    value = mlp(inputs, config["agent.hidden_sizes"], 1).learn if config["agent.baseline"] else 0
    if config["agent.goals"] == "own":
        return steps * (network.learn + value)
    return steps * (config["agent.num_goals"] * (network.learn + value) + network.forward)


_COUNTS: dict[str, Callable[[types.EnvSpec, Mapping[str, Any]], int]] = {
    "q_learning": _q_learning,
    "imitation": _imitation,
    "actor_critic": _actor_critic,
    "policy_gradient": _policy_gradient,
}
