"""One epoch of a member, or of all members of a population: collect, store, sample, learn. And an evaluation.

These functions do not check their arguments: `run` and `programs` do, once, in front of them.

Dimension key: M members, N environments of one member, T horizon, B batch, U updates of an epoch.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import types
from hindsight_jax.replay import Replay, ReplayState
from hindsight_jax.training import finite
from hindsight_jax.training.rollout import Rollout, rollout
from hindsight_jax.training.state import RunSpec, RunState

Map = Callable[[Callable[..., Any]], Callable[..., Any]]  # such as jax.vmap
Metrics = dict[str, jax.Array]


class EpochKeys(NamedTuple):
    """The keys that one epoch uses, and the one that the next epoch begins with."""

    next: jax.Array
    collect: jax.Array
    sample: jax.Array
    learn: jax.Array


def one_member(function: Callable[..., Any]) -> Callable[..., Any]:
    """Leaves a function of one member as it is."""
    return function


def epoch(
    run: RunSpec,
    state: RunState,
    each: Map = one_member,
    each_learner: Map = one_member,
    episodes: Rollout | None = None,
) -> tuple[RunState, Metrics]:
    """One epoch: (state, metrics). Metrics are means over the epoch's updates, and `collect_success_end`.

    Offline nothing is collected and stored, and there is no `collect_success_end`.

    Args:
      run: the static parts.
      state: of one member; with `each` and `each_learner`, of all members [M, ...].
      each: maps a function of one member over its arguments' leading axis [M]: jax.vmap. Without it there is no axis.
      each_learner: the same for learning alone, such as in chunks of members, to bound the memory of activations.
      episodes: what was collected elsewhere, by the key that `split_key` gives; by default it is collected here.
    """
    of_run = lambda function: functools.partial(function, run)
    state, keys = each(begin)(state)
    collected: Metrics = {}
    if run.is_offline:
        state = each(of_run(count_env_steps))(state)
    else:
        played = each(of_run(collect))(state, keys.collect) if episodes is None else episodes
        state = each(of_run(store))(state, played.trajectories)
        collected = each(collection_metrics)(state, played)
    members = jnp.arange(state.updates.size, dtype=jnp.int32).reshape(state.updates.shape)
    batches = each(of_run(sample))(state, keys.sample, members)
    # Rings are not mapped over: a loop over chunks of members would copy them. Learning reads only stored pictures.
    learner = state._replace(replay=None)
    learner, metrics = each_learner(functools.partial(learn, run, state.replay))(learner, batches, keys.learn)
    return learner._replace(replay=state.replay), metrics | collected


def split_key(key: jax.Array) -> EpochKeys:
    """The keys of the epoch that begins with this key."""
    key, key_collect, key_sample, key_learn = jax.random.split(key, 4)
    return EpochKeys(next=key, collect=key_collect, sample=key_sample, learn=key_learn)


def begin(state: RunState) -> tuple[RunState, EpochKeys]:
    """(state with the next epoch's key, the keys of this epoch)."""
    keys = split_key(state.key)
    epoch_key = jnp.where(state.frozen, state.epoch_key, jax.random.key_data(state.key))
    return state._replace(key=keys.next, epoch_key=epoch_key), keys


def collect(run: RunSpec, state: RunState, key: jax.Array) -> Rollout:
    """N episodes of the exploring policy."""
    explore = lambda observation, goal, key: run.agent.act(state.agent, observation, goal, key, True)
    return rollout(run.env, explore, key, run.sizes.num_envs)


def collection_metrics(state: RunState, episodes: Rollout) -> Metrics:
    """The share of collected episodes that end in success; NaN for a frozen member, which stored none of them."""
    success = jnp.mean(episodes.success_end, dtype=jnp.float32)
    return {"collect_success_end": jnp.where(state.frozen, jnp.nan, success)}


def store(run: RunSpec, state: RunState, trajectories: types.Trajectory) -> RunState:
    """Adds trajectories [N, ...] to the ring, unless the member is frozen, and counts N T env steps."""
    ring = run.ring.add(state.replay, trajectories, ~state.frozen)
    return count_env_steps(run, state._replace(replay=ring), trajectories.length.shape[0])


def count_env_steps(run: RunSpec, state: RunState, num_trajectories: int | None = None) -> RunState:
    """Counts T env steps for each trajectory, by default for the N of an epoch."""
    count = run.sizes.num_envs if num_trajectories is None else num_trajectories
    return state._replace(env_steps=state.env_steps + count * run.env.spec.horizon)


def sample(
    run: RunSpec, state: RunState, key: jax.Array, member: jax.Array | int = 0
) -> types.Transition | types.Trajectory:
    """The batches of an epoch: transitions [U, B, ...], or on policy the trajectories just collected, [1, N, ...].

    Images are left in the ring, and their numbers count from the first ring of all members (`Replay.draw`). Of a run
    with `data` the first `data_rows` transitions of each batch are its, and the rest are the member's own.
    """
    if run.agent.batch == "trajectories":  # the ring holds what was just collected, all of it and in its order
        return jax.tree.map(lambda x: x[None], state.replay.trajectories)
    # All batches of the epoch in one draw: the ring does not change meanwhile, and one search serves them all.
    count, size = run.sizes.updates_per_epoch, run.sizes.batch_size
    assert state.law is not None  # make_run: a law goes with transitions

    def draw(ring: Replay, trajectories: ReplayState, key: jax.Array, size: int) -> types.Transition:
        drawn = ring.draw(trajectories, key, count * size, state.law, run.reward_fn, state.preference, member)
        return jax.tree.map(lambda x: x.reshape(count, size, *x.shape[1:]), drawn)

    if run.data is None:
        return draw(run.ring, state.replay, key, size)
    key_data, key_own = jax.random.split(key)
    of_data = draw(run.data.ring, run.data.state, key_data, run.data_rows)
    if run.is_offline:
        return of_data
    own = draw(run.ring, state.replay, key_own, size - run.data_rows)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), of_data, own)


