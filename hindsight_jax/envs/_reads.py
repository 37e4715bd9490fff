"""Which inputs of a traced program each of its outputs is computed from. Sets of inputs are ints, a bit each."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from jax.extend.core import Literal, jaxprs_in_params

_HOST = ("pure_callback", "io_callback", "ffi_call")
_COPIES = ("broadcast_in_dim", "convert_element_type", "copy", "copy_p", "reshape", "squeeze", "transpose")
# what decides a choice (0 of `and`, `or` and a maximum), and what each of its cases is computed from
# -> what the result is computed from
Choice = Callable[[int, Sequence[int]], int]


def union(sets: Sequence[int]) -> int:
    """The inputs that are in any of the sets.

    >>> union([1, 4])
    5
    """
    whole = 0
    for one in sets:
        whole |= one
    return whole


def all_cases(decides: int, cases: Sequence[int]) -> int:
    """The choice by which a result is computed from every case, and from what decides."""
    return decides | union(cases)


def reads(jaxpr: Any, inputs: Sequence[int], choice: Choice = all_cases, computed: int = 0) -> list[int]:
    """What each output of a jaxpr is computed from, where input i stands for the set inputs[i].

    `choice` says what the result of a select, a cond, a product with 0 or 1 or a loop of unknown length is computed
    from, and that of `and`, `or` and a maximum. The set `computed` is added to all that is neither a copy nor a choice.
    Of what the host computes nothing is known: it counts as computed from nothing.

    >>> import jax
    >>> program = jax.make_jaxpr(lambda x, y, z: (x + y, z))(0.0, 0.0, 0.0)
    >>> reads(program.jaxpr, [1, 2, 4])
    [3, 4]
    """
    known: dict[Any, int] = dict(zip(jaxpr.invars, inputs, strict=True))
    flags: set[Any] = set()  # variables that are 0 or 1
    look_up = lambda atoms: [0 if isinstance(atom, Literal) else known.get(atom, 0) for atom in atoms]
    for equation in jaxpr.eqns:
        given = look_up(equation.invars)
        are_flags = [not isinstance(atom, Literal) and atom in flags for atom in equation.invars]
        if equation.primitive.name == "mul" and any(are_flags):
            flag = are_flags.index(True)
            outputs = [choice(given[flag], [0, given[1 - flag]]) | computed]
        else:
            outputs = _outputs(equation, given, choice, computed)
        known.update(zip(equation.outvars, outputs, strict=True))
        if _is_flag(equation, are_flags):
            flags.update(equation.outvars)
    return look_up(jaxpr.outvars)


def _is_flag(equation: Any, are_flags: list[bool]) -> bool:
    """Whether it makes a number that is 0 or 1: of a boolean, or of such a number x as a copy or 1 - x."""
    name, given = equation.primitive.name, equation.invars
    if name in _COPIES:
        return are_flags[0] or str(getattr(given[0].aval, "dtype", "")) == "bool"
    return name == "sub" and isinstance(given[0], Literal) and given[0].val == 1 and are_flags[1]


def _outputs(equation: Any, given: list[int], choice: Choice, computed: int) -> list[int]:
    """The sets of an equation's outputs."""
    inside = functools.partial(reads, choice=choice, computed=computed)
    name, parameters, count = equation.primitive.name, equation.params, len(equation.outvars)
    if name in _HOST:
        return [0] * count
    if name == "select_n":
        return [choice(given[0], given[1:])]
    if name in ("and", "or", "max"):
        return [choice(0, given) | computed]
    if name == "cond":
        branches = [inside(branch.jaxpr, given[1:]) for branch in parameters["branches"]]
        return [choice(given[0], cases) for cases in zip(*branches, strict=True)]
    if name == "scan":
        first, rest = parameters["num_consts"], parameters["num_consts"] + parameters["num_carry"]
        body = lambda carry: inside(parameters["jaxpr"].jaxpr, [*given[:first], *carry, *given[rest:]])
        carry = _settled(lambda carry: body(carry)[: len(carry)], given[first:rest])
        return [*carry, *body(carry)[len(carry) :]]
    if name == "while":
        return _while(parameters, given, choice, inside)
    inner = list(jaxprs_in_params(parameters))
    if len(inner) == 1 and (len(inner[0].invars), len(inner[0].outvars)) == (len(given), count):  # a call
        return inside(inner[0], given)
    return [union(given) | (0 if name in _COPIES else computed)] * count


def _while(parameters: Any, given: list[int], choice: Choice, inside: Callable[..., list[int]]) -> list[int]:
    """Of a loop: what its body leaves alone does not depend on how often it runs, and the rest is a choice."""
    first = parameters["cond_nconsts"]
    rest = first + parameters["body_nconsts"]
    condition, body = parameters["cond_jaxpr"].jaxpr, parameters["body_jaxpr"].jaxpr
    stays = [out is var for out, var in zip(body.outvars, body.invars[rest - first :], strict=True)]

    def again(carry: list[int]) -> list[int]:
        goes_on = inside(condition, [*given[:first], *carry])[0]
        after = inside(body, [*given[first:rest], *carry])
        pairs = zip(carry, after, stays, strict=True)
        return [new if left else choice(goes_on, [old, new]) for old, new, left in pairs]

    return _settled(again, given[rest:])


def _settled(body: Callable[[list[int]], list[int]], carry: list[int]) -> list[int]:
    """What is carried after any number of rounds."""
    while True:
        after = [new | old for new, old in zip(body(carry), carry, strict=True)]
        if after == carry:
            return carry
        carry = after
