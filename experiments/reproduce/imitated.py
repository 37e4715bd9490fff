"""What HDM's indicator picks in a run of four_rooms: numbers and a picture, from work directories.

python -m experiments.reproduce.imitated NUMBERS.json PICTURE.png LABEL=WORKDIR ...

The numbers are over replayed rows under the run's own goal law: what share of the rows is picked at each gamma_hdm, of
those that arrive at their goal, of those that come closer to it, and of those that do not; by the Q of the run,
whatever gamma_hdm trained it. "Closer" is by the true distance, along the shortest path around the walls. The picture
is in the manner of HDM's Figure 6: the replayed steps that are picked for one goal.

Dimension key: R rows, A actions, P points [.., 2] in metres, W waypoints.
"""

import functools
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.theory import drawing
from hindsight_jax import backend, checks, losses, presets, training, types
from hindsight_jax.checkpoints.checkpoints import CheckpointError, Checkpoints
from hindsight_jax.envs import four_rooms
from hindsight_jax.runs import config_file, strict_json
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.workdir import WorkDir

GAMMAS_HDM = (0.95, 0.85, 0.75, 0.4)
EDGES = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.9, 3.0)  # metres to the goal
LEAST = 30  # rows of a kind, for a share to be told
GOAL = (-0.4, 0.4)  # of the picture: the upper left room
SHALLOW, POINTS_PER_LINE = 0.04, 24  # metres into a wall that still count as free (the ball leans on walls); samples


class Run(NamedTuple):
    """The first member of a run, with its ring."""

    name: str
    setup: presets.Setup
    member: Any
    success: float  # at the last evaluation

    def rows(self, key: jax.Array) -> Any:
        """Replayed rows as the run itself draws them, of one epoch: a `Transition` of NumPy arrays [R, ..]."""
        drawn = jax.device_get(jax.jit(self.setup.run.sample)(self.member, key))
        extra = drawn.reward.ndim
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[extra:]), drawn)

    def q_values(self, rows: types.Transition) -> tuple[np.ndarray, np.ndarray]:
        """(Q(s, ., g) [R, A], V(s', g) [R]), the online network's, by the metrics of the agent's own update."""
        actions = jnp.arange(self.setup.env.spec.action.num_bins)

        def one(row: types.Transition, action: jax.Array) -> jax.Array:
            batch = jax.tree.map(lambda x: x[None], row._replace(action=jnp.full_like(row.action, action)))
            return self.setup.agent.update(self.member.agent, batch, jax.random.key(0))[1]["q_mean"]

        table = jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))
        after = rows._replace(observation=rows.next_observation)
        return np.asarray(table(rows, actions)), np.asarray(table(after, actions)).max(1)


def load(workdir: Path) -> Run:
    """The run's last checkpoint. ValueError if it is not of HDM on four_rooms."""
    records = [record for record in WorkDir.open(workdir).read_records() if record["member"] == 0]
    name, config, grid = config_file.load(workdir / "config.json")
    if not name.startswith("hdm_four_rooms") or grid:
        rule = "the numbers are those of one setting of hdm_four_rooms"
        checks.fail(str(workdir), f"a run of {name}" + (" with a grid" if grid else ""), rule, "Train hdm_four_rooms.")
    setup = presets.build(name, config)
    population = training.make_population(setup.run)
    template = population.template(training.member_keys(config["seed"], config["seeds"]))
    _, state, _ = Checkpoints(workdir / "checkpoints").restore(template)
    member = jax.tree.map(lambda x: x[0], state.members)
    return Run(name, setup, member, float(records[-1]["success_end"]))


# Distances around walls


