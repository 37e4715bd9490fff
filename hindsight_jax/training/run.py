"""A run of one member: collect, store, sample, learn and evaluate, as pure functions over one pytree.

Every function checks its arguments once. Map them over seeds with `jax.vmap`, or use `make_population`.

Dimension key: M members, N environments of one member, T horizon, B batch, U updates of an epoch.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import backend, checks, numerics, relabel, types
from hindsight_jax.agents.base import Agent
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.envs.host import HostEnv
from hindsight_jax.replay import Replay, RewardFn
from hindsight_jax.training import _validation, finite
from hindsight_jax.training import epoch as epochs
from hindsight_jax.training.rollout import Rollout, rollout
from hindsight_jax.training.state import Data, RunSizes, RunSpec, RunState


class Run(NamedTuple):
    """Pure functions of one member; `help(run.learn)` describes one. An epoch is collect, store, sample and learn."""

    spec: RunSpec  # what the run is made of
    init: Callable[..., RunState]
    init_without_warmup: Callable[..., RunState]
    epoch: Callable[[RunState], tuple[RunState, dict[str, jax.Array]]]
    collect: Callable[[RunState, jax.Array], Rollout]
    store: Callable[[RunState, types.Trajectory], RunState]
    sample: Callable[[RunState, jax.Array], types.Transition | types.Trajectory]
    learn: Callable[[RunState, Any, jax.Array], tuple[RunState, dict[str, jax.Array]]]
    evaluate: Callable[[RunState, jax.Array], dict[str, jax.Array]]
    diagnose: Callable[[RunState], finite.NonFinite]
    check: Callable[[Mapping[str, Any]], None]


@numerics.steady
def make_run(
    env: GoalEnv | HostEnv,
    agent: Agent,
    ring: Replay,
    law: relabel.Law | Callable[[dict[str, Any]], relabel.Law] | None,
    reward_fn: RewardFn,
    sizes: RunSizes,
    preference: relabel.Preference | Callable[[dict[str, Any]], relabel.Preference] | None = None,
    data: Data | None = None,
) -> Run:
    """A run of `agent` on `env`, with goals relabelled by `law`.

    Args:
      env: a GoalEnv; or a HostEnv, which `make_population` plays, and no function of the run.
      agent: made for env.spec.
      ring: made for `example_trajectory(env)`.
      law: of the goals, or a function of a member's "relabel.*" overrides that returns one; None if on policy.
      reward_fn: of relabelled transitions.
      sizes: the counts of an epoch.
      preference: among hindsight transitions, or a function of a member's "relabel.*" overrides that returns one.
      data: trajectories of the same task, from which a share of each batch is drawn, by the same law and rewards. With
        a share of 1 the run is offline: an epoch is its updates alone, no env step is taken but in evaluations, and
        `env_steps` counts N T for an epoch as if it had collected, so that schedules compare.

    Returns:
      a `Run`: the functions of this module, bound to these arguments.

    An agent whose `batch` is "trajectories" learns on policy: one update per epoch, from the trajectories just
    collected. Its ring holds those and no others (capacity = num_envs), it has no law, and no warm-up.

    Raises:
      ValueError: if an argument is of another type, if the environment resets itself, if the ring's or the data's
        trajectories are not the environment's, or if the sizes do not fit the agent, the ring or the data.
    """
    _validation.check_task(env)
    _validation.check_agent(agent)
    example = jax.eval_shape(functools.partial(example_trajectory, env))
    _validation.check_ring(ring, example)
    data = _validation.checked_data(data, env, agent, example)
    sizes = _validation.checked_sizes(sizes, ring, agent, is_offline=data is not None and data.share == 1.0)
    _validation.check_goals(law, reward_fn, preference)
    if (law is None) != (agent.batch == "trajectories"):
        remedy = "Pass a goal law for an agent of transitions, and None for one of trajectories."
        checks.fail("law", law, f"the agent learns from {agent.batch}", remedy)
    spec = RunSpec(env, agent, ring, law, reward_fn=reward_fn, sizes=sizes, preference=preference, data=data)
    _validation.check_data_rows(spec)
    return Run(
        spec=spec,
        init=checks.bind(init, spec),
        init_without_warmup=checks.bind(init_without_warmup, spec),
        epoch=checks.bind(epoch, spec),
        collect=checks.bind(collect, spec),
        store=checks.bind(store, spec),
        sample=checks.bind(sample, spec),
        learn=checks.bind(learn, spec),
        evaluate=checks.bind(evaluate, spec),
        diagnose=checks.bind(diagnose, spec),
        check=checks.bind(check, spec),
    )


def init(run: RunSpec, key: jax.Array, overrides: Mapping[str, Any] | None = None) -> RunState:
    """The first state, with the warm-up's trajectories of uniform random actions in the ring.

    Args:
      key: one typed key.
      overrides: "agent.NAME" and "relabel.NAME" -> a number of this member. The former are the agent's
        hyper-parameters; the latter go, without their prefix, to `law` and `preference`, which then must be functions
        of them.

    Raises:
      ValueError: on a wrong key, an unknown name, or a value out of range.
    """
    checks.typed_key("key", key)
    key_agent, key_warmup, key_run = jax.random.split(key, 3)
    state = _empty(run, key_agent, key_run, overrides)
    count = run.sizes.warmup_trajectories
    if not count:
        return state
    uniform = lambda observation, goal, key: run.env.spec.action.sample(key)
    return epochs.store(run, state, rollout(run.env, uniform, key_warmup, count).trajectories)


def init_without_warmup(run: RunSpec, key: jax.Array, overrides: Mapping[str, Any] | None = None) -> RunState:
    """The state of `init` before its warm-up: the same agent and keys, and an empty ring. Arguments as for `init`."""
    checks.typed_key("key", key)
    key_agent, _, key_run = jax.random.split(key, 3)
    return _empty(run, key_agent, key_run, overrides)


def warmup_key(key: jax.Array) -> jax.Array:
    """The key of the warm-up that `init` plays, of the member's own."""
    return jax.random.split(key, 3)[1]


