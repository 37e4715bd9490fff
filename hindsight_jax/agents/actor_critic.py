"""Deterministic policy gradients over hindsight goals: HER on DDPG, an actor and a critic for continuous actions.

Dimension key: B batch, O observation dims, G goal dims, D action dims.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common, _validation, flops
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed

LARGEST_INPUT = 5.0  # normalised inputs are clipped to +-this
SMALLEST_STD = 0.01  # so that a coordinate that hardly changes is not blown up


ActionL2 = Annotated[Any, Allowed("weight of the mean square of the actor's action, in units of Q", 0.0, 1e6)]
NormaliseInputs = Annotated[
    bool, Allowed("inputs less their running mean, over their deviation", needs=(_common.COORDINATES,))
]
ClipTargets = Annotated[bool, Allowed("targets are clipped to [-1 / (1 - gamma), 0], as DDPG + HER was released")]


class ActorCriticHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them.

    The defaults are those of the implementation that came with HER (OpenAI baselines).
    """

    learning_rate: _common.LearningRate = 1e-3  # of actor and critic
    gamma: _common.Gamma = 0.98
    target_rate: _common.TargetRate = 0.05
    target_period: _common.TargetPeriod = 40
    noise: _common.Noise = 0.2
    epsilon: _common.Epsilon = 0.3
    action_l2: ActionL2 = 1.0


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

    observation: Moments | None  # None of images, which are left as they are
    goal: Moments | None


class ActorCriticState(NamedTuple):
    """Everything that an update reads or writes."""

    params: ActorCriticParams
    target_params: ActorCriticParams
    adam: Any
    normaliser: Normaliser | None  # None where inputs are not normalised
    updates: jax.Array  # i32[]
    hparams: ActorCriticHparams


