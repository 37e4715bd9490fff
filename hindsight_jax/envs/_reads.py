"""Which inputs of a traced program each of its outputs is computed from. Sets of inputs are ints, a bit each."""

from collections.abc import Callable, Sequence
from typing import Any

from jax.extend.core import Literal, jaxprs_in_params

_HOST = ("pure_callback", "io_callback", "ffi_call")
# what decides a choice, and what each of its cases is computed from -> what the result is computed from
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


def reads(jaxpr: Any, inputs: Sequence[int], choice: Choice = all_cases) -> list[int]:
    """What each output of a jaxpr is computed from, where input i stands for the set inputs[i].

    `choice` says what the result of a select or a cond is computed from. Of what the host computes nothing is known: it
    counts as computed from nothing.

    >>> import jax
    >>> program = jax.make_jaxpr(lambda x, y, z: (x + y, z))(0.0, 0.0, 0.0)
    >>> reads(program.jaxpr, [1, 2, 4])
    [3, 4]
    """
    known: dict[Any, int] = dict(zip(jaxpr.invars, inputs, strict=True))
    look_up = lambda atoms: [0 if isinstance(atom, Literal) else known.get(atom, 0) for atom in atoms]
    for equation in jaxpr.eqns:
        known.update(zip(equation.outvars, _outputs(equation, look_up(equation.invars), choice), strict=True))
    return look_up(jaxpr.outvars)


def _outputs(equation: Any, given: list[int], choice: Choice) -> list[int]:
    """The sets of an equation's outputs."""
    name, parameters, count = equation.primitive.name, equation.params, len(equation.outvars)
    if name in _HOST:
        return [0] * count
    if name == "select_n":
        return [choice(given[0], given[1:])]
    if name == "cond":
        branches = [reads(branch.jaxpr, given[1:], choice) for branch in parameters["branches"]]
        return [choice(given[0], cases) for cases in zip(*branches, strict=True)]
    if name == "scan":
        first, rest = parameters["num_consts"], parameters["num_consts"] + parameters["num_carry"]
        body = lambda carry: reads(parameters["jaxpr"].jaxpr, [*given[:first], *carry, *given[rest:]], choice)
        carry = _settled(lambda carry: body(carry)[: len(carry)], given[first:rest])
        return [*carry, *body(carry)[len(carry) :]]
    if name == "while":
        return _while(parameters, given, choice)
    inner = list(jaxprs_in_params(parameters))
    if len(inner) == 1 and (len(inner[0].invars), len(inner[0].outvars)) == (len(given), count):  # a call
        return reads(inner[0], given, choice)
    return [union(given)] * count


def _while(parameters: Any, given: list[int], choice: Choice) -> list[int]:
    """Of a loop: what its body leaves alone does not depend on how often it runs."""
    first = parameters["cond_nconsts"]
    rest = first + parameters["body_nconsts"]
    condition, body = parameters["cond_jaxpr"].jaxpr, parameters["body_jaxpr"].jaxpr
    stays = [out is var for out, var in zip(body.outvars, body.invars[rest - first :], strict=True)]

    def again(carry: list[int]) -> list[int]:
        goes_on = reads(condition, [*given[:first], *carry], choice)[0]
        after = reads(body, [*given[first:rest], *carry], choice)
        return [new if left else new | goes_on for new, left in zip(after, stays, strict=True)]

    return _settled(again, given[rest:])


def _settled(body: Callable[[list[int]], list[int]], carry: list[int]) -> list[int]:
    """What is carried after any number of rounds."""
    while True:
        after = [new | old for new, old in zip(body(carry), carry, strict=True)]
        if after == carry:
            return carry
        carry = after
