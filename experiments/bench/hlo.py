"""What a compiled program starts on its device, read from XLA's text of it (HLO).

A kernel is an instruction that the device starts by itself: a fusion, a product, a reduction, a custom call, or an
operation that XLA left alone. Those of a loop's body are started in every round of it.
"""

import re
from typing import NamedTuple

# They name, reshape or hold arrays and start nothing; what loops and calls start stands in their bodies.
FREE = frozenset({"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "while", "call"})
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?)\s([a-z][\w\-]*)\((.*)$")
_BODY = re.compile(r"\bbody=%?([\w.\-]+)")
_CALLED = re.compile(r"\bto_apply=%?([\w.\-]+)")
_FUSED = re.compile(r"\bcalls=%?([\w.\-]+)")
_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')


class Instruction(NamedTuple):
    """One instruction of a computation."""

    name: str
    shape: str  # with its layout
    opcode: str
    rest: str  # operands and attributes


class Block(NamedTuple):
    """What one round of a loop starts, or the program itself; loops are apart."""

    kernels: int  # custom calls among them
    custom_calls: int
    loops: tuple["Loop", ...]


class Loop(NamedTuple):
    """A loop of a program."""

    rounds: int | None  # None: a condition ends it
    block: Block


def read(text: str) -> Block:
    """The block of a program's entry, from `compiled.as_text()`.

    Raises ValueError for a text without an entry.

    >>> read('''
    ... ENTRY %main (x: f32[2]) -> f32[2] {
    ...   %x = f32[2]{0} parameter(0)
    ...   ROOT %y = f32[2]{0} fusion(%x), kind=kLoop, calls=%fused
    ... }''')
    Block(kernels=1, custom_calls=0, loops=())
    """
    bodies, entry = _computations(text)
    return _block(bodies, entry)


def products(text: str) -> dict[str, str]:
    """The matrix products of a program, alone or fused: their names and shapes, from `compiled.as_text()`.

    Raises ValueError for a text without an entry.

    >>> products('''
    ... %fused (a: f32[2,3], b: f32[3,4]) -> f32[2,4] {
    ...   ROOT %d = f32[2,4]{1,0} dot(%a, %b), lhs_contracting_dims={1}
    ... }
    ... ENTRY %main (a: f32[2,3], b: f32[3,4]) -> f32[2,4] {
    ...   %y = f32[2,4]{1,0} fusion(%a, %b), kind=kCustom, calls=%fused
    ...   ROOT %z = f32[2,4]{1,0} add(%y, %y)
    ... }''')
    {'d': 'f32[2,4]', 'y': 'f32[2,4]'}
    """
    bodies, _ = _computations(text)
    of_dots = {name for name, lines in bodies.items() if any(line.opcode == "dot" for line in lines)}

    def is_product(line: Instruction) -> bool:
        fused = _FUSED.search(line.rest) if line.opcode == "fusion" else None
        return line.opcode == "dot" or (fused is not None and fused[1] in of_dots)

    return {line.name: line.shape.partition("{")[0] for lines in bodies.values() for line in lines if is_product(line)}


def _computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """The instructions of every computation, by its name, and the name of the entry."""
    bodies: dict[str, list[Instruction]] = {}
    entry, lines = None, []
    for line in text.splitlines():
        if opened := _COMPUTATION.match(line):
            lines = bodies.setdefault(opened[1], [])
            entry = opened[1] if line.startswith("ENTRY") else entry
        elif instruction := _INSTRUCTION.match(line):
            lines.append(Instruction(*instruction.groups()))
    if entry is None:
        raise ValueError(f"text: got {text[:40]!r}, but it must have an entry. Pass compiled.as_text().")
    return bodies, entry


def _block(bodies: dict[str, list[Instruction]], name: str) -> Block:
    kernels = custom_calls = 0
    loops: list[Loop] = []
    for _, _, opcode, rest in bodies[name]:
        kernels += opcode not in FREE
        custom_calls += opcode == "custom-call"
        if opcode == "while" and (body := _BODY.search(rest)):
            trips = _TRIPS.search(rest)
            loops.append(Loop(int(trips[1]) if trips else None, _block(bodies, body[1])))
        elif opcode == "call" and (called := _CALLED.search(rest)):
            inner = _block(bodies, called[1])
            kernels, custom_calls = kernels + inner.kernels, custom_calls + inner.custom_calls
            loops += inner.loops
    return Block(kernels, custom_calls, tuple(loops))


def total(block: Block, rounds: int = 1) -> tuple[int, int]:
    """(kernels, custom calls) of a block and its loops; a loop that a condition ends counts `rounds` times.

    >>> total(Block(1, 0, (Loop(3, Block(2, 1, ())), Loop(None, Block(5, 0, ())))), rounds=4)
    (27, 3)
    """
    kernels, custom_calls = block.kernels, block.custom_calls
    for loop in block.loops:
        times = rounds if loop.rounds is None else loop.rounds
        inner = total(loop.block, rounds)
        kernels, custom_calls = kernels + times * inner[0], custom_calls + times * inner[1]
    return kernels, custom_calls


def innermost(block: Block, rounds: int = 1) -> int:
    """The kernels of those loops that hold no loop, counted as `total` counts them.

    >>> innermost(Block(1, 0, (Loop(3, Block(2, 1, (Loop(None, Block(5, 0, ())),))),)), rounds=4)
    60
    """
    kernels = 0
    for loop in block.loops:
        times = rounds if loop.rounds is None else loop.rounds
        kernels += times * (innermost(loop.block, rounds) if loop.block.loops else loop.block.kernels)
    return kernels