@_validation.constructor
def actor_critic(
    spec: types.EnvSpec,
    *,
    hparams: ActorCriticHparams = ActorCriticHparams(),
    hidden_sizes: _common.HiddenSizes = (256, 256, 256),
    layer_norm: _common.LayerNorm = False,
    normalise_inputs: NormaliseInputs = True,
    clip_targets: ClipTargets = False,
    last_stride: _common.LastStride = 1,
    spatial_softmax: _common.SpatialSoftmax = False,
) -> Agent:
    """DDPG over relabelled transitions, for a Box of actions: HER with an actor and a critic.

    Critic: (Q(s, a, g) - sg(y))^2 with y = r + gamma discount Q^(s', pi^(s', g), g), both networks with a hat the
    target's. Actor: -Q(s, pi(s, g), g) + action_l2 mean(pi^2), whose gradient goes to the actor alone. Exploration adds
    Gaussian noise, clips to [-1, 1], and takes a uniform action with probability `epsilon`.

    * normalise_inputs: every network sees (x - mean) / std of observation and goal, std at least 0.01, clipped to +-5.
      The statistics run over all batches that `update` saw, the present one included; before the first they do
      nothing but clip. They are constants to the gradient. Images are left as they are.
    * clip_targets: y is clipped to [-1 / (1 - gamma), 0], the range of returns for rewards of -1 and 0, as in the
      released code. It makes rewards of 1 and 0 unlearnable: every target is then 0. With gamma = 1 there is no lower
      bound.
    * last_stride, spatial_softmax: of the `networks.ImageEncoder` that actor and critic have, each its own, where the
      spec has images.

    Metrics, each the mean over the batch: loss (td_loss + actor_loss), td_loss, actor_loss, q_mean, target_mean
    (Q^(s', pi^(s', g), g)), reward_mean.

    Raises ValueError if the action set is discrete or an argument is not as declared; `init` for an unknown name in
    `hparams` or a number out of its range; `act` and `update` for wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Box(3), 50, 0.05, False, box, box)
    >>> agent = agents.actor_critic(spec, hidden_sizes=(64, 64))
    >>> state = agent.init(jax.random.key(0), {"noise": 0.1})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=True).shape
    (3,)
    """
    encoder = _common.encoder(spec, last_stride, spatial_softmax)
    actor = networks.DeterministicPolicy(_common.continuous(spec, "DDPG"), hidden_sizes, layer_norm, encoder)
    options = _Options(
        spec=spec,
        actor=actor,
        critic=networks.Critic(hidden_sizes, layer_norm, encoder=encoder),
        hidden_sizes=hidden_sizes,
        normalise_inputs=normalise_inputs,
        clip_targets=clip_targets,
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
    actor: Any  # networks.DeterministicPolicy
    critic: Any  # networks.Critic
    hidden_sizes: tuple[int, ...]
    normalise_inputs: bool
    clip_targets: bool


@checks.validated(_validation.init)
def _init(
    options: _Options, defaults: ActorCriticHparams, key: jax.Array, hparams: Mapping[str, Any] | None = None
) -> ActorCriticState:
    """The state of a new agent, with parameters drawn by `key`, and target networks that equal the online ones.

    `hparams` overrides numeric hyper-parameters by name. Raises ValueError for an unknown name, a value that is not one
    number, or a number out of its range.
    """
    numbers = override(defaults, hparams)
    key_actor, key_critic = jax.random.split(key)
    spec = options.spec
    inputs = _common.example_inputs(spec)
    params = ActorCriticParams(
        actor=options.actor.init(key_actor, *inputs),
        critic=options.critic.init(key_critic, *inputs, jnp.zeros((1, spec.action.num_dims))),
    )
    return ActorCriticState(
        params=params,
        target_params=jax.tree.map(jnp.copy, params),  # buffers of their own: both are donated
        adam=_common.ADAM.init(params),
        normaliser=_first_normaliser(spec) if options.normalise_inputs else None,
        updates=jnp.zeros((), jnp.int32),
        hparams=numbers,
    )


@checks.validated(_validation.act(ActorCriticState))
def _act(
    options: _Options, state: ActorCriticState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    """The actor's action f32[D] for observation [*O] and goal [*G]; exploring, with noise or uniform."""
    inputs = _normalised(state.normaliser, observation[None], goal[None])
    action = options.actor.apply(state.params.actor, *inputs)[0]
    if not explore:
        return action
    key_noise, key_uniform = jax.random.split(key)
    noisy = action + state.hparams.noise * jax.random.normal(key_noise, action.shape)
    return _common.or_uniform(options.spec, key_uniform, state.hparams.epsilon, _common.clipped(options.spec, noisy))


@checks.validated(_validation.update(ActorCriticState, _validation.check_transitions))
def _update(options: _Options, state: ActorCriticState, batch: types.Transition, key: jax.Array):
    """(state, metrics) after one step of Adam on the mean of both losses over the batch [B], and one of the targets."""
    del key  # an update draws nothing
    if state.normaliser is not None:
        state = state._replace(normaliser=_with_batch(state.normaliser, batch))
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(options, state.params, state, batch)
    hparams = state.hparams
    params, adam = _common.adam_step(state.params, state.adam, gradient, hparams.learning_rate)
    updates = state.updates + 1
    target_params = _common.target_step(
        state.target_params, params, updates, hparams.target_rate, hparams.target_period
    )
    state = state._replace(params=params, target_params=target_params, adam=adam, updates=updates)
    return state, metrics | {"loss": loss}


def _batch_loss(options: _Options, params: ActorCriticParams, state: ActorCriticState, batch: types.Transition):
    """The mean of both losses, and the means of the metrics."""
    actor, critic, target, hparams = options.actor.apply, options.critic.apply, state.target_params, state.hparams
    now = _normalised(state.normaliser, batch.observation, batch.seen_goal)
    later = _normalised(state.normaliser, batch.next_observation, batch.seen_goal)
    v_target = critic(target.critic, *later, actor(target.actor, *later))
    q = critic(params.critic, *now, batch.action)
    action = actor(params.actor, *now)
    q_actor = critic(jax.lax.stop_gradient(params.critic), *now, action)

    y = batch.reward + hparams.gamma * batch.discount * v_target
    if options.clip_targets:
        y = jnp.clip(y, -1.0 / (1.0 - hparams.gamma), 0.0)  # -inf at gamma = 1
    td_loss = _common.td_towards(q, y)
    actor_loss = jax.vmap(functools.partial(losses.dpg_actor, l2=hparams.action_l2))(q_actor, action)
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
    if spec.images is None:
        return Normaliser(first(spec.observation_shape), first(spec.goal_shape))
    return Normaliser(None, None if spec.images.goals else first(spec.goal_shape))


def _with_batch(normaliser: Normaliser, batch: types.Transition) -> Normaliser:
    """The statistics after this batch [B]."""
    return Normaliser(
        observation=normaliser.observation and merged(normaliser.observation, batch.observation),
        goal=normaliser.goal and merged(normaliser.goal, batch.goal),
    )


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


def _standardised(moments: Moments | None, x: jax.Array) -> jax.Array:
    """clip((x - mean) / max(std, SMALLEST_STD), +-LARGEST_INPUT) of inputs [B, ...]; images as they are."""
    if moments is None:
        return x
    std = jnp.maximum(jnp.sqrt(moments.variance), SMALLEST_STD)
    scaled = (x - moments.mean[None]) / std[None]
    return jnp.clip(scaled, -LARGEST_INPUT, LARGEST_INPUT)


def _flops(options: _Options, count: int) -> int:
    """The sum of six passes of each row.

    The critic learns, both targets run forward at s', the actor learns, and its gradient passes through the critic:
    forward, from the features on where it sees images, and backward to the action alone, since the critic's weights
    stand still.
    """
    spec, sizes, num_dims = options.spec, options.hidden_sizes, options.spec.action.num_dims
    actor = flops.head(spec, sizes, options.actor.encoder)
    critic, mlp = flops.network(spec, sizes, 1, options.critic.encoder, num_dims)
    to_action = 2 * (mlp.rest + num_dims * (*sizes, 1)[0])
    return count * (critic.learn + actor.forward + critic.forward + actor.learn + mlp.forward + to_action)
