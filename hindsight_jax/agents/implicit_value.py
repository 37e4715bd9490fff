"""Imitation weighed by a critic of states: implicit V-learning, for any kind of action, from states or images.

Dimension key: B batch, N value networks, O observation dims, G goal dims, D action dims, K bins per dim.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common, _validation, bounds, flops, policies
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed, Need

_HARD = Need({"agent.weighting": ("progress",)})
_BY_INDEX = Need({"relabel.rewards": ("index",)})
_SOFT = Need({"agent.weighting": ("advantage",)})

Expectile = Annotated[Any, Allowed("expectile of the values that follow a state; 0.5: their mean", 1e-3, 0.999)]
Progress = Annotated[Any, Allowed("least progress that is imitated, in env steps", -1e6, 1e6, needs=(_HARD,))]
AdvantageScale = Annotated[Any, Allowed("alpha of the soft gate min(exp(alpha A), 100)", 0.0, 1e6, needs=(_SOFT,))]
Weighting = Annotated[Literal["progress", "advantage", "none"], Allowed("weight of imitation: hard, soft, or 1")]
NumValues = Annotated[int, Allowed("value networks; the lowest target gives the sign, their mean the gate", 1, 16)]
Bounded = Annotated[bool, Allowed("targets are at most 0, the highest return for rewards of -1 and 0")]
HindsightBound = Annotated[bool, Allowed("values are at least what the trajectory itself reached", needs=(_BY_INDEX,))]


class ImplicitValueHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them."""

    learning_rate: _common.LearningRate = 1e-3
    gamma: _common.Gamma = 0.98
    target_rate: _common.TargetRate = 0.005
    target_period: _common.TargetPeriod = 1
    epsilon: _common.Epsilon = 0.0
    noise: _common.Noise = 0.2
    expectile: Expectile = 0.7
    progress: Progress = 0.5
    advantage_scale: AdvantageScale = 10.0


class ImplicitValueParams(NamedTuple):
    """The parameters of the policy, and of the value networks with a leading axis [N]: one Adam steps them together."""

    policy: Any
    value: Any


class ImplicitValueState(NamedTuple):
    """Everything that an update reads or writes."""

    params: ImplicitValueParams
    target_value: Any  # of the value networks alone, [N, ...]
    adam: Any
    updates: jax.Array  # i32[]
    hparams: ImplicitValueHparams


