"""A run: collect, store, learn, and evaluate, as pure functions over one pytree. Seeds come by `jax.vmap`.

Dimension key: N environments of one member, T horizon, B batch, U updates of an epoch.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, relabel, types
from hindsight_jax.agents.base import Agent
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.replay import Replay, RewardFn
from hindsight_jax.training import _validation, finite
from hindsight_jax.training.rollout import Rollout, rollout


class Schedule(NamedTuple):
    """Static numbers of a run, per member."""

    num_envs: int = 1  # trajectories collected in one epoch
    updates_per_epoch: int = 50
    batch_size: int = 256  # transitions of one update
    warmup_trajectories: int = 200  # uniform random actions, collected by init; 0 for an on-policy agent
    evaluation_episodes: int = 200


class RunState(NamedTuple):
    """Everything that changes during a run: saved whole, a run resumes bit for bit."""

    agent: Any
    replay: Any  # ReplayState; None while a population learns, which needs no ring
    law: relabel.Law | None  # its weights may differ between members; None for an on-policy agent
    preference: relabel.Preference | None
    key: jax.Array
    epoch_key: jax.Array  # u32[...], bits of the key with which the last epoch began: if frozen, the unfinished one
    env_steps: jax.Array  # i32[], warm-up included; a trajectory counts its horizon, since the batch runs on to it
    updates: jax.Array  # i32[]
    frozen: jax.Array  # bool[], something was not finite: only env_steps and key, the schedule's, change from then on


class Run(NamedTuple):
    """Pure functions of one member. `epoch` is collect, store, sample and learn, in this order."""

    init: Callable[..., RunState]
    init_without_warmup: Callable[..., RunState]  # what init is before its warm-up, with an empty ring
    epoch: Callable[[RunState], tuple[RunState, dict[str, jax.Array]]]
    evaluate: Callable[[RunState, jax.Array], dict[str, jax.Array]]
    gather: Callable[[RunState], tuple[RunState, Any, jax.Array, dict[str, jax.Array]]]  # an epoch before its learning
    collect: Callable[[RunState, jax.Array], Rollout]
    store: Callable[[RunState, types.Trajectory], RunState]
    sample: Callable[[RunState, jax.Array], types.Transition | types.Trajectory]  # [U, B, ...] or [1, N, ...]
    learn: Callable[[RunState, Any, jax.Array], tuple[RunState, dict[str, jax.Array]]]  # reads no ring
    diagnose: Callable[[RunState], finite.NonFinite]  # why a member froze: on the host, after the fact
    check: Callable[[Mapping[str, Any]], None]  # of the values of a whole population, arrays [M]: ValueError


def make_run(
    env: GoalEnv,
    agent: Agent,
    ring: Replay,
    law: relabel.Law | Callable[[dict[str, Any]], relabel.Law] | None,
    reward_fn: RewardFn,
    schedule: Schedule,
    preference: relabel.Preference | Callable[[dict[str, Any]], relabel.Preference] | None = None,
) -> Run:
    """A run of `agent` on `env`: law over goals times loss.

    * `init(key, values=None)` makes the state, with the warm-up's random trajectories in the ring. `values` maps
      "agent.NAME" and "relabel.NAME" to numbers of this member; the latter go, without their prefix, to `law` and
      `preference`, which then must be functions of that dict.
    * `epoch(state)` -> (state, metrics): metrics are means over the epoch's updates, plus `collect_success_end`.
      Use it as `jax.jit(jax.vmap(run.epoch), donate_argnums=0)`. If the agent's state or a metric is not finite
      afterwards, the member is frozen as it was before: later epochs learn nothing and store nothing, and its metrics
      are NaN. `diagnose(state)` repeats that epoch, update by update, and names the first tensor that is not finite.
    * `gather(state)` -> (state, batches, key, metrics) and `learn(state, batches, key)` -> (state, metrics) are the two
      halves of `epoch`, for who runs them apart: `learn` leaves the ring alone, so it may be absent (None).
    * `evaluate(state, key)` -> success_end, success_any, distance_end: means over greedy episodes.

    An agent whose `batch` is "trajectories" learns on policy: one update per epoch, of the trajectories that were just
    collected. Its ring holds those and no others (capacity = num_envs), it has no law, and no warm-up.

    Raises ValueError if an argument is of another type, if the ring's trajectories are not the environment's, if the
    schedule's numbers do not fit the agent or the ring, or if a name in `values` is unknown.
    """
    _validation.check_env(env)
    _validation.check_agent(agent)
    _validation.check_ring(ring, jax.eval_shape(functools.partial(example_trajectory, env)))
    checks.instance("schedule", schedule, Schedule, "Write training.Schedule(...).")
    _check_schedule(schedule, ring, agent)
    _validation.check_goals(law, reward_fn, preference)
    if (law is None) != (agent.batch == "trajectories"):
        remedy = "Pass a goal law for an agent of transitions, and None for one of trajectories."
        checks.fail("law", law, f"the agent learns from {agent.batch}", remedy)
    parts = _Parts(env, agent, ring, law, reward_fn, schedule, preference)
    return Run(
        init=functools.partial(_init, parts),
        init_without_warmup=functools.partial(_fresh, parts),
        epoch=functools.partial(_epoch, parts),
        evaluate=functools.partial(_evaluate, parts),
        gather=functools.partial(_gather, parts),
        collect=functools.partial(_collect, parts),
        store=functools.partial(_store, parts),
        sample=functools.partial(_sample, parts),
        learn=functools.partial(_learn, parts),
        diagnose=functools.partial(_diagnose, parts),
        check=functools.partial(_check_values, parts),
    )


class _Parts(NamedTuple):
    """What a run is made of; static."""

    env: GoalEnv
    agent: Agent
    ring: Replay
    law: Any
    reward_fn: RewardFn
    schedule: Schedule
    preference: Any


def _init(run: _Parts, key: jax.Array, values: Mapping[str, Any] | None = None) -> RunState:
    checks.typed_key("key", key)
    key_agent, key_warmup, key_run = jax.random.split(key, 3)
    state = _without_warmup(run, key_agent, key_run, values)
    count = run.schedule.warmup_trajectories
    if not count:
        return state
    uniform = lambda observation, goal, key: run.env.spec.action.sample(key)
    return _store(run, state, rollout(run.env, uniform, key_warmup, count).trajectories)


def _fresh(run: _Parts, key: jax.Array, values: Mapping[str, Any] | None = None) -> RunState:
    checks.typed_key("key", key)
    key_agent, _, key_run = jax.random.split(key, 3)
    return _without_warmup(run, key_agent, key_run, values)


def _without_warmup(
    run: _Parts, key_agent: jax.Array, key_run: jax.Array, values: Mapping[str, Any] | None
) -> RunState:
    parts = _split_values(values)
    return RunState(
        agent=run.agent.init(key_agent, parts["agent"]),
        replay=run.ring.init(),
        law=_arrays(_resolve("law", run.law, parts["relabel"])),
        preference=_arrays(_resolve("preference", run.preference, parts["relabel"])),
        key=key_run,
        epoch_key=jnp.array(jax.random.key_data(key_run)),  # a copy: the key is donated, too
        env_steps=jnp.zeros((), jnp.int32),
        updates=jnp.zeros((), jnp.int32),
        frozen=jnp.zeros((), jnp.bool_),
    )


def _epoch(run: _Parts, state: RunState) -> tuple[RunState, dict[str, jax.Array]]:
    state, batches, key_learn, collected = _gather(run, state)
    state, metrics = _learn(run, state, batches, key_learn)
    return state, metrics | collected


def _gather(run: _Parts, state: RunState) -> tuple[RunState, Any, jax.Array, dict[str, jax.Array]]:
    """Collect, store and sample: the state, the batches, the key of the learning, and the collection's metrics."""
    _check_state(run, state)
    key, key_collect, key_sample, key_learn = jax.random.split(state.key, 4)
    epoch_key = jnp.where(state.frozen, state.epoch_key, jax.random.key_data(state.key))
    episodes = _collect(run, state, key_collect)
    state = _store(run, state._replace(key=key, epoch_key=epoch_key), episodes.trajectories)
    success = jnp.mean(episodes.success_end, dtype=jnp.float32)
    collected = {"collect_success_end": jnp.where(state.frozen, jnp.nan, success)}
    return state, _sample(run, state, key_sample), key_learn, collected


