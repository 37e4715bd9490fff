"""Linear systems of a few unknowns, written out where no CPU runs them.

MJX solves one for each step of its solver, with as many unknowns as a model has joints. Elsewhere than on a CPU each is
a call of a library (a GPU) or a loop (a TPU), which XLA can fuse with nothing; written out, its operations are fused
with what is around them. A CPU keeps LAPACK, and the bits that it gives.

Dimension key: N unknowns, K right-hand sides.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from hindsight_jax import by_device

LARGEST = 12  # N: a larger matrix is left to the library


def written_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, its Cholesky factors and triangular systems of up to LARGEST unknowns by `cholesky`, `solve`.

    >>> factor = written_out(jnp.linalg.cholesky)
    >>> factor(jnp.array([[4.0, 2.0], [2.0, 10.0]])).tolist()
    [[2.0, 0.0], [1.0, 3.0]]
    """

    @functools.wraps(function)
    def other(*arguments: Any) -> Any:
        flat, structure = jax.tree.flatten(arguments)
        of_flat = lambda *leaves: function(*jax.tree.unflatten(structure, leaves))
        closed, shapes = jax.make_jaxpr(of_flat, return_shape=True)(*flat)
        return jax.tree.unflatten(jax.tree.structure(shapes), _evaluate(closed, flat))

    return other


def cholesky(matrix: jax.Array) -> jax.Array:
    """The lower triangle L of a positive definite matrix f32[N, N] = L L^T, column after column; of others NaN.

    >>> cholesky(jnp.array([[4.0, 2.0], [2.0, 10.0]])).tolist()
    [[2.0, 0.0], [1.0, 3.0]]
    """
    columns, row = [], jnp.arange(len(matrix))
    for j in range(len(matrix)):
        column = jnp.where(row >= j, matrix[:, j], 0.0) / jnp.sqrt(matrix[j, j])
        matrix = matrix - column[:, None] * column[None, :]
        columns.append(column)
    return jnp.stack(columns, axis=1)


def solve(triangle: jax.Array, right: jax.Array, lower: bool) -> jax.Array:
    """X [N, K] of T X = B for a triangle T [N, N] and B [N, K], by substitution.

    >>> solve(jnp.array([[2.0, 0.0], [1.0, 3.0]]), jnp.array([[4.0], [8.0]]), lower=True).tolist()
    [[2.0], [2.0]]
    """
    found: dict[int, jax.Array] = {}
    for i in range(len(triangle)) if lower else reversed(range(len(triangle))):
        rest = right[i] - sum(triangle[i, k] * x for k, x in found.items())
        found[i] = rest / triangle[i, i]
    return jnp.stack([found[i] for i in range(len(triangle))])


def _evaluate(closed: core.ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
    """The outputs of a traced function: what holds a system by its rule below, every other equation as it is."""
    jaxpr = closed.jaxpr
    known: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *arguments], strict=True))
    read = lambda atoms: [atom.val if isinstance(atom, core.Literal) else known[atom] for atom in atoms]
    for equation in jaxpr.eqns:
        rule = _RULES.get(equation.primitive.name, _bind) if _holds_a_system(equation) else _bind
        known.update(zip(equation.outvars, rule(equation, read(equation.invars)), strict=True))
    return read(jaxpr.outvars)


def _holds_a_system(equation: Any) -> bool:
    """Whether an equation, or one inside of it, factorises or solves."""
    inner = (one for jaxpr in core.jaxprs_in_params(equation.params) for one in jaxpr.eqns)
    return equation.primitive.name in ("cholesky", "triangular_solve") or any(map(_holds_a_system, inner))


def _bind(equation: Any, inputs: list[Any]) -> list[Any]:
    parameters = equation.params
    if equation.primitive.name.startswith("custom_"):  # its derivatives are functions
        parameters = equation.primitive.get_bind_params(parameters)
    outputs = equation.primitive.bind(*inputs, **parameters)
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def _cholesky(equation: Any, inputs: list[Any]) -> list[Any]:
    if not _is_small(inputs[0]):
        return _bind(equation, inputs)
    library = lambda matrix: _bind(equation, [matrix])[0]
    return [by_device.choose(*inputs, cpu=library, elsewhere=cholesky)]


def _triangular_solve(equation: Any, inputs: list[Any]) -> list[Any]:
    of = equation.params
    if not (_is_small(inputs[0]) and of["left_side"]) or of["unit_diagonal"] or of["conjugate_a"]:
        return _bind(equation, inputs)
    library = lambda *inputs: _bind(equation, list(inputs))[0]

    def substitution(triangle: jax.Array, right: jax.Array) -> jax.Array:
        if of["transpose_a"]:
            return solve(triangle.T, right, not of["lower"])
        return solve(triangle, right, of["lower"])

    return [by_device.choose(*inputs, cpu=library, elsewhere=substitution)]


def _is_small(matrix: jax.Array) -> bool:
    return matrix.ndim == 2 and len(matrix) <= LARGEST


def _call(equation: Any, inputs: list[Any]) -> list[Any]:
    """A jitted function, or one with a derivative of its own."""
    return _evaluate(equation.params.get("jaxpr") or equation.params["call_jaxpr"], inputs)


def _scan(equation: Any, inputs: list[Any]) -> list[Any]:
    of = equation.params
    first, rest = of["num_consts"], of["num_consts"] + of["num_carry"]

    def one_round(carry: list[Any], row: list[Any]) -> tuple[list[Any], list[Any]]:
        outputs = _evaluate(of["jaxpr"], [*inputs[:first], *carry, *row])
        return outputs[: of["num_carry"]], outputs[of["num_carry"] :]

    carry, rows = jax.lax.scan(one_round, inputs[first:rest], inputs[rest:], of["length"], of["reverse"])
    return [*carry, *rows]


def _while(equation: Any, inputs: list[Any]) -> list[Any]:
    of = equation.params
    first, rest = of["cond_nconsts"], of["cond_nconsts"] + of["body_nconsts"]
    goes_on = lambda carry: _evaluate(of["cond_jaxpr"], [*inputs[:first], *carry])[0]
    one_round = lambda carry: _evaluate(of["body_jaxpr"], [*inputs[first:rest], *carry])
    return jax.lax.while_loop(goes_on, one_round, inputs[rest:])


def _cond(equation: Any, inputs: list[Any]) -> list[Any]:
    branches = [functools.partial(_branch, branch) for branch in equation.params["branches"]]
    return jax.lax.switch(inputs[0], branches, *inputs[1:])


def _branch(closed: core.ClosedJaxpr, *inputs: Any) -> list[Any]:
    return _evaluate(closed, inputs)


_RULES: dict[str, Callable[[Any, list[Any]], list[Any]]] = {
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "jit": _call,
    "pjit": _call,
    "closed_call": _call,
    "custom_jvp_call": _call,
    "custom_vjp_call": _call,
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}
