"""This library's own file of trajectories: an npz that keeps every bit and no padding.

Dimension key: N episodes, S states of all episodes, A actions of all episodes, O observation dims, G goal dims,
D action dims, P pixels.

Episodes stand one behind the other, so S = sum(length + 1) and A = sum(length):

    observation    [S, *O]   the states of each episode, s_0 .. s_length
    achieved_goal  [S, *G]   what each of them achieves
    action         [A, D]    the actions, i32 from 0 on, or f32 in [-1, 1]
    desired_goal   [N, *G]   the goal that the episode was played for
    length         i32[N]    actions of each episode
    terminal       bool[N]   whether it ended before the horizon; in the library's tasks by success
    goal_image     u8[N, P, P, 3]   only where goals are images
    horizon        i32[]     to which `load` pads
    format         i32[]     1
"""

import hashlib
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hindsight_jax import checks, types
from hindsight_jax.datasets.episodes import Episodes, Source, check, flattened, padded
from hindsight_jax.datasets.rings import from_ring
from hindsight_jax.replay import ReplayState

FORMAT = 1
_FIELDS = types.Trajectory._fields
_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


def save(path: str | os.PathLike[str], data: types.Trajectory | ReplayState) -> None:
    """Writes trajectories, or what a ring holds, to one npz file: this module's docstring lists its keys.

    The same data give the same bytes. A file that is there is replaced, by a whole one or not at all.

    Args:
      path: of the file; nothing is added to its name.
      data: trajectories [N, ...] of NumPy or JAX, or the state of a ring, or of all members' rings [M, ...] (see
        `from_ring`).

    Raises:
      ValueError: the arrays do not fit together, or a number that counts is not finite or an action out of range;
        before anything is written.

    >>> import tempfile
    >>> from hindsight_jax import types
    >>> states = np.arange(6.0, dtype=np.float32).reshape(1, 3, 2)
    >>> action, goal = np.array([[[1], [0]]], np.int32), np.zeros((1, 2), np.float32)
    >>> one = types.Trajectory(states, states, action, goal, np.array([2], np.int32), np.array([False]))
    >>> path = tempfile.mkdtemp() + "/data.npz"
    >>> save(path, one)
    >>> load(path).observation.tolist()
    [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]
    """
    checks.path("path", path, "Name the file, such as data.npz.")
    trajectories = from_ring(data) if isinstance(data, ReplayState) else data
    episodes = flattened(trajectories)
    horizon = int(np.shape(trajectories.action)[1])
    check(Source("trajectories"), episodes, horizon)
    arrays = {name: array for name, array in episodes._asdict().items() if array is not None}
    write_npz(path, {"format": np.int32(FORMAT), "horizon": np.int32(horizon), **arrays})


def load(path: str | os.PathLike[str], spec: types.EnvSpec | None = None) -> types.Trajectory:
    """The trajectories of a file that `save` wrote, as NumPy arrays [N, ...] padded with zeros.

    Args:
      path: of the file.
      spec: of a task, `env.spec`: then T is its horizon and the trajectories must be its own. By default T is the
        horizon of the trajectories that were saved.

    Raises:
      ValueError: no such file, another kind of file, a missing key, or content that `save` would refuse or that is not
        the task's.
    """
    checks.path("path", path, "Name a file that `save` wrote.")
    if spec is not None:
        checks.instance("spec", spec, types.EnvSpec, "Pass env.spec.")
    needed = ("format", "horizon", *(name for name in _FIELDS if name != "goal_image"))
    arrays = read_npz(path, needed, ("goal_image",))
    rule = f"this version reads {FORMAT}"
    checks.whole(f"{path}: format", arrays["format"], FORMAT, FORMAT, "Use the version that wrote it.", rule)
    episodes = Episodes(**{name: arrays[name] for name in _FIELDS if name in arrays})
    horizon = checks.positive_int(f"{path}: horizon", arrays["horizon"], "It is the T that `load` pads to.")
    horizon = horizon if spec is None else spec.horizon
    check(Source(str(path)), episodes, horizon, spec)
    return padded(episodes, horizon)


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. ValueError if it cannot be read."""
    checks.path("path", path, "Name a file.")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}). Check the path.") from None


def read_npz(
    path: str | os.PathLike[str], needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The arrays of these keys. ValueError for a file that cannot be read, a missing key, or pickled objects."""
    try:
        file: Any = np.load(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        file = None
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError(f"{path}: it is not an npz file. Write one with numpy.savez, or datasets.save.")
    with file:
        for key in needed:
            if key not in file:
                rule = f"the file must have the keys {', '.join(needed)}"
                checks.fail(
                    f"{path}: {key}", f"only {', '.join(file.files) or 'nothing'}", rule, "Add what is missing."
                )
        read: dict[str, np.ndarray] = {}
        for key in (*needed, *(key for key in optional if key in file)):
            try:
                read[key] = file[key]
            except _UNREADABLE as error:
                raise ValueError(f"{path}: {key}: it cannot be read ({error}). Put back a copy.") from None
        return read


def write_npz(path: str | os.PathLike[str], arrays: dict[str, Any]) -> None:
    """Writes an npz under another name in the same folder, and renames it."""
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be written ({error.strerror}). Check the folder and its free space."
        ) from None
    finally:
        partial.unlink(missing_ok=True)
