"""Soft actor-critic over hindsight goals: HER on SAC, a stochastic actor and two critics for continuous actions.

Dimension key: B batch, O observation dims, G goal dims, D action dims.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common, _soft_actor, _validation, flops
from hindsight_jax.agents.base import Agent, override


class SoftActorCriticHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them.

    The defaults are those of SAC's second paper (arXiv:1812.05905), but for a target entropy of half its size.
    """

    learning_rate: _common.LearningRate = 3e-4  # of actor, critics and temperature
    gamma: _common.Gamma = 0.99
    target_rate: _common.TargetRate = 0.005
    target_period: _common.TargetPeriod = 1
    target_entropy: _soft_actor.TargetEntropy = -0.5
    initial_temperature: _soft_actor.InitialTemperature = 1.0


class SoftActorCriticParams(NamedTuple):
    """All parameters: one Adam steps them together, as it would apart, coordinate by coordinate."""

    actor: Any
    log_temperature: jax.Array  # f32[]
    critics: tuple[Any, Any]


class SoftActorCriticState(NamedTuple):
    """Everything that an update reads or writes."""

    params: SoftActorCriticParams
    target_params: tuple[Any, Any]  # the critics' alone: the actor has no target network
    adam: Any
    updates: jax.Array  # i32[]
    hparams: SoftActorCriticHparams


