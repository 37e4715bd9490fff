"""Imitation of hindsight goals: GCSL (HBC) and the M-step of hEM are rows of arguments of one agent.

Dimension key: B batch, O observation dims, G goal dims, D action dims, K bins per dim (a flat action set has D = 1).
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import losses, types
from hindsight_jax.agents import _common, _validation, policies
from hindsight_jax.agents.base import Agent, override


class ImitationValues(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them."""

    learning_rate: Any = 1e-3  # Adam's, per update
    epsilon: Any = 0.0  # probability of a uniform action while exploring
    noise: Any = 0.5  # std of Gaussian noise on a continuous action while exploring, in units of [-1, 1]


class ImitationState(NamedTuple):
    """Everything that an update reads or writes."""

    params: Any
    adam: Any
    updates: jax.Array  # i32[]
    values: ImitationValues


def imitation(
    spec: types.EnvSpec,
    *,
    values: ImitationValues | None = None,
    hidden_sizes: tuple[int, ...] = (256, 256, 256),
    layer_norm: bool = False,
    scale_inputs: bool = False,
    exploration: Literal["mode", "sample"] = "sample",
) -> Agent:
    """Supervised learning of a goal-conditioned policy, mean -log pi(a | s, g) over relabelled transitions.

    On goals of the future it is GCSL, or HBC [D 12], and the M-step of hEM [M 10], up to the factor T between a sum
    over a trajectory and the mean over steps. The policy is a softmax for a Discrete action set, per dimension, and a
    Gaussian with one deviation for all states for a Box.

    * exploration: what a uniform action (with probability `epsilon`) and the noise of a Box are added to: "mode", the
      most likely action, or "sample", one of the policy's. Acting without exploration is always the mode. Continuous
      actions are clipped to [-1, 1].
    * scale_inputs: observation and goal are mapped from the spec's ranges to [-1, 1] before the first layer.

    Metrics, each the mean over the batch: loss (-log pi, in nats; of a density for a Box, so it may be negative) and
    entropy (of the policy at (s, g), in nats).

    Raises ValueError if an option is unknown; `init` on an unknown name in `values` or a known number out of range;
    `act` and `update` on wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Box(3), 50, 0.05, False, box, box)
    >>> agent = agents.imitation(spec)
    >>> state = agent.init(jax.random.key(0), {"noise": 0.2})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=True).shape
    (3,)
    """
    flags = {"layer_norm": layer_norm, "scale_inputs": scale_inputs}
    _validation.check_arguments(spec, values, ImitationValues, hidden_sizes, **flags)
    _common.check_option("exploration", exploration, ("mode", "sample"))
    policy = policies.policy(spec, hidden_sizes, layer_norm, scale_inputs)
    row = _Row(spec, policy, exploration)
    return _validation.guarded(
        spec,
        ImitationState,
        "transitions",
        init=functools.partial(_init, row, ImitationValues() if values is None else values),
        act=functools.partial(_act, row),
        update=functools.partial(_update, row),
        check=functools.partial(_common.check_ranges, _common.RANGES),
    )


class _Row(NamedTuple):
    """What one row of the table fixes; static."""

    spec: types.EnvSpec
    policy: policies.Policy
    exploration: str


def _init(
    row: _Row, defaults: ImitationValues, key: jax.Array, values: Mapping[str, Any] | None = None
) -> ImitationState:
    numbers = override(defaults, values)
    _common.check_ranges(_common.RANGES, numbers._asdict())
    spec = row.spec
    params = row.policy.network.init(key, jnp.zeros((1, *spec.observation_shape)), jnp.zeros((1, *spec.goal_shape)))
    return ImitationState(params, _common.ADAM.init(params), jnp.zeros((), jnp.int32), numbers)


def _act(
    row: _Row, state: ImitationState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    head = policies.head_of_one(row.policy, state.params, observation, goal)
    if not explore:
        return _common.clipped(row.spec, row.policy.mode(head))
    key_sample, key_noise, key_uniform = jax.random.split(key, 3)
    action = row.policy.sample(head, key_sample) if row.exploration == "sample" else row.policy.mode(head)
    if isinstance(row.spec.action, types.Box):
        action = action + state.values.noise * jax.random.normal(key_noise, action.shape)
    action = _common.clipped(row.spec, action)
    return _common.or_uniform(row.spec, key_uniform, state.values.epsilon, action)


def _update(row: _Row, state: ImitationState, batch: types.Transition, key: jax.Array):
    del key  # an imitation update draws nothing
    (loss, metrics), gradient = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)(row, state.params, batch)
    params, adam = _common.adam_step(state.params, state.adam, gradient, state.values.learning_rate)
    return ImitationState(params, adam, state.updates + 1, state.values), metrics | {"loss": loss}


def _batch_loss(row: _Row, params: Any, batch: types.Transition):
    """The mean over the batch of -log pi, and metrics."""
    head = row.policy.network.apply(params, batch.observation, batch.goal)
    example = lambda head, action: losses.behaviour_cloning(row.policy.log_prob(head, action))
    entropy = jnp.mean(jax.vmap(row.policy.entropy)(head))
    return jnp.mean(jax.vmap(example)(head, batch.action)), {"entropy": entropy}
