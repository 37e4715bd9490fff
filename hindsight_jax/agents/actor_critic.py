"""Deterministic policy gradients over hindsight goals: HER on DDPG, an actor and a critic for continuous actions.

Dimension key: B batch, O observation dims, G goal dims, D action dims.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _doors, _parts
from hindsight_jax.agents.base import Agent, override

LARGEST_INPUT = 5.0  # normalised inputs are clipped to +-this
SMALLEST_STD = 0.01  # so that a coordinate that hardly changes is not blown up


class ActorCriticValues(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them.

    The defaults are those of the implementation that came with HER (OpenAI baselines).
    """

    learning_rate: Any = 1e-3  # Adam's, per update, of actor and critic
    gamma: Any = 0.98  # discount per env step
    target_rate: Any = 0.05  # target <- (1 - rate) target + rate online, every `target_period` updates
    target_period: Any = 40.0  # updates between two steps of the target networks
    noise: Any = 0.2  # std of Gaussian noise on the action while exploring, in units of [-1, 1]
    epsilon: Any = 0.3  # probability of a uniform action while exploring
    action_l2: Any = 1.0  # weight of mean(action^2) in the actor's loss, in units of Q


class ActorCriticParams(NamedTuple):
    """The parameters of both networks: one Adam steps them together, as it would apart, coordinate by coordinate."""

    actor: Any
    critic: Any


class Moments(NamedTuple):
    """Mean and variance of all inputs seen so far, coordinate by coordinate."""

    count: jax.Array  # f32[], inputs seen
    mean: jax.Array  # [*O] or [*G]
    variance: jax.Array  # [*O] or [*G], over the count, not the count less one


class Normaliser(NamedTuple):
    """The running statistics of what the networks are fed."""

    observation: Moments
    goal: Moments


class ActorCriticState(NamedTuple):
    """Everything that an update reads or writes."""

    params: ActorCriticParams
    target_params: ActorCriticParams
    adam: Any
    normaliser: Normaliser | None  # None where inputs are not normalised
    updates: jax.Array  # i32[]
    values: ActorCriticValues


def actor_critic(
    spec: types.EnvSpec,
    *,
    values: ActorCriticValues | None = None,
    hidden_sizes: tuple[int, ...] = (256, 256, 256),
    layer_norm: bool = False,
    normalise_inputs: bool = True,
    clip_targets: bool = False,
) -> Agent:
    """DDPG over relabelled transitions, for a Box of actions (ALGORITHMS 3.7, `her_ddpg`).

    Critic: (Q(s, a, g) - sg(y))^2 with y = r + gamma discount Q^(s', pi^(s', g), g), both networks with a hat the
    target's. Actor: -Q(s, pi(s, g), g) + action_l2 mean(pi^2), whose gradient goes to the actor alone. Exploration adds
    Gaussian noise, clips to [-1, 1], and takes a uniform action with probability `epsilon`.

    * normalise_inputs: every network sees (x - mean) / std of observation and goal, std at least 0.01, clipped to +-5.
      The statistics run over all batches that `update` saw, the present one included; before the first they do
      nothing but clip. They are constants to the gradient.
    * clip_targets: y is clipped to [-1 / (1 - gamma), 0], the range of returns for rewards of -1 and 0, as in the
      released code. It makes rewards of 1 and 0 unlearnable: every target is then 0. With gamma = 1 there is no lower
      bound.

    Metrics, each the mean over the batch: loss (td_loss + actor_loss), td_loss, actor_loss, q_mean, target_mean
    (Q^(s', pi^(s', g), g)), reward_mean.

    Raises ValueError if the action set is discrete; `init` on an unknown name in `values` or a known number out of
    range; `act` and `update` on wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Box(3), 50, 0.05, False, box, box)
    >>> agent = agents.actor_critic(spec, hidden_sizes=(64, 64))
    >>> state = agent.init(jax.random.key(0), {"noise": 0.1})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=True).shape
    (3,)
    """
    flags = {"layer_norm": layer_norm, "normalise_inputs": normalise_inputs, "clip_targets": clip_targets}
    _doors.check_arguments(spec, values, ActorCriticValues, hidden_sizes, **flags)
    actor = networks.DeterministicPolicy(_parts.continuous(spec, "DDPG"), hidden_sizes, layer_norm)
    row = _Row(spec, actor, networks.Critic(hidden_sizes, layer_norm), normalise_inputs, clip_targets)
    return _doors.guarded(
        spec,
        ActorCriticState,
        "transitions",
        init=functools.partial(_init, row, ActorCriticValues() if values is None else values),
        act=functools.partial(_act, row),
        update=functools.partial(_update, row),
        check=functools.partial(_parts.check_ranges, _RANGES),
    )


class _Row(NamedTuple):
    """What one row of the table fixes; static."""

    spec: types.EnvSpec
    actor: Any  # networks.DeterministicPolicy
    critic: Any  # networks.Critic
    normalise_inputs: bool
    clip_targets: bool


