"""npz files of steps in one flat array, with the ends of episodes marked, as OGBench's data sets have them.

Dimension key: N episodes, R rows of the file, O observation dims, G goal dims, D action dims.

    observations  [R, *O]   all states of an episode, its last one too
    actions       [R, D]    row r is the action taken in row r's state; in an episode's last row it leads nowhere
    terminals     [R]       1 in the last row of an episode, else 0

So an episode of L actions has L + 1 rows, and its last action is not read. Other keys (qpos, qvel, ...) are not read
either. The convention is that of `ogbench.utils.load_dataset`. Such files hold no goals: what a state achieves is a
function of its observation, and the goal that an episode was played for is set to what its last state achieves.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hindsight_jax import checks, types
from hindsight_jax.datasets.episodes import Episodes, Source, check, flattened, horizon_of, padded
from hindsight_jax.datasets.native import read_npz, write_npz

AchievedGoal = Callable[[np.ndarray], np.ndarray] | Sequence[int]
_KEYS = {"observation": "observations", "action": "actions", "length": "terminals"}


def read_flat(
    path: str | os.PathLike[str],
    achieved_goal: AchievedGoal,
    spec: types.EnvSpec | None = None,
    horizon: int | None = None,
) -> types.Trajectory:
    """The trajectories of a file with `observations`, `actions` and `terminals`, as NumPy arrays [N, ...].

    Floats become float32, and integers of actions int32, of shape [R] too: [R, 1]. `terminal` is False throughout,
    since the file marks ends and not their reason.

    Args:
      path: of the npz file.
      achieved_goal: phi, from observations [R, *O] to goals [R, *G]; or the indices of the observation's coordinates
        that are the goal, such as (0, 1).
      spec: of a task, `env.spec`: then T is its horizon and the trajectories must be its own.
      horizon: T, where there is no task; by default the longest episode's length.

    Raises:
      ValueError: a file that cannot be read, a missing key, rows or values that do not fit, an episode longer than T,
        NaN, or actions that are not the task's.
    """
    checks.path("path", path, "Name an npz file.")
    arrays = read_npz(path, ("observations", "actions", "terminals"))
    observation, action, ends = (arrays[key] for key in ("observations", "actions", "terminals"))
    is_end = _checked_ends(path, ends, {"observations": observation, "actions": action})
    observation = observation.astype(np.float32) if observation.dtype.kind == "f" else observation
    action = action[:, None] if action.ndim == 1 else action
    action = action.astype({"f": np.float32, "i": np.int32}.get(action.dtype.kind, action.dtype))
    achieved = _achieved(path, achieved_goal, observation)
    last = np.flatnonzero(is_end)
    episodes = Episodes(
        observation=observation,
        achieved_goal=achieved,
        action=action[~is_end],
        desired_goal=achieved[last],
        length=(np.diff(last, prepend=-1) - 1).astype(np.int32),
        terminal=np.zeros(last.size, bool),
    )
    horizon = horizon_of(episodes, spec, horizon)
    check(Source(str(path), _KEYS), episodes, horizon, spec)
    return padded(episodes, horizon)


def write_flat(path: str | os.PathLike[str], trajectories: types.Trajectory) -> None:
    """Writes trajectories [N, ...] as `observations`, `actions` and `terminals`; a last row's action is 0.

    Goals and the reason of an episode's end are lost: `save` keeps them. Raises ValueError as `save` does.
    """
    checks.path("path", path, "Name the file, such as data.npz.")
    episodes = flattened(trajectories)
    check(Source("trajectories"), episodes, int(np.shape(trajectories.action)[1]))
    is_end = np.zeros(len(episodes.observation), bool)
    is_end[np.cumsum(episodes.length + 1) - 1] = True
    action = np.zeros((is_end.size, *episodes.action.shape[1:]), episodes.action.dtype)
    action[~is_end] = episodes.action
    write_npz(path, {"observations": episodes.observation, "actions": action, "terminals": is_end})


def _checked_ends(path: Any, ends: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray:
    """bool[R], the last rows of episodes; ValueError unless every array has R rows, the last of which is an end."""
    name = f"{path}: terminals"
    if ends.ndim != 1 or not ends.size or ends.dtype.kind not in "bfiu" or not np.isin(ends, (0, 1)).all():
        checks.fail(
            name, checks.describe(ends), "it must be [R], of 0 and 1", "Mark the last row of each episode by 1."
        )
    for key, array in others.items():
        if not array.ndim or len(array) != ends.size:
            rule = f"terminals has {ends.size} rows, and it must have as many"
            checks.fail(f"{path}: {key}", checks.describe(array), rule, "Give one row per state, the last one too.")
    is_end = ends.astype(bool)
    if not is_end[-1]:
        checks.fail(
            name, "0 in the last row", "the file must end where an episode does", "Mark it, or cut the rest off."
        )
    return is_end


def _achieved(path: Any, achieved_goal: AchievedGoal, observation: np.ndarray) -> np.ndarray:
    """f32[R, *G], what each state achieves."""
    if callable(achieved_goal):
        found = np.asarray(achieved_goal(observation))
        if not found.ndim or len(found) != len(observation):
            rule = f"it must return a goal for each of the {len(observation)} rows"
            checks.fail("achieved_goal", f"a function that returns {checks.describe(found)}", rule, "")
        return found.astype(np.float32)
    indices = np.asarray(achieved_goal)
    if observation.ndim != 2:
        rule = "indices choose coordinates of observations [R, O]"
        checks.fail(f"{path}: observations", checks.describe(observation), rule, "Pass a function as achieved_goal.")
    size = observation.shape[1]
    good = (
        indices.ndim == 1 and indices.size and indices.dtype.kind in "iu" and ((indices >= 0) & (indices < size)).all()
    )
    if not good:
        rule = f"it must be a function, or indices in 0..{size - 1}"
        checks.fail("achieved_goal", checks.short(achieved_goal), rule, "Write (0, 1) for the first two coordinates.")
    return observation[:, indices].astype(np.float32)
