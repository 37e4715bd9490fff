"""Density ratios of goals as Q: the wider families of HDM's framework, as options of one agent.

Each needs two kinds of goal for a step (s, a): one that followed it, the row's own, and others that have nothing to do
with it, the goals of other rows of the batch. `hindsight_jax.losses` names the paper of the equations [D n].

Dimension key: B batch, M other goals, O observation dims, G goal dims, D action dims, K bins per dim.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common, _validation, flops
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed, Need

_DIVERGENCE = Need({"agent.family": ("f_divergence",)})
_NCE = Need({"agent.family": ("nce",)})
_ENERGY = Need({"agent.family": ("energy",)})
_BACKED_UP = Need({"agent.family": ("f_divergence", "energy")})  # those that look at s'

Gamma = Annotated[
    Any, Allowed("discount per env step; that of the goals, relabel.discount, as well", 0.0, 1.0, needs=(_BACKED_UP,))
]
Temperature = Annotated[
    Any, Allowed("tau of the policy softmax(Q / tau) that is evaluated, in units of Q", 1e-6, 1e6, needs=(_DIVERGENCE,))
]
LargestRatio = Annotated[
    Any, Allowed("limit of the density ratio, where f* goes on as a line", 1.001, 1e4, needs=(_DIVERGENCE,))
]
NoiseRatio = Annotated[Any, Allowed("the equation's k: random goals for each that followed", 1e-6, 1e6, needs=(_NCE,))]
NormaliserWeight = Annotated[
    Any, Allowed("weight of (log of the mean of exp Q over goals)^2", 0.0, 1e6, needs=(_ENERGY,))
]
TargetRate = Annotated[
    Any, Allowed("target network's step towards the online one; 1 copies it", 0.0, 1.0, needs=(_BACKED_UP,))
]
TargetPeriod = Annotated[Any, Allowed("updates between two such steps", 1, 2**24, needs=(_BACKED_UP,))]
Family = Annotated[
    Literal["f_divergence", "nce", "energy"],
    Allowed("the loss: f-divergence Q-learning, noise-contrastive estimation, or the multi-step energy-based loss"),
]
F = Annotated[
    Literal["kl", "reverse_kl", "jensen_shannon", "squared_hellinger", "pearson_chi2", "total_variation", "quadratic"],
    Allowed("the f of the divergence", needs=(_DIVERGENCE,)),
]
NumOthers = Annotated[int, Allowed("goals of other rows of the batch, for each row", 1, 4096)]


class DensityRatioHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them."""

    learning_rate: _common.LearningRate = 5e-4
    gamma: Gamma = 0.98
    epsilon: _common.Epsilon = 0.1
    temperature: Temperature = 1.0
    largest_ratio: LargestRatio = 20.0
    noise_ratio: NoiseRatio = 8.0
    normaliser_weight: NormaliserWeight = 0.1
    target_rate: TargetRate = 0.005
    target_period: TargetPeriod = 10


class DensityRatioState(NamedTuple):
    """Everything that an update reads or writes."""

    params: Any
    target_params: Any  # None of "nce", which looks at no s'
    adam: Any
    updates: jax.Array  # i32[]
    hparams: DensityRatioHparams


