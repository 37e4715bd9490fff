"""Flax modules: an MLP on (observation, goal), the heads that agents put on it, and an encoder of images."""

from hindsight_jax.networks.contrastive import ContrastiveEncoders
from hindsight_jax.networks.encoder import ImageEncoder
from hindsight_jax.networks.heads import Critic, DeterministicPolicy, GaussianPolicy, QNetwork, TanhGaussianPolicy
from hindsight_jax.networks.mlp import MLP, check_hidden_sizes, joined, scale_to_range, small_normal, uniform_fan_in

__all__ = [
    "MLP",
    "ContrastiveEncoders",
    "Critic",
    "DeterministicPolicy",
    "GaussianPolicy",
    "ImageEncoder",
    "QNetwork",
    "TanhGaussianPolicy",
    "check_hidden_sizes",
    "joined",
    "scale_to_range",
    "small_normal",
    "uniform_fan_in",
]
