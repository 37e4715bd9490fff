"""A population: one run with a leading axis of members (seeds, hyper-parameters), compiled once.

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

from hindsight_jax import checks, numerics
from hindsight_jax.envs.host import HostEnv
from hindsight_jax.training import _validation, host
from hindsight_jax.training.programs import LAYOUT, PopulationSpec, Programs, make_programs
from hindsight_jax.training.run import Run
from hindsight_jax.training.run import check as check_overrides
from hindsight_jax.training.sharding import (
    AXIS,
    EACH,
    default_chunk,
    devices_for,
    put_on_all_processes,
    put_whole,
    with_sharding,
)
from hindsight_jax.training.state import PopulationState


class Population(NamedTuple):
    """A population's functions; `help(population.advance)` describes one.

    `advance` and `record` donate their state, so that the ring is written in place.
    """

    template: Callable[[jax.Array], PopulationState]
    init: Callable[..., PopulationState]
    advance: Callable[[PopulationState, Any], PopulationState]
    evaluate: Callable[[PopulationState, jax.Array], dict[str, jax.Array]]
    record: Callable[[PopulationState, dict[str, jax.Array]], tuple[PopulationState, dict[str, jax.Array]]]
    compile: Callable[..., None]


def member_keys(seed: int, num_members: int) -> jax.Array:
    """Typed keys [M]: member i has the key jax.random.key(seed + i) of threefry, whatever `jax_default_prng_impl` is.

    Raises ValueError if num_members is not a positive integer, or if a seed does not fit into an int32.

    >>> keys = member_keys(seed=3, num_members=2)
    >>> bool(keys[1] == jax.random.key(4))
    True
    """
    num_members = checks.positive_int("num_members", num_members, "A population has at least one member.")
    seed = _validation.checked_seed("seed", seed, last=num_members - 1)
    return jax.vmap(numerics.key)(jnp.arange(seed, seed + num_members, dtype=jnp.int32))


def make_population(run: Run, devices: Sequence[Any] | None = None, chunk: int | None = None) -> Population:
    """The run over M members, spread over devices, an equal number on each.

    Members never meet, so devices exchange nothing, and a member's numbers do not depend on how many there are.

    The members of a task that is stepped on the host (`envs.HostEnv`) share one device and one set of environments:
    they collect, evaluate and learn one after another.

    Args:
      run: made by `make_run`.
      devices: by default one, JAX's own choice. `devices_of(run, num_members)` gives as many as share members equally.
      chunk: how many members of a device learn at once; all of them collect and evaluate at once. By default 1 where
        the cores of a CPU are devices, whose caches hold the parameters and moments of a few members, else all; always
        1 for a task on the host.

    Returns:
      a `Population`. `init`, `template` and `compile` check their arguments at every call; `advance`, `evaluate` and
      `record` only while tracing, so that later calls cost nothing. A leaf that is no array raises JAX's TypeError. Of
      a task on the host `compile` only checks: each program compiles when it is first called.

    Raises:
      ValueError: if an argument is of another type; for several devices, or chunks, where the task is on the host.
    """
    if chunk is not None:
        chunk = checks.positive_int("chunk", chunk, "It counts the members that learn at once.")
    checks.instance("run", run, Run, "Make it with training.make_run(...).")
    if devices is not None:
        _validation.check_devices(devices)
    if isinstance(run.spec.env, HostEnv):
        return _on_host(run, devices, chunk)
    if chunk is None:
        chunk = default_chunk(jax.local_devices()[:1] if devices is None else devices)
    mesh = None if devices is None else Mesh(np.array(devices), (AXIS,))
    data = None if run.spec.data is None else put_whole(mesh, run.spec.data.state)
    programs = make_programs(PopulationSpec(run=run.spec, chunk=chunk, mesh=mesh), data)
    is_spread = mesh is not None and mesh.is_multi_process
    return Population(
        template=checks.bind(template, programs),
        init=checks.bind(init, programs),
        advance=programs.advance if programs.data is None else with_data(programs),
        evaluate=checks.bind(evaluate_on_all_processes, programs) if is_spread else programs.evaluate,
        record=programs.record,
        compile=checks.bind(compile_programs, programs),
    )


def with_data(programs: Programs) -> Callable[[PopulationState, Any], PopulationState]:
    """`advance` of a run with a data set, which is an argument of the compiled program, and none of its callers."""

    @functools.wraps(programs.advance)
    def advance(state: PopulationState, num_epochs: Any) -> PopulationState:
        return programs.advance(state, num_epochs, programs.data)

    return advance


def devices_of(run: Run, num_members: int, devices: Sequence[Any] | None = None) -> tuple[Any, ...]:
    """As many of the devices as M members of this run use: as `devices_for`; the first, if its task is on the host.

    Raises ValueError if processes cannot share the members, which those of a task on the host never can.
    """
    checks.instance("run", run, Run, "Make it with training.make_run(...).")
    num_members = checks.positive_int("num_members", num_members, "A population has at least one member.")
    if not isinstance(run.spec.env, HostEnv):
        return devices_for(num_members, devices)
    if (processes := jax.process_count()) > 1 and devices is None:
        rule = f"the members of {type(run.spec.env).__name__}, which is stepped on the host, are trained by one process"
        checks.fail("processes", processes, rule, "Start one process; or one for each seed, with a --workdir each.")
    return devices_for(1, jax.local_devices() if devices is None else devices)


def _on_host(run: Run, devices: Sequence[Any] | None, chunk: int | None) -> Population:
    """The population of a task that is stepped on the host."""
    members = f"the members of {type(run.spec.env).__name__}, which is stepped on the host,"
    if devices is not None and len(devices) > 1:
        checks.fail("devices", f"{len(devices)} devices", f"{members} share one device", "Leave it out.")
    if chunk not in (None, 1):
        checks.fail("chunk", chunk, f"{members} learn one at a time", "Leave it out.")
    programs = host.make_host_programs(PopulationSpec(run=run.spec, chunk=1, mesh=None))
    return Population(
        template=checks.bind(template, programs),
        init=checks.bind(init_on_host, programs),
        advance=checks.bind(host.advance, programs),
        evaluate=checks.bind(host.evaluate, programs),
        record=programs.record,
        compile=checks.bind(check_on_host, programs),
    )


def init_on_host(
    programs: host.HostPrograms, keys: jax.Array, overrides: Mapping[str, jax.Array] | None = None
) -> PopulationState:
    """As `init`; the members play their warm-ups one after another."""
    keys, overrides = _checked_members(programs.spec, keys, overrides)
    return host.warm_up(programs, programs.init(keys, overrides), keys)


def check_on_host(
    programs: host.HostPrograms, keys: jax.Array, overrides: Mapping[str, jax.Array] | None = None
) -> None:
    """Refuses what `init` refuses, and compiles nothing: each program compiles when it is first called."""
    _checked_members(programs.spec, keys, overrides)


def template(programs: Programs | host.HostPrograms, keys: jax.Array) -> PopulationState:
    """The shapes, dtypes and shardings of `init(keys [M])`, into which a checkpoint is restored. Computes nothing.

    Raises ValueError if keys are not typed keys [M].
    """
    _validation.check_keys("keys", keys)
    with jax.disable_jit(False):  # else the loops of the warm-up are unrolled
        shapes = jax.eval_shape(programs.init, keys, {})
    placed = (with_sharding(programs.spec.mesh, spec, part) for spec, part in zip(LAYOUT, shapes, strict=True))
    return PopulationState._make(placed)


def init(programs: Programs, keys: jax.Array, overrides: Mapping[str, jax.Array] | None = None) -> PopulationState:
    """The first state of all members, their warm-up done.

    Args:
      keys: typed keys [M], such as `member_keys(seed, num_members)`.
      overrides: "agent.NAME" or "relabel.NAME" -> an array [M], a number for each member; see the run's `init`.

    Raises:
      ValueError: on keys that are not [M], members that devices cannot share equally, an unknown name, or a value that
        is out of range.
    """
    keys, overrides = _checked_members(programs.spec, keys, overrides)
    mesh = programs.spec.mesh
    return programs.init(put_on_all_processes(mesh, keys), put_on_all_processes(mesh, overrides))


def evaluate_on_all_processes(programs: Programs, state: PopulationState, keys: jax.Array) -> dict[str, jax.Array]:
    """`evaluate` where several processes share the members: each passes all keys [M]."""
    return programs.evaluate(state, put_on_all_processes(programs.spec.mesh, keys))


def compile_programs(programs: Programs, keys: jax.Array, overrides: Mapping[str, jax.Array] | None = None) -> None:
    """Compiles init, advance, evaluate and record at once, each in a thread, so that their first calls find them ready.

    Without this call each compiles when it is first called. Takes and refuses what `init` does. Under `jax.disable_jit`
    there is nothing to compile.
    """
    keys, overrides = _checked_members(programs.spec, keys, overrides)
    if jax.config.jax_disable_jit:
        return
    mesh, state = programs.spec.mesh, template(programs, keys)
    keys, overrides = put_on_all_processes(mesh, keys), put_on_all_processes(mesh, overrides)
    results = with_sharding(mesh, EACH, jax.eval_shape(programs.evaluate, state, keys))
    calls = (
        (programs.init, (keys, overrides)),
        (programs.advance, (state, 1) if programs.data is None else (state, 1, programs.data)),
        (programs.evaluate, (state, keys)),
        (programs.record, (state, results)),
    )
    with ThreadPoolExecutor() as threads:  # XLA works without Python's lock; tracing, here, needs it
        compiling = [threads.submit(function.lower(*arguments).compile) for function, arguments in calls]
    for future in compiling:
        future.result()


def _checked_members(spec: PopulationSpec, keys: Any, overrides: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(keys [M], overrides), once devices can share the members equally and every number is in its range."""
    ambient = jax.sharding.get_abstract_mesh()
    if not ambient.empty:
        rule = "no mesh may be set: a population lays its members over devices itself"
        checks.fail("jax.set_mesh", ambient, rule, "Train outside of it; make_population(run, devices) takes devices.")
    overrides = _validation.checked_overrides(overrides)
    _validation.check_keys("keys", keys)
    for name, value in overrides.items():
        checks.real(f"overrides[{name!r}]", value)
        checks.fits(f"overrides[{name!r}]", value, "Use numbers that float32 holds.")
        checks.shape(f"overrides[{name!r}]", value, keys.shape, "Give one number to each member.")
    if spec.mesh is not None and len(keys) % spec.mesh.size:
        rule = f"each of the {spec.mesh.size} devices must have as many members as the others"
        checks.fail("keys", f"{len(keys)} members", rule, "Pass devices=training.devices_for(num_members).")
    if all(checks.is_concrete(value) for value in overrides.values()):
        check_overrides(spec.run, overrides)  # here, since under jit their numbers are not known
    return keys, overrides
