"""What agents with a soft actor share: its draws, how it acts, and the losses of the actor and of its temperature.

Dimension key: B batch, O observation dims, G goal dims, D action dims.
"""

import functools
import math
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common
from hindsight_jax.fields import Allowed

TargetEntropy = Annotated[
    Any, Allowed("entropy that the policy is held at, per action dim in nats; log 2 is uniform", -100.0, math.log(2.0))
]
InitialTemperature = Annotated[Any, Allowed("first price of a nat of entropy, in units of value", 1e-6, 1e6)]


class Drawn(NamedTuple):
    """Actions of the policy, by reparameterised noise: gradients flow through them to the actor."""

    action: jax.Array  # [B, D]
    log_prob: jax.Array  # [B], in nats


def network(
    spec: types.EnvSpec, who: str, hidden_sizes: tuple[int, ...], layer_norm: bool, scale_inputs: bool
) -> networks.TanhGaussianPolicy:
    """The actor. Raises ValueError if the action set is discrete, or the spec has images."""
    action = _common.continuous(spec, who)
    if spec.images is not None:
        rule = f"{who} has no encoder of images"
        checks.fail("spec.images", spec.images, rule, "Take another agent, or leave pixels at 0.")
    observation_range, goal_range = ranges(spec, scale_inputs)
    return networks.TanhGaussianPolicy(action, hidden_sizes, layer_norm, observation_range, goal_range)


def ranges(spec: types.EnvSpec, scale_inputs: bool) -> tuple[types.Range | None, types.Range | None]:
    """The ranges of observation and goal that networks scale by; None where inputs stay as they are."""
    return (spec.observation_range, spec.goal_range) if scale_inputs else (None, None)


def draw(head: tuple[jax.Array, jax.Array], key: jax.Array) -> Drawn:
    """An action for each row of the network's output, mean [B, D] and log std [B, D]."""
    mean, log_std = head
    before_tanh = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    log_prob = jax.vmap(losses.tanh_gaussian_log_prob)(mean, log_std, before_tanh)
    return Drawn(jnp.tanh(before_tanh), log_prob)


def act(
    actor: Any,  # networks.TanhGaussianPolicy
    params: Any,
    observation: jax.Array,
    goal: jax.Array,
    key: jax.Array,
    explore: bool,
) -> jax.Array:
    """f32[D] for observation [*O] and goal [*G]: exploring a draw, else tanh of the mean."""
    head = actor.apply(params, observation[None], goal[None])
    return draw(head, key).action[0] if explore else jnp.tanh(head[0][0])


def actor_losses(
    log_temperature: jax.Array, drawn: Drawn, q: jax.Array, target_entropy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The losses [B] of the actor, by the values q [B] of its draws, and of the temperature.

    `target_entropy` is that of a dimension. Each loss has a gradient in its own parameters alone, if q was computed
    with a critic's parameters that are stopped.
    """
    temperature = jnp.exp(jax.lax.stop_gradient(log_temperature))
    of_actor = jax.vmap(functools.partial(losses.soft_actor, temperature=temperature))(q, drawn.log_prob)
    of_temperature = jax.vmap(
        functools.partial(losses.temperature_loss, target_entropy=target_entropy * drawn.action.shape[-1]), (None, 0)
    )(log_temperature, drawn.log_prob)
    return of_actor, of_temperature


def metrics(log_temperature: jax.Array, drawn: Drawn) -> dict[str, jax.Array]:
    """Entropy, estimated by the draws, and temperature, f32[] each."""
    return {"entropy": -jnp.mean(drawn.log_prob), "temperature": jnp.exp(log_temperature)}