@_validation.constructor
def density_ratio(
    spec: types.EnvSpec,
    *,
    hparams: DensityRatioHparams = DensityRatioHparams(),
    hidden_sizes: _common.HiddenSizes = (400, 300),
    layer_norm: _common.LayerNorm = False,
    scale_inputs: _common.ScaleInputs = False,
    family: Family = "f_divergence",
    f: F = "squared_hellinger",
    num_others: NumOthers = 8,
) -> Agent:
    """Q from a comparison of goals that followed (s, a) with goals that did not; discrete actions, the greedy one acts.

    p+(g | s, a) is the law of the rows' goals, rho+(g) its mean over all rows, mu(a | s) the behaviour. The equations
    suppose goals by the law `geometric(gamma)`, without next states or behaviour goals beside them. Every other goal is
    the goal of the row 1, 2, .. num_others places further on in the batch, in a circle that leaves the row itself out.

    * "f_divergence" [D 18], by `losses.divergence` with r = 0 and V the mellowmax at `temperature`, whose policy is
      pi = softmax(Q / temperature): the entropy of [D 14]. P Q is the target network's V at the one s' of the row. That
      is biased where the dynamics are random, since f* is convex; and as it has no gradient, the rest is not the
      minimum over Q but Q - gamma P Q = -f'(pi(a | s, g) rho+(g) / (mu(a | s) p+(g | s, a))): a reward which is high
      where g often follows (s, a), and low where pi does what was seldom done on the way to g. `largest_ratio` cuts the
      ratio (`losses.up_to_ratio`), without which a network's errors leave the domain of most f*.
    * "nce" [D 8, 9], by `losses.nce` with Q as its logit: Q(s, a, g) = log p+(g | s, a) / rho+(g) at rest, for any
      `noise_ratio`. The future is that of the behaviour, and nothing is backed up: one step of policy improvement.
    * "energy" [D 24, 25], -(1 - gamma) Q(s, a, s') + mean_g w_g Q(s, a, g) over the other goals, by
      `losses.energy_weight` with the target network at s'. The equation leaves a constant of each (s, a) open, by which
      no two actions could be compared: `normaliser_weight` (ours) holds log mean_g exp Q(s, a, g) at 0. Then Q is
      log p+(g | s, a) / rho+(g) of the uniform policy, whatever the behaviour did.

    Metrics, each the mean over the batch: loss, q_mean (at the goals that followed), q_other_mean (at the others);
    with "f_divergence" ratio_cut_fraction, the share of rows whose ratio is at its limit.

    Raises ValueError if the action set is continuous, if the spec has images, or an argument is not as declared; `init`
    for an unknown name in `hparams` or a number out of its range; `act` and `update` for wrong shapes, and for a batch
    of fewer than two rows.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Discrete(1, 9), 50, 0.05, False, box, box)
    >>> agent = agents.density_ratio(spec, family="nce", num_others=4)
    >>> state = agent.init(jax.random.key(0), {"noise_ratio": 2.0})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=False).shape
    (1,)
    """
    if spec.images is not None:
        rule = "each row is compared with the goals of others, an encoder's pass each"
        checks.fail("spec.images", spec.images, rule, "Take another agent, or leave pixels at 0.")
    network = networks.QNetwork(
        action=_common.discrete(spec, "density_ratio"),
        hidden_sizes=hidden_sizes,
        layer_norm=layer_norm,
        observation_range=spec.observation_range if scale_inputs else None,
        goal_range=spec.goal_range if scale_inputs else None,
    )
    options = _Options(spec=spec, network=network, family=family, f=f, num_others=num_others)
    return Agent(
        init=checks.bind(_init, options, hparams),
        act=checks.bind(_act, options),
        update=checks.bind(_update, options),
        flops=functools.partial(_flops, options),
    )


class _Options(NamedTuple):
    """The static arguments."""

    spec: types.EnvSpec
    network: Any  # networks.QNetwork
    family: str
    f: str
    num_others: int


@checks.validated(_validation.init)
def _init(
    options: _Options, defaults: DensityRatioHparams, key: jax.Array, hparams: Mapping[str, Any] | None = None
) -> DensityRatioState:
    """The state of a new agent, with parameters drawn by `key`, and a target network that equals the online one.

    `hparams` overrides numeric hyper-parameters by name. Raises ValueError for an unknown name, a value that is not one
    number, or a number out of its range.
    """
    numbers = override(defaults, hparams)
    params = options.network.init(key, *_common.example_inputs(options.spec))
    return DensityRatioState(
        params=params,
        target_params=None if options.family == "nce" else jax.tree.map(jnp.copy, params),  # both are donated
        adam=_common.ADAM.init(params),
        updates=jnp.zeros((), jnp.int32),
        hparams=numbers,
    )


