"""Flax modules: an MLP on (observation, goal) and the heads that agents put on it.

With an `encoder` the observation is an image u8[B, P, P, C], and the MLP sees its features. The goal may be an image
u8[B, P, P, c], too: it goes through the same encoder, repeated along the channels to C of them.

Dimension key: B batch (any leading axes), O observation dims, G goal dims, D action dims, K bins per dim, P pixels of a
side, C channels.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hindsight_jax import checks, types
from hindsight_jax.networks.encoder import ImageEncoder, check_image
from hindsight_jax.networks.mlp import MLP, check_features, check_leading, joined


class QNetwork(nn.Module):
    """Q(s, ., g) or logits of a discrete action: one number per dimension and bin.

    `observation` [B, O] and `goal` [B, G] are concatenated, after `scale_to_range` if ranges are given, and mapped by
    an MLP to [B, D, K]. A flat action set has D = 1.
    """

    action: types.Discrete
    hidden_sizes: Sequence[int] = (400, 300)
    layer_norm: bool = False
    observation_range: types.Range | None = None
    goal_range: types.Range | None = None
    activation: str = "relu"
    initial_std: float | None = None
    encoder: ImageEncoder | None = None

    @nn.compact
    def __call__(self, observation: jax.Array, goal: jax.Array) -> jax.Array:
        """[B, O], [B, G] -> [B, D, K]."""
        _check_kind(self.action, types.Discrete)
        x = _inputs(self, observation, goal)
        num_dims, num_bins = self.action
        outputs = _mlp(self, num_dims * num_bins)(x)
        return outputs.reshape(*outputs.shape[:-1], num_dims, num_bins)


class GaussianPolicy(nn.Module):
    """A Gaussian over a continuous action: a mean by an MLP, and one standard deviation for all states and dimensions.

    hEM's policy [M, appendix C.2], which does not say whether the deviation is learnt. With `std` above 0 it is that
    number. With 0 it is learnt: its logarithm is a parameter, from 0 on, held to [-5, 2]; beyond, its gradient is that
    at the limit, so that it can come back.
    """

    action: types.Box
    hidden_sizes: Sequence[int] = (256, 256, 256)
    layer_norm: bool = False
    observation_range: types.Range | None = None
    goal_range: types.Range | None = None
    activation: str = "relu"
    initial_std: float | None = None
    std: float = 0.0
    encoder: ImageEncoder | None = None

    @nn.compact
    def __call__(self, observation: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[B, O], [B, G] -> mean [B, D] and log std [B, D]."""
        _check_kind(self.action, types.Box)
        std = checks.number("std", self.std, 0.0, sys.float_info.max, "0 learns it.", "it must be a finite number >= 0")
        x = _inputs(self, observation, goal)
        mean = _mlp(self, self.action.num_dims)(x)
        if std:
            return mean, jnp.full_like(mean, math.log(std))
        log_std = self.param("log_std", nn.initializers.zeros, ())
        held = log_std + jax.lax.stop_gradient(jnp.clip(log_std, -5.0, 2.0) - log_std)
        return mean, jnp.broadcast_to(held, mean.shape)