def _collect(run: _Parts, state: RunState, key: jax.Array) -> Rollout:
    _check_state(run, state)
    explore = lambda observation, goal, key: run.agent.act(state.agent, observation, goal, key, True)
    return rollout(run.env, explore, key, run.schedule.num_envs)


def _store(run: _Parts, state: RunState, trajectories: types.Trajectory) -> RunState:
    _check_state(run, state)
    ring = run.ring.add(state.replay, trajectories, ~state.frozen)
    env_steps = state.env_steps + trajectories.length.shape[0] * run.env.spec.horizon
    return state._replace(replay=ring, env_steps=env_steps)


def _sample(run: _Parts, state: RunState, key: jax.Array) -> types.Transition | types.Trajectory:
    _check_state(run, state)
    checks.typed_key("key", key)
    if run.agent.batch == "trajectories":  # the ring holds what was just collected, all of it and in its order
        return jax.tree.map(lambda x: x[None], state.replay.trajectories)
    # All batches of the epoch in one draw: the ring stands still meanwhile, and one search serves them all.
    count, size = run.schedule.updates_per_epoch, run.schedule.batch_size
    assert state.law is not None  # make_run: a law goes with transitions
    rows = run.ring.sample(state.replay, key, count * size, state.law, run.reward_fn, state.preference)
    return jax.tree.map(lambda x: x.reshape(count, size, *x.shape[1:]), rows)


