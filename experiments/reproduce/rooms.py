"""Whether policies get past four_rooms' walls: python -m experiments.reproduce.rooms DIR ...

A start and a goal lie 0, 1 or 2 walls apart. For each run and number of walls the table has the success at the end of
the last policies on new goals, and the share of the replay ring's trajectories whose ball was that many walls, or more,
away from its start at some time: what hindsight can learn from.

Dimension key: M members, N episodes, C stored trajectories, T steps.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from experiments.reproduce.q_values import restored
from hindsight_jax import backend, checks, presets, training
from hindsight_jax.checkpoints.checkpoints import CheckpointError
from hindsight_jax.runs import config_file
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.workdir import WorkDir

WALLS = (0, 1, 2)
EPISODES = 1000  # of each member


def main(argv: Sequence[str] | None = None) -> int:
    """Prints one table, a row for each run; the exit status is 2 for bad arguments."""
    paths = [Path(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    if not paths:
        print("usage: python -m experiments.reproduce.rooms DIR ...", file=sys.stderr)
        return 2
    backend.start_or_exit()
    apart = [f"{count} wall{'s' * (count != 1)} apart" for count in WALLS]
    columns = ["run", *(f"success {each}" for each in apart), *(f"stored {each}" for each in apart[1:])]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for path in paths:
        try:
            success, stored = measure(path)
        except (WorkDirError, CheckpointError, OSError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        print(f"| {path.name} | {' | '.join(f'{number:.2f}' for number in (*success, *stored[1:]))} |")
    return 0


def walls_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many of the two walls, x = 0 and y = 0, lie between places [..., 2].

    >>> walls_between(np.array([-0.1, 0.2]), np.array([[-0.2, 0.1], [0.1, 0.1], [0.1, -0.1]]))
    array([0, 1, 2])
    """
    return np.sum((first > 0) != (second > 0), axis=-1)


def success_by_walls(start: np.ndarray, goal: np.ndarray, success: np.ndarray) -> list[float]:
    """The mean of success [N] over the episodes whose start and goal [N, 2] are as many walls apart, for each of WALLS.

    >>> goals = np.array([[1, 1], [-1, 1], [1, -1], [-2, -2]])
    >>> success_by_walls(np.array([[-1, -1]] * 4), goals, np.array([0, 1, 0, 1]))
    [1.0, 0.5, 0.0]
    """
    apart = walls_between(start, goal)
    return [float(success[apart == count].mean()) for count in WALLS]


def stored_by_walls(places: np.ndarray) -> list[float]:
    """The share of trajectories, of places [C, T + 1, 2], with a place as many walls from the first or more.

    >>> stored_by_walls(np.array([[[-1, -1], [-1, 1], [-1, -1]], [[-1, -1], [1, 1], [1, -1]]]))
    [1.0, 1.0, 0.5]
    """
    furthest = walls_between(places[:, :1], places).max(axis=1)
    return [float((furthest >= count).mean()) for count in WALLS]


def measure(path: Path) -> tuple[list[float], list[float]]:
    """(success at each of WALLS, share of stored trajectories that were that far or further), means over members."""
    WorkDir.open(path)
    name, config, grid = config_file.load(path / "config.json")
    if grid or presets.split(name)[1] != "four_rooms":
        rule = "the table is of four_rooms' walls and of one setting"
        checks.fail("DIR", f"a run of {name}{', a grid' * bool(grid)}", rule, "Take a run without a grid.")
    setup, state, _ = restored(name, config, path / "checkpoints")
    env, agent = setup.env, setup.agent

    def play(learned: object) -> training.Rollout:
        policy = lambda observation, goal, key: agent.act(learned, observation, goal, key, False)
        return training.rollout(env, policy, jax.random.key(0), EPISODES)

    success, stored = [], []
    for i in range(config["seeds"]):
        member = training.local_member(state.members, i)
        played = jax.device_get(jax.jit(play)(member.agent))
        start, goal = played.trajectories.achieved_goal[:, 0], played.trajectories.desired_goal
        success.append(success_by_walls(start, goal, played.success_end))
        stored.append(stored_by_walls(np.asarray(member.replay.trajectories.achieved_goal[: int(member.replay.size)])))
    return np.mean(success, axis=0).tolist(), np.mean(stored, axis=0).tolist()


if __name__ == "__main__":
    sys.exit(main())
