"""Deterministic policy gradients over hindsight goals, for continuous actions: DDPG, TD3, and actors that also imitate.

Dimension key: B batch, N critics, O observation dims, G goal dims, D action dims.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common, _normaliser, _validation, bounds, flops
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed, Need

_GATES = ("always", "indicator", "progress", "q_filter", "wgcsl")
_LOOKS_AHEAD = ("indicator", "progress", "wgcsl")  # gates that ask for the value of s'
_IMITATES = Need({"agent.gate": _GATES})
_INDICATOR = Need({"agent.gate": ("indicator",)})
_PROGRESS = Need({"agent.gate": ("progress",)})
_WGCSL = Need({"agent.gate": ("wgcsl",)})
_BY_INDEX = Need({"relabel.rewards": ("index",)})
_SMOOTH = Need({"agent.smooth_targets": (True,)})

ActionL2 = Annotated[Any, Allowed("weight of the mean square of the actor's action, in units of Q", 0.0, 1e6)]
TargetNoise = Annotated[Any, Allowed("std of the noise on the target's action", 0.0, 1e6, needs=(_SMOOTH,))]
NoiseClip = Annotated[Any, Allowed("bound of that noise", 0.0, 1e6, needs=(_SMOOTH,))]
QWeight = Annotated[Any, Allowed("weight of Q beside imitation in the actor's loss", 0.0, 1e6, needs=(_IMITATES,))]
Beta = Annotated[Any, Allowed("weight of imitation in the actor's loss", 0.0, 1e6, needs=(_IMITATES,))]
GammaHdm = Annotated[
    Any, Allowed("imitate where Q(s, a) - Q(s', pi(s')) < log(gamma_hdm); may be inf", 0.0, needs=(_INDICATOR,))
]
Progress = Annotated[Any, Allowed("least progress that is imitated, in env steps", -1e6, 1e6, needs=(_PROGRESS,))]
PercentileRate = Annotated[
    Any, Allowed("WGCSL's percentile of advantages, per update, up to 80", 0.0, 100.0, needs=(_WGCSL,))
]
NormaliseInputs = Annotated[
    bool, Allowed("inputs less their running mean, over their deviation", needs=(_common.COORDINATES,))
]
ClipTargets = Annotated[bool, Allowed("targets are clipped to [-1 / (1 - gamma), 0], as DDPG + HER was released")]
NumCritics = Annotated[int, Allowed("critics; targets use the lowest, the actor the first", 1, 16)]
SmoothTargets = Annotated[bool, Allowed("clipped noise on the target's action, as in TD3")]
PolicyPeriod = Annotated[int, Allowed("updates of the critics between two of the actor", 1, 2**24)]
HindsightBound = Annotated[bool, Allowed("values are at least what the trajectory itself reached", needs=(_BY_INDEX,))]
Gate = Annotated[
    Literal["none", "always", "indicator", "progress", "q_filter", "wgcsl"],
    Allowed("which transitions the actor imitates"),
]
ScaleQ = Annotated[bool, Allowed("the actor's Q is divided by the mean of |Q|, as in TD3 + BC")]


class ActorCriticHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them.

    The defaults are those of the implementation that came with HER (OpenAI baselines), and of TD3's paper.
    """

    learning_rate: _common.LearningRate = 1e-3  # of actor and critic
    gamma: _common.Gamma = 0.98
    target_rate: _common.TargetRate = 0.05
    target_period: _common.TargetPeriod = 40
    noise: _common.Noise = 0.2
    epsilon: _common.Epsilon = 0.3
    action_l2: ActionL2 = 1.0
    target_noise: TargetNoise = 0.2
    target_noise_clip: NoiseClip = 0.5
    q_weight: QWeight = 1.0
    beta: Beta = 1.0
    gamma_hdm: GammaHdm = 0.85
    progress: Progress = 0.5
    percentile_rate: PercentileRate = 0.01


class ActorCriticParams(NamedTuple):
    """The parameters, or the state of Adam, of both networks; of several critics with a leading axis [N]."""

    actor: Any
    critic: Any