@checks.validated(_validation.check_member)
def epoch(run: RunSpec, state: RunState) -> tuple[RunState, dict[str, jax.Array]]:
    """Collect, store, sample and learn: (state, metrics), f32[] each. Offline: sample and learn.

    Metrics are means over the epoch's updates, and `collect_success_end`, the share of collected episodes that ended in
    success. If the agent's state or a metric is not finite afterwards, the member is frozen as it was before learning:
    later epochs learn and store nothing, and its metrics are NaN. `diagnose` finds the first tensor that is not finite.

    Use it as `jax.jit(jax.vmap(run.epoch), donate_argnums=0)`. Raises ValueError on the state of another run.
    """
    return epochs.epoch(run, state)


@checks.validated(_validation.check_member_and_key)
def collect(run: RunSpec, state: RunState, key: jax.Array) -> Rollout:
    """N = num_envs episodes of the exploring policy, [N, ...]. ValueError on a wrong state or key."""
    return epochs.collect(run, state, key)


@checks.validated(_validation.check_store)
def store(run: RunSpec, state: RunState, trajectories: types.Trajectory) -> RunState:
    """The state with trajectories [N, ...] in its ring; a frozen member's ring stays as it is.

    Counts N T env steps. Raises ValueError on a wrong state, or trajectories that do not fit the ring.
    """
    return epochs.store(run, state, trajectories)


@checks.validated(_validation.check_member_and_key)
def sample(run: RunSpec, state: RunState, key: jax.Array) -> types.Transition | types.Trajectory:
    """The batches of an epoch: transitions [U, B, ...]; for an on-policy agent all stored trajectories, [1, N, ...].

    Images stay in the ring: the batches hold their numbers (`Replay.draw`), and `learn` looks them up.

    Raises ValueError on a wrong state or key, or (outside of jit) an empty ring.
    """
    return epochs.sample(run, state, key)


@checks.validated(_validation.check_learn)
def learn(run: RunSpec, state: RunState, batches: Any, key: jax.Array) -> tuple[RunState, dict[str, jax.Array]]:
    """U updates of the agent: (state, means of the updates' metrics, f32[] each).

    Args:
      state: its `replay` is read only for images, and may else be None.
      batches: what `sample` returned, [U, ...].
      key: one typed key.

    Raises:
      ValueError: on a wrong state, batches or key.
    """
    return epochs.learn(run, state.replay, state, batches, key)


@checks.validated(_validation.check_member_and_key)
def evaluate(run: RunSpec, state: RunState, key: jax.Array) -> dict[str, jax.Array]:
    """success_end, success_any, distance_end: means over `evaluation_episodes` of the greedy policy, f32[] each.

    Raises ValueError on a wrong state or key.
    """
    return epochs.evaluate(run, state, key)