def _learn(run: _Parts, state: RunState, batches: Any, key: jax.Array) -> tuple[RunState, dict[str, jax.Array]]:
    count = run.schedule.updates_per_epoch
    _check_state(run, state)
    _validation.check_batches(batches, run.agent.batch, count)
    checks.typed_key("key", key)
    step = lambda agent_state, x: run.agent.update(agent_state, *x)
    agent_state, metrics = jax.lax.scan(step, state.agent, (batches, jax.random.split(key, count)))
    metrics = jax.tree.map(jnp.mean, metrics)
    frozen = state.frozen | ~(finite.is_finite(agent_state) & finite.are_finite(metrics))
    kept = lambda old, new: jnp.where(frozen, old, new)
    state = state._replace(
        agent=jax.tree.map(kept, state.agent, agent_state),
        updates=kept(state.updates, state.updates + count),
        frozen=frozen,
    )
    return state, jax.tree.map(lambda x: jnp.where(frozen, jnp.nan, x), metrics)


def _diagnose(run: _Parts, state: RunState) -> finite.NonFinite:
    """Of a frozen member: what is not finite in its state, or becomes so in the epoch that it did not finish."""
    _check_state(run, state)
    if not checks.is_concrete(state.frozen) or not state.frozen:
        rule = "only of one that froze, and outside of jax.jit, is there a fault to find"
        checks.fail("state", "a member that is not frozen", rule, "Ask where the column `frozen` is 1.")
    bad = finite.first_bad(state)
    if bad:
        return finite.NonFinite(bad, int(state.updates))
    key = jax.random.wrap_key_data(state.epoch_key, impl=jax.random.key_impl(state.key))
    _, _, key_sample, key_learn = jax.random.split(key, 4)  # the ring holds already what was collected
    batches = jax.jit(functools.partial(_sample, run))(state, key_sample)
    return finite.replay_epoch(jax.jit(run.agent.update), state.agent, batches, key_learn, int(state.updates))


def _evaluate(run: _Parts, state: RunState, key: jax.Array) -> dict[str, jax.Array]:
    _check_state(run, state)
    greedy = lambda observation, goal, key: run.agent.act(state.agent, observation, goal, key, False)
    episodes = rollout(run.env, greedy, key, run.schedule.evaluation_episodes)
    means = episodes._asdict()
    del means["trajectories"]
    return {name: jnp.mean(value, dtype=jnp.float32) for name, value in means.items()}


def _check_values(run: _Parts, values: Mapping[str, Any]) -> None:
    parts = _split_values(values)
    run.agent.check(parts["agent"])
    for i in range(max((len(value) for value in parts["relabel"].values()), default=0)):
        own = {name: float(np.asarray(value)[i]) for name, value in parts["relabel"].items()}
        _resolve("law", run.law, own)
        _resolve("preference", run.preference, own)


