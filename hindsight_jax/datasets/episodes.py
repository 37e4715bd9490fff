"""Episodes end to end, without padding: what files hold, checked before it is used or written.

Dimension key: N episodes, T horizon, S states of all episodes, A actions of all episodes, O observation dims, G goal
dims, D action dims, P pixels.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from hindsight_jax import checks, types


class Episodes(NamedTuple):
    """N episodes, one behind the other: S = sum(length + 1) states and A = sum(length) actions."""

    observation: np.ndarray  # [S, *O]
    achieved_goal: np.ndarray  # [S, *G]
    action: np.ndarray  # i32[A, D] or f32[A, D]
    desired_goal: np.ndarray  # [N, *G]
    length: np.ndarray  # i32[N]
    terminal: np.ndarray  # bool[N]
    goal_image: np.ndarray | None = None  # u8[N, P, P, 3]


class Source(NamedTuple):
    """Where episodes come from, for the messages: a file, and the key in it that each field has (its own name else)."""

    where: str
    keys: Mapping[str, str] = MappingProxyType({})

    def name(self, field: str) -> str:
        """'data.npz: observations'."""
        return f"{self.where}: {self.keys.get(field, field)}"


def flattened(trajectories: types.Trajectory) -> Episodes:
    """The episodes of trajectories [N, ...], their padding left out. ValueError unless their shapes fit together."""
    checks.instance("trajectories", trajectories, types.Trajectory, "Build them with types.Trajectory(...).")
    parts = trajectories._asdict()
    if trajectories.goal_image is None:
        del parts["goal_image"]
    for name, value in parts.items():
        checks.array(f"trajectories.{name}", value, "Pass NumPy or JAX arrays [N, ...].")
    arrays = {name: np.asarray(value) for name, value in parts.items()}
    checks.rank("trajectories.action", arrays["action"], 3, "It is [N, T, D].")
    checks.rank("trajectories.length", arrays["length"], 1, "It is [N].")
    count, horizon = arrays["action"].shape[:2]
    for name, array in arrays.items():
        rows = {"observation": (count, horizon + 1), "achieved_goal": (count, horizon + 1), "action": (count, horizon)}
        expected = rows.get(name, (count,))
        if array.shape[: len(expected)] != expected:
            rule = f"its first axes must be {list(expected)}: N = {count}, T = {horizon}"
            checks.fail(f"trajectories.{name}", checks.describe(array), rule, "types.Trajectory lists the shapes.")
    checks.integer("trajectories.length", arrays["length"])
    checks.in_range("trajectories.length", arrays["length"], 0, horizon, "A trajectory has at most T actions.")
    states, actions = _masks(arrays["length"], horizon)
    masks = {"observation": states, "achieved_goal": states, "action": actions}
    return Episodes(**{name: array[masks[name]] if name in masks else array for name, array in arrays.items()})


def padded(episodes: Episodes, horizon: int) -> types.Trajectory:
    """Checked episodes as NumPy trajectories [N, ...] with T = horizon, zeros where an episode is shorter."""
    states, actions = _masks(episodes.length, horizon)

    def spread(flat: np.ndarray, mask: np.ndarray) -> np.ndarray:
        whole = np.zeros((*mask.shape, *flat.shape[1:]), flat.dtype)
        whole[mask] = flat
        return whole

    spreads: dict[str, Any] = {  # NumPy's arrays in place of JAX's
        "observation": spread(episodes.observation, states),
        "achieved_goal": spread(episodes.achieved_goal, states),
        "action": spread(episodes.action, actions),
    }
    return types.Trajectory(**episodes._asdict() | spreads)


def _masks(length: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """(bool[N, T+1], bool[N, T]): which states and actions are data."""
    steps = np.arange(horizon + 1)
    return steps <= length[:, None], steps[:-1] < length[:, None]


_DTYPES = {
    "observation": ("float32", "uint8"),
    "achieved_goal": ("float32",),
    "action": ("float32", "int32"),
    "desired_goal": ("float32",),
    "length": ("int32",),
    "terminal": ("bool",),
    "goal_image": ("uint8",),
}


def horizon_of(episodes: Episodes, spec: types.EnvSpec | None, horizon: int | None) -> int:
    """T of what is read: the task's, the one that is given, or the longest episode's length."""
    if spec is not None:
        checks.instance("spec", spec, types.EnvSpec, "Pass env.spec.")
        return spec.horizon
    if horizon is None:
        return max(int(episodes.length.max()), 1)
    return checks.positive_int("horizon", horizon, "Leave it out for the longest episode's length.")


def check(source: Source, episodes: Episodes, horizon: int, spec: types.EnvSpec | None = None) -> None:
    """Raises ValueError, naming file, key, what was got, the rule and a remedy, unless the episodes can be used.

    Their arrays must agree in number and have at least one action, no episode may be longer than the horizon, every
    number must be finite, and actions must lie in [-1, 1], or be 0 or more. With a task's `spec` they must be the
    task's, too.
    """
    for field, dtypes in _DTYPES.items():
        array = getattr(episodes, field)
        if array is not None and array.dtype.name not in dtypes:
            rule = f"its dtype must be {' or '.join(dtypes)}"
            checks.fail(source.name(field), checks.describe(array), rule, "Cast it with .astype(...).")
    _check_counts(source, episodes)
    _check_lengths(source, episodes, horizon)
    for field in ("observation", "achieved_goal", "action", "desired_goal"):
        _check_finite(source, episodes, field)
    if spec is not None:
        _check_spec(source, episodes, spec)
    _check_actions(source, episodes, spec)


def _check_counts(source: Source, episodes: Episodes) -> None:
    """The arrays belong to the same episodes, of which there is one at least."""
    length = episodes.length
    if length.ndim != 1 or not length.size:
        checks.fail(source.name("length"), checks.describe(length), "it must be [N], N >= 1", "Give one per episode.")
    if int(length.min()) < 0 or int(length.max()) < 1:
        got = f"lengths from {int(length.min())} to {int(length.max())}"
        checks.fail(source.name("length"), got, "some episode must have an action, and none fewer than 0", "")
    states, actions, count = int((length + 1).sum()), int(length.sum()), length.size
    expected = {"observation": states, "achieved_goal": states, "action": actions}
    for field, array in episodes._asdict().items():
        rows = expected.get(field, count)
        if array is not None and (not array.ndim or len(array) != rows):
            rule = f"it must have {rows} rows: {count} episodes of {actions} actions in all"
            remedy = "An episode has one state more than actions."
            checks.fail(source.name(field), checks.describe(array), rule, remedy)
    if episodes.action.ndim != 2 or not episodes.action.shape[1]:
        rule = "it must be [A, D], D >= 1"
        checks.fail(source.name("action"), checks.describe(episodes.action), rule, "One flat action is D = 1.")
    if episodes.desired_goal.shape[1:] != episodes.achieved_goal.shape[1:]:
        rule = f"a goal must have the shape of an achieved goal, {list(episodes.achieved_goal.shape[1:])}"
        checks.fail(source.name("desired_goal"), checks.describe(episodes.desired_goal), rule, "")


def _check_lengths(source: Source, episodes: Episodes, horizon: int) -> None:
    longest = int(episodes.length.argmax())
    if int(episodes.length[longest]) > horizon:
        got = f"{int(episodes.length[longest])} actions in episode {longest}"
        remedy = f"Give the task a horizon of {int(episodes.length[longest])}, or cut the episodes."
        checks.fail(source.name("length"), got, f"the horizon is {horizon}", remedy)


def _check_finite(source: Source, episodes: Episodes, field: str) -> None:
    array = getattr(episodes, field)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
        remedy = "Leave that episode out."
        checks.fail(source.name(field), f"a number that is not finite in row {row}", "every number must be", remedy)


def _check_actions(source: Source, episodes: Episodes, spec: types.EnvSpec | None) -> None:
    """Each action is one of the task's, as far as it is known."""
    action = episodes.action
    if action.dtype.kind == "f":
        low, high, remedy = -1.0, 1.0, "Scale actions to [-1, 1]: the task scales them to its own units."
    else:
        high = np.inf if spec is None or isinstance(spec.action, types.Box) else spec.action.num_bins - 1
        low, remedy = 0, "Count the values of each dimension from 0."
    if float(action.min()) < low or float(action.max()) > high:
        got = f"actions from {action.min()} to {action.max()}"
        checks.fail(source.name("action"), got, f"they must lie in [{low}, {high}]", remedy)


def _check_spec(source: Source, episodes: Episodes, spec: types.EnvSpec) -> None:
    """The episodes have the task's shapes and dtypes, and its kind of action."""
    images = spec.images
    seen = spec.observation_shape if images is None else (images.pixels, images.pixels, 3)
    is_box = isinstance(spec.action, types.Box)
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        "observation": (seen, np.float32 if images is None else np.uint8),
        "achieved_goal": (spec.goal_shape, np.float32),
        "action": ((spec.action.num_dims,), np.float32 if is_box else np.int32),
        "desired_goal": (spec.goal_shape, np.float32),
    }
    for field, (shape, dtype) in expected.items():
        array = getattr(episodes, field)
        if array.shape[1:] != shape or array.dtype != dtype:
            rule = f"of this task a row of it is {np.dtype(dtype)}{list(shape)}"
            remedy = "Take the data of another task, or this task with other arguments (env.size, env.actions, ...)."
            checks.fail(source.name(field), checks.describe(array), rule, remedy)
    if (episodes.goal_image is not None) != (images is not None and images.goals):
        got = "none" if episodes.goal_image is None else checks.describe(episodes.goal_image)
        checks.fail(source.name("goal_image"), got, "of this task it is not so", "Take the data of another task.")