def is_free(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether the straight line from P to P enters no wall, bool[..]."""
    start, end = np.broadcast_arrays(start, end)
    share = np.linspace(0.0, 1.0, POINTS_PER_LINE, dtype=np.float32)[:, None]
    points = start[..., None, :] + share * (end - start)[..., None, :]
    return np.asarray(_depth(jnp.asarray(points.reshape(-1, 2)))).reshape(points.shape[:-1]).max(-1) < SHALLOW


_depth = jax.jit(jax.vmap(four_rooms.distance_to_free))


def straight(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The length of the line from P to P in metres, infinite through walls."""
    return np.where(is_free(start, end), np.linalg.norm(start - end, axis=-1), np.inf)


@functools.cache
def waypoints() -> tuple[np.ndarray, np.ndarray]:
    """(points around the inner walls' ends [W, 2], the shortest way between any two of them [W, W])."""
    ends = [(x, 0.0) for x in (-0.4, -0.2, 0.2, 0.4)] + [(0.0, y) for y in (-0.4, -0.2, 0.2, 0.4)]
    angles = np.arange(8) * np.pi / 4
    circle = (four_rooms.CLEARANCE + 0.001) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = (np.array(ends)[:, None] + circle).reshape(-1, 2).astype(np.float32)
    points = points[np.asarray(_depth(jnp.asarray(points))) == 0.0]
    ways = straight(points[:, None], points[None])
    for through in range(len(points)):  # Floyd and Warshall
        ways = np.minimum(ways, ways[:, [through]] + ways[[through]])
    return points, ways


def distance(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The length of the shortest way from P to P around the walls, in metres; infinite for a point inside a wall."""
    points, ways = waypoints()
    begin, finish = straight(start[:, None], points), straight(end[:, None], points)
    around = np.array([np.min(first[:, None] + ways + last) for first, last in zip(begin, finish, strict=True)])
    return np.minimum(straight(start, end), around)


# Numbers


class Facts(NamedTuple):
    """Of replayed rows, [R] each."""

    arrives: np.ndarray  # bool, the goal is s' by index
    greedy: np.ndarray  # bool, the action is the best one by the run's own Q
    distance: np.ndarray  # from s to the goal, metres
    progress: np.ndarray  # the distance less that from s', metres
    advantage: np.ndarray  # Q(s, a, g) - V(s', g)


def facts(run: Run, rows: Any) -> Facts:
    """Leaves out the rows whose goal lies in a wall."""
    q, value_after = run.q_values(rows)
    action = rows.action[:, 0]
    before, after = (distance(x, rows.goal) for x in (rows.achieved_goal, rows.next_achieved_goal))
    kept = np.isfinite(before) & np.isfinite(after)
    with np.errstate(invalid="ignore"):
        progress = before - after
    return Facts(
        arrives=(rows.offset == 1)[kept],
        greedy=(q.argmax(1) == action)[kept],
        distance=before[kept],
        progress=progress[kept],
        advantage=(q[np.arange(len(action)), action] - value_after)[kept],
    )


def is_picked(advantage: np.ndarray, gamma_hdm: float) -> np.ndarray:
    """`losses.hdm_indicator` of each row, bool[R]."""
    of = jax.vmap(lambda x: losses.hdm_indicator(x, jnp.zeros_like(x), gamma_hdm=gamma_hdm))
    return np.asarray(of(jnp.asarray(advantage))) > 0


def measure(run: Run) -> dict[str, Any]:
    """The numbers of a run, as they go to the file."""
    found = facts(run, run.rows(jax.random.key(0)))
    return {
        "name": run.name,
        "env_steps": int(run.member.env_steps),
        "success": round(run.success, 3),
        "rows": len(found.arrives),
        "share_arriving": rounded(found.arrives.mean()),
        "share_closer": rounded((found.progress > 0)[~found.arrives].mean()),
        "gamma_hdm": {str(value): shares(found, value) for value in GAMMAS_HDM},
    }


def shares(found: Facts, gamma_hdm: float) -> dict[str, Any]:
    """What is picked at a threshold, and what the picked rows are beside the others that do not arrive."""
    picked, rest = is_picked(found.advantage, gamma_hdm), ~found.arrives
    closer = found.progress > 0
    of = lambda kind: rounded(picked[kind].mean())
    groups = {"picked": picked & rest, "not picked": ~picked & rest}
    bins = []
    for low, high in itertools.pairwise(EDGES):
        inside = (found.distance >= low) & (found.distance < high)
        share = {"share_picked": of(inside & rest)} if np.any(inside & rest) else {}
        closer_of = {name: _closer(closer, group & inside) for name, group in groups.items()}
        bins.append({"from": low, "to": high} | share | closer_of)
    return {
        "picked_of_all": of(np.ones_like(picked)),
        "picked_of_arriving": of(found.arrives),
        "picked_of_closer": of(rest & closer),
        "picked_of_not_closer": of(rest & ~closer),
        "picked_of_greedy": of(rest & found.greedy),
        "picked_of_not_greedy": of(rest & ~found.greedy),
        "closer": {name: _closer(closer, group) for name, group in groups.items()},
        "distance": {name: rounded(found.distance[group].mean()) for name, group in groups.items()},
        "closer_by_distance": bins,
    }


def _closer(closer: np.ndarray, group: np.ndarray) -> float | None:
    """The share of a group that comes closer, None if the group is small."""
    return rounded(closer[group].mean()) if group.sum() >= LEAST else None


def rounded(value: Any) -> float:
    """Three digits: a sample of ten thousand rows has no more."""
    return round(float(value), 3)


# The picture


def draw(runs: dict[str, Run]) -> bytes:
    """A row of panels for each run, one for each gamma_hdm: picked steps as arrows over V(s, g)."""
    height = 3.55 * len(runs)
    figure, panels = drawing.grid(len(runs), len(GAMMAS_HDM), width=14.0, height=height)
    goal = np.array(GOAL, np.float32)
    for (label, run), axes in zip(runs.items(), panels, strict=True):
        rows = run.rows(jax.random.key(1))
        values, extent = value_map(run, rows, goal)
        kept = spread_out(rows.achieved_goal)
        rows = jax.tree.map(lambda x, kept=kept: x[kept], rows)
        rows = rows._replace(goal=np.broadcast_to(goal, rows.goal.shape))
        q, value_after = run.q_values(rows)
        advantage = q[np.arange(len(q)), rows.action[:, 0]] - value_after
        closer = distance(rows.achieved_goal, rows.goal) > distance(rows.next_achieved_goal, rows.goal)
        for axis, gamma_hdm in zip(axes, GAMMAS_HDM, strict=True):
            drawing.ground(axis, -values, extent)
            picked = is_picked(advantage, gamma_hdm)
            _steps(axis, rows, picked & closer, picked & ~closer)
            title = f"{label}, gamma_hdm {gamma_hdm}: {picked.mean():.0%} picked"
            axis.set_title(title, fontsize=10, color=drawing.INK, loc="left")
    return drawing.png(figure)


def spread_out(points: np.ndarray, cell: float = 0.04) -> np.ndarray:
    """The index of the first point in each square of `cell` metres, so that arrows can be told apart.

    >>> spread_out(np.array([[0.01, 0.01], [0.02, 0.02], [0.05, 0.01]])).tolist()
    [0, 2]
    """
    return np.sort(np.unique(np.floor(points / cell), axis=0, return_index=True)[1])


def _steps(axis: Any, rows: Any, closer: np.ndarray, other: np.ndarray) -> None:
    """Arrows for the steps of two kinds, points for those of neither, and the goal."""
    start, step = rows.achieved_goal, rows.next_achieved_goal - rows.achieved_goal
    axis.plot(*start[~(closer | other)].T, ".", color="#8A8A8A", markersize=2.5, zorder=2)
    for kind, colour in ((closer, drawing.COLOURS[0]), (other, drawing.COLOURS[1])):
        (x, y), (right, up) = start[kind].T, step[kind].T
        drawing.arrows(axis, x, y, right, up, colour)
    axis.plot(*GOAL, marker="*", markersize=15, color=drawing.INK, zorder=4)


def value_map(run: Run, rows: Any, goal: np.ndarray, side: int = 60) -> tuple[np.ndarray, tuple[float, ...]]:
    """(max_a Q(s, a, goal) over a map of the room, NaN in walls [side, side], its borders left, right, low, high).

    What the points do not give of a row is taken from `rows`; no value depends on it.
    """
    line = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 * four_rooms.BORDER - four_rooms.BORDER
    points = np.stack(np.meshgrid(line, line[::-1]), axis=-1).reshape(-1, 2)
    filled = jax.tree.map(lambda x: np.resize(x, (len(points), *x.shape[1:])), rows)
    q, _ = run.q_values(filled._replace(observation=points, goal=np.broadcast_to(goal, points.shape)))
    values = np.where(np.asarray(_depth(jnp.asarray(points))) < SHALLOW, q.max(1), np.nan)
    return values.reshape(side, side), (-four_rooms.BORDER, four_rooms.BORDER) * 2


def main(argv: Sequence[str] | None = None) -> int:
    """Writes both files and returns the exit status: 0, or 2 for bad arguments."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if len(argv) < 3 or any("=" not in argument for argument in argv[2:]):
        usage = "usage: python -m experiments.reproduce.imitated NUMBERS.json PICTURE.png LABEL=WORKDIR ..."
        print(usage, file=sys.stderr)
        return 2
    backend.start_or_exit()
    numbers, picture = map(Path, argv[:2])
    try:
        runs = {label: load(Path(path)) for label, _, path in (argument.partition("=") for argument in argv[2:])}
        results = {label: measure(run) for label, run in runs.items()}
        numbers.write_text(json.dumps(strict_json.plain(results), indent=1) + "\n")
        picture.write_bytes(draw(runs))
    except (WorkDirError, CheckpointError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
