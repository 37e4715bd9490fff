"""HDM's indicator at a converged Q: it picks samples near the goal, not good actions.

Dimension key: S cells = G goals, A moves; tables are [S, A, G].
"""

import functools
import json
import math
import pathlib
from typing import Any

import jax
import numpy as np

from experiments.theory import drawing, maze
from experiments.theory.results import Claim, Figure, equals
from hindsight_jax import losses

SHOWN = (0.95, 0.85, 0.75, 0.4)  # gamma_hdm: HDM's Figure 6, and the least one of its appendix C
SHARES = (  # gamma_hdm, and what it picks of the optimal actions and of the other ones that do not arrive
    (0.95, 1.0, 1.0),
    (0.85, 1.0, 1.0),
    (0.75, 0.9917, 0.9884),
    (0.4, 0.1411, 0.1249),
)
CHECKED = (0.99, *SHOWN, 0.5, 0.37, 0.36)
TRAINED = pathlib.Path(__file__).parents[1] / "results" / "imitated.json"
TOWARDS, AWAY = drawing.COLOURS[0], drawing.COLOURS[1]


@functools.cache
def picked(gamma_hdm: float) -> np.ndarray:
    """Whether `losses.hdm_indicator` picks (s, a, g) at the maze's exact values, bool[S, A, G]."""
    q = maze.converged_q()
    value_after = q.max(1)[maze.maze().after]
    with jax.enable_x64(True):
        found = _indicators(q.ravel(), value_after.ravel(), gamma_hdm)
    return np.asarray(found).reshape(q.shape) > 0


@jax.jit
def _indicators(q: jax.Array, value_after: jax.Array, gamma_hdm: jax.Array) -> jax.Array:
    return jax.vmap(lambda q, v: losses.hdm_indicator(q, v, gamma_hdm=gamma_hdm))(q, value_after)


def predicted(gamma_hdm: float) -> np.ndarray:
    """Not arriving, and abs(V(s', g)) < (1 + log gamma_hdm) / (1 - gamma), bool[S, A, G]."""
    value_after = maze.converged_q().max(1)[maze.maze().after]
    near = np.abs(value_after) < (1 + math.log(gamma_hdm)) / (1 - maze.GAMMA)
    return near & ~maze.kinds().reaching


def furthest(gamma_hdm: float) -> int:
    """The largest distance to the goal after a step that is picked, in steps; -1 if none is."""
    after = maze.distances()[maze.maze().after]
    return int(np.max(after, initial=-1, where=picked(gamma_hdm)))


def measure() -> tuple[Figure, ...]:
    """The figures over all (s, a, g) of the maze."""
    kinds = maze.kinds()
    share = lambda gamma_hdm, kind: float(picked(gamma_hdm)[kind].mean())
    gaps = maze.converged_q() + 1 + (1 - maze.GAMMA) * maze.converged_q().max(1)[maze.maze().after]
    gaps = gaps - maze.converged_q().max(1)[maze.maze().after]
    unlike = sum(int(np.sum(picked(value) != predicted(value))) for value in CHECKED)
    shares = [
        equals(f"gamma_hdm {value}: picked of the {name}", expected, share(value, kind), 5e-5)
        for value, *of_kinds in SHARES
        for name, expected, kind in zip(
            ("optimal actions", "other actions"), of_kinds, (kinds.optimal, kinds.other), strict=True
        )
    ]
    return (
        equals(
            "Q(s, a) - V(s') + 1 + (1 - gamma) V(s'), not arriving: largest",
            0,
            np.abs(gaps[~kinds.reaching]).max(),
            1e-10,
        ),
        equals("(s, a, g) at which indicator and rule differ, 8 values of gamma_hdm", 0, unlike, 0),
        *shares,
        equals(
            "picked of the actions that arrive, any gamma_hdm below 1",
            0,
            max(share(v, kinds.reaching) for v in CHECKED),
            0,
        ),
        equals("picked at 0.36, just below 1/e", 0, picked(0.36).sum(), 0),
        equals("furthest from the goal after a picked step: 0.75 (rule: below 62.7)", 62, furthest(0.75), 0),
        equals("the same at 0.4 (rule: below 5.3)", 5, furthest(0.4), 0),
    )


def trained() -> dict[str, Any]:
    """What `experiments.reproduce.imitated` measured in a run."""
    return json.loads(TRAINED.read_text(encoding="utf-8"))


def claim() -> Claim:
    """What is imitated once Q has converged; and the figures of a trained run beside it."""
    return Claim(
        key="indicator",
        title="At a converged Q the indicator picks samples near the goal, not good actions",
        source="[D 31], Algorithm 1, line 4; section 4.4 and Figure 6",
        statement=(
            "The indicator is said to imitate an action if it brings the goal closer by at least -log gamma_hdm steps. "
            "But Q(s, a, g) - V(s', g) = -1 - (1 - gamma) V(s', g) for every action that does not arrive, so that it "
            "picks those with |V(s', g)| < (1 + log gamma_hdm) / (1 - gamma): near the goal, good or bad; no action "
            "that arrives; and nothing at all if gamma_hdm <= 1/e."
        ),
        conditions=(
            "deterministic dynamics",
            "rewards -1 and 0 on arrival, after which nothing comes; Q is that of the best policy (here: exact)",
            "gamma_hdm < 1",
        ),
        verdict="the rule holds; the reading as a filter of good actions does not",
        remark=_remark(),
        figures=measure(),
        caption=(
            "The exact Q of a maze at gamma 0.98, in the manner of HDM's Figure 6: the moves that the indicator picks "
            "for the goal at the star, blue if they bring it closer, orange if not (walls are grey, a move into a wall "
            "stays). A smaller gamma_hdm leaves fewer and nearer ones, as the paper's pictures show, and as many bad "
            "ones as good ones."
        ),
        draw=_draw,
    )


