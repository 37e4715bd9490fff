"""A population: the same run with a leading axis of members (seeds, hyper-parameters), compiled once.

Dimension key: M members.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from hindsight_jax import checks
from hindsight_jax.training import _validation, finite
from hindsight_jax.training.run import Run, RunState
from hindsight_jax.training.sharding import (
    AXIS,
    EACH,
    WHOLE,
    default_chunk,
    in_chunks,
    put_on_all_processes,
    shard,
    with_sharding,
)


class Best(NamedTuple):
    """Each member's agent as it was at the evaluation with the highest success, the first of several."""

    agent: Any  # every leaf [M, ...]
    success_end: jax.Array  # f32[M]; -inf before the first evaluation
    env_steps: jax.Array  # i32[M]


class PopulationState(NamedTuple):
    """All members, and their metrics since the last `record`: the whole of what a checkpoint must hold."""

    members: RunState  # every leaf [M, ...]
    best: Best
    metric_sums: dict[str, jax.Array]  # f32[M] each, summed over epochs
    epochs: jax.Array  # i32[], done so far
    summed_epochs: jax.Array  # i32[], epochs in metric_sums


_LAYOUT: Any = PopulationState._make((EACH, EACH, EACH, WHOLE, WHOLE))


class Population(NamedTuple):
    """Jitted functions. `advance` and `record` donate their state: the ring is written in place."""

    template: Callable[[jax.Array], PopulationState]  # of keys [M]: shapes, dtypes and devices, nothing computed
    init: Callable[..., PopulationState]
    advance: Callable[[PopulationState, Any], PopulationState]
    evaluate: Callable[[PopulationState, jax.Array], dict[str, jax.Array]]
    record: Callable[[PopulationState, dict[str, jax.Array]], tuple[PopulationState, dict[str, jax.Array]]]
    compile: Callable[..., None]  # of what `init` takes: the four above at once, before their first call


def member_keys(seed: int, num_members: int) -> jax.Array:
    """Keys [M]: member i of a run with seed s has the key jax.random.key(s + i)."""
    checks.positive_int("num_members", num_members, "A population has at least one member.")
    _validation.check_seed("seed", seed, last=num_members - 1)
    return jax.vmap(jax.random.key)(jnp.arange(seed, seed + num_members))


def make_population(run: Run, devices: Sequence[Any] | None = None, chunk: int | None = None) -> Population:
    """The run over M members, spread over `devices`, an equal number on each; by default all on one, JAX's own choice.

    Members never meet, so devices exchange nothing, and a member's numbers do not depend on how many there are. All of
    a device collect and evaluate at once, but `chunk` of them learn at once, and then the next: by default 1 where the
    cores of a CPU are devices, whose caches hold the parameters and the moments of a few members, and else all.

    * `template(keys [M])`: the state of `init` as shapes, dtypes and shardings: what a checkpoint is restored into.
    * `init(keys [M], values=None)`: `values` maps dotted names to arrays [M].
    * `advance(state, num_epochs)`: that many epochs; the number is traced, so any number runs the same compiled code,
      and cutting a run into calls differently changes no bit of it.
    * `evaluate(state, keys [M])`: success_end and the rest, f32[M] each. A member's evaluation draws from its own key,
      folded with its epoch, so it depends neither on the other members nor on how the run was cut.
    * `record(state, results)`, with what `evaluate` gave: freezes members whose state (their ring, too) is not finite,
      keeps the agents of a new best, and starts the metrics anew -> (state, columns). The columns, [M] each, are the
      results, the means of the metrics since the last record, `env_steps`, `updates`, and `frozen`, 0 or 1. Where a
      member is frozen or a result is not finite, both successes are NaN: what NaN chooses is no policy.
    * `compile(keys [M], values=None)`: init, advance, evaluate and record, each in a thread of its own, so that a first
      call finds them compiled. Left out, each compiles when it is first called, one after another.

    Raises ValueError if an argument is of another type, here and in what is made: `init`, `template` and `compile` look
    at each call, the others while they are traced, so that a call costs nothing; what JAX takes for no array at all,
    such as a string, is its TypeError there.

    >>> from hindsight_jax import training
    >>> keys = training.member_keys(seed=3, num_members=2)
    >>> bool(jax.random.key_data(keys[1]).tolist() == jax.random.key_data(jax.random.key(4)).tolist())
    True
    """
    if chunk is not None:
        checks.positive_int("chunk", chunk, "It counts the members that learn at once.")
    checks.instance("run", run, Run, "Make it with training.make_run(...).")
    if devices is not None:
        _validation.check_devices(devices)
    if chunk is None:
        chunk = default_chunk(jax.local_devices()[:1] if devices is None else devices)
    mesh = None if devices is None else Mesh(np.array(devices), (AXIS,))
    compiled = _jitted(run, chunk, mesh)
    placed = functools.partial(put_on_all_processes, mesh)

    def template(keys: jax.Array) -> PopulationState:
        _validation.check_keys("keys", keys)
        return PopulationState(
            *map(functools.partial(with_sharding, mesh), _LAYOUT, jax.eval_shape(compiled.init, keys, {}))
        )

    def checked_init(keys: jax.Array, values: Mapping[str, jax.Array] | None = None) -> PopulationState:
        return compiled.init(*placed(_checked_members(run, mesh, keys, values)))

    def compile_all(keys: jax.Array, values: Mapping[str, jax.Array] | None = None) -> None:
        keys, values = _checked_members(run, mesh, keys, values)
        state, keys, values = template(keys), placed(keys), placed(values)
        results = with_sharding(mesh, EACH, jax.eval_shape(compiled.evaluate, state, keys))
        _compile(
            (compiled.init, (keys, values)),
            (compiled.advance, (state, 1)),
            (compiled.evaluate, (state, keys)),
            (compiled.record, (state, results)),
        )

    evaluate_placed = lambda state, keys: compiled.evaluate(state, placed(keys))
    several = mesh is not None and mesh.is_multi_process
    chosen_evaluate = evaluate_placed if several else compiled.evaluate
    return Population(template, checked_init, compiled.advance, chosen_evaluate, compiled.record, compile_all)


