"""Q-learning over hindsight goals: HER, HER + SQL, HER + HBC and HDM are rows of arguments of one agent.

Dimension key: B batch, O observation dims, G goal dims, D action dims, K bins per dim (a flat action set has D = 1).
"""

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common, _validation, bounds, flops
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed, Need

_INDICATOR = Need({"agent.imitation": ("indicator",), "agent.next_state": ("loss",)})
_PROGRESS = Need({"agent.imitation": ("progress",)})
_IMITATION = Need({"agent.imitation": ("always", "indicator", "progress")})
_BETA = Need({"agent.imitation": ("always", "indicator", "progress"), "agent.next_state": ("loss",)})
_SOFT = Need({"agent.backup": ("mellow",)})

GammaHdm = Annotated[
    Any,
    Allowed(
        "imitate where Q(s, a) - max Q(s') < log(gamma_hdm), which is near the goal; may be inf",
        0.0,
        needs=(_INDICATOR,),
    ),
]
Beta = Annotated[
    Any, Allowed("the paper's beta: of imitation, and of the reward for reaching s'", 0.0, 1e6, needs=(_BETA,))
]
ImitationWeight = Annotated[Any, Allowed("weight of imitation alone, times beta", 0.0, 1e6, needs=(_IMITATION,))]
Progress = Annotated[Any, Allowed("least progress that is imitated, in env steps", -1e6, 1e6, needs=(_PROGRESS,))]
Temperature = Annotated[Any, Allowed("tau of the soft backup, in units of Q", 1e-6, 1e6, needs=(_SOFT,))]
Backup = Annotated[Literal["double", "max", "mellow"], Allowed("value of s' in the target")]
Imitation = Annotated[Literal["none", "always", "indicator", "progress"], Allowed("which transitions are imitated")]
NextState = Annotated[Literal["relabel", "loss"], Allowed("Algorithm 1, line 2: by relabelling or as a loss")]
Bounded = Annotated[bool, Allowed("targets are at most the highest return, 0 for rewards of -1 and 0")]
HindsightBound = Annotated[bool, Allowed("values are at least what the trajectory itself reached")]
Evaluated = Annotated[Literal["online", "target"], Allowed("network whose greedy action is evaluated")]


class QLearningHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them.

    The defaults are HDM's Table 2 and released code.
    """

    learning_rate: _common.LearningRate = 5e-4
    gamma: _common.Gamma = 0.98
    gamma_hdm: GammaHdm = 0.85  # [D 31]; 0 imitates nothing, infinity everything
    beta: Beta = 1.0  # [D 14]
    imitation_weight: ImitationWeight = 1.0
    epsilon: _common.Epsilon = 0.1
    target_rate: _common.TargetRate = 0.005
    target_period: _common.TargetPeriod = 10
    temperature: Temperature = 0.2
    progress: Progress = 0.5


class QLearningState(NamedTuple):
    """Everything that an update reads or writes."""

    params: Any
    target_params: Any
    adam: Any
    updates: jax.Array  # i32[]
    hparams: QLearningHparams


@_validation.constructor
def q_learning(
    spec: types.EnvSpec,
    *,
    distance: Callable[[jax.Array, jax.Array], jax.Array],
    hparams: QLearningHparams = QLearningHparams(),
    hidden_sizes: _common.HiddenSizes = (400, 300),
    layer_norm: _common.LayerNorm = False,
    scale_inputs: _common.ScaleInputs = False,
    backup: Backup = "double",
    imitation: Imitation = "indicator",
    next_state: NextState = "relabel",
    bounded: Bounded = True,
    hindsight_bound: HindsightBound = False,
    evaluated: Evaluated = "online",
    last_stride: _common.LastStride = 1,
    spatial_softmax: _common.SpatialSoftmax = False,
) -> Agent:
    """Q-learning with options: td by `backup`, plus imitation, plus line 2 of HDM's Algorithm 1.

    * backup: y = r + gamma discount V(s', g), where V is the target network's value of the online network's greedy
      action ("double", the released code's), the target's maximum ("max", line 1 of Algorithm 1), or the target's
      mellowmax at `temperature` ("mellow", HER + SQL).
    * bounded: y is at most the highest return, `bounds.highest_return`: 0 for rewards of -1 and 0, as in released code.
    * imitation: "none" is HER, "always" is HER + HBC (the indicator held at 1), "indicator" is HDM [D Algorithm 1],
      and "progress" imitates steps that came closer to the goal by more than `progress` steps, by V = max_a Q
      (`losses.progress_indicator`; a step that arrives has all that was left): unlike the indicator it ranks actions.
    * next_state: "relabel" leaves the rewards of next-state goals to the goal law and the reward function; "loss" adds
      -beta (1 - gamma_hdm) Q(s, a, s') [D Algorithm 1, line 2], for rows whose rewards are all -1.
    * beta [D 14] weighs the whole likelihood of goals: with imitation, and rewards of 0 and -1 by index, the reward
      for reaching s' becomes -1 + beta [D 28] and imitation counts beta times; or it weighs line 2.
      `imitation_weight` weighs imitation alone, in addition: at beta = 1 it is the released code's coefficient.
    * hindsight_bound: V(s', g) is at least `bounds.reached_value` of what the trajectory itself did (ours; see there).
    * evaluated: whose greedy action `act` takes without exploring, the online network's or the target network's. The
      target is a running mean of the online network, so its policy has less of the noise of the last updates (ours).
    * scale_inputs: observation and goal are mapped from the spec's ranges to [-1, 1] before the first layer; images
      have none.
    * last_stride, spatial_softmax: of the `networks.ImageEncoder` that the network has where the spec has images.
    * distance: the environment's, for the metric `imitated_x_distance` alone.

    Metrics, each the mean over the batch: loss, td_loss, q_mean, target_mean (V(s', g) of the backup), reward_mean; and
    with imitation: imitation_loss (-log pi of every row), imitated_fraction, imitated_x_distance (indicator times
    distance(phi(s), g): divide it by the fraction for the mean distance of what is imitated).

    Raises ValueError if the action set is continuous or an argument is not as declared; `init` for an unknown name in
    `hparams` or a number out of its range; `act` and `update` for wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Discrete(1, 9), 50, 0.05, False, box, box)
    >>> hparams = agents.QLearningHparams(epsilon=0.2)
    >>> agent = agents.q_learning(spec, distance=lambda a, b: jnp.linalg.norm(a - b), hparams=hparams)
    >>> state = agent.init(jax.random.key(0), {"gamma_hdm": 0.5})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=False).shape
    (1,)
    """
    checks.function("distance", distance, "Pass env.distance.")
    network = networks.QNetwork(
        action=_common.discrete(spec, "Q-learning"),
        hidden_sizes=hidden_sizes,
        layer_norm=layer_norm,
        observation_range=spec.observation_range if scale_inputs else None,
        goal_range=spec.goal_range if scale_inputs else None,
        encoder=_common.encoder(spec, last_stride, spatial_softmax),
    )
    options = _Options(
        spec=spec,
        network=network,
        distance=distance,
        backup=backup,
        imitation=imitation,
        next_state=next_state,
        bounded=bounded,
        hindsight_bound=hindsight_bound,
        evaluated=evaluated,
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
    network: networks.QNetwork
    distance: Callable[[jax.Array, jax.Array], jax.Array]
    backup: str
    imitation: str
    next_state: str
    bounded: bool
    hindsight_bound: bool
    evaluated: str


@checks.validated(_validation.init)
def _init(
    options: _Options, defaults: QLearningHparams, key: jax.Array, hparams: Mapping[str, Any] | None = None
) -> QLearningState:
    """The state of a new agent, with parameters drawn by `key`, and a target network that equals the online one.

    `hparams` overrides numeric hyper-parameters by name. Raises ValueError for an unknown name, a value that is not one
    number, or a number out of its range.
    """
    numbers = override(defaults, hparams)
    params = options.network.init(key, *_common.example_inputs(options.spec))
    return QLearningState(
        params=params,
        target_params=jax.tree.map(jnp.copy, params),  # a buffer of its own: both are donated
        adam=_common.ADAM.init(params),
        updates=jnp.zeros((), jnp.int32),
        hparams=numbers,
    )


@checks.validated(_validation.act(QLearningState))
def _act(
    options: _Options, state: QLearningState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    """The greedy action i32[D] at observation [*O] and goal [*G]; exploring, uniform with probability epsilon."""
    params = state.target_params if options.evaluated == "target" and not explore else state.params
    q = options.network.apply(params, observation[None], goal[None])[0]
    greedy = jnp.argmax(q, axis=-1).astype(jnp.int32)
    if not explore:
        return greedy
    return _common.or_uniform(options.spec, key, state.hparams.epsilon, greedy)


@checks.validated(_validation.update(QLearningState, _validation.check_transitions))
def _update(options: _Options, state: QLearningState, batch: types.Transition, key: jax.Array):
    """(state, metrics) after one step of Adam on the mean loss of the batch [B], and one of the target network."""
    del key  # a Q-learning update draws nothing
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(options, state.params, state, batch)
    hparams = state.hparams
    params, adam = _common.adam_step(state.params, state.adam, gradient, hparams.learning_rate)
    updates = state.updates + 1
    target_params = _common.target_step(
        state.target_params, params, updates, hparams.target_rate, hparams.target_period
    )
    metrics = {name: jnp.mean(value) for name, value in metrics.items()} | {"loss": loss}
    return QLearningState(params, target_params, adam, updates, hparams), metrics


def _batch_loss(options: _Options, params: Any, state: QLearningState, batch: types.Transition):
    """The mean loss, and the metrics of every example."""
    apply = options.network.apply
    q = apply(params, batch.observation, batch.seen_goal)  # [B, D, K], as the next two
    q_next = apply(jax.lax.stop_gradient(params), batch.next_observation, batch.seen_goal)
    q_target = apply(state.target_params, batch.next_observation, batch.seen_goal)
    example = jax.vmap(functools.partial(_example_loss, options), in_axes=(0, 0, 0, 0, None))
    total, metrics = example(q, q_next, q_target, batch, state.hparams)
    if options.next_state == "loss":
        q_reached = apply(params, batch.observation, batch.seen_next_goal)
        total = total + jax.vmap(_next_state_loss, in_axes=(0, 0, None))(q_reached, batch.action, state.hparams)
    return jnp.mean(total), metrics


def _example_loss(options: _Options, q, q_next, q_target, transition: types.Transition, hparams: QLearningHparams):
    """Heads [D, K] and one transition to a scalar loss and its metrics."""
    v_target = _backed_up_value(options, q_next, q_target, hparams)
    in_reward = options.imitation != "none" and options.next_state == "relabel"  # [D 28]
    beta = hparams.beta if in_reward else 1.0
    if options.hindsight_bound:
        v_target = jnp.maximum(v_target, bounds.reached_value(transition.offset, hparams.gamma, beta))
    q_tm1 = losses.factorised(losses.action_value)(q, transition.action)
    reward = transition.reward + (beta - 1.0) * transition.is_next
    target = (reward, hparams.gamma * transition.discount, v_target)
    upper = bounds.highest_return(hparams.gamma, beta) if options.bounded else None
    td_loss = losses.td(q_tm1, *target, upper=upper)
    metrics = {"td_loss": td_loss, "q_mean": q_tm1, "target_mean": v_target, "reward_mean": reward}
    if options.imitation == "none":
        return td_loss, metrics
    v_online = losses.factorised(losses.greedy_value)(q_next)
    log_prob = losses.factorised(losses.log_prob)(q, transition.action)
    weight = hparams.beta * hparams.imitation_weight
    if options.imitation == "progress":
        v_tm1 = losses.factorised(losses.greedy_value)(q)
        imitated = _common.made_progress(v_tm1, v_online, transition, hparams)
        total = td_loss + weight * imitated * losses.behaviour_cloning(log_prob)
    else:
        gamma_hdm = jnp.inf if options.imitation == "always" else hparams.gamma_hdm
        imitated = losses.hdm_indicator(q_tm1, v_online, gamma_hdm=gamma_hdm)
        total = losses.hdm(q_tm1, log_prob, *target, v_online, gamma_hdm=gamma_hdm, beta=weight, upper=upper)
    metrics["imitation_loss"] = losses.behaviour_cloning(log_prob)
    metrics["imitated_fraction"] = imitated
    metrics["imitated_x_distance"] = imitated * options.distance(transition.achieved_goal, transition.goal)
    return total, metrics


def _backed_up_value(options: _Options, q_next: jax.Array, q_target: jax.Array, hparams: QLearningHparams) -> jax.Array:
    """V(s', g), f32[], of the heads at s' [D, K] of the online and the target network, by the option `backup`."""
    if options.backup == "double":
        return losses.factorised(losses.double_value)(q_target, selector=q_next)
    if options.backup == "max":
        return losses.factorised(losses.greedy_value)(q_target)
    return losses.factorised(losses.mellow_value)(q_target, temperature=hparams.temperature)


def _next_state_loss(q: Any, action: jax.Array, hparams: QLearningHparams) -> jax.Array:
    """-beta (1 - gamma_hdm) Q(s, a, s'), f32[], of the head at (s, s') [D, K] [D Algorithm 1, line 2]."""
    q_next_goal = losses.factorised(losses.action_value)(q, action)
    return losses.next_state(q_next_goal, gamma_hdm=hparams.gamma_hdm, beta=hparams.beta)


def _flops(options: _Options, count: int) -> int:
    """Learn at (s, g), the target's forward at (s', g); the online one's too, if its argmax or the indicator asks."""
    network = flops.head(options.spec, tuple(options.network.hidden_sizes), options.network.encoder)
    passes = network.learn + network.forward
    if options.backup == "double" or options.imitation in ("indicator", "progress"):
        passes += network.forward
    if options.next_state == "loss":
        passes += network.learn
    return count * passes
