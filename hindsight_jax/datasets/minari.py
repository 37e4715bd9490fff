"""Minari's data sets of goal-conditioned tasks, from and to this machine's disk: `pip install "hindsight-jax[minari]"`.

Dimension key: N episodes, L actions of one episode, S states of all episodes, O observation dims, G goal dims, D action
dims.

Observations are dicts of `observation` [L+1, *O], `achieved_goal` [L+1, *G] and `desired_goal` [L+1, *G], as those of
Gymnasium's goal environments are.
"""

import importlib
import os
from typing import Any, Literal

import numpy as np

from hindsight_jax import checks, types
from hindsight_jax.datasets.episodes import Episodes, Source, check, flattened, horizon_of, padded

PARTS = ("observation", "achieved_goal", "desired_goal")


def read_minari(
    path: str | os.PathLike[str],
    spec: types.EnvSpec | None = None,
    horizon: int | None = None,
    goals: Literal["own", "final"] = "own",
) -> types.Trajectory:
    """The trajectories of a Minari data set on this disk, as NumPy arrays [N, ...]. Downloads nothing.

    Floats become float32, and integers of actions int32 [L, D]. `terminal` is whether the last step terminated.

    Args:
      path: of the data set's folder, which holds `data`, or of `data` itself.
      spec: of a task, `env.spec`: then T is its horizon and the trajectories must be its own.
      horizon: T, where there is no task; by default the longest episode's length.
      goals: `own`, the data's desired goals, of which an episode must have one alone; `final`, what its last state
        achieved, for data whose goal moves on during an episode.

    Raises:
      ValueError: no data set there, no dicts of goals, an episode whose goal changes, one longer than T, NaN, or
        actions that are not the task's.
      ImportError: without Minari.
    """
    checks.path("path", path, "Name the folder of a data set, such as ~/.minari/datasets/NAME.")
    if goals not in ("own", "final"):
        checks.fail("goals", checks.short(goals), "it must be own or final", "Leave it out for own.")
    found = [_episode(path, number, episode, goals) for number, episode in enumerate(_opened(path))]
    if not found:
        checks.fail(str(path), "no episodes", "there must be one at least", "Take another data set.")
    joined = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    episodes = Episodes(**joined)
    horizon = horizon_of(episodes, spec, horizon)
    check(Source(str(path)), episodes, horizon, spec)
    return padded(episodes, horizon)


def write_minari(dataset_id: str, trajectories: types.Trajectory, spec: types.EnvSpec, **metadata: Any) -> None:
    """Writes trajectories [N, ...] of a task as the data set `dataset_id` in Minari's folder (MINARI_DATASETS_PATH).

    A reward is 1 at the last step of an episode that ended before the horizon, else 0.

    Args:
      dataset_id: Minari's name, such as "hindsight/flip-bit-v0". A data set of this name must not be there.
      trajectories: of NumPy or JAX.
      spec: of their task, `env.spec`: the spaces of observations and actions.
      **metadata: for `minari.create_dataset_from_buffers`, which warns of what is missing: author, author_email,
        algorithm_name, code_permalink, description, ...

    Raises:
      ValueError: trajectories that are not the task's, a goal that is an image, or a name that Minari does not take or
        has already.
      ImportError: without Minari.
    """
    minari = _package("minari")
    checks.instance("spec", spec, types.EnvSpec, "Pass env.spec.")
    episodes = flattened(trajectories)
    check(Source("trajectories"), episodes, spec.horizon, spec)
    if spec.images is not None:
        checks.fail("spec", "a task that is seen as images", "Minari keeps goals as coordinates", "Use save.")
    if not episodes.length.all():
        checks.fail("trajectories.length", "0", "Minari's episodes have an action", "Leave out those that have none.")
    if not isinstance(dataset_id, str):
        checks.fail("dataset_id", checks.short(dataset_id), "it must be a text", 'Write "hindsight/flip-bit-v0".')
    observation_space, action_space = _spaces(spec)
    minari.create_dataset_from_buffers(
        dataset_id,
        buffer=_buffers(episodes),
        observation_space=observation_space,
        action_space=action_space,
        **metadata,
    )