@_validation.constructor
def soft_actor_critic(
    spec: types.EnvSpec,
    *,
    hparams: SoftActorCriticHparams = SoftActorCriticHparams(),
    hidden_sizes: _common.HiddenSizes = (256, 256),
    layer_norm: _common.LayerNorm = False,
    scale_inputs: _common.ScaleInputs = False,
) -> Agent:
    """SAC over relabelled transitions, for a Box of actions: HER with a stochastic actor and two critics.

    An action a = tanh(mean + std noise) is drawn with the log-probability log pi. With the temperature alpha, a' drawn
    at (s', g), and Q^ the target critics:

        y = r + gamma discount (min_i Q^_i(s', a', g) - alpha log pi(a' | s', g))
        critics: the mean over i of (Q_i(s, a, g) - sg(y))^2
        actor: alpha log pi(a | s, g) - min_i Q_i(s, a, g), a drawn at (s, g), whose gradient goes to the actor alone
        temperature: -log alpha sg(log pi(a | s, g) + D target_entropy)

    Targets are not clipped to the range of returns: each step adds alpha times an entropy of either sign. Exploration
    draws an action; without it the action is tanh(mean).

    * scale_inputs: observation and goal are mapped from the ranges that the spec declares to [-1, 1].

    Metrics, each the mean over the batch: loss (of all three), td_loss, actor_loss, q_mean (of both critics),
    target_mean (the soft value at s'), reward_mean, entropy (-log pi of the draws), temperature.

    Raises ValueError if the action set is discrete, the spec has images or an argument is not as declared; `init` for
    an unknown name in `hparams` or a number out of its range; `act` and `update` for wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Box(3), 50, 0.05, False, box, box)
    >>> agent = agents.soft_actor_critic(spec, hidden_sizes=(64, 64))
    >>> state = agent.init(jax.random.key(0), {"target_entropy": -1.0})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=True).shape
    (3,)
    """
    observation_range, goal_range = _soft_actor.ranges(spec, scale_inputs)
    options = _Options(
        spec=spec,
        actor=_soft_actor.network(spec, "SAC", hidden_sizes, layer_norm, scale_inputs),
        critic=networks.Critic(hidden_sizes, layer_norm, observation_range, goal_range),
        hidden_sizes=hidden_sizes,
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
    actor: Any  # networks.TanhGaussianPolicy
    critic: Any  # networks.Critic
    hidden_sizes: tuple[int, ...]


@checks.validated(_validation.init)
def _init(
    options: _Options, defaults: SoftActorCriticHparams, key: jax.Array, hparams: Mapping[str, Any] | None = None
) -> SoftActorCriticState:
    """The state of a new agent, with parameters drawn by `key`, and target critics that equal the online ones.

    `hparams` overrides numeric hyper-parameters by name. Raises ValueError for an unknown name, a value that is not one
    number, or a number out of its range.
    """
    numbers = override(defaults, hparams)
    key_actor, *keys = jax.random.split(key, 3)
    inputs = _common.example_inputs(options.spec)
    with_action = *inputs, jnp.zeros((1, options.spec.action.num_dims))
    first, second = (options.critic.init(key, *with_action) for key in keys)
    params = SoftActorCriticParams(
        actor=options.actor.init(key_actor, *inputs),
        critics=(first, second),
        log_temperature=jnp.log(numbers.initial_temperature),
    )
    return SoftActorCriticState(
        params=params,
        target_params=jax.tree.map(jnp.copy, params.critics),  # buffers of their own: both are donated
        adam=_common.ADAM.init(params),
        updates=jnp.zeros((), jnp.int32),
        hparams=numbers,
    )


@checks.validated(_validation.act(SoftActorCriticState))
def _act(
    options: _Options,
    state: SoftActorCriticState,
    observation: jax.Array,
    goal: jax.Array,
    key: jax.Array,
    explore: bool,
) -> jax.Array:
    """The actor's action f32[D] for observation [*O] and goal [*G]; exploring, a draw."""
    return _soft_actor.act(options.actor, state.params.actor, observation, goal, key, explore)


@checks.validated(_validation.update(SoftActorCriticState, _validation.check_transitions))
def _update(options: _Options, state: SoftActorCriticState, batch: types.Transition, key: jax.Array):
    """(state, metrics) after one step of Adam on the mean of all losses over the batch [B], and one of the targets."""
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(options, state.params, state, batch, key)
    hparams = state.hparams
    params, adam = _common.adam_step(state.params, state.adam, gradient, hparams.learning_rate)
    updates = state.updates + 1
    target_params = _common.target_step(
        state.target_params, params.critics, updates, hparams.target_rate, hparams.target_period
    )
    return SoftActorCriticState(params, target_params, adam, updates, hparams), metrics | {"loss": loss}


def _batch_loss(
    options: _Options,
    params: SoftActorCriticParams,
    state: SoftActorCriticState,
    batch: types.Transition,
    key: jax.Array,
):
    """The mean of all losses, and the means of the metrics."""
    actor, hparams = options.actor.apply, state.hparams
    key_now, key_later = jax.random.split(key)
    values = lambda critics, *inputs: jnp.stack([options.critic.apply(critic, *inputs) for critic in critics])  # [2, B]
    temperature = jnp.exp(params.log_temperature)

    later = _soft_actor.draw(actor(params.actor, batch.next_observation, batch.goal), key_later)
    q_later = jnp.min(values(state.target_params, batch.next_observation, batch.goal, later.action), axis=0)
    v_later = jax.vmap(functools.partial(losses.soft_value, temperature=temperature))(q_later, later.log_prob)
    y = batch.reward + hparams.gamma * batch.discount * v_later  # `td_towards` stops its gradient
    q = values(params.critics, batch.observation, batch.goal, batch.action)
    td_loss = jnp.mean(jax.vmap(_common.td_towards, (0, None))(q, y), axis=0)

    drawn = _soft_actor.draw(actor(params.actor, batch.observation, batch.goal), key_now)
    still = jax.lax.stop_gradient(params.critics)
    q_drawn = jnp.min(values(still, batch.observation, batch.goal, drawn.action), axis=0)
    actor_loss, temperature_loss = _soft_actor.actor_losses(
        params.log_temperature, drawn, q_drawn, hparams.target_entropy
    )
    means = {
        "td_loss": td_loss,
        "actor_loss": actor_loss,
        "q_mean": q,
        "target_mean": v_later,
        "reward_mean": batch.reward,
    }
    metrics = {name: jnp.mean(value) for name, value in means.items()}
    loss = jnp.mean(td_loss + actor_loss + temperature_loss)
    return loss, metrics | _soft_actor.metrics(params.log_temperature, drawn)


def _flops(options: _Options, count: int) -> int:
    """The sum of the passes of each row.

    Two critics learn, and their targets run forward at s', as the actor does; the actor learns, and its gradient passes
    through both critics: forward, and backward to the action alone, since their weights stand still.
    """
    spec, sizes, num_dims = options.spec, options.hidden_sizes, options.spec.action.num_dims
    actor = flops.network(spec, sizes, 2 * num_dims).whole
    critic = flops.network(spec, sizes, 1, num_others=num_dims).whole
    to_action = 2 * (critic.rest + num_dims * (*sizes, 1)[0])
    return count * (actor.forward + actor.learn + 2 * (critic.learn + 2 * critic.forward + to_action))