class _Jitted(NamedTuple):
    """The four programs of a population, on every device's members."""

    init: Any
    advance: Any
    evaluate: Any
    record: Any


def _jitted(run: Run, chunk: int | None, mesh: Mesh | None) -> _Jitted:
    """The programs of `make_population`. `init` takes what is checked already."""
    epoch = functools.partial(_epoch, run, chunk)

    def init(keys: jax.Array, values: Mapping[str, jax.Array] | None = None) -> PopulationState:
        members = jax.vmap(run.init)(keys, values or {})
        # shapes of one member: tracing a whole rollout for all of them takes three times as long
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), members)
        _, shapes = jax.eval_shape(run.epoch, one)
        sums = jax.tree.map(lambda s: jnp.zeros((len(keys), *s.shape), s.dtype), shapes)
        begun = jax.tree.map(jnp.copy, members.agent)  # both are donated
        best = Best(begun, jnp.full(len(keys), -jnp.inf, jnp.float32), jnp.zeros(len(keys), jnp.int32))
        return PopulationState(members, best, sums, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    def advance(state: PopulationState, num_epochs: Any) -> PopulationState:
        def one(_, state: PopulationState) -> PopulationState:
            members, metrics = epoch(state.members)
            sums = jax.tree.map(jnp.add, state.metric_sums, metrics)
            return PopulationState(members, state.best, sums, state.epochs + 1, state.summed_epochs + 1)

        return jax.lax.fori_loop(0, num_epochs, one, state)

    def evaluate(state: PopulationState, keys: jax.Array) -> dict[str, jax.Array]:
        fold = lambda key: jax.random.fold_in(jax.random.fold_in(key, _EVALUATION), state.epochs)
        return jax.vmap(run.evaluate)(state.members, jax.vmap(fold)(keys))

    spread = functools.partial(shard, mesh)
    behind = lambda check, function, *layout: _behind(check, spread(function, *layout))
    return _Jitted(
        jax.jit(spread(init, (EACH, EACH), _LAYOUT)),
        jax.jit(behind(_check_advance, advance, (_LAYOUT, WHOLE), _LAYOUT), donate_argnums=0),
        jax.jit(behind(_check_evaluate, evaluate, (_LAYOUT, EACH), EACH)),
        jax.jit(behind(_check_record, record, (_LAYOUT, EACH), (_LAYOUT, EACH)), donate_argnums=0),
    )


def _checked_members(run: Run, mesh: Mesh | None, keys: Any, values: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(keys [M], values). ValueError if members cannot be spread equally, or lack a number each that is in range."""
    values = _validation.checked_values(values)
    _validation.check_keys("keys", keys)
    for name, value in values.items():
        checks.real(f"values[{name!r}]", value)
        checks.shape(f"values[{name!r}]", value, keys.shape, "Give one number to each member.")
    if mesh is not None and len(keys) % mesh.size:
        rule = f"each of the {mesh.size} devices must have as many members as the others"
        checks.fail("keys", f"{len(keys)} members", rule, "Pass devices=training.devices_for(num_members).")
    if all(checks.is_concrete(value) for value in values.values()):
        run.check(values)  # while the numbers are known: inside of jit they are not
    return keys, values


def _behind(check: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a check of its arguments, and with its own name, which compiled programs bear."""

    @functools.wraps(function)
    def door(*arguments: Any, **named: Any) -> Any:
        check(*arguments, **named)
        return function(*arguments, **named)

    return door


def _check_advance(state: Any, num_epochs: Any) -> None:
    _check_state(state)
    checks.integer("num_epochs", num_epochs, "Pass a number of epochs.")
    checks.shape("num_epochs", num_epochs, (), "All members do the same number.")


def _check_evaluate(state: Any, keys: Any) -> None:
    count = _check_state(state)
    _validation.check_keys("keys", keys)
    checks.shape("keys", keys, (count,), "Pass the keys that init was given.")


def _check_record(state: Any, results: Any) -> None:
    count, remedy = _check_state(state), "Pass what evaluate returned."
    checks.instance("results", results, dict, remedy)
    for name, value in {"success_end": None, "success_any": None, **results}.items():
        checks.shape(f"results[{name!r}]", value, (count,), remedy)
        checks.real(f"results[{name!r}]", value)


def _check_state(state: Any) -> int:
    """M of a population's state: every array of its members, their best agents and their metrics begins with it."""
    remedy = "Pass what init, advance or record of this population returned."
    checks.instance("state", state, PopulationState, remedy)
    checks.instance("state.members", state.members, RunState, remedy)
    _validation.check_keys("state.members.key", state.members.key)
    count = state.members.key.shape[0]
    own = {"members": state.members, "best": state.best, "metric_sums": state.metric_sums}
    checks.instance("state.best", state.best, Best, remedy)
    checks.instance("state.metric_sums", state.metric_sums, dict, remedy)
    for path, leaf in jax.tree_util.tree_leaves_with_path(own):
        if jnp.shape(leaf)[:1] != (count,):
            name = "state." + jax.tree_util.keystr(path, simple=True, separator=".")
            checks.fail(name, checks.describe(leaf), f"its first axis must be the {count} members", remedy)
    for name in ("epochs", "summed_epochs"):
        checks.integer(f"state.{name}", getattr(state, name))
        checks.shape(f"state.{name}", getattr(state, name), (), remedy)
    return count


def _compile(*calls: tuple[Any, tuple[Any, ...]]) -> None:
    """Compiles jitted functions for their arguments, all at once; later calls like these find them compiled."""
    with ThreadPoolExecutor() as threads:  # XLA works without Python's lock; tracing, here, needs it
        compiling = [threads.submit(function.lower(*arguments).compile) for function, arguments in calls]
    for future in compiling:
        future.result()


def _epoch(run: Run, chunk: int | None, members: RunState) -> tuple[RunState, dict[str, jax.Array]]:
    """`run.epoch` of members [M], which learn `chunk` by `chunk`; None: all at once."""
    members, batches, keys, collected = jax.vmap(run.gather)(members)
    without_ring = members._replace(replay=None)  # a loop would copy the ring
    learned, metrics = in_chunks(run.learn, chunk, without_ring, batches, keys)
    return learned._replace(replay=members.replay), metrics | collected


def record(state: PopulationState, results: dict[str, jax.Array]) -> tuple[PopulationState, dict[str, jax.Array]]:
    """What `Population.record` is, of the members of one device."""
    state, means = collect_metrics(state)
    members = state.members
    frozen = members.frozen | ~jax.vmap(finite.is_finite)(members)
    success = jnp.where(frozen | ~jax.vmap(finite.are_finite)(results), jnp.nan, results["success_end"])
    better = success > state.best.success_end  # NaN is not
    now = Best(members.agent, success, members.env_steps)
    best = jax.tree.map(lambda x, old: jnp.where(_beside(better, x), x, old), now, state.best)
    columns = {"env_steps": members.env_steps, "updates": members.updates, **results, **means}
    columns |= {"success_end": success, "frozen": frozen.astype(jnp.int32)}
    columns["success_any"] = jnp.where(jnp.isnan(success), jnp.nan, results["success_any"])
    return state._replace(members=members._replace(frozen=frozen), best=best), columns


def _beside(flags: jax.Array, leaf: jax.Array) -> jax.Array:
    """bool[M] with the axes of a leaf [M, ...]."""
    return jnp.expand_dims(flags, range(1, leaf.ndim))


def collect_metrics(state: PopulationState) -> tuple[PopulationState, dict[str, jax.Array]]:
    """Means over the epochs since the last call, f32[M] each (NaN if there were none), and a state that starts anew."""
    checks.instance("state", state, PopulationState, "Pass what advance returned.")
    means = jax.tree.map(lambda total: total / state.summed_epochs, state.metric_sums)
    fresh = jax.tree.map(jnp.zeros_like, state.metric_sums)
    return state._replace(metric_sums=fresh, summed_epochs=jnp.zeros_like(state.summed_epochs)), means


_EVALUATION = 0x6576616C  # 'eval': keeps evaluation keys apart from those that init splits off the same key