def example_trajectory(env: GoalEnv) -> types.Trajectory:
    """A trajectory of zeros with the environment's shapes, for `replay.make_ring`."""
    _validation.check_env(env)
    spec = env.spec
    action = jax.eval_shape(spec.action.sample, jax.random.key(0))
    return types.Trajectory(
        observation=jnp.zeros((spec.horizon + 1, *spec.observation_shape)),
        achieved_goal=jnp.zeros((spec.horizon + 1, *spec.goal_shape)),
        action=jnp.zeros((spec.horizon, *action.shape), action.dtype),
        desired_goal=jnp.zeros(spec.goal_shape),
        length=jnp.zeros((), jnp.int32),
        terminal=jnp.zeros((), jnp.bool_),
    )


def _arrays(tree: Any) -> Any:
    """Leaves as f32 arrays, so that members may differ in them."""
    return jax.tree.map(lambda x: jnp.array(x, jnp.float32), tree)  # a copy: the state is donated, the caller's is not


def _resolve(name: str, given: Any, values: dict[str, Any]) -> Any:
    """The law or preference itself, or what the function of this member's values makes."""
    if callable(given):
        made = given(values)
        kind = relabel.Law if name == "law" else relabel.Preference
        checks.instance(f"{name}(values)", made, kind, "Return relabel.hindsight(...), or relabel.prefer(...).")
        return made
    if values and name == "law":
        rule = "numbers of the law may be given only if `law` is a function of them"
        checks.fail("values", sorted(values), rule, "Pass law=lambda values: relabel.hindsight(...).")
    return given


def _split_values(values: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """{"agent": {...}, "relabel": {...}} from dotted names."""
    parts: dict[str, dict[str, Any]] = {"agent": {}, "relabel": {}}
    for name, value in _validation.checked_values(values).items():
        part, _, rest = str(name).partition(".")
        if part not in parts or not rest:
            checks.fail(
                f"values[{name!r}]", value, "its name must start with agent. or relabel.", "Write agent.gamma, say."
            )
        parts[part][rest] = value
    return parts


def _check_state(run: _Parts, state: RunState) -> None:
    """The state of one member of this run; its ring and its agent's part are checked where they are used."""
    remedy = "Pass what init or epoch of this run returned; map over members with jax.vmap."
    checks.instance("state", state, RunState, remedy)
    checks.typed_key("state.key", state.key)
    bits = jax.eval_shape(jax.random.key_data, state.key)
    for name, check, shape in (
        ("epoch_key", checks.integer, bits.shape),
        ("env_steps", checks.integer, ()),
        ("updates", checks.integer, ()),
        ("frozen", checks.boolean, ()),
    ):
        check(f"state.{name}", getattr(state, name))
        checks.shape(f"state.{name}", getattr(state, name), shape, remedy)
    for name, kind in (("law", relabel.Law), ("preference", relabel.Preference)):
        absent = getattr(run, name) is None
        checks.instance(f"state.{name}", getattr(state, name), type(None) if absent else kind, remedy)


def _check_schedule(schedule: Schedule, ring: Replay, agent: Agent) -> None:
    """Counts are positive and fit the ring; an on-policy agent has its one update, its own ring, and no warm-up."""
    on_policy = {"warmup_trajectories": 0, "updates_per_epoch": 1} if agent.batch == "trajectories" else {}
    for name, value in schedule._asdict().items():
        if name not in on_policy:
            checks.positive_int(f"schedule.{name}", value, "Every number of a schedule counts something.")
        elif value != on_policy[name]:
            rule = f"it must be {on_policy[name]} for an agent that learns from the trajectories of its own policy"
            checks.fail(f"schedule.{name}", value, rule, "Use an agent that learns from the ring, or change it.")
    for name in ("warmup_trajectories", "num_envs"):
        if getattr(schedule, name) > ring.capacity:
            rule = f"it must be at most the ring's capacity, {ring.capacity}"
            checks.fail(f"schedule.{name}", getattr(schedule, name), rule, "Make a larger ring, or collect fewer.")
    if on_policy and ring.capacity != schedule.num_envs:
        rule = f"it must hold the trajectories of one collection, {schedule.num_envs}"
        checks.fail("ring.capacity", ring.capacity, rule, "Make the ring with capacity=schedule.num_envs.")