@checks.validated(_validation.act(DensityRatioState))
def _act(
    options: _Options, state: DensityRatioState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    """The greedy action i32[D] at observation [*O] and goal [*G]; exploring, uniform with probability epsilon."""
    q = options.network.apply(state.params, observation[None], goal[None])[0]
    greedy = jnp.argmax(q, axis=-1).astype(jnp.int32)
    if not explore:
        return greedy
    return _common.or_uniform(options.spec, key, state.hparams.epsilon, greedy)


@checks.validated(_validation.update(DensityRatioState, _validation.check_transitions))
def _update(options: _Options, state: DensityRatioState, batch: types.Transition, key: jax.Array):
    """(state, metrics) after one step of Adam on the mean loss of the batch [B], and one of the target network."""
    del key  # an update draws nothing
    if batch.reward.shape[0] < 2:
        rule = "it must have two or more: each is compared with the goals of others"
        checks.fail("batch", "one row", rule, "Use a larger batch.")
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(options, state.params, state, batch)
    hparams = state.hparams
    params, adam = _common.adam_step(state.params, state.adam, gradient, hparams.learning_rate)
    updates, target_params = state.updates + 1, state.target_params
    if target_params is not None:
        target_params = _common.target_step(target_params, params, updates, hparams.target_rate, hparams.target_period)
    metrics = {name: jnp.mean(value) for name, value in metrics.items()} | {"loss": loss}
    return DensityRatioState(params, target_params, adam, updates, hparams), metrics


def _batch_loss(options: _Options, params: Any, state: DensityRatioState, batch: types.Transition):
    """The mean loss, and the metrics of every example."""
    rows = {"f_divergence": _f_divergence_rows, "nce": _nce_rows, "energy": _energy_rows}[options.family]
    total, metrics = rows(options, params, state, batch)
    return jnp.mean(total), metrics


def _f_divergence_rows(options: _Options, params: Any, state: DensityRatioState, batch: types.Transition):
    """[D 18] of every row [B], and metrics."""
    hparams, others = state.hparams, _others(batch.goal, options.num_others)
    q_own, q_others = _heads(options, params, batch.observation, batch.goal, others)
    next_own, next_others = _heads(options, state.target_params, batch.next_observation, batch.goal, others)
    value = functools.partial(losses.factorised(losses.mellow_value), temperature=hparams.temperature)
    values = lambda heads: jax.vmap(jax.vmap(value))(heads)  # [M, B]
    q = _taken(q_own, batch.action)
    residual = q - hparams.gamma * jax.vmap(value)(next_own)
    policy, later = jnp.mean(values(q_others), axis=0), jnp.mean(values(next_others), axis=0)
    f = losses.up_to_ratio(options.f, hparams.largest_ratio)
    total = jax.vmap(functools.partial(losses.divergence, f=f, r=0.0), in_axes=(0, 0, 0, None))(
        residual, policy, later, hparams.gamma
    )
    ratio = jax.vmap(jax.grad(lambda x: jnp.sum(f.conjugate(x))))(-residual)
    metrics = {"q_mean": q, "q_other_mean": _taken_each(q_others, batch.action)}
    return total, metrics | {"ratio_cut_fraction": (ratio >= hparams.largest_ratio).astype(jnp.float32)}


def _nce_rows(options: _Options, params: Any, state: DensityRatioState, batch: types.Transition):
    """[D 9] of every row [B], and metrics."""
    own, others = _heads(options, params, batch.observation, batch.goal, _others(batch.goal, options.num_others))
    q, q_others = _taken(own, batch.action), _taken_each(others, batch.action)
    loss = functools.partial(losses.nce, k=state.hparams.noise_ratio)
    return jax.vmap(loss, in_axes=(0, 1))(q, q_others), {"q_mean": q, "q_other_mean": q_others}


def _energy_rows(options: _Options, params: Any, state: DensityRatioState, batch: types.Transition):
    """[D 24] of every row [B], with the square that fixes the constant, and metrics."""
    hparams, others = state.hparams, _others(batch.goal, options.num_others)
    at_next, at_others = _heads(options, params, batch.observation, batch.next_achieved_goal, others)
    next_others = options.network.apply(state.target_params, _repeated(batch.next_observation, others), others)
    q_next_state, q = _taken(at_next, batch.action), _taken_each(at_others, batch.action)
    later = jnp.sum(jax.nn.logsumexp(next_others, axis=-1), axis=-1)  # [M, B], over all joint actions
    weight = jax.vmap(losses.energy_weight, in_axes=(1, 1, None))(q, later[..., None], hparams.gamma)  # [B, M]
    reach = functools.partial(losses.next_state, gamma_hdm=hparams.gamma, beta=1.0)
    log_mean = jax.nn.logsumexp(q, axis=0) - jnp.log(q.shape[0])
    total = jax.vmap(reach)(q_next_state) + jnp.mean(weight * q.T, axis=1)
    metrics = {"q_mean": q_next_state, "q_other_mean": q}
    return total + hparams.normaliser_weight * jnp.square(log_mean), metrics


def _others(goal: jax.Array, count: int) -> jax.Array:
    """For each row of goals [B, G] those of the next `count` rows, in a circle that leaves the row out. [M, B, G]

    >>> _others(jnp.array([[0], [1], [2]]), 3)[..., 0].tolist()
    [[1, 2, 0], [2, 0, 1], [1, 2, 0]]
    """
    size = goal.shape[0]
    ahead = 1 + np.arange(count) % (size - 1)
    return goal[(np.arange(size) + ahead[:, None]) % size]


def _heads(options: _Options, params: Any, observation: jax.Array, goal: jax.Array, others: jax.Array):
    """The heads [B, D, K] at (observation, goal), and those [M, B, D, K] at (observation, others)."""
    apply = options.network.apply
    return apply(params, observation, goal), apply(params, _repeated(observation, others), others)


def _repeated(observation: jax.Array, others: jax.Array) -> jax.Array:
    """The observations [B, O] once for each of the M other goals, [M, B, O]."""
    return jnp.broadcast_to(observation[None], (others.shape[0], *observation.shape))


def _taken(heads: jax.Array, action: jax.Array) -> jax.Array:
    """Q of the actions [B, D] that were taken: heads [B, D, K] -> [B]."""
    return jax.vmap(losses.factorised(losses.action_value))(heads, action)


def _taken_each(heads: jax.Array, action: jax.Array) -> jax.Array:
    """`_taken` for each of the other goals: heads [M, B, D, K] -> [M, B]."""
    return jax.vmap(_taken, in_axes=(0, None))(heads, action)


def _flops(options: _Options, count: int) -> int:
    """Learn at the own goal (of "energy": at s') and the others; where s' matters, the target's forward there."""
    network = flops.head(options.spec, tuple(options.network.hidden_sizes))
    others = options.num_others
    forward = {"f_divergence": others + 1, "nce": 0, "energy": others}[options.family]
    return count * ((others + 1) * network.learn + forward * network.forward)