class ActorCriticState(NamedTuple):
    """Everything that an update reads or writes."""

    params: ActorCriticParams
    target_params: ActorCriticParams
    adam: Any  # one Adam of both networks; with policy_period above 1 one of each, as ActorCriticParams
    normaliser: _normaliser.Normaliser | None  # None where inputs are not normalised
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
    num_critics: NumCritics = 1,
    smooth_targets: SmoothTargets = False,
    policy_period: PolicyPeriod = 1,
    hindsight_bound: HindsightBound = False,
    gate: Gate = "none",
    scale_q: ScaleQ = False,
    last_stride: _common.LastStride = 1,
    spatial_softmax: _common.SpatialSoftmax = False,
) -> Agent:
    """DDPG over relabelled transitions, for a Box of actions: HER with an actor and critics, and options on both.

    Critics: (Q_n(s, a, g) - sg(y))^2, summed over n, with y = r + gamma discount min_n Q^_n(s', pi^(s', g), g), where a
    hat marks the target networks. Actor: -Q_1(s, pi(s, g), g) + action_l2 mean(pi^2), whose gradient goes to the actor
    alone. Exploration adds Gaussian noise, clips to [-1, 1], and takes a uniform action with probability `epsilon`.

    * num_critics=2, smooth_targets, policy_period=2 are TD3 (Fujimoto et al., 2018): the lower of two values; Gaussian
      noise of `target_noise`, cut at `target_noise_clip`, on the target's action; an actor that moves every other
      update (set target_period to that, too).
    * gate: the actor's loss becomes q_weight (-Q_1) + action_l2 mean(pi^2) + beta w (-log pi(a | s, g)), pi a
      Gaussian of deviation 1 around the actor's action. With V(s, g) = Q_1(s, pi(s, g), g) of the online networks, w is
      1 ("always"); 1[Q_1(s, a, g) - V(s', g) < log gamma_hdm] ("indicator", HDM's test [D 31]); whether the step came
      closer to the goal by more than `progress` steps ("progress", `losses.progress_indicator`); 1[Q_1(s, a, g) >
      V(s, g)] ("q_filter"); or `losses.wgcsl_weight` with the advantage r + gamma discount V(s', g) - V(s, g)
      ("wgcsl"), whose cutoff is a percentile of the *batch's* advantages that rises from 0 by `percentile_rate` an
      update, to 80 (its authors keep a buffer of advantages for it).
    * scale_q: Q_1 is divided by the batch's mean |Q_1| in the actor's loss, so that beta has one meaning on all tasks.
    * hindsight_bound: V^(s', g) is at least `bounds.reached_value` of what the trajectory itself did (ours).
    * normalise_inputs: every network sees (x - mean) / std of observation and goal, std at least 0.01, clipped to +-5.
      The statistics run over all batches that `update` saw, the present one included; before the first they do
      nothing but clip. They are constants to the gradient. Images are left as they are.
    * clip_targets: y is clipped to [-1 / (1 - gamma), 0], the range of returns for rewards of -1 and 0, as in the
      released code of HER. It makes rewards of 1 and 0 unlearnable: every target is then 0. With gamma = 1 there is no
      lower bound.
    * last_stride, spatial_softmax: of the `networks.ImageEncoder` that actor and critic have, each its own, where the
      spec has images.

    Metrics, each the mean over the batch: loss (td_loss + actor_loss), td_loss (summed over critics), actor_loss,
    q_mean, target_mean (min_n Q^_n(s', pi^(s', g), g)), reward_mean; and with imitation: imitation_loss (-log pi of
    every row) and imitated_fraction (the mean weight).

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
        num_critics=num_critics,
        smooth_targets=smooth_targets,
        policy_period=policy_period,
        hindsight_bound=hindsight_bound,
        gate=gate,
        scale_q=scale_q,
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
    num_critics: int
    smooth_targets: bool
    policy_period: int
    hindsight_bound: bool
    gate: str
    scale_q: bool


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
    first = lambda key: options.critic.init(key, *inputs, jnp.zeros((1, spec.action.num_dims)))
    several = lambda: jax.vmap(first)(jax.random.split(key_critic, options.num_critics))
    params = ActorCriticParams(
        actor=options.actor.init(key_actor, *inputs),
        critic=first(key_critic) if options.num_critics == 1 else several(),
    )
    adam = _common.ADAM.init
    return ActorCriticState(
        params=params,
        target_params=jax.tree.map(jnp.copy, params),  # buffers of their own: both are donated
        adam=adam(params) if options.policy_period == 1 else ActorCriticParams(*map(adam, params)),
        normaliser=_normaliser.first(spec) if options.normalise_inputs else None,
        updates=jnp.zeros((), jnp.int32),
        hparams=numbers,
    )


@checks.validated(_validation.act(ActorCriticState))
def _act(
    options: _Options, state: ActorCriticState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    """The actor's action f32[D] for observation [*O] and goal [*G]; exploring, with noise or uniform."""
    inputs = _normaliser.normalised(state.normaliser, observation[None], goal[None])
    action = options.actor.apply(state.params.actor, *inputs)[0]
    if not explore:
        return action
    key_noise, key_uniform = jax.random.split(key)
    noisy = action + state.hparams.noise * jax.random.normal(key_noise, action.shape)
    return _common.or_uniform(options.spec, key_uniform, state.hparams.epsilon, _common.clipped(options.spec, noisy))