def learn(run: RunSpec, rings: Any, state: RunState, batches: Any, key: jax.Array) -> tuple[RunState, Metrics]:
    """U updates of the agent, one batch each, and the means of their metrics.

    `rings` are those of all members, where the numbers of images count; each update looks up its own images.
    If the agent's state or a metric is not finite afterwards, the member is frozen: it keeps the agent that it had, and
    its metrics are NaN.
    """
    count = run.sizes.updates_per_epoch

    def step(agent_state: Any, x: Any) -> tuple[Any, Metrics]:
        batch, key = x
        return run.agent.update(agent_state, look_up(run, rings, batch), key)

    agent_state, metrics = jax.lax.scan(step, state.agent, (batches, jax.random.split(key, count)))
    metrics = jax.tree.map(jnp.mean, metrics)
    frozen = state.frozen | ~(finite.is_finite(agent_state) & finite.are_finite(metrics))
    unless_frozen = lambda old, new: jnp.where(frozen, old, new)
    state = state._replace(
        agent=jax.tree.map(unless_frozen, state.agent, agent_state),
        updates=unless_frozen(state.updates, state.updates + count),
        frozen=frozen,
    )
    return state, jax.tree.map(lambda x: jnp.where(frozen, jnp.nan, x), metrics)


def look_up(run: RunSpec, rings: Any, batch: Any) -> Any:
    """One update's batch with its images; a batch without images as it is."""
    return batch if run.agent.batch == "trajectories" else run.ring.look_up(rings, batch)


def evaluate(run: RunSpec, state: RunState, key: jax.Array) -> Metrics:
    """Means over episodes of the greedy policy: success_end, success_any, distance_end."""
    greedy = lambda observation, goal, key: run.agent.act(state.agent, observation, goal, key, False)
    episodes = rollout(run.env, greedy, key, run.sizes.evaluation_episodes)
    means = episodes._asdict()
    del means["trajectories"]
    return {name: jnp.mean(value, dtype=jnp.float32) for name, value in means.items()}
