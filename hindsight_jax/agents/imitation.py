"""Imitation of hindsight goals: GCSL (HBC) and the M-step of hEM are two settings of one agent.

Dimension key: B batch, O observation dims, G goal dims, D action dims, K bins per dim (a flat action set has D = 1).
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hindsight_jax import checks, losses, types
from hindsight_jax.agents import _common, _validation, flops, policies
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed

Acting = Annotated[Literal["mode", "sample"], Allowed("action without exploration, as in evaluations")]
Averaging = Annotated[
    int, Allowed("acting without exploration, updates over which the weights are averaged; 0: the newest act", 0, 2**24)
]


class ImitationHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them."""

    learning_rate: _common.LearningRate = 1e-3
    epsilon: _common.Epsilon = 0.0
    noise: _common.Noise = 0.5


class ImitationState(NamedTuple):
    """Everything that an update reads or writes."""

    params: Any
    adam: Any
    updates: jax.Array  # i32[]
    hparams: ImitationHparams
    averaged: Any = None  # parameters that act without exploration, where they are averaged; else None


@_validation.constructor
def imitation(
    spec: types.EnvSpec,
    *,
    hparams: ImitationHparams = ImitationHparams(),
    hidden_sizes: _common.HiddenSizes = (256, 256, 256),
    layer_norm: _common.LayerNorm = False,
    scale_inputs: _common.ScaleInputs = False,
    exploration: _common.Exploration = "sample",
    acting: Acting = "mode",
    std: _common.Std = 0.0,
    averaging: Averaging = 0,
    last_stride: _common.LastStride = 1,
    spatial_softmax: _common.SpatialSoftmax = False,
) -> Agent:
    """Supervised learning of a goal-conditioned policy, mean -log pi(a | s, g) over relabelled transitions.

    On goals of the future it is GCSL, or HBC [D 12], and the M-step of hEM [M 10], up to the factor T between a sum
    over a trajectory and the mean over steps. The policy is a softmax for a Discrete action set, per dimension, and a
    Gaussian with one deviation for all states and dimensions for a Box.

    * exploration: what a uniform action (with probability `epsilon`) and the noise of a Box are added to: "mode", the
      most likely action, or "sample", one of the policy's. Continuous actions are clipped to [-1, 1].
    * acting: the same choice for acting without exploration. The return that hEM raises is that of samples; a mode that
      leads back to where it was is stuck there.
    * std: the deviation for a Box; 0 learns one. Where a sample explores, a learnt one holds the noise, too: with noise
      0.5 around a mean of 0 it settles at 0.66, where the clip of the actions ends its growth. The paper has one
      deviation, and does not say which or whether it is learnt.
    * averaging: n > 0 acts, without exploration, with a mean of the weights over about n updates (Polyak's): after
      update t it moves by 1 / min(t, n) towards the new ones. Hindsight's actions are mostly noise where a task wants
      small ones: what one batch teaches of it the next one takes back, and a mean does not show it. The papers have
      none.
    * scale_inputs: observation and goal are mapped from the spec's ranges to [-1, 1] before the first layer; images
      have none.
    * last_stride, spatial_softmax: of the `networks.ImageEncoder` that the network has where the spec has images.

    Metrics, each the mean over the batch: loss (-log pi, in nats; of a density for a Box, so it may be negative) and
    entropy (of the policy at (s, g), in nats).

    Raises ValueError if an argument is not as declared, or for a `std` of discrete actions; `init` for an unknown name
    in `hparams` or a number out of its range; `act` and `update` for wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Box(3), 50, 0.05, False, box, box)
    >>> agent = agents.imitation(spec)
    >>> state = agent.init(jax.random.key(0), {"noise": 0.2})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=True).shape
    (3,)
    """
    encoder = _common.encoder(spec, last_stride, spatial_softmax)
    policy = policies.policy(spec, hidden_sizes, layer_norm, scale_inputs, std=std, encoder=encoder)
    options = _Options(
        spec=spec, policy=policy, hidden_sizes=hidden_sizes, exploration=exploration, acting=acting, averaging=averaging
    )
    return Agent(
        init=checks.bind(_init, options, hparams),
        act=checks.bind(_act, options),
        update=checks.bind(_update, options),
        flops=functools.partial(_flops, options),
    )


class _Options(NamedTuple):
    """The static arguments."""

    spec: types.EnvSpec
    policy: policies.Policy
    hidden_sizes: tuple[int, ...]
    exploration: str
    acting: str
    averaging: int


@checks.validated(_validation.init)
def _init(
    options: _Options, defaults: ImitationHparams, key: jax.Array, hparams: Mapping[str, Any] | None = None
) -> ImitationState:
    """The state of a new agent, with parameters drawn by `key`.

    `hparams` overrides numeric hyper-parameters by name. Raises ValueError for an unknown name, a value that is not one
    number, or a number out of its range.
    """
    numbers = override(defaults, hparams)
    params = options.policy.network.init(key, *_common.example_inputs(options.spec))
    averaged = params if options.averaging else None
    return ImitationState(params, _common.ADAM.init(params), jnp.zeros((), jnp.int32), numbers, averaged)


@checks.validated(_validation.act(ImitationState))
def _act(
    options: _Options, state: ImitationState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    """An action [D] for observation [*O] and goal [*G], as the option `acting` says; exploring, as `exploration`."""
    params = state.averaged if options.averaging and not explore else state.params
    head = policies.head_of_one(options.policy, params, observation, goal)
    if explore:
        return policies.explored(options.spec, options.policy, options.exploration, head, key, state.hparams)
    return policies.chosen(options.spec, options.policy, options.acting, head, jax.random.split(key, 3)[0])


@checks.validated(_validation.update(ImitationState, _validation.check_transitions))
def _update(options: _Options, state: ImitationState, batch: types.Transition, key: jax.Array):
    """(state, metrics) after one step of Adam on the mean of -log pi over the batch [B]."""
    del key  # an imitation update draws nothing
    (loss, metrics), gradient = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)(options, state.params, batch)
    params, adam = _common.adam_step(state.params, state.adam, gradient, state.hparams.learning_rate)
    updates, averaged = state.updates + 1, state.averaged
    if options.averaging:
        averaged = optax.incremental_update(params, averaged, 1.0 / jnp.minimum(updates, options.averaging))
    return ImitationState(params, adam, updates, state.hparams, averaged), metrics | {"loss": loss}


def _batch_loss(options: _Options, params: Any, batch: types.Transition):
    """The mean over the batch of -log pi, and metrics."""
    head = options.policy.network.apply(params, batch.observation, batch.seen_goal)
    example = lambda head, action: losses.behaviour_cloning(options.policy.log_prob(head, action))
    entropy = jnp.mean(jax.vmap(options.policy.entropy)(head))
    return jnp.mean(jax.vmap(example)(head, batch.action)), {"entropy": entropy}


def _flops(options: _Options, count: int) -> int:
    """Learn at (s, g)."""
    return count * flops.head(options.spec, options.hidden_sizes, options.policy.network.encoder).learn
