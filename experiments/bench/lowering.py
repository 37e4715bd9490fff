"""What a GPU or a TPU would be given: a run's programs, lowered for them on any machine, and the kernels they start.

A program that lowers is no proof of speed, nor that it compiles there. Kernels are counted in what this machine's
compiler makes of a program: another device's fuses other groups, so compare counts with one another.

Dimension key: M members, N environments, B batch.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
import numpy as np
from jax.extend.core import jaxprs_in_params

from experiments.bench import hlo
from experiments.bench.update_cost import random_trajectories, random_transitions
from hindsight_jax import by_device, envs, presets, training
from hindsight_jax.envs import registry
from hindsight_jax.training.programs import PopulationSpec, make_programs

PLATFORMS = ("cuda", "tpu")
MEMBERS, ENVIRONMENTS = 2, 64
LARGEST_CONSTANT = 1 << 20  # bytes; a ring is larger
UPDATES_OF = "push"

_CUSTOM_CALL = re.compile(r'custom_call @(\w+)|call_target_name = "(\w+)"')
_CONSTANT = re.compile(r'\bconstant dense<(?:"|\[).*> : tensor<([^>]*)>')


def lowered(name: str, changes: Mapping[str, Any] | None = None) -> Iterator[tuple[str, str, list[str]]]:
    """(program, platform, its faults) of the named run's init, advance and evaluate, each traced once."""
    setup = presets.build(name, presets.config(name, changes))
    programs = make_programs(PopulationSpec(run=setup.run.spec, chunk=None, mesh=None))
    keys = training.member_keys(0, MEMBERS)
    init = programs.init.trace(keys, {})
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), init.out_info)
    advance, evaluate = programs.advance.trace(state, 1), programs.evaluate.trace(state, keys)
    for program, traced in {"init": init, "advance": advance, "evaluate": evaluate}.items():
        for platform in PLATFORMS:
            yield program, platform, faults(traced, platform)


def faults(traced: Any, platform: str) -> list[str]:
    """What would fail or hurt on the platform, in a traced function, `jax.jit(function).trace(...)`.

    Calls of the host (with them it lowers for this machine alone, and nothing else is looked for), custom calls (of a
    library, which XLA fuses with nothing), float64, and constants of more than LARGEST_CONSTANT.

    >>> faults(jax.jit(lambda x: jax.debug.print("{}", x)).trace(1.0), "tpu")
    ['host: debug_print']
    """
    host = sorted({name for name in _primitives(traced.jaxpr.jaxpr) if "callback" in name or name == "debug_print"})
    if host:
        return [f"host: {name}" for name in host]
    return of_text(traced.lower(lowering_platforms=(platform,)).as_text())


def _primitives(jaxpr: Any) -> Iterator[str]:
    """The names of all primitives of a program, those of its loops and functions included."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jaxprs_in_params(equation.params):
            yield from _primitives(inner)


def of_text(text: str) -> list[str]:
    """The faults of a lowered program.

    >>> of_text("%0 = stablehlo.custom_call @lapack_spotrf_ffi(%1) : tensor<2x2xf32>")
    ['custom call lapack_spotrf_ffi']
    >>> of_text("%0 = stablehlo.constant dense<0.0> : tensor<9999999xf32>")  # one number, repeated
    []
    """
    called = {plain or quoted for plain, quoted in _CUSTOM_CALL.findall(text)}
    found = [f"custom call {target}" for target in sorted(called)]
    if re.search(r"\bf64\b|xf64>", text):
        found.append("float64")
    sizes = {kind: _num_bytes(kind) for kind in _CONSTANT.findall(text)}
    return found + [f"constant of {size:,} bytes: {kind}" for kind, size in sizes.items() if size > LARGEST_CONSTANT]


def _num_bytes(kind: str) -> int:
    """The bytes of an array of this type.

    >>> _num_bytes("3x5xf32"), _num_bytes("i1"), _num_bytes("7xui8")
    (60, 1, 7)
    """
    *sizes, dtype = kind.split("x")
    bits = int(re.sub(r"\D", "", dtype) or 8)
    return int(np.prod([int(size) for size in sizes], dtype=np.int64)) * max(bits // 8, 1)


def measure(name: str, num_members: int) -> dict[str, dict[str, float]]:
    """Tables: kernels of an env step of each task, and of an update of each algorithm on push."""
    del name
    steps = {f"an env step of {task}": of_env_step(task) for task in registry.OF_PAPERS}
    names = {algorithm: f"{algorithm}_{UPDATES_OF}" for algorithm in presets.ALGORITHMS}
    return steps | {
        f"an update of {algorithm} on {UPDATES_OF}": of_update(row, num_members) for algorithm, row in names.items()
    }


def of_env_step(task: str) -> dict[str, float]:
    """Kernels and custom calls of one step of N environments; of tasks with physics, those of one substep too.

    Both of the program that a CPU is given, and (`elsewhere_`) of that for other devices. A loop of MJX's solver counts
    as often as the solver may iterate.
    """
    figures = _of_env_step(task)
    with mock.patch.object(by_device, "choose", lambda *inputs, cpu, elsewhere: elsewhere(*inputs)):
        other = _of_env_step(task)
    return figures | {f"elsewhere_{name}": value for name, value in other.items() if name != "substeps"}


def _of_env_step(task: str) -> dict[str, float]:
    env = envs.make(task)
    keys = jax.random.split(jax.random.key(0), ENVIRONMENTS)
    state = jax.eval_shape(jax.vmap(env.reset), keys)
    action = jax.eval_shape(jax.vmap(env.spec.action.sample), keys)
    block = _compiled(jax.vmap(env.step), state, action)
    engine = getattr(env, "engine", None)
    iterations = 1 if engine is None else int(engine.model.opt.iterations)
    kernels, custom_calls = hlo.total(block, iterations)
    figures: dict[str, float] = {"kernels": kernels, "custom_calls": custom_calls}
    figures["kernels_in_innermost_loops"] = hlo.innermost(block, iterations)
    substeps = [loop for loop in block.loops if engine is not None and loop.rounds is not None]
    if len(substeps) == 1:
        kernels, custom_calls = hlo.total(substeps[0].block, iterations)
        figures |= {"substeps": substeps[0].rounds or 0, "kernels_per_substep": kernels}
        figures |= {"custom_calls_per_substep": custom_calls}
    return figures


def of_update(name: str, num_members: int) -> dict[str, float]:
    """Kernels, custom calls and loops of one update of M members at once."""
    values = presets.config(name)
    agent, spec = (setup := presets.build(name, values)).agent, setup.env.spec
    on_policy = agent.batch == "trajectories"
    draw = random_trajectories if on_policy else random_transitions
    size = values["env.num_envs"] if on_policy else values["agent.batch_size"]
    keys = training.member_keys(0, num_members)
    shapes = lambda function: jax.eval_shape(jax.vmap(function), keys)
    batch = shapes(functools.partial(draw, spec=spec, count=size))
    block = _compiled(jax.vmap(agent.update), shapes(agent.init), batch, keys)
    kernels, custom_calls = hlo.total(block)
    return {"kernels": kernels, "custom_calls": custom_calls, "loops": len(block.loops)}


def _compiled(function: Callable[..., Any], *shapes: Any) -> hlo.Block:
    return hlo.read(jax.jit(function).lower(*shapes).compile().as_text() or "")
