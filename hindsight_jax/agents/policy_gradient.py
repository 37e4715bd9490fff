"""Policy gradients over hindsight goals: HPG, and REINFORCE on the trajectories' own goals, from fresh trajectories.

Dimension key: N trajectories, T horizon, M goals of an update, O observation dims, G goal dims, D action dims.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import checks, losses, networks, types
from hindsight_jax.agents import _common, _validation, flops, policies
from hindsight_jax.agents._trajectories import (
    effective_sample_share,
    exploring_log_prob,
    hits,
    unique_goals,
    visited_goals,
    without_padding,
)
from hindsight_jax.agents.base import Agent, override
from hindsight_jax.fields import Allowed, Need

ROWS = 8192  # of one forward pass: enough to fill two cores, and little memory

_DRAWN, _OF_OTHERS = Need({"agent.goals": ("visited",)}), Need({"agent.goals": ("unique", "visited")})

Goals = Annotated[
    Literal["unique", "visited", "own"],
    Allowed("goals to learn for: each that the batch visited, once; drawn from all its visits; or the behaviour goals"),
]
NumGoals = Annotated[int, Allowed("visited goals drawn for an update", 1, 2**20, needs=(_DRAWN,))]
_SHARED = "trajectories that share goals and weights, a divisor of env.num_envs; 0: all"
GroupSize = Annotated[int, Allowed(_SHARED, 0, 2**20, needs=(_OF_OTHERS,))]
Baseline = Annotated[bool, Allowed("subtract a learnt value from the return")]
Activation = Annotated[Literal["relu", "tanh"], Allowed("function of the hidden units")]
FirstWeights = Annotated[
    Literal["fan_in", "small"],
    Allowed("uniform in +-1/sqrt(fan-in), biases too; or normal, std 0.01 (baseline: 0.001), biases 0"),
]


class PolicyGradientHparams(NamedTuple):
    """Numeric hyper-parameters: f32[] each in the state, so the members of a population may differ in them."""

    learning_rate: _common.LearningRate = 1e-3  # of the policy and of the baseline
    epsilon: _common.Epsilon = 0.0  # the importance weights know of it


class PolicyGradientParams(NamedTuple):
    """The parameters of the policy and of the baseline V(s, g), None where there is none."""

    policy: Any
    value: Any


class PolicyGradientState(NamedTuple):
    """Everything that an update reads or writes."""

    params: PolicyGradientParams
    adam: Any
    updates: jax.Array  # i32[]
    hparams: PolicyGradientHparams


@_validation.constructor
def policy_gradient(
    spec: types.EnvSpec,
    *,
    success: Callable[[jax.Array, jax.Array], jax.Array],
    hparams: PolicyGradientHparams = PolicyGradientHparams(),
    hidden_sizes: _common.HiddenSizes = (256, 256),
    layer_norm: _common.LayerNorm = False,
    scale_inputs: _common.ScaleInputs = False,
    goals: Goals = "visited",
    num_goals: NumGoals = 32,
    group_size: GroupSize = 0,
    baseline: Baseline = False,
    activation: Activation = "relu",
    first_weights: FirstWeights = "fan_in",
) -> Agent:
    """Policy gradients from trajectories that the present policy made: `hpg` and `reinforce`.

    For each goal, the surrogate of `losses.hindsight_policy_gradient` over the N trajectories; then one step of Adam on
    its mean or sum over goals. An episode ends, for a goal, with its first success there: at t + 1, after action a_t.

    * goals: hindsight policy gradients (Rauber et al. 2019) learn for goals among phi(s_1) .. phi(s_length) of all
      trajectories, each goal for all of its group. "unique" is the author's code: every value once, the sum over the
      goals of means over the trajectories (constant factors matter little, since Adam divides by the gradient's size).
      "visited" draws `num_goals` with replacement, each visit equally likely, and takes their mean: less work, but what
      is visited often counts more. The reward is the number of steps left, T - t, at the first success: 1 for the last
      action, T for the first. "own" is REINFORCE: each trajectory's own goal, with the reward 1 at the first success.
    * group_size: trajectories that share goals and weights; 0 is the whole batch. The estimates of all groups, each
      with goals of its own, are averaged in one step: work grows with the batch and not with its square ("visited"), or
      its cube ("unique").
    * weights: a trajectory that has ended keeps the ratio that it had at its end, with rewards of 0, so that at each t
      the weights of a group of N sum to 1, and are 1/N for the own goal. Weights over those still alive would estimate
      the reward *given* that the episode goes on: with late successes, of which few are left, worth more. (The author's
      code does so once an episode has ended at its own goal, and multiplies on after a success for the other goal.)
    * baseline: a network V(s, g) lowers the variance; rewards become r_t - V(s_t) + V(s_{t+1}), with V = 0 after the
      end. What follows a step u then adds up to the return less V(s_u), and log pi(a_u) times V(s_u) has the mean
      gradient 0: with true ratios the expected gradient is the same for any V (normalised weights are biased anyway, as
      1/N). V learns by the squared TD(0) error against sg(r_t + V(s_{t+1})), gamma = 1, summed over the trajectories
      with the ratios pi(a | s, g') / pi(a | s, g), which are normalised over those alive at t, and averaged over t.
      V does not see t, on which what is left depends: it is a rough guess. (The author's sees t, learns from the own
      goals alone, and enters as -W_it V(s_t).)
    * activation, first_weights: "tanh" and "small" are the author's networks, here `networks.small_normal` with 0.01,
      and 0.001 for V.
    * scale_inputs: observation and goal are mapped from the spec's ranges to [-1, 1] before the first layer.

    The estimate is of the return of every goal, biased as 1/N by its normalised weights, where episodes run to the
    horizon. Where they end at their own goal, what would have come after is missing for the other goals, and no weight
    makes up for it: 6 % of the gradient on a chain of two steps (`tests/agents/test_fixed_points_of_policies.py`).

    Acting with exploration samples the policy, or with probability `epsilon` (the ratios' denominators know of it) a
    uniform action; without, it takes the mode. Each batch must come from the parameters that it updates. Of a Box,
    samples are clipped to [-1, 1] and counted with the density at the clipped action, which biases the gradient once a
    mean comes within a deviation or so of a bound; a Discrete action set, the papers' case, has no such bias.

    Metrics, each the mean over the goals: loss (surrogate + value_loss; its value means little), return_mean (sum of
    rewards, mean over the trajectories, not weighted), hit_fraction (of the trajectories), entropy (of the policy under
    that goal, in nats, mean over the steps before the end), effective_sample_share (1 / sum_i W_it^2 / N in (0, 1],
    mean over the t at which some trajectory goes on: 1 if all weigh the same, 1/N if one has all the weight); and
    value_loss with a baseline.

    * success: the environment's, (achieved [*G], goal [*G]) -> bool[].

    Raises ValueError if an argument is not as declared; `init` for an unknown name in `hparams` or a number out of its
    range; `act` and `update` for wrong shapes and an empty batch.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import agents, types
    >>> box = types.Range((-1.0, -1.0), (1.0, 1.0))
    >>> spec = types.EnvSpec((2,), (2,), types.Discrete(1, 4), 16, 0.5, True, box, box)
    >>> agent = agents.policy_gradient(spec, success=lambda a, b: jnp.linalg.norm(a - b) < 0.5)
    >>> state = agent.init(jax.random.key(0), {"learning_rate": 3e-4})
    >>> agent.act(state, jnp.zeros(2), jnp.ones(2), jax.random.key(1), explore=True).shape
    (1,)
    """
    checks.function("success", success, "Pass env.success.")
    if spec.images is not None:
        rule = "policy gradients need all states of their trajectories at once, and images are too large for that"
        checks.fail("spec.images", spec.images, rule, "Take another agent, or leave pixels at 0.")
    small = first_weights == "small"
    policy = policies.policy(
        spec, hidden_sizes, layer_norm, scale_inputs, activation=activation, initial_std=0.01 if small else None
    )
    value = networks.Critic(
        hidden_sizes=hidden_sizes,
        layer_norm=layer_norm,
        observation_range=spec.observation_range if scale_inputs else None,
        goal_range=spec.goal_range if scale_inputs else None,
        activation=activation,
        initial_std=0.001 if small else None,
    )
    options = _Options(
        spec=spec,
        policy=policy,
        value=value if baseline else None,
        hidden_sizes=hidden_sizes,
        success=success,
        goals=goals,
        num_goals=num_goals,
        group_size=group_size,
    )
    return Agent(
        init=checks.bind(_init, options, hparams),
        act=checks.bind(_act, options),
        update=checks.bind(_update, options),
        batch="trajectories",
        flops=functools.partial(_flops, options),
    )


class _Options(NamedTuple):
    """The static arguments."""

    spec: types.EnvSpec
    policy: policies.Policy
    value: Any  # networks.Critic, or None without a baseline
    hidden_sizes: tuple[int, ...]
    success: Callable[[jax.Array, jax.Array], jax.Array]
    goals: str
    num_goals: int
    group_size: int


@checks.validated(_validation.init)
def _init(
    options: _Options, defaults: PolicyGradientHparams, key: jax.Array, hparams: Mapping[str, Any] | None = None
) -> PolicyGradientState:
    """The state of a new agent, with parameters drawn by `key`.

    `hparams` overrides numeric hyper-parameters by name. Raises ValueError for an unknown name, a value that is not one
    number, or a number out of its range.
    """
    numbers = override(defaults, hparams)
    key_policy, key_value = jax.random.split(key)
    inputs = _common.example_inputs(options.spec)
    params = PolicyGradientParams(
        policy=options.policy.network.init(key_policy, *inputs),
        value=None if options.value is None else options.value.init(key_value, *inputs),
    )
    return PolicyGradientState(params, _common.ADAM.init(params), updates=jnp.zeros((), jnp.int32), hparams=numbers)


@checks.validated(_validation.act(PolicyGradientState))
def _act(
    options: _Options,
    state: PolicyGradientState,
    observation: jax.Array,
    goal: jax.Array,
    key: jax.Array,
    explore: bool,
) -> jax.Array:
    """The policy's mode [D] for observation [*O] and goal [*G]; exploring, a sample of it or a uniform action."""
    head = policies.head_of_one(options.policy, state.params.policy, observation, goal)
    if not explore:
        return _common.clipped(options.spec, options.policy.mode(head))
    key_sample, key_uniform = jax.random.split(key)
    action = _common.clipped(options.spec, options.policy.sample(head, key_sample))
    return _common.or_uniform(options.spec, key_uniform, state.hparams.epsilon, action)


@checks.validated(_validation.update(PolicyGradientState, _validation.check_trajectories))
def _update(options: _Options, state: PolicyGradientState, batch: types.Trajectory, key: jax.Array):
    """(state, metrics) after one step of Adam on the surrogate losses of all tasks of the batch [N]."""
    params = state.params
    tasks, used = _tasks(options, params, without_padding(batch), key)
    gradient_of = jax.value_and_grad(_mean_loss, argnums=1, has_aux=True)
    # in chunks, so that only one chunk's activations are in memory
    count, size, horizon = tasks.batch.action.shape[:3]
    chunk = tasks_at_once(count, size * horizon)
    chunks = jax.tree.map(lambda x: x.reshape(-1, chunk, *x.shape[1:]), tasks)

    def add(total: Any, tasks: Task) -> tuple[Any, dict[str, jax.Array]]:
        (loss, metrics), gradient = gradient_of(options, params, tasks, state.hparams.epsilon)
        return jax.tree.map(jnp.add, total, gradient), metrics | {"loss": loss}

    zero = jax.tree.map(jnp.zeros_like, params)
    if options.goals == "unique":
        total, metrics = _sum_of_used(add, zero, chunks, -(-used // chunk))
        # the sum over the goals of means over the trajectories, as the author has it: Adam undoes what is constant
        gradient = jax.tree.map(lambda x: x * (chunk / batch.length.shape[0]), total)
        metrics = jax.tree.map(lambda x: x * (chunk / jnp.maximum(used, 1)), metrics)
    else:
        total, metrics = jax.lax.scan(add, zero, chunks)
        gradient = jax.tree.map(lambda x: x * (chunk / count), total)
        metrics = jax.tree.map(jnp.mean, metrics)
    params, adam = _common.adam_step(params, state.adam, gradient, state.hparams.learning_rate)
    return PolicyGradientState(params, adam, state.updates + 1, state.hparams), metrics


def _sum_of_used(add: Callable[..., Any], zero: Any, chunks: Any, num_chunks: jax.Array) -> tuple[Any, Any]:
    """The sums of the gradients and of the metrics of the first `num_chunks` chunks: the others hold no goal."""

    def one_more(carry: Any) -> Any:
        index, total, sums = carry
        total, metrics = add(total, jax.tree.map(lambda x: x[index], chunks))
        return index + 1, total, jax.tree.map(jnp.add, sums, metrics)

    shapes = jax.eval_shape(add, zero, jax.tree.map(lambda x: x[0], chunks))[1]
    sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    start = (jnp.zeros((), jnp.int32), zero, sums)
    return jax.lax.while_loop(lambda carry: carry[0] < num_chunks, one_more, start)[1:]


class Task(NamedTuple):
    """A group of trajectories and a goal for each: the weights of one task sum to 1. Leading axis: all of them."""

    batch: types.Trajectory  # [N, ...]
    goal: jax.Array  # [N, *G]
    own: jax.Array | None  # f32[N, T], log pi under the own goals, where those are not the goal
    weight: jax.Array  # f32[], 1, or 0 for what is no task


def _tasks(
    options: _Options, params: PolicyGradientParams, batch: types.Trajectory, key: jax.Array
) -> tuple[Task, jax.Array]:
    """Every goal of every group, and how many of them are tasks; those come first."""
    count = batch.length.shape[0]
    size = options.group_size or count
    if count % size:
        rule = f"the batch's number of trajectories, {count}, must be a multiple of group_size, {size}"
        checks.fail("batch", f"{count} trajectories", rule, "Collect more, or make the groups smaller.")
    groups = jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), batch)
    num_groups = count // size
    if options.goals == "own":
        return Task(groups, groups.desired_goal, None, jnp.ones(num_groups)), jnp.int32(num_groups)
    if options.goals == "unique":
        goals, is_first = jax.vmap(unique_goals)(groups)  # [groups, goals, *G], [groups, goals]
    else:
        keys = jax.random.split(key, num_groups) if num_groups > 1 else key[None]
        goals = jax.vmap(visited_goals, (0, 0, None))(groups, keys, options.num_goals)
        is_first = jnp.ones(goals.shape[:2], bool)
    own = _log_probs(options, params.policy, batch, batch.desired_goal)[0].reshape(num_groups, size, -1)
    goal = jnp.broadcast_to(goals[:, :, None], (*goals.shape[:2], size, *goals.shape[2:]))
    each = lambda x: jnp.repeat(x, goals.shape[1], axis=0)
    tasks = Task(
        jax.tree.map(each, groups), goal.reshape(-1, *goal.shape[2:]), each(own), is_first.ravel().astype(jnp.float32)
    )
    if options.goals == "unique":
        tasks = jax.tree.map(lambda x: x[jnp.argsort(tasks.weight, descending=True)], tasks)
    return tasks, jnp.sum(is_first, dtype=jnp.int32)


def tasks_at_once(count: int, rows_per_task: int) -> int:
    """The most tasks, a divisor of their number, whose rows of the network's batch stay within ROWS; 1 at least.

    >>> tasks_at_once(64, 200), tasks_at_once(7, 10_000)
    (32, 1)
    """
    sizes = [size for size in range(1, count + 1) if count % size == 0 and size * rows_per_task <= ROWS]
    return max(sizes, default=1)


def _mean_loss(options: _Options, params: PolicyGradientParams, tasks: Task, epsilon: jax.Array):
    """The mean of `_task_loss` over tasks, each times its weight, and of its metrics."""
    loss, metrics = jax.vmap(lambda task: _task_loss(options, params, task, epsilon))(tasks)
    mean = lambda x: jnp.mean(tasks.weight * x)
    return mean(loss), jax.tree.map(mean, metrics)


def _task_loss(options: _Options, params: PolicyGradientParams, task: Task, epsilon: jax.Array):
    """The surrogate for one goal a trajectory, plus the baseline's loss, and metrics."""
    batch, goal, own, _ = task
    alive, hit = hits(options.success, batch, goal)
    log_prob, entropy = _log_probs(options, params.policy, batch, goal)
    own = exploring_log_prob(options.spec, jax.lax.stop_gradient(log_prob if own is None else own), epsilon)
    # 0 after the end, for both: the ratio stays as it was
    log_prob, own = jnp.where(alive, log_prob, 0.0), jnp.where(alive, own, 0.0)
    steps_left = options.spec.horizon - jnp.arange(options.spec.horizon)
    worth = steps_left.astype(jnp.float32) if options.goals != "own" else jnp.ones(options.spec.horizon)
    reward = jnp.where(hit, worth[None], 0.0)
    metrics = {
        "return_mean": jnp.mean(jnp.sum(reward, axis=1)),
        "hit_fraction": jnp.mean(jnp.any(hit, axis=1), dtype=jnp.float32),
        "entropy": jnp.sum(jnp.where(alive, entropy, 0.0)) / jnp.maximum(jnp.sum(alive), 1),
        "effective_sample_share": effective_sample_share(jax.lax.stop_gradient(log_prob - own), alive),
    }
    loss = jnp.zeros(())
    if options.value is not None:
        value, next_value = _values(options.value, params.value, batch, goal, alive)
        loss = _value_loss(value, reward + next_value, log_prob - own, alive)
        metrics["value_loss"] = loss
        reward = reward - jax.lax.stop_gradient(value - next_value)
    return loss + losses.hindsight_policy_gradient(log_prob, own, reward, jnp.ones_like(alive)), metrics


def _log_probs(options: _Options, params: Any, batch: types.Trajectory, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """log pi(a_t | s_t, g) and the entropy there, [N, T] each, for one goal a trajectory."""
    observation = batch.observation[:, :-1]
    head = options.policy.network.apply(params, observation, _at_each(goal, observation.shape[1]))
    twice = lambda function: jax.vmap(jax.vmap(function))
    return twice(options.policy.log_prob)(head, batch.action), twice(options.policy.entropy)(head)


def _values(
    network: Any, params: Any, batch: types.Trajectory, goal: jax.Array, alive: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """V(s_t, g) and V(s_{t+1}, g), [N, T] each, 0 after the end; no gradient through the second."""
    value = network.apply(params, batch.observation, _at_each(goal, batch.observation.shape[1]))
    goes_on = jnp.pad(alive[:, 1:], ((0, 0), (0, 1)))  # after the last action nothing does
    next_value = jnp.where(goes_on, jax.lax.stop_gradient(value[:, 1:]), 0.0)
    return jnp.where(alive, value[:, :-1], 0.0), next_value


def _value_loss(value: jax.Array, target: jax.Array, log_ratio: jax.Array, alive: jax.Array) -> jax.Array:
    """The squared TD error, weighted over the trajectories by the ratio of each step, mean over t."""
    some = jnp.any(alive, axis=0)
    log_weight = jnp.where(alive | ~some[None], jax.lax.stop_gradient(log_ratio), -jnp.inf)
    weight = jnp.where(alive, jax.nn.softmax(log_weight, axis=0), 0.0)
    error = jax.vmap(_common.td_towards)(value, target)
    return jnp.sum(weight * error) / jnp.maximum(jnp.sum(some), 1)


def _at_each(goal: jax.Array, num_steps: int) -> jax.Array:
    """[N, *G] -> [N, num_steps, *G]."""
    return jnp.broadcast_to(goal[:, None], (goal.shape[0], num_steps, *goal.shape[1:]))


def _flops(options: _Options, count: int) -> int:
    """Learn at each step for each goal; the behaviour goals' probabilities once, if the goals are others.

    No state is visited twice, where goals are unique: there may be fewer of them.
    """
    network, steps = flops.head(options.spec, options.hidden_sizes), count * options.spec.horizon
    value = flops.mlp(flops.num_inputs(options.spec), options.hidden_sizes, 1).learn if options.value else 0
    if options.goals == "own":
        return steps * (network.learn + value)
    num_goals = options.num_goals
    if options.goals == "unique":
        num_goals = (options.group_size or count) * options.spec.horizon
    return steps * (num_goals * (network.learn + value) + network.forward)