def _init(
    row: _Row, defaults: ActorCriticValues, key: jax.Array, values: Mapping[str, Any] | None = None
) -> ActorCriticState:
    numbers = override(defaults, values)
    _parts.check_ranges(_RANGES, numbers._asdict())
    key_actor, key_critic = jax.random.split(key)
    spec = row.spec
    situation = jnp.zeros((1, *spec.observation_shape)), jnp.zeros((1, *spec.goal_shape))
    params = ActorCriticParams(
        actor=row.actor.init(key_actor, *situation),
        critic=row.critic.init(key_critic, *situation, jnp.zeros((1, spec.action.num_dims))),
    )
    return ActorCriticState(
        params=params,
        target_params=jax.tree.map(jnp.copy, params),  # buffers of their own: both are donated
        adam=_parts.ADAM.init(params),
        normaliser=_first_normaliser(spec) if row.normalise_inputs else None,
        updates=jnp.zeros((), jnp.int32),
        values=numbers,
    )


def _act(
    row: _Row, state: ActorCriticState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    inputs = _normalised(state.normaliser, observation[None], goal[None])
    action = row.actor.apply(state.params.actor, *inputs)[0]
    if not explore:
        return action
    key_noise, key_uniform = jax.random.split(key)
    noisy = action + state.values.noise * jax.random.normal(key_noise, action.shape)
    return _parts.or_uniform(row.spec, key_uniform, state.values.epsilon, _parts.clipped(row.spec, noisy))


def _update(row: _Row, state: ActorCriticState, batch: types.Transition, key: jax.Array):
    del key  # an update draws nothing
    if state.normaliser is not None:
        state = state._replace(normaliser=_seen(state.normaliser, batch))
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(row, state.params, state, batch)
    values = state.values
    params, adam = _parts.adam_step(state.params, state.adam, gradient, values.learning_rate)
    updates = state.updates + 1
    target_params = _parts.target_step(state.target_params, params, updates, values.target_rate, values.target_period)
    state = state._replace(params=params, target_params=target_params, adam=adam, updates=updates)
    return state, metrics | {"loss": loss}


def _batch_loss(row: _Row, params: ActorCriticParams, state: ActorCriticState, batch: types.Transition):
    """The mean of both losses, and the means of the metrics."""
    actor, critic, target, values = row.actor.apply, row.critic.apply, state.target_params, state.values
    now = _normalised(state.normaliser, batch.observation, batch.goal)
    later = _normalised(state.normaliser, batch.next_observation, batch.goal)
    v_target = critic(target.critic, *later, actor(target.actor, *later))
    q = critic(params.critic, *now, batch.action)
    action = actor(params.actor, *now)
    q_actor = critic(jax.lax.stop_gradient(params.critic), *now, action)

    y = batch.reward + values.gamma * batch.discount * v_target
    if row.clip_targets:
        y = jnp.clip(y, -1.0 / (1.0 - values.gamma), 0.0)  # -inf at gamma = 1
    td_loss = _parts.td_towards(q, y)
    actor_loss = jax.vmap(functools.partial(losses.dpg_actor, l2=values.action_l2))(q_actor, action)
    metrics = {
        "td_loss": td_loss,
        "actor_loss": actor_loss,
        "q_mean": q,
        "target_mean": v_target,
        "reward_mean": batch.reward,
    }
    return jnp.mean(td_loss + actor_loss), {name: jnp.mean(value) for name, value in metrics.items()}


def _first_normaliser(spec: types.EnvSpec) -> Normaliser:
    """Nothing seen: mean 0 and variance 1, which the first batch replaces."""
    first = lambda shape: Moments(jnp.zeros(()), jnp.zeros(shape), jnp.ones(shape))
    return Normaliser(first(spec.observation_shape), first(spec.goal_shape))


def _seen(normaliser: Normaliser, batch: types.Transition) -> Normaliser:
    return Normaliser(merged(normaliser.observation, batch.observation), merged(normaliser.goal, batch.goal))


def merged(moments: Moments, batch: jax.Array) -> Moments:
    """The moments after a batch [B, ...], by the pairwise rule of Chan et al. (1983) in shares of the count.

    With s = B / (count + B) and d the difference of the means, mean + s d and
    (1 - s) variance + s variance_of_batch + s (1 - s) d^2: no sums that grow, no squares that cancel.

    >>> import jax.numpy as jnp
    >>> moments = merged(Moments(jnp.float32(1), jnp.array([4.0]), jnp.array([0.0])), jnp.array([[0.0], [2.0]]))
    >>> [round(float(x), 4) for x in (moments.count, moments.mean[0], moments.variance[0])]  # of 4, 0, 2
    [3.0, 2.0, 2.6667]
    """
    count = moments.count + batch.shape[0]
    share = batch.shape[0] / count
    difference = jnp.mean(batch, axis=0) - moments.mean
    within = (1 - share) * moments.variance + share * jnp.var(batch, axis=0)
    return Moments(count, moments.mean + share * difference, within + share * (1 - share) * jnp.square(difference))


def _normalised(normaliser: Normaliser | None, observation: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What the networks are fed, [B, *O] and [B, *G]; as it is where there are no statistics."""
    if normaliser is None:
        return observation, goal
    return _standardised(normaliser.observation, observation), _standardised(normaliser.goal, goal)


def _standardised(moments: Moments, x: jax.Array) -> jax.Array:
    std = jnp.maximum(jnp.sqrt(moments.variance), SMALLEST_STD)
    scaled = (x - moments.mean[None]) / std[None]
    return jnp.clip(scaled, -LARGEST_INPUT, LARGEST_INPUT)


_RANGES = _parts.RANGES | {  # low, high, remedy
    "action_l2": (0.0, checks.FLOAT32_MAX, "0 leaves the actor's actions free."),
}
