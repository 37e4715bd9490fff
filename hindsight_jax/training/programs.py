"""The compiled programs of a population: each device runs them for its own members.

Dimension key: M members.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from hindsight_jax import checks
from hindsight_jax.replay import ReplayState
from hindsight_jax.training import _validation
from hindsight_jax.training.epoch import Map, epoch
from hindsight_jax.training.epoch import evaluate as evaluate_member
from hindsight_jax.training.record import freeze_non_finite, keep_best, pop_metrics, successes
from hindsight_jax.training.rollout import Rollout
from hindsight_jax.training.run import init as init_member
from hindsight_jax.training.sharding import EACH, WHOLE, in_chunks, shard
from hindsight_jax.training.state import Best, PopulationState, RunSpec, RunState

LAYOUT: Any = PopulationState(members=EACH, best=EACH, metric_sums=EACH, epochs=WHOLE, summed_epochs=WHOLE)
_EVALUATION = 0x6576616C  # 'eval': keeps evaluation keys apart from those that init splits off the same key


class PopulationSpec(NamedTuple):
    """The static parts of a population."""

    run: RunSpec
    chunk: int | None  # members of a device that learn at once; None: all
    mesh: Mesh | None  # of the devices; None: the one that JAX chooses


class Programs(NamedTuple):
    """The jitted functions of this module, for one population."""

    spec: PopulationSpec
    init: Any
    advance: Any  # donates its state
    evaluate: Any
    record: Any  # donates its state
    data: ReplayState | None = None  # the run's, on the population's devices: one copy on each


def make_programs(population: PopulationSpec, data: ReplayState | None = None) -> Programs:
    """Binds and jits the functions below; nothing is compiled yet."""
    return Programs(
        spec=population,
        init=jax.jit(checks.bind(init, population)),
        advance=jax.jit(checks.bind(advance, population), donate_argnums=0),
        evaluate=jax.jit(checks.bind(evaluate, population)),
        record=jax.jit(checks.bind(record, population), donate_argnums=0),
        data=data,
    )


def init(population: PopulationSpec, keys: jax.Array, overrides: dict[str, jax.Array]) -> PopulationState:
    """The first state of members with these keys [M] and overrides [M]; `population.init` checks them before."""

    def on_device(keys: jax.Array, overrides: dict[str, jax.Array]) -> PopulationState:
        return first_state(population, jax.vmap(functools.partial(init_member, population.run))(keys, overrides))

    return shard(population.mesh, on_device, (EACH, EACH), LAYOUT)(keys, overrides)


def first_state(population: PopulationSpec, members: RunState, episodes: Rollout | None = None) -> PopulationState:
    """The state of members [M, ...] that have had no epoch. `episodes`: shapes of what `one_epoch` is given, if any."""
    count = members.env_steps.size
    # shapes of one member: tracing a whole rollout for all of them takes three times as long
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), members)
    with jax.disable_jit(False):  # else its loops are unrolled, and every update is traced
        given = {} if episodes is None else {"episodes": episodes}
        _, shapes = jax.eval_shape(functools.partial(epoch, population.run), one, **given)
    first = jax.tree.map(jnp.copy, members.agent)  # a copy: members and best are both donated
    return PopulationState(
        members=members,
        best=Best(
            agent=first,
            success_end=jnp.full(count, -jnp.inf, jnp.float32),
            env_steps=jnp.zeros(count, jnp.int32),
        ),
        metric_sums=jax.tree.map(lambda s: jnp.zeros((count, *s.shape), s.dtype), shapes),
        epochs=jnp.zeros((), jnp.int32),
        summed_epochs=jnp.zeros((), jnp.int32),
    )


@checks.validated(_validation.check_advance)
def advance(
    population: PopulationSpec, state: PopulationState, num_epochs: Any, data: ReplayState | None = None
) -> PopulationState:
    """The state after `num_epochs` more epochs, of collect, store, sample and learn. Donates `state`.

    The number is traced: any number runs the same compiled code, and cutting a run into calls changes no bit of it.
    `data` is the run's own, an argument here since a compiled program would hold a constant of its size.
    Raises ValueError, while tracing, on a wrong state or number.
    """

    def on_device(state: PopulationState, num_epochs: Any, data: ReplayState | None) -> PopulationState:
        run = population.run
        if run.data is not None and data is not None:
            run = run._replace(data=run.data._replace(state=data))  # the argument in place of the constant
        spec = population._replace(run=run)
        return jax.lax.fori_loop(0, num_epochs, lambda _, state: one_epoch(spec, state), state)

    return shard(population.mesh, on_device, (LAYOUT, WHOLE, WHOLE), LAYOUT)(state, num_epochs, data)


def one_epoch(
    population: PopulationSpec, state: PopulationState, episodes: Rollout | None = None, each_learner: Map | None = None
) -> PopulationState:
    """The state after one more epoch, of episodes [M, N, ...] that are given or, by default, collected.

    `each_learner` maps learning over members, by default in chunks.
    """
    in_chunk = lambda function: functools.partial(in_chunks, function, population.chunk)
    each_learner = each_learner or in_chunk
    members, metrics = epoch(population.run, state.members, jax.vmap, each_learner, episodes)
    return state._replace(
        members=members,
        metric_sums=jax.tree.map(jnp.add, state.metric_sums, metrics),
        epochs=state.epochs + 1,
        summed_epochs=state.summed_epochs + 1,
    )


@checks.validated(_validation.check_evaluate)
def evaluate(population: PopulationSpec, state: PopulationState, keys: jax.Array) -> dict[str, jax.Array]:
    """success_end, success_any, distance_end: means over greedy episodes, f32[M] each.

    A member's evaluation draws from its own key (of keys [M], as given to init), folded with its epoch: it depends
    neither on the other members nor on how the run was cut. Raises ValueError, while tracing, on a wrong state or keys.
    """

    def on_device(state: PopulationState, keys: jax.Array) -> dict[str, jax.Array]:
        return jax.vmap(functools.partial(evaluate_member, population.run))(
            state.members, evaluation_keys(keys, state.epochs)
        )

    return shard(population.mesh, on_device, (LAYOUT, EACH), EACH)(state, keys)


def evaluation_keys(keys: jax.Array, epochs: jax.Array) -> jax.Array:
    """The keys [M] of the evaluation after so many epochs, of the members' own [M]."""
    return jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, _EVALUATION), epochs))(keys)


