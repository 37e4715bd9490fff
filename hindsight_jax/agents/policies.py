"""A stochastic policy for each kind of action: its network, and what the network's output means.

Dimension key: O observation dims, G goal dims, D action dims, K bins per dim (a flat action set has D = 1).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common


class Policy(NamedTuple):
    """A network, and four readings of its output for *one* state and goal (the head, without a batch axis)."""

    network: Any  # observation [B, *O], goal [B, *G] -> head, every leaf [B, ...]
    log_prob: Callable[[Any, jax.Array], jax.Array]  # (head, action [D]) -> f32[], in nats
    entropy: Callable[[Any], jax.Array]  # head -> f32[], in nats
    mode: Callable[[Any], jax.Array]  # head -> the most likely action [D]
    sample: Callable[[Any, jax.Array], jax.Array]  # (head, key) -> action [D]; of a Box it may leave [-1, 1]


def policy(
    spec: types.EnvSpec,
    hidden_sizes: tuple[int, ...],
    layer_norm: bool = False,
    scale_inputs: bool = False,
    activation: str = "relu",
    initial_std: float | None = None,
    std: float = 0.0,
    encoder: networks.ImageEncoder | None = None,
) -> Policy:
    """A softmax per dimension, of logits [D, K], for a Discrete action set; for a Box the Gaussian of
    `networks.GaussianPolicy`, whose head is (mean [D], log std [D]); `std` is its deviation, 0 for a learnt one.

    Raises ValueError for a deviation of discrete actions.
    """
    box = isinstance(spec.action, types.Box)
    if std and not box:
        remedy = "Leave it at 0, or make the environment with actions='continuous'."
        checks.fail("std", std, "a policy over discrete actions has no deviation", remedy)
    kind: Any = functools.partial(networks.GaussianPolicy, std=std) if box else networks.QNetwork
    network = kind(
        action=spec.action,
        hidden_sizes=hidden_sizes,
        layer_norm=layer_norm,
        observation_range=spec.observation_range if scale_inputs else None,
        goal_range=spec.goal_range if scale_inputs else None,
        activation=activation,
        initial_std=initial_std,
        encoder=encoder,
    )
    if box:
        return Policy(
            network,
            log_prob=lambda head, action: losses.gaussian_log_prob(head[0], head[1], action),
            entropy=lambda head: jnp.sum(head[1] + 0.5 * jnp.log(2 * jnp.pi * jnp.e)),
            mode=lambda head: head[0],
            sample=lambda head, key: head[0] + jnp.exp(head[1]) * jax.random.normal(key, head[0].shape),
        )
    return Policy(
        network,
        log_prob=lambda head, action: losses.factorised(losses.log_prob)(head, action),
        entropy=lambda head: -jnp.sum(jax.nn.softmax(head) * jax.nn.log_softmax(head)),
        mode=lambda head: jnp.argmax(head, axis=-1).astype(jnp.int32),
        sample=lambda head, key: jax.random.categorical(key, head).astype(jnp.int32),
    )


def head_of_one(policy: Policy, params: Any, observation: jax.Array, goal: jax.Array) -> Any:
    """The head for one observation [*O] and one goal [*G], without a batch axis."""
    return jax.tree.map(lambda x: x[0], policy.network.apply(params, observation[None], goal[None]))


def chosen(spec: types.EnvSpec, policy: Policy, choice: str, head: Any, key: jax.Array) -> jax.Array:
    """An action [D] of the set: the policy's most likely one ("mode"), or one of its own ("sample")."""
    action = policy.sample(head, key) if choice == "sample" else policy.mode(head)
    return _common.clipped(spec, action)


def explored(spec: types.EnvSpec, policy: Policy, choice: str, head: Any, key: jax.Array, hparams: Any) -> jax.Array:
    """The chosen action with Gaussian noise of `hparams.noise` (of a Box), or with probability `hparams.epsilon` a
    uniform one. [D]
    """
    key_sample, key_noise, key_uniform = jax.random.split(key, 3)
    action = policy.sample(head, key_sample) if choice == "sample" else policy.mode(head)
    if isinstance(spec.action, types.Box):
        action = action + hparams.noise * jax.random.normal(key_noise, action.shape)
    return _common.or_uniform(spec, key_uniform, hparams.epsilon, _common.clipped(spec, action))
