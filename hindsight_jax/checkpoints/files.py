"""The files of one checkpoint: arrays written by orbax, and a manifest with the SHA-256 of every file."""

import collections
import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from hindsight_jax import checks

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_ARRAYS = "arrays"
_DESCRIPTORS = Path("/proc/self/fd")  # of Linux
BYTES_BELOW = 256  # that the longest path of a run's files has more than its directory's
_MAX_MANIFEST_BYTES = 64 * 2**20  # a leaf takes some hundred bytes


class Damaged(Exception):
    """A stored step is damaged; the message says how."""


def step_of(folder: Path) -> int:
    """The number in a step folder's name."""
    return int(folder.name.removeprefix("step_"))


def first_line(error: Exception) -> str:
    """An exception's type and the first line of its message, without the descriptors of `_neutral` paths."""
    lines = re.sub(rf"{_DESCRIPTORS}/\d+", "...", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds typed keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def orbax() -> Any:
    """orbax.checkpoint, imported late: the import takes more than half a second."""
    import orbax.checkpoint as ocp

    return ocp


@contextlib.contextmanager
def _checkpointer() -> Iterator[Any]:
    """orbax's, synchronous, so that its errors surface.

    Switches off absl's log: orbax logs the traceback of every thread that fails, and raises the error too.
    """
    ocp = orbax()
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            yield checkpointer
    finally:
        logger.disabled = before


@contextlib.contextmanager
def _neutral(folder: Path) -> Iterator[Path]:
    """Another path of the folder, without the characters of its parents: it goes through an open descriptor.

    orbax and tensorstore read more into a path than the system does. They glob it, so that `lr[0.1]` is not found and
    `a*` finds the arrays of another run; take `gs:` for a bucket; and take neither `**` nor names outside of UTF-8.
    """
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        through = _DESCRIPTORS / str(descriptor)
        yield through / folder.name if through.is_dir() else folder  # no such paths: `check_readable` has the last word
    finally:
        os.close(descriptor)


def check_length(directory: Path) -> None:
    """Raises OSError if files below the directory would have longer paths than the system takes.

    Otherwise the short name of a save that is being written may fit, and not that of the step it becomes.
    """
    if len(os.fsencode(directory.absolute())) + BYTES_BELOW >= os.pathconf("/", "PC_PATH_MAX"):
        raise OSError(errno.ENAMETOOLONG, "The path is too long for the files below it", str(directory))


def is_first() -> bool:
    """Whether this is process 0, which alone writes the manifest and renames folders."""
    return jax.process_index() == 0


def wait_for_all(name: str) -> None:
    """A barrier: returns when every process of the run has called it with this name."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


class Leaf(NamedTuple):
    """One leaf, as it is stored."""

    shape: tuple[int, ...]
    dtype: str
    data: Any  # numbers; of typed keys their key data

    @classmethod
    def of(cls, leaf: Any) -> "Leaf":
        """From a JAX or NumPy array."""
        return cls(leaf.shape, str(leaf.dtype), jax.random.key_data(leaf) if is_key(leaf) else leaf)


def copied(leaves: dict[str, Leaf]) -> dict[str, Leaf]:
    """Copies of the leaves in host memory. The originals may change or be donated afterwards."""
    for leaf in leaves.values():
        if isinstance(leaf.data, jax.Array):
            leaf.data.copy_to_host_async()  # start all transfers before waiting for the first
    return {path: leaf._replace(data=np.array(leaf.data)) for path, leaf in leaves.items()}


def write_arrays(folder: Path, leaves: dict[str, Leaf]) -> dict[str, Any]:
    """Writes the arrays by orbax (collective: every process must call), and returns the manifest's entries."""
    entries, arrays = {}, {}
    for path, leaf in leaves.items():
        name = f"{len(arrays):05d}" if leaf.data.size else None  # orbax refuses empty arrays; the template has them
        entries[path] = {"shape": list(leaf.shape), "dtype": leaf.dtype, "array": name}
        if name is not None:
            arrays[name] = leaf.data
    with _neutral(folder) as path, _checkpointer() as checkpointer:
        checkpointer.save(path / _ARRAYS, arrays)
    return entries


def check_readable(folder: Path, entries: dict[str, Any], leaves: dict[str, Leaf]) -> None:
    """Raises Damaged unless a restore would find every array that `write_arrays` wrote, and all of its pieces.

    Reads the last byte of each piece, and what describes the arrays: a ring of gigabytes is not read again. The pieces
    come first: where orbax cannot read them, its threads go on and print errors behind its own.
    """
    arrays = {entries[path]["array"]: leaf.data for path, leaf in leaves.items() if leaf.data.size}
    try:
        with _neutral(folder) as path:
            found = _pieces(path)
            if arrays and not found:
                raise Damaged("nothing of its arrays is there")
            with _checkpointer() as checkpointer:
                described = checkpointer.metadata(path / _ARRAYS).item_metadata.tree
        _check_described(described, arrays)
        for name, array in arrays.items():
            chunk = described[name].storage.chunk_shape
            pieces = math.prod(-(-whole // size) for whole, size in zip(array.shape, chunk, strict=True))
            if found[name] != 1 + pieces:  # and its description
                raise Damaged(f"array {name}: {found[name] - 1} of its {pieces} pieces are there")
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(f"orbax cannot read it: {first_line(error)}") from error


def _pieces(folder: Path) -> collections.Counter[str]:
    """Array -> how many pieces, its description among them, are stored to their last byte."""
    import tensorstore

    base = {"driver": "file", "path": f"{folder / _ARRAYS}/"}
    stored = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
    reads = {key.decode(): stored.read(key, byte_range=slice(-1, None)) for key in stored.list().result()}
    return collections.Counter(key.rpartition("/")[0] for key, read in reads.items() if len(read.result().value) == 1)


def write_manifest(folder: Path, step: int, entries: dict[str, Any], extra: dict[str, Any]) -> None:
    """Writes the manifest, and syncs every file and folder of the checkpoint."""
    files = {name: _sha256(folder / name, sync=True) for name in _files(folder)}
    body = {"format_version": FORMAT_VERSION, "step": step, "leaves": entries, "files": files, "extra": extra}
    partial = folder / f"{MANIFEST}.partial"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(body | {"sha256": _digest(body)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, folder / MANIFEST)
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync_directory(path)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest. Raises Damaged if it was changed, ValueError if its format version is another one."""
    try:
        if (folder / MANIFEST).stat().st_size > _MAX_MANIFEST_BYTES:
            raise ValueError(f"it has more than {_MAX_MANIFEST_BYTES:,} bytes")
        manifest = json.loads((folder / MANIFEST).read_bytes())
        version, digest = manifest["format_version"], manifest.pop("sha256")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Damaged(f"{MANIFEST}: {first_line(error)}") from error
    if digest != _digest(manifest):
        raise Damaged(f"{MANIFEST} (format_version {version!r}) was changed: its own sha256 differs")
    if version != FORMAT_VERSION:
        remedy = "Restore it with the release of hindsight_jax that wrote it, or start a new run in another directory."
        checks.fail(f"format_version of {folder}", version, f"this release reads {FORMAT_VERSION}", remedy)
    if manifest["step"] != step_of(folder):
        raise Damaged(f"the folder was renamed: its manifest is of step {manifest['step']}")
    return manifest


def check_files(folder: Path, files: dict[str, str]) -> None:
    """Raises Damaged unless the folder holds exactly these files, each with its SHA-256."""
    try:
        present = _files(folder)
        for name in sorted(files.keys() | present):
            if name not in present:
                raise Damaged(f"{name} is missing")
            if name not in files:
                raise Damaged(f"{name} is not part of it; remove that file")
            if _sha256(folder / name) != files[name]:
                raise Damaged(f"{name}: its sha256 differs")
    except OSError as error:
        raise Damaged(first_line(error)) from error


def read_arrays(folder: Path, entries: dict[str, Any], expected: dict[str, Any]) -> dict[str, np.ndarray]:
    """Path -> the stored numbers. No dtype is passed to orbax, which would cast to it."""
    numbers = {
        path: jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf for path, leaf in expected.items()
    }
    names = {path: entries[path]["array"] for path, leaf in expected.items() if leaf.size}
    as_numpy = {name: orbax().RestoreArgs(restore_type=np.ndarray) for name in names.values()}
    try:
        with _neutral(folder) as through, _checkpointer() as checkpointer:
            described = checkpointer.metadata(through / _ARRAYS).item_metadata.tree
            _check_described(described, {name: numbers[path] for path, name in names.items()})
            stored = checkpointer.restore(through / _ARRAYS, restore_args=as_numpy)
    except Damaged:
        raise
    except Exception as error:  # the SHA-256 of every file is right, so this version of orbax cannot read them
        raise Damaged(f"orbax cannot read it: {first_line(error)}") from error
    empty = {path: np.zeros(like.shape, like.dtype) for path, like in numbers.items() if path not in names}
    return empty | {path: stored[name] for path, name in names.items()}


def _check_described(described: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raises Damaged unless orbax's metadata names the manifest's arrays, in chunks no larger than they are.

    Checked before orbax allocates memory for them.
    """
    if described.keys() != expected.keys():
        raise Damaged(f"it holds {len(described)} arrays, its manifest names {len(expected)}")
    for name, like in expected.items():
        array = described[name]
        if (tuple(array.shape), np.dtype(array.dtype)) != (like.shape, like.dtype):
            got = f"{np.dtype(array.dtype)}{list(array.shape)}"
            raise Damaged(f"array {name} is {got}, its manifest says {checks.describe(like)}")
        chunk = array.storage.chunk_shape
        fits = len(chunk) == len(like.shape) and all(
            size <= max(whole, 1) for size, whole in zip(chunk, like.shape, strict=True)
        )
        if not fits:
            raise Damaged(f"array {name} is {checks.describe(like)}, but is stored in pieces of {list(chunk)}")


def _files(folder: Path) -> set[str]:
    """Paths of all files in the folder except the manifest, relative to the folder."""
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return paths - {MANIFEST}


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path, *, sync: bool = False) -> str:
    with open(path, "rb") as file:
        if sync:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_directory(folder: Path) -> None:
    """Syncs the names in a folder to the disk. Does nothing on file systems that cannot, as some network ones."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
