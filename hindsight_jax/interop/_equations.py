"""A JAX function as a flat list of equations: no calls, no branches by platform, nothing computed that is not used.

Dimension key: B batch, a symbol that stands for any number.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.export import symbolic_shape
from jax.extend.core import Literal

from hindsight_jax import checks

CALLS = ("jit", "closed_call", "remat2", "custom_jvp_call", "custom_vjp_call")


class Value(NamedTuple):
    """An array that is known when the function is called. Those that are known before stand for themselves."""

    index: int  # no other value of the function has it
    shape: tuple[Any, ...]  # integers, and B
    dtype: Any


class Equation(NamedTuple):
    """One operation of JAX."""

    primitive: str
    inputs: tuple[Any, ...]  # Values and arrays
    outputs: tuple[Value, ...]
    params: dict[str, Any]


class Flat(NamedTuple):
    """A function: its inputs, what it computes in this order, and its result, a Value or an array."""

    inputs: tuple[Value, ...]
    equations: tuple[Equation, ...]
    output: Any


def flatten(function: Callable[..., jax.Array], examples: Sequence[jax.ShapeDtypeStruct]) -> Flat:
    """The equations of `jax.vmap(function)`.

    Args:
      function: of one example, with one result.
      examples: the shape and dtype of each argument, without a batch axis.

    Of a function that has a way for each platform (`jax.lax.platform_dependent`) it is the default's; one that has none
    raises ValueError. What depends on no argument is computed now.

    >>> flat = flatten(lambda x: jax.nn.relu(x) + jax.numpy.ones(2).sum(), [jax.ShapeDtypeStruct((3,), np.float32)])
    >>> [equation.primitive for equation in flat.equations], flat.output.shape
    (['max', 'add'], (B, 3))
    """
    (batch,) = symbolic_shape("B")
    batched = [jax.ShapeDtypeStruct((batch, *example.shape), example.dtype) for example in examples]
    closed = jax.make_jaxpr(jax.vmap(function))(*batched)
    numbers = itertools.count()
    inputs = tuple(_value(variable, numbers) for variable in closed.jaxpr.invars)
    equations: list[Equation] = []
    (output,) = _inline(closed.jaxpr, closed.consts, inputs, numbers, equations)
    return Flat(inputs, tuple(_used(equations, output)), output)


def is_known(size: Any) -> bool:
    """Whether the length of an axis is a number, not B."""
    return isinstance(size, (int, np.integer))


def _value(variable: Any, numbers: Iterator[int]) -> Value:
    return Value(next(numbers), variable.aval.shape, variable.aval.dtype)


def _inline(
    jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any], numbers: Iterator[int], equations: list[Equation]
) -> list[Any]:
    """The results of a jaxpr for these arguments; what they need when the function is called is put on `equations`."""
    found = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))
    read = lambda atom: _literal(atom) if isinstance(atom, Literal) else found[atom]
    for equation in jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        outputs = _outputs(equation, inputs, numbers, equations)
        found |= dict(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _outputs(equation: Any, inputs: list[Any], numbers: Iterator[int], equations: list[Equation]) -> Sequence[Any]:
    """What one equation of a jaxpr gives: arrays, where it can be computed now, or new values."""
    name, params = equation.primitive.name, equation.params
    if name == "platform_index":
        return [_default(params["platforms"])]
    if name in CALLS:
        inner = params.get("jaxpr", params.get("call_jaxpr"))
        return _inline(*_opened(inner), inputs, numbers, equations)
    if name == "cond" and not isinstance(inputs[0], Value):
        return _inline(*_opened(params["branches"][int(inputs[0])]), inputs[1:], numbers, equations)
    shapes = [variable.aval.shape for variable in equation.outvars]
    later = any(isinstance(value, Value) for value in inputs)
    if not later and all(is_known(size) for shape in shapes for size in shape):
        results = equation.primitive.bind(*inputs, **params)
        return results if equation.primitive.multiple_results else [results]
    outputs = tuple(_value(variable, numbers) for variable in equation.outvars)
    equations.append(Equation(name, tuple(inputs), outputs, params))
    return outputs


def _default(platforms: Sequence[Any]) -> np.int32:
    """Which of the ways by platform is the default's, None. Raises ValueError if there is none."""
    if None not in platforms:
        remedy = "Give jax.lax.platform_dependent a default."
        checks.fail("function", f"ways for {platforms}", "it must have one for any platform", remedy)
    return np.int32(platforms.index(None))


def _opened(jaxpr: Any) -> tuple[Any, Sequence[Any]]:
    """A jaxpr and its constants, which an open one has not."""
    return (jaxpr.jaxpr, jaxpr.consts) if hasattr(jaxpr, "consts") else (jaxpr, ())


def _literal(atom: Any) -> np.ndarray:
    return np.asarray(atom.val, atom.aval.dtype)


def _used(equations: Sequence[Equation], output: Any) -> list[Equation]:
    """The equations that the output depends on."""
    needed, kept = {output.index} if isinstance(output, Value) else set(), []
    for equation in reversed(equations):
        if any(value.index in needed for value in equation.outputs):
            needed |= {value.index for value in equation.inputs if isinstance(value, Value)}
            kept.append(equation)
    return kept[::-1]


def depends_on(flat: Flat, argument: int) -> bool:
    """Whether the result depends on this argument.

    >>> flat = flatten(lambda x, y: x + 0 * y, [jax.ShapeDtypeStruct((), np.float32)] * 2)
    >>> depends_on(flat, 1), depends_on(flatten(lambda x, y: x, [jax.ShapeDtypeStruct((), np.float32)] * 2), 1)
    (True, False)
    """
    checks.whole("argument", argument, 0, len(flat.inputs) - 1, "Count from 0.")
    index = flat.inputs[argument].index
    read = [value for equation in flat.equations for value in equation.inputs]
    return any(isinstance(value, Value) and value.index == index for value in (*read, flat.output))
