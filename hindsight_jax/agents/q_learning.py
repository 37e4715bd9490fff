"""Q-learning over hindsight goals: HER, HER + SQL, HER + HBC and HDM are rows of arguments of one agent.

Dimension key: B batch, O observation dims, G goal dims, D action dims, K bins per dim (a flat action set has D = 1).
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _doors, _parts
from hindsight_jax.agents.base import Agent, override


class QLearningValues(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them.

    The defaults are HDM's Table 2 and released code.
    """

    learning_rate: Any = 5e-4  # Adam's, per update
    gamma: Any = 0.98  # discount per env step
    gamma_hdm: Any = 0.85  # the indicator's threshold [D 31]; 0 imitates nothing, inf everything
    beta: Any = 1.0  # weight of imitation
    epsilon: Any = 0.1  # probability of a uniform action while exploring
    target_rate: Any = 0.005  # target <- (1 - rate) target + rate online, every `target_period` updates
    target_period: Any = 10.0  # updates between two steps of the target network
    temperature: Any = 0.2  # tau of the soft backup, in units of Q


class QLearningState(NamedTuple):
    """Everything that an update reads or writes."""

    params: Any
    target_params: Any
    adam: Any
    updates: jax.Array  # i32[]
    values: QLearningValues


def q_learning(
    spec: types.EnvSpec,
    *,
    distance: Callable[[jax.Array, jax.Array], jax.Array],
    values: QLearningValues | None = None,
    hidden_sizes: tuple[int, ...] = (400, 300),
    layer_norm: bool = False,
    scale_inputs: bool = False,
    backup: Literal["double", "max", "mellow"] = "double",
    imitation: Literal["none", "always", "indicator"] = "indicator",
    next_state: Literal["relabel", "loss"] = "relabel",
    upper: float | None = 0.0,
    hindsight_bound: bool = False,
    evaluated: Literal["online", "target"] = "online",
) -> Agent:
    """The row-driven Q-learning agent (ALGORITHMS 1): td by `backup`, plus imitation, plus Algorithm 1's line 2.

    * backup: y = r + gamma discount V(s', g), at most `upper` (None: no bound), where V is the target network's value
      of the online network's greedy action ("double"), the target's maximum ("max"), or the target's mellowmax at
      `temperature` ("mellow", HER + SQL).
    * imitation: "none" is HER, "always" is HER + HBC (the indicator held at 1), "indicator" is HDM [D Algorithm 1].
    * next_state: "relabel" leaves the rewards of next-state goals to the goal law and the reward function; "loss" adds
      -beta (1 - gamma_hdm) Q(s, a, s') [D Algorithm 1, line 2], for rows whose rewards are all -1.
    * hindsight_bound: V(s', g) is at least `reached_value` of what the trajectory itself did (ours; see there).
    * evaluated: whose greedy action `act` takes without exploring, the online network's or the target network's. The
      target is a running mean of the online network, so its policy has less of the noise of the last updates (ours).
    * scale_inputs: observation and goal are mapped from the spec's ranges to [-1, 1] before the first layer.
    * distance: the environment's, for the metric `imitated_x_distance` alone.

    Metrics, each the mean over the batch: loss, td_loss, q_mean, target_mean (V(s', g) of the backup), reward_mean; and
    with imitation: imitation_loss (-log pi of every row), imitated_fraction, imitated_x_distance (indicator times
    distance(phi(s), g): divide it by the fraction for the mean distance of what is imitated).

    Raises ValueError if the action set is continuous or an option is unknown; `init` on an unknown name in `values` or
    a known number out of range; `act` and `update` on wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Discrete(1, 9), 50, 0.05, False, box, box)
    >>> values = agents.QLearningValues(epsilon=0.2)
    >>> agent = agents.q_learning(spec, distance=lambda a, b: jnp.linalg.norm(a - b), values=values)
    >>> state = agent.init(jax.random.key(0), {"gamma_hdm": 0.5})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=False).shape
    (1,)
    """
    flags = {"layer_norm": layer_norm, "scale_inputs": scale_inputs, "hindsight_bound": hindsight_bound}
    _doors.check_arguments(spec, values, QLearningValues, hidden_sizes, **flags)
    checks.function("distance", distance, "Pass env.distance.")
    if upper is not None:
        checks.real("upper", upper, "Use 0.0, or None for no bound.")
        checks.rank("upper", upper, 0, "It is one bound for all.")
        checks.in_range("upper", upper, -math.inf, math.inf, "Use 0.0, or None for no bound.")
    network = networks.QNetwork(
        action=_parts.discrete(spec, "Q-learning"),
        hidden_sizes=hidden_sizes,
        layer_norm=layer_norm,
        observation_range=spec.observation_range if scale_inputs else None,
        goal_range=spec.goal_range if scale_inputs else None,
    )
    _parts.check_option("backup", backup, ("double", "max", "mellow"))
    _parts.check_option("imitation", imitation, ("none", "always", "indicator"))
    _parts.check_option("next_state", next_state, ("relabel", "loss"))
    _parts.check_option("evaluated", evaluated, ("online", "target"))
    row = _Row(spec, network, distance, backup, imitation, next_state, upper, hindsight_bound, evaluated)
    defaults = QLearningValues() if values is None else values
    return _doors.guarded(
        spec,
        QLearningState,
        "transitions",
        init=functools.partial(_init, row, defaults),
        act=functools.partial(_act, row),
        update=functools.partial(_update, row),
        check=functools.partial(_parts.check_ranges, _RANGES),
    )