class TanhGaussianPolicy(nn.Module):
    """The actor of SAC: a Gaussian before a tanh, mean and deviation of each dimension by one MLP of state and goal.

    The logarithm of the deviation is -1.5 + 3.5 tanh(output), so that it lies in (-5, 2) and has a slope everywhere.
    The action is tanh(mean + std noise); `losses.tanh_gaussian_log_prob` has its density.
    """

    action: types.Box
    hidden_sizes: Sequence[int] = (256, 256)
    layer_norm: bool = False
    observation_range: types.Range | None = None
    goal_range: types.Range | None = None
    activation: str = "relu"
    initial_std: float | None = None
    encoder: ImageEncoder | None = None

    @nn.compact
    def __call__(self, observation: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[B, O], [B, G] -> mean [B, D] and log std [B, D], of the action before the tanh."""
        _check_kind(self.action, types.Box)
        x = _inputs(self, observation, goal)
        num_dims = self.action.num_dims
        outputs = _mlp(self, 2 * num_dims)(x)
        return outputs[..., :num_dims], -1.5 + 3.5 * jnp.tanh(outputs[..., num_dims:])


class DeterministicPolicy(nn.Module):
    """The actor of DDPG: tanh of an MLP, so that actions lie in (-1, 1)."""

    action: types.Box
    hidden_sizes: Sequence[int] = (256, 256, 256)
    layer_norm: bool = False
    encoder: ImageEncoder | None = None

    @nn.compact
    def __call__(self, observation: jax.Array, goal: jax.Array) -> jax.Array:
        """[B, O], [B, G] -> [B, D]."""
        _check_kind(self.action, types.Box)
        x = _inputs(self, observation, goal)
        return jnp.tanh(MLP(self.hidden_sizes, self.action.num_dims, self.layer_norm)(x))


class Critic(nn.Module):
    """Q(s, a, g) of a continuous action, or V(s, g) where no action is given."""

    hidden_sizes: Sequence[int] = (256, 256, 256)
    layer_norm: bool = False
    observation_range: types.Range | None = None
    goal_range: types.Range | None = None
    activation: str = "relu"
    initial_std: float | None = None
    encoder: ImageEncoder | None = None

    @nn.compact
    def __call__(self, observation: jax.Array, goal: jax.Array, action: jax.Array | None = None) -> jax.Array:
        """[B, O], [B, G] and perhaps [B, D] -> [B]."""
        x = _inputs(self, observation, goal)
        if action is not None:
            check_features("action", action)
            check_leading("action", action, x.shape[:-1])
            x = jnp.concatenate([x, action], axis=-1)
        return _mlp(self, 1)(x)[..., 0]


def _inputs(head: Any, observation: jax.Array, goal: jax.Array) -> jax.Array:
    """What the MLP of a head sees, [B, O + G]: images as features, numbers scaled where the head has their ranges."""
    observation_range, goal_range = getattr(head, "observation_range", None), getattr(head, "goal_range", None)
    if head.encoder is not None:
        checks.instance("encoder", head.encoder, ImageEncoder, "Write ImageEncoder(), or leave it out for vectors.")
        if checks.is_array(goal) and jnp.result_type(goal) == jnp.uint8:
            goal, goal_range = head.encoder(_like(observation, goal)), None
        observation = head.encoder(observation)
    return joined(observation, goal, observation_range, goal_range)


def _like(observation: jax.Array, goal: jax.Array) -> jax.Array:
    """A goal's image with as many channels as the observation, which has so many frames."""
    check_image("observation", observation)
    check_image("goal", goal)
    if jnp.shape(goal)[:-1] != jnp.shape(observation)[:-1] or jnp.shape(observation)[-1] % jnp.shape(goal)[-1]:
        rule = f"it must be one frame of observation {checks.describe(observation)}"
        checks.fail("goal", checks.describe(goal), rule, "Pass u8[.., P, P, 3].")
    return jnp.concatenate([goal] * (jnp.shape(observation)[-1] // jnp.shape(goal)[-1]), axis=-1)


def _mlp(head: QNetwork | GaussianPolicy | TanhGaussianPolicy | Critic, num_outputs: int) -> MLP:
    """The head's MLP, by the fields of its own that an MLP has."""
    return MLP(head.hidden_sizes, num_outputs, head.layer_norm, head.activation, head.initial_std)


def _check_kind(action: Any, kind: type) -> None:
    """An action set of this kind, of at least one dimension (and bin)."""
    if not isinstance(action, kind):
        checks.fail("action", checks.describe(action), f"it must be a {kind.__name__}", "Pass spec.action.")
    for name, count in action._asdict().items():
        checks.positive_int(f"action.{name}", count, "It counts.")