@_validation.constructor
def implicit_value(
    spec: types.EnvSpec,
    *,
    hparams: ImplicitValueHparams = ImplicitValueHparams(),
    hidden_sizes: _common.HiddenSizes = (256, 256, 256),
    layer_norm: _common.LayerNorm = False,
    scale_inputs: _common.ScaleInputs = False,
    weighting: Weighting = "progress",
    num_values: NumValues = 1,
    bounded: Bounded = True,
    hindsight_bound: HindsightBound = False,
    exploration: _common.Exploration = "mode",
    std: _common.Std = 0.0,
    last_stride: _common.LastStride = 1,
    spatial_softmax: _common.SpatialSoftmax = False,
) -> Agent:
    """A critic of states V(s, g), and a policy that imitates the steps that it approves of.

    Values: the expectile loss of y_n - V_n(s, g), y_n = r + gamma discount V^_n(s', g), summed over n, by target
    networks V^: of the actions in the data, the `expectile` leans to the best, and no value of another action is ever
    asked for. Where s' is random it leans to the luckiest s', too, and takes luck for skill (docs/limits.md). Its sign
    is that of min_n y_n less the mean of V^_n(s, g), as in GCIVL. Policy: w (-log pi(a | s, g)), w without a gradient,
    by V, the mean of the online V_n:

    * weighting: "progress", whether V says that the step came closer to the goal by more than `progress` steps
      (`losses.progress_indicator`; a step that arrives has all that was left; ours, hdm_v); "advantage",
      min(exp(advantage_scale A), 100) with A = gamma (V(s', g) - V(s, g)), and 1 - gamma V(s, g) of a step that arrives
      (GCIVL, Park et al., OGBench, 2024, whose reward of -1 lies on s and not on s'); or "none", 1.
    * bounded: targets are at most 0. hindsight_bound: V^(s', g) is at least `bounds.reached_value` of what the
      trajectory itself did (ours).
    * exploration, std: as in `agents.imitation`; the policy is a softmax per dimension of a Discrete action set, and a
      Gaussian around a mean for a Box.
    * scale_inputs: observation and goal are mapped from the spec's ranges to [-1, 1]; images have none.
    * last_stride, spatial_softmax: of the `networks.ImageEncoder` that policy and values have, each its own, where the
      spec has images.

    Metrics, each the mean over the batch: loss, value_loss (summed over n), value_mean (V(s, g)), target_mean
    (the lowest V^_n(s', g)), reward_mean, imitation_loss (-log pi of every row) and imitated_fraction (the mean
    weight).

    Raises ValueError if an argument is not as declared; `init` for an unknown name in `hparams` or a number out of its
    range; `act` and `update` for wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Box(3), 50, 0.05, False, box, box)
    >>> agent = agents.implicit_value(spec, hidden_sizes=(64, 64))
    >>> state = agent.init(jax.random.key(0), {"expectile": 0.9})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=True).shape
    (3,)
    """
    encoder = _common.encoder(spec, last_stride, spatial_softmax)
    options = _Options(
        spec=spec,
        policy=policies.policy(spec, hidden_sizes, layer_norm, scale_inputs, std=std, encoder=encoder),
        value=networks.Critic(
            hidden_sizes,
            layer_norm,
            observation_range=spec.observation_range if scale_inputs else None,
            goal_range=spec.goal_range if scale_inputs else None,
            encoder=encoder,
        ),
        hidden_sizes=hidden_sizes,
        weighting=weighting,
        num_values=num_values,
        bounded=bounded,
        hindsight_bound=hindsight_bound,
        exploration=exploration,
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
    value: Any  # networks.Critic
    hidden_sizes: tuple[int, ...]
    weighting: str
    num_values: int
    bounded: bool
    hindsight_bound: bool
    exploration: str


@checks.validated(_validation.init)
def _init(
    options: _Options, defaults: ImplicitValueHparams, key: jax.Array, hparams: Mapping[str, Any] | None = None
) -> ImplicitValueState:
    """The state of a new agent, with parameters drawn by `key`, and target networks that equal the online ones.

    `hparams` overrides numeric hyper-parameters by name. Raises ValueError for an unknown name, a value that is not one
    number, or a number out of its range.
    """
    numbers = override(defaults, hparams)
    key_policy, key_value = jax.random.split(key)
    inputs = _common.example_inputs(options.spec)
    value = jax.vmap(lambda key: options.value.init(key, *inputs))(jax.random.split(key_value, options.num_values))
    params = ImplicitValueParams(policy=options.policy.network.init(key_policy, *inputs), value=value)
    return ImplicitValueState(
        params=params,
        target_value=jax.tree.map(jnp.copy, value),  # a buffer of its own: both are donated
        adam=_common.ADAM.init(params),
        updates=jnp.zeros((), jnp.int32),
        hparams=numbers,
    )


@checks.validated(_validation.act(ImplicitValueState))
def _act(
    options: _Options, state: ImplicitValueState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    """The most likely action [D] for observation [*O] and goal [*G]; exploring, as the option `exploration`."""
    head = policies.head_of_one(options.policy, state.params.policy, observation, goal)
    if not explore:
        return _common.clipped(options.spec, options.policy.mode(head))
    return policies.explored(options.spec, options.policy, options.exploration, head, key, state.hparams)


@checks.validated(_validation.update(ImplicitValueState, _validation.check_transitions))
def _update(options: _Options, state: ImplicitValueState, batch: types.Transition, key: jax.Array):
    """(state, metrics) after one step of Adam on the mean of both losses over the batch [B], and one of the targets."""
    del key  # an update draws nothing
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(options, state.params, state, batch)
    hparams, updates = state.hparams, state.updates + 1
    params, adam = _common.adam_step(state.params, state.adam, gradient, hparams.learning_rate)
    target_value = _common.target_step(
        state.target_value, params.value, updates, hparams.target_rate, hparams.target_period
    )
    metrics = {name: jnp.mean(value) for name, value in metrics.items()} | {"loss": loss}
    return ImplicitValueState(params, target_value, adam, updates, hparams), metrics


def _batch_loss(options: _Options, params: ImplicitValueParams, state: ImplicitValueState, batch: types.Transition):
    """The mean of both losses over the batch, and metrics f32[B]."""
    values = lambda networks, observation: jax.vmap(options.value.apply, (0, None, None))(
        networks, observation, batch.seen_goal
    )  # [N, B]
    v, v_next = values(params.value, batch.observation), values(params.value, batch.next_observation)
    targets = values(state.target_value, batch.observation), values(state.target_value, batch.next_observation)
    value_loss, v_target = _value_loss(options, v, targets, batch, state.hparams)

    head = options.policy.network.apply(params.policy, batch.observation, batch.seen_goal)
    log_prob = jax.vmap(options.policy.log_prob)(head, batch.action)
    weight = _weights(options, jnp.mean(v, axis=0), jnp.mean(v_next, axis=0), batch, state.hparams)
    imitation_loss = jax.vmap(losses.behaviour_cloning)(log_prob)
    metrics = {
        "value_loss": value_loss,
        "value_mean": v,
        "target_mean": v_target,
        "reward_mean": batch.reward,
        "imitation_loss": imitation_loss,
        "imitated_fraction": weight,
    }
    return jnp.mean(value_loss + weight * imitation_loss), metrics


def _value_loss(options: _Options, v, targets, batch: types.Transition, hparams: ImplicitValueHparams):
    """The expectile loss summed over networks, f32[B], and the lowest value of s' that was backed up, f32[B].

    `targets` are the target networks' values at s and at s', f32[N, B] each.
    """
    raised = lambda v: bounds.raised(v, batch.offset, hparams.gamma) if options.hindsight_bound else v
    v_target = jax.vmap(raised)(targets[1])
    y = jax.vmap(lambda v: batch.reward + hparams.gamma * batch.discount * v)(v_target)
    if options.bounded:
        y = jnp.minimum(y, 0.0)
    positive = jnp.min(y, axis=0) >= jnp.mean(targets[0], axis=0)
    y, positive = jax.lax.stop_gradient((y, positive))
    of_row = lambda v, y, positive: losses.expectile(y - v, tau=hparams.expectile, positive=positive)
    loss = jax.vmap(jax.vmap(of_row), in_axes=(0, 0, None))(v, y, positive)
    return jnp.sum(loss, axis=0), jnp.min(v_target, axis=0)


def _weights(
    options: _Options, v: jax.Array, v_next: jax.Array, batch: types.Transition, hparams: ImplicitValueHparams
):
    """The weight of imitation of each row, f32[B], without a gradient."""
    if options.weighting == "progress":
        return jax.vmap(_common.made_progress, (0, 0, 0, None))(v, v_next, batch, hparams)
    if options.weighting == "advantage":
        # of values whose reward of -1 lies on s, U(s) = -1 + gamma V(s), and 0 at the goal: U(s') - U(s)
        advantage = jnp.where(_common.arrives(batch), 1.0 - hparams.gamma * v, hparams.gamma * (v_next - v))
        return jax.vmap(functools.partial(losses.advantage_weight, scale=hparams.advantage_scale))(advantage)
    return jnp.ones_like(v)


def _flops(options: _Options, count: int) -> int:
    """The policy learns; each value network learns at s, runs forward at s', and its target forward at both."""
    policy = flops.head(options.spec, options.hidden_sizes, options.policy.network.encoder)
    value = flops.network(options.spec, options.hidden_sizes, 1, options.value.encoder).whole
    return count * (policy.learn + options.num_values * (value.learn + 3 * value.forward))