class _Row(NamedTuple):
    """What one row of the table fixes; static."""

    spec: types.EnvSpec
    network: networks.QNetwork
    distance: Callable[[jax.Array, jax.Array], jax.Array]
    backup: str
    imitation: str
    next_state: str
    upper: float | None
    hindsight_bound: bool
    evaluated: str


def _init(
    row: _Row, defaults: QLearningValues, key: jax.Array, values: Mapping[str, Any] | None = None
) -> QLearningState:
    numbers = override(defaults, values)
    _parts.check_ranges(_RANGES, numbers._asdict())
    spec = row.spec
    params = row.network.init(key, jnp.zeros((1, *spec.observation_shape)), jnp.zeros((1, *spec.goal_shape)))
    target_params = jax.tree.map(jnp.copy, params)  # a buffer of its own: both are donated
    return QLearningState(params, target_params, _parts.ADAM.init(params), jnp.zeros((), jnp.int32), numbers)


def _act(
    row: _Row, state: QLearningState, observation: jax.Array, goal: jax.Array, key: jax.Array, explore: bool
) -> jax.Array:
    params = state.target_params if row.evaluated == "target" and not explore else state.params
    q = row.network.apply(params, observation[None], goal[None])[0]
    greedy = jnp.argmax(q, axis=-1).astype(jnp.int32)
    if not explore:
        return greedy
    return _parts.or_uniform(row.spec, key, state.values.epsilon, greedy)


def _update(row: _Row, state: QLearningState, batch: types.Transition, key: jax.Array):
    del key  # a Q-learning update draws nothing
    gradient_of = jax.value_and_grad(_batch_loss, argnums=1, has_aux=True)
    (loss, metrics), gradient = gradient_of(row, state.params, state, batch)
    values = state.values
    params, adam = _parts.adam_step(state.params, state.adam, gradient, values.learning_rate)
    updates = state.updates + 1
    target_params = _parts.target_step(state.target_params, params, updates, values.target_rate, values.target_period)
    metrics = {name: jnp.mean(value) for name, value in metrics.items()} | {"loss": loss}
    return QLearningState(params, target_params, adam, updates, values), metrics


def _batch_loss(row: _Row, params: Any, state: QLearningState, batch: types.Transition):
    """The mean loss, and the metrics of every example."""
    apply = row.network.apply
    q = apply(params, batch.observation, batch.goal)
    q_next = apply(jax.lax.stop_gradient(params), batch.next_observation, batch.goal)
    q_target = apply(state.target_params, batch.next_observation, batch.goal)
    example = jax.vmap(functools.partial(_example_loss, row), in_axes=(0, 0, 0, 0, None))
    total, metrics = example(q, q_next, q_target, batch, state.values)
    if row.next_state == "loss":
        q_reached = apply(params, batch.observation, batch.next_achieved_goal)
        total = total + jax.vmap(_next_state_loss, in_axes=(0, 0, None))(q_reached, batch.action, state.values)
    return jnp.mean(total), metrics