@checks.validated(_validation.check_record)
def record(
    population: PopulationSpec, state: PopulationState, results: dict[str, jax.Array]
) -> tuple[PopulationState, dict[str, jax.Array]]:
    """Closes the interval since the last call: (state, columns [M]). Donates `state`.

    Freezes members whose state (their ring, too) is not finite, keeps the agents of a new best success_end, and starts
    the metrics anew.

    Args:
      state: what `advance` returned.
      results: what `evaluate` returned for it.

    Returns:
      the state, and columns, an array [M] each: env_steps, updates, the results, the means of the metrics since the
      last call, and frozen, 0 or 1; of an offline run env_steps_taken, 0, too. Where a member is frozen or a result is
      not finite, success_end and success_any are NaN, since a policy that computes NaN is not one that was learnt.

    Raises:
      ValueError: while tracing, on a wrong state or results.
    """

    def on_device(state: PopulationState, results: dict[str, jax.Array]):
        state, means = pop_metrics(state)
        members = freeze_non_finite(state.members)
        success = successes(members, results)
        best = keep_best(state.best, members, success)
        columns = {"env_steps": members.env_steps, "updates": members.updates, **results, **means}
        if population.run.is_offline:
            columns["env_steps_taken"] = jnp.zeros_like(members.env_steps)
        columns |= {"success_end": success, "frozen": members.frozen.astype(jnp.int32)}
        columns["success_any"] = jnp.where(jnp.isnan(success), jnp.nan, results["success_any"])
        return state._replace(members=members, best=best), columns

    return shard(population.mesh, on_device, (LAYOUT, EACH), (LAYOUT, EACH))(state, results)
