"""A maze of cells whose moves do as they are told, and its exact values. Every free cell is a goal.

Dimension key: S free cells = G goals, A = 4 moves; tables are [S, A, G].
"""

import functools
from typing import NamedTuple

import numpy as np

MAP = (
    "..............",
    "..............",
    "############..",
    "..............",
    "..............",
    "..############",
    "..............",
    "..............",
    "############..",
    "..............",
    "..............",
    "..############",
    "..............",
    "..............",
)
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # row, column
GAMMA = 0.98


class Maze(NamedTuple):
    """The free cells, numbered row by row, and where each move leads."""

    cells: np.ndarray  # [S, 2], row and column
    after: np.ndarray  # [S, A], the next cell; the same one at a wall

    @property
    def transition(self) -> np.ndarray:
        """p(s' | s, a), [S, A, S]."""
        return np.eye(len(self.cells))[self.after]


class Kinds(NamedTuple):
    """Which (s, a, g) arrive at the goal, and which of the others are optimal; [S, A, G] each, disjoint."""

    reaching: np.ndarray
    optimal: np.ndarray
    other: np.ndarray


@functools.cache
def maze() -> Maze:
    """The maze of MAP."""
    cells = np.argwhere(np.array([list(row) for row in MAP]) == ".")
    number = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
    after = [
        [number.get((row + down, column + right), i) for down, right in MOVES]
        for i, (row, column) in enumerate(cells.tolist())
    ]
    return Maze(cells, np.array(after))


@functools.cache
def converged_q(gamma: float = GAMMA) -> np.ndarray:
    """Q of HER's rewards, [S, A, G]: 0 for the step that arrives, -1 for every other; nothing comes after arriving."""
    after = maze().after
    arrives = after[:, :, None] == np.arange(len(after))
    q, change = np.zeros(arrives.shape), np.inf
    while change > 0:  # a path has at most S steps, after which nothing moves
        better = np.where(arrives, 0.0, -1.0 + gamma * q.max(1)[after])
        q, change = better, float(np.abs(better - q).max())
    return q


def distances() -> np.ndarray:
    """Steps of the shortest path from s to g, [S, G]; 0 for the goal itself."""
    after = maze().after
    steps = np.where(np.eye(len(after), dtype=bool), 0, len(after))
    for _ in range(len(after)):
        steps = np.minimum(steps, 1 + steps[after].min(1))
    return steps


def kinds() -> Kinds:
    """The three kinds, by `converged_q`."""
    q, after = converged_q(), maze().after
    reaching = after[:, :, None] == np.arange(len(after))
    best = q >= q.max(1, keepdims=True) - 1e-9
    return Kinds(reaching=reaching, optimal=best & ~reaching, other=~best & ~reaching)