def _example_loss(row: _Row, q, q_next, q_target, transition: types.Transition, values: QLearningValues):
    """Heads [D, K] and one transition to a scalar loss and its metrics."""
    v_target = _backed_up_value(row, q_next, q_target, values)
    if row.hindsight_bound:
        v_target = jnp.maximum(v_target, reached_value(transition.offset, values.gamma))
    q_tm1 = losses.factorised(losses.action_value)(q, transition.action)
    target = (transition.reward, values.gamma * transition.discount, v_target)
    td_loss = losses.td(q_tm1, *target, upper=row.upper)
    metrics = {"td_loss": td_loss, "q_mean": q_tm1, "target_mean": v_target, "reward_mean": transition.reward}
    if row.imitation == "none":
        return td_loss, metrics
    gamma_hdm = jnp.inf if row.imitation == "always" else values.gamma_hdm
    v_online = losses.factorised(losses.greedy_value)(q_next)
    log_prob = losses.factorised(losses.log_prob)(q, transition.action)
    total = losses.hdm(q_tm1, log_prob, *target, v_online, gamma_hdm=gamma_hdm, beta=values.beta, upper=row.upper)
    imitated = losses.hdm_indicator(q_tm1, v_online, gamma_hdm=gamma_hdm)
    metrics["imitation_loss"] = losses.behaviour_cloning(log_prob)
    metrics["imitated_fraction"] = imitated
    metrics["imitated_x_distance"] = imitated * row.distance(transition.achieved_goal, transition.goal)
    return total, metrics


def _backed_up_value(row: _Row, q_next: jax.Array, q_target: jax.Array, values: QLearningValues) -> jax.Array:
    if row.backup == "double":
        return losses.factorised(losses.double_value)(q_next, q_target)
    if row.backup == "max":
        return losses.factorised(losses.greedy_value)(q_target)
    return losses.factorised(losses.mellow_value)(q_target, temperature=values.temperature)


def _next_state_loss(q: Any, action: jax.Array, values: QLearningValues) -> jax.Array:
    q_next_goal = losses.factorised(losses.action_value)(q, action)
    return losses.next_state(q_next_goal, gamma_hdm=values.gamma_hdm, beta=values.beta)


def reached_value(offset: jax.Array, gamma: jax.Array) -> jax.Array:
    """A lower bound on V(s', g) from hindsight: the trajectory went from s' to g in n = offset - 1 more actions.

    Each of the first n - 1 earned -1 and the last 0, and the goal, once reached, is worth 0 to an agent that can stay:
    -(1 - gamma^(n-1)) / (1 - gamma), and 0 where n <= 1. It is a true bound on the optimal value if the dynamics are
    deterministic and the goal can be kept; a behaviour goal (offset 0) and a goal of the past have none, -inf. Ours, in
    the spirit of optimality tightening (He et al. 2016): values travel a whole trajectory in one update, not one step.

    >>> [round(float(reached_value(jnp.int32(k), jnp.float32(0.5))), 6) for k in (1, 2, 3, 4)]
    [0.0, 0.0, -1.0, -1.5]
    """
    steps = jnp.maximum(offset - 2, 0).astype(jnp.float32)
    flat = gamma >= 1.0  # the limit is -steps
    rest = jnp.where(flat, 1.0, 1.0 - gamma)
    # by expm1 and log1p: gamma^steps would round away what is left of it near 1; where steps is 0, 0 log 0 is 0
    value = jnp.where(flat, -steps, jnp.expm1(jax.scipy.special.xlog1py(steps, -rest)) / rest)
    return jnp.where(offset >= 1, value, -jnp.inf)


_RANGES = _parts.RANGES | {  # low, high, remedy
    "gamma_hdm": (0.0, math.inf, "0 imitates nothing, infinity everything."),
    "beta": (0.0, checks.FLOAT32_MAX, "0 switches imitation off."),
    "temperature": (1e-6, checks.FLOAT32_MAX, "Use backup='max' for the limit 0."),
}