@checks.validated(_validation.update(ActorCriticState, _validation.check_transitions))
def _update(options: _Options, state: ActorCriticState, batch: types.Transition, key: jax.Array):
    """(state, metrics) after one step of Adam on the mean of both losses over the batch [B], and one of the targets."""
    if state.normaliser is not None:
        state = state._replace(normaliser=_normaliser.with_batch(state.normaliser, batch))
    v_target = _target_values(options, state, batch, key)
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(options, state.params, state, batch, v_target)
    hparams, updates = state.hparams, state.updates + 1
    params, adam = _stepped(options, state, gradient, updates)
    target_params = _common.target_step(
        state.target_params, params, updates, hparams.target_rate, hparams.target_period
    )
    state = state._replace(params=params, target_params=target_params, adam=adam, updates=updates)
    return state, metrics | {"loss": loss}


def _stepped(options: _Options, state: ActorCriticState, gradient: ActorCriticParams, updates: jax.Array):
    """(params, adam) after update number `updates`; the actor stands still between its own."""
    rate = state.hparams.learning_rate
    if options.policy_period == 1:
        return _common.adam_step(state.params, state.adam, gradient, rate)
    critic = _common.adam_step(state.params.critic, state.adam.critic, gradient.critic, rate)
    old = state.params.actor, state.adam.actor
    new = _common.adam_step(*old, gradient.actor, rate)
    due = updates % options.policy_period == 0
    actor = jax.tree.map(lambda a, b: jnp.where(due, a, b), new, old)
    return tuple(ActorCriticParams(*pair) for pair in zip(actor, critic, strict=True))


def _values(options: _Options, critic: Any, inputs: Any, action: jax.Array) -> jax.Array:
    """The values of the critics with these parameters, f32[N, B]."""
    of_one = lambda params: options.critic.apply(params, *inputs, action)
    return of_one(critic)[None] if options.num_critics == 1 else jax.vmap(of_one)(critic)


def _target_values(options: _Options, state: ActorCriticState, batch: types.Transition, key: jax.Array) -> jax.Array:
    """V^(s', g), f32[B]: the lowest of the target critics' values of the target actor's action."""
    hparams, target = state.hparams, state.target_params
    later = _normaliser.normalised(state.normaliser, batch.next_observation, batch.seen_goal)
    action = options.actor.apply(target.actor, *later)
    if options.smooth_targets:
        noise = hparams.target_noise * jax.random.normal(key, action.shape)
        noise = jnp.clip(noise, -hparams.target_noise_clip, hparams.target_noise_clip)
        action = jnp.clip(action + noise, -1.0, 1.0)
    value = jnp.min(_values(options, target.critic, later, action), axis=0)
    if options.hindsight_bound:
        value = bounds.raised(value, batch.offset, hparams.gamma)
    return value