def _remark() -> str:
    """The consequences, with the numbers of the trained run, as `experiments.reproduce.imitated` wrote them."""
    early, late = trained().values()
    at, before = late["gamma_hdm"]["0.85"], early["gamma_hdm"]["0.85"]
    early_far, middle = before["closer_by_distance"][-2:], at["closer_by_distance"][1:-1]
    span = lambda key: f"{min(x[key] for x in middle):.0%} to {max(x[key] for x in middle):.0%}"
    percent = "{:.0%}".format
    return (
        "Why the paper's Figure 6 looks as it does follows from the rule: as gamma_hdm falls, what is left lies closer "
        "to the goal. The same rule holds for every row with deterministic dynamics and these rewards; where dynamics "
        "are random, Q is a mean and V(s') one outcome, and lucky steps are picked as well.\n\n"
        "A trained Q has errors, and in the run below the indicator does not rank actions for the better either. At "
        f"0.85, after {late['env_steps']:,} steps (success {late['success']:.2f}), it picks "
        f"{percent(at['picked_of_greedy'])} of the replayed actions that are best by the run's own Q, "
        f"{percent(at['picked_of_not_greedy'])} of the others, and {percent(at['picked_of_arriving'])} of those that "
        f"arrive. Of the picked steps {percent(at['closer']['picked'])} come closer to the goal, of the steps not "
        f"picked {percent(at['closer']['not picked'])}; the former are {at['distance']['picked']:.2f} m from it in the "
        f"mean, the latter {at['distance']['not picked']:.2f} m. Only far away does it rank, where the values of a "
        "young Q have not spread yet: beyond 0.6 m "
        f"{percent(early_far[0]['picked'])} to {percent(early_far[1]['picked'])} of the picked steps come closer after "
        f"{early['env_steps']:,} steps, against {percent(early_far[1]['not picked'])} to "
        f"{percent(early_far[0]['not picked'])} of the others. If imitation helps nevertheless, these numbers point at "
        "the replay more than at the filter: at the end, between 0.1 m and 0.9 m from the goal, "
        f"{span('share_picked')} of all steps are picked, and of those {span('picked')} come closer, since a goal in "
        "hindsight is one that the trajectory went to.\n\n"
        f"{_table()}\n\n"
        "*By `python -m experiments.reproduce.imitated experiments/results/imitated.json "
        'docs/theory/imitated_four_rooms.png "20,000 steps=DIR" "200,000 steps=DIR"` from two runs of hdm_four_rooms, '
        "seed 20, trained with the default gamma_hdm 0.85; over some 12,500 rows each, drawn from the ring by the "
        "run's own goal law. Steps that arrive (the goal is the next state) count in their own column alone.*\n\n"
        "![What a run of four_rooms imitates](theory/imitated_four_rooms.png)\n\n"
        "Replayed steps of that run, relabelled with the goal at the star and picked by its own Q: blue if they come "
        "closer along the shortest way, orange if not; grey points are not picked. The ground is greener where V is "
        "higher."
    )


def _table() -> str:
    """The trained run's shares, as a table."""
    lines = [
        "| env steps | gamma_hdm | picked of the best by Q | of other actions | of those that arrive | "
        "closer, of the picked | closer, of the rest |",
        "|---|---|---|---|---|---|---|",
    ]
    columns = ("picked_of_greedy", "picked_of_not_greedy", "picked_of_arriving")
    for run in trained().values():
        for gamma_hdm, of in run["gamma_hdm"].items():
            shares = [of[name] for name in columns] + [of["closer"][name] for name in ("picked", "not picked")]
            cells = [f"{run['env_steps']:,}", gamma_hdm, *(f"{share:.0%}" for share in shares)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _draw() -> bytes:
    figure, axes = drawing.panels(len(SHOWN), width=14.0, height=4.1)
    world, goal = maze.maze(), 0
    steps = maze.distances()[:, goal]
    ground = np.full((len(maze.MAP), len(maze.MAP[0])), np.nan)
    ground[tuple(world.cells.T)] = steps
    for axis, gamma_hdm in zip(axes, SHOWN, strict=True):
        drawing.ground(axis, ground)
        for move, (down, right) in enumerate(maze.MOVES):
            shown = picked(gamma_hdm)[:, move, goal]
            closer = steps[world.after[:, move]] < steps
            for kind, colour in ((shown & closer, TOWARDS), (shown & ~closer, AWAY)):
                row, column = world.cells[kind].T
                drawing.arrows(axis, column + 0.16 * right, row + 0.16 * down, 0.3 * right, 0.3 * down, colour)
        axis.plot(*world.cells[goal][::-1], marker="*", markersize=15, color=drawing.INK, zorder=4)
        share = picked(gamma_hdm)[:, :, goal].mean()
        axis.set_title(f"gamma_hdm {gamma_hdm}: {share:.0%} picked", fontsize=11, color=drawing.INK, loc="left")
    return drawing.png(figure)