def _spaces(spec: types.EnvSpec) -> tuple[Any, Any]:
    """Gymnasium's spaces of the task's observations and actions."""
    spaces = _package("gymnasium.spaces")
    shapes = dict(zip(PARTS, (spec.observation_shape, spec.goal_shape, spec.goal_shape), strict=True))
    seen = {name: spaces.Box(-np.inf, np.inf, shape, np.float32) for name, shape in shapes.items()}
    if isinstance(spec.action, types.Box):
        return spaces.Dict(seen), spaces.Box(-1, 1, (spec.action.num_dims,), np.float32)
    return spaces.Dict(seen), spaces.MultiDiscrete([spec.action.num_bins] * spec.action.num_dims, dtype=np.int32)


def _buffers(episodes: Episodes) -> list[Any]:
    """Minari's buffers, one per episode."""
    buffer = importlib.import_module("minari.data_collector").EpisodeBuffer
    made, state, action = [], 0, 0
    for number, (length, terminal) in enumerate(zip(episodes.length.tolist(), episodes.terminal.tolist(), strict=True)):
        states = slice(state, state + length + 1)
        goal = np.broadcast_to(episodes.desired_goal[number], (length + 1, *episodes.desired_goal.shape[1:]))
        seen = dict(zip(PARTS, (episodes.observation[states], episodes.achieved_goal[states], goal), strict=True))
        last = np.arange(length) == length - 1
        made.append(
            buffer(
                id=number,
                observations=seen,
                actions=episodes.action[action : action + length],
                rewards=(last & terminal).astype(np.float64),
                terminations=last & terminal,
                truncations=last & ~np.bool_(terminal),
            )
        )
        state, action = state + length + 1, action + length
    return made


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError('data sets of Minari need Minari: pip install "hindsight-jax[minari]"') from error


def _opened(path: Any) -> Any:
    """The data set's episodes, in order."""
    minari = _package("minari")
    folder = os.path.join(path, "data") if os.path.isdir(os.path.join(path, "data")) else path
    try:
        dataset = minari.MinariDataset(folder)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise ValueError(f"{path}: it is no data set of Minari ({error}). Name the folder that holds `data`.") from None
    return dataset.iterate_episodes()


def _episode(path: Any, number: int, episode: Any, goals: str) -> dict[str, np.ndarray]:
    """The fields of one episode: states [L+1, ...], actions [L, D], and one row of the others."""
    name, seen = f"{path}: episode {number}", episode.observations
    if not isinstance(seen, dict) or not set(PARTS) <= seen.keys():
        got = f"the keys {', '.join(seen)}" if isinstance(seen, dict) else checks.describe(seen)
        rule = f"observations must be dicts with {', '.join(PARTS)}"
        checks.fail(name, got, rule, "Take a data set of a goal-conditioned task.")
    observation, achieved, desired = (_single(seen[part]) for part in PARTS)
    action = np.asarray(episode.actions)
    action = action[:, None] if action.ndim == 1 else action
    if goals == "own" and (desired != desired[:1]).any():
        rule = "an episode has one goal"
        checks.fail(f"{name}: desired_goal", "several", rule, 'Pass goals="final" for what its last state achieved.')
    if not len(observation) == len(achieved) == len(action) + 1:
        got = f"{len(observation)} observations, {len(achieved)} achieved goals and {len(action)} actions"
        checks.fail(name, got, "there must be one state more than actions", "Take another data set.")
    return {
        "observation": observation,
        "achieved_goal": achieved,
        "action": action.astype({"f": np.float32, "i": np.int32, "u": np.int32}.get(action.dtype.kind, action.dtype)),
        "desired_goal": desired[:1] if goals == "own" else achieved[-1:],
        "length": np.array([len(action)], np.int32),
        "terminal": np.asarray(episode.terminations)[-1:].astype(bool),
    }


def _single(array: Any) -> np.ndarray:
    """The array, its floats as float32."""
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype.kind == "f" else array