def _batch_loss(
    options: _Options,
    params: ActorCriticParams,
    state: ActorCriticState,
    batch: types.Transition,
    v_target: jax.Array,
):
    """The mean of both losses, and the means of the metrics."""
    hparams = state.hparams
    now = _normaliser.normalised(state.normaliser, batch.observation, batch.seen_goal)
    q = _values(options, params.critic, now, batch.action)
    action = options.actor.apply(params.actor, *now)
    first = _first_critic(options, jax.lax.stop_gradient(params.critic))
    q_actor = options.critic.apply(first, *now, action)

    y = batch.reward + hparams.gamma * batch.discount * v_target
    if options.clip_targets:
        y = jnp.clip(y, -1.0 / (1.0 - hparams.gamma), 0.0)  # -inf at gamma = 1
    td_loss = jnp.sum(jax.vmap(_common.td_towards, in_axes=(0, None))(q, y), axis=0)
    metrics = {
        "td_loss": td_loss,
        "q_mean": q,
        "target_mean": v_target,
        "reward_mean": batch.reward,
    }
    steered = q_actor / jax.lax.stop_gradient(jnp.mean(jnp.abs(q_actor))) if options.scale_q else q_actor
    if options.gate == "none":
        weight = None
    else:
        steered = hparams.q_weight * steered
        weight = _weights(options, params, state, batch, q[0], q_actor)
    actor_loss = jax.vmap(functools.partial(losses.dpg_actor, l2=hparams.action_l2))(steered, action)
    if weight is not None:
        imitation_loss = jax.vmap(_imitation_loss)(action, batch.action)
        actor_loss = actor_loss + hparams.beta * weight * imitation_loss
        metrics |= {"imitation_loss": imitation_loss, "imitated_fraction": weight}
    metrics["actor_loss"] = actor_loss
    return jnp.mean(td_loss + actor_loss), {name: jnp.mean(value) for name, value in metrics.items()}


def _first_critic(options: _Options, critic: Any) -> Any:
    """The parameters of the critic that the actor climbs."""
    return critic if options.num_critics == 1 else jax.tree.map(lambda x: x[0], critic)


def _imitation_loss(mean: jax.Array, action: jax.Array) -> jax.Array:
    """-log N(a; pi(s, g), 1), f32[], of actions [D]."""
    return losses.behaviour_cloning(losses.gaussian_log_prob(mean, jnp.zeros_like(mean), action))


def _weights(
    options: _Options,
    params: ActorCriticParams,
    state: ActorCriticState,
    batch: types.Transition,
    q: jax.Array,
    v: jax.Array,
) -> jax.Array:
    """The weight of imitation of each row, f32[B], without a gradient; Q(s, a, g) and V(s, g) are f32[B]."""
    hparams, gate = state.hparams, options.gate
    if gate == "always":
        return jnp.ones_like(q)
    if gate == "q_filter":
        return jax.vmap(losses.q_filter)(q, v)
    later = _normaliser.normalised(state.normaliser, batch.next_observation, batch.seen_goal)
    v_next = options.critic.apply(
        _first_critic(options, params.critic), *later, options.actor.apply(params.actor, *later)
    )
    v_next, v = jax.lax.stop_gradient((v_next, v))
    if gate == "indicator":
        return jax.vmap(functools.partial(losses.hdm_indicator, gamma_hdm=hparams.gamma_hdm))(q, v_next)
    if gate == "progress":
        return jax.vmap(_common.made_progress, (0, 0, 0, None))(v, v_next, batch, hparams)
    advantage = batch.reward + hparams.gamma * batch.discount * v_next - v
    share = jnp.minimum(hparams.percentile_rate * state.updates, 80.0) / 100.0
    weight = functools.partial(losses.wgcsl_weight, gamma=hparams.gamma, cutoff=jnp.quantile(advantage, share))
    return jax.vmap(weight)(advantage, batch.offset)


def _flops(options: _Options, count: int) -> int:
    """The sum of the passes of each row.

    The critics learn, the targets run forward at s', the actor learns, and its gradient passes through one critic:
    forward, from the features on where it sees images, and backward to the action alone, since the critic's weights
    stand still. A gate that looks ahead runs actor and critic forward at s' once more.
    """
    spec, sizes, num_dims = options.spec, options.hidden_sizes, options.spec.action.num_dims
    actor = flops.head(spec, sizes, options.actor.encoder)
    critic, mlp = flops.network(spec, sizes, 1, options.critic.encoder, num_dims)
    to_action = 2 * (mlp.rest + num_dims * (*sizes, 1)[0])
    passes = options.num_critics * (critic.learn + critic.forward)
    passes += actor.forward + actor.learn + mlp.forward + to_action
    if options.gate in _LOOKS_AHEAD:
        passes += actor.forward + critic.forward
    return count * passes