@checks.validated(_validation.check_frozen)
def diagnose(run: RunSpec, state: RunState) -> finite.NonFinite:
    """The first tensor of a frozen member that is not finite: in its state, or while its last epoch is replayed.

    Runs on the host, not under jit. Raises ValueError for a member that is not frozen.
    """
    bad = finite.first_bad(state)
    if bad:
        return finite.NonFinite(bad, int(state.updates))
    key = jax.random.wrap_key_data(state.epoch_key, impl=jax.random.key_impl(state.key))
    keys = epochs.split_key(key)  # the ring already holds what that epoch collected
    batches = jax.jit(functools.partial(epochs.sample, run))(state, keys.sample)
    look_up = functools.partial(epochs.look_up, run)
    update = jax.jit(lambda agent, batch, key: run.agent.update(agent, look_up(state.replay, batch), key))
    return finite.replay_epoch(update, state.agent, batches, keys.learn, int(state.updates))


def check(run: RunSpec, overrides: Mapping[str, Any]) -> None:
    """Raises ValueError for overrides that are out of range: name -> array [M], known outside of jit."""
    groups = _by_prefix(overrides)
    run.agent.check(groups["agent"])
    for i in range(max((len(value) for value in groups["relabel"].values()), default=0)):
        of_member = {name: float(np.asarray(value)[i]) for name, value in groups["relabel"].items()}
        _resolve("law", run.law, of_member)
        _resolve("preference", run.preference, of_member)


@numerics.steady
def example_trajectory(env: GoalEnv | HostEnv) -> types.Trajectory:
    """A trajectory of zeros of the environment's shapes, for `replay.make_ring`.

    Raises ValueError unless `env` is a task, and one that does not reset itself.
    """
    _validation.check_task(env)
    backend.start()
    spec = env.spec
    action = jax.eval_shape(spec.action.sample, numerics.key(0))
    if spec.images is None:
        states, goal_image = jnp.zeros((spec.horizon + 1, *spec.observation_shape)), None
    else:
        frame = jnp.zeros((spec.images.pixels, spec.images.pixels, 3), jnp.uint8)
        states = jnp.broadcast_to(frame[None], (spec.horizon + 1, *frame.shape))
        goal_image = frame if spec.images.goals else None
    return types.Trajectory(
        observation=states,
        achieved_goal=jnp.zeros((spec.horizon + 1, *spec.goal_shape)),
        action=jnp.zeros((spec.horizon, *action.shape), action.dtype),
        desired_goal=jnp.zeros(spec.goal_shape),
        length=jnp.zeros((), jnp.int32),
        terminal=jnp.zeros((), jnp.bool_),
        goal_image=goal_image,
    )


def _empty(run: RunSpec, key_agent: jax.Array, key_run: jax.Array, overrides: Mapping[str, Any] | None) -> RunState:
    """The first state, with an empty ring."""
    groups = _by_prefix(overrides)
    return RunState(
        agent=run.agent.init(key_agent, groups["agent"]),
        replay=run.ring.init(),
        law=_arrays(_resolve("law", run.law, groups["relabel"])),
        preference=_arrays(_resolve("preference", run.preference, groups["relabel"])),
        key=key_run,
        epoch_key=jnp.array(jax.random.key_data(key_run)),  # a copy: the key is donated, too
        env_steps=jnp.zeros((), jnp.int32),
        updates=jnp.zeros((), jnp.int32),
        frozen=jnp.zeros((), jnp.bool_),
    )


def _arrays(tree: Any) -> Any:
    """Leaves as f32 arrays, so that members may differ in them."""
    return jax.tree.map(lambda x: jnp.array(x, jnp.float32), tree)  # a copy: the state is donated, the caller's is not


def _resolve(name: str, given: Any, overrides: dict[str, Any]) -> Any:
    """The law or preference itself, or the one that the given function makes of this member's overrides."""
    if callable(given):
        made = given(overrides)
        kind = relabel.Law if name == "law" else relabel.Preference
        checks.instance(f"{name}(overrides)", made, kind, "Return relabel.hindsight(...), or relabel.prefer(...).")
        return made
    if overrides and name == "law":
        rule = "numbers of the law may be given only if `law` is a function of them"
        checks.fail("overrides", sorted(overrides), rule, "Pass law=lambda overrides: relabel.hindsight(...).")
    return given


def _by_prefix(overrides: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """{"agent": {...}, "relabel": {...}} from dotted names."""
    groups: dict[str, dict[str, Any]] = {"agent": {}, "relabel": {}}
    for name, value in _validation.checked_overrides(overrides).items():
        prefix, _, rest = str(name).partition(".")
        if prefix not in groups or not rest:
            rule = "its name must start with agent. or relabel."
            checks.fail(f"overrides[{name!r}]", value, rule, "Write agent.gamma, for example.")
        groups[prefix][rest] = value
    return groups
