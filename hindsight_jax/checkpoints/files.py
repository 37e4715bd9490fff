"""The files of one checkpoint: arrays by orbax, and the manifest that says what every byte of them must be."""

import contextlib
import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from hindsight_jax import checks

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_ARRAYS = "arrays"
_LARGEST_MANIFEST = 64 * 2**20  # a leaf takes some hundred bytes


class Damaged(Exception):
    """One stored step cannot be trusted; the text says why."""


def step_of(folder: Path) -> int:
    """The number in a step folder's name."""
    return int(folder.name.removeprefix("step_"))


def first_line(error: Exception) -> str:
    """An exception in one line of a message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds typed keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def orbax() -> Any:
    """Imported late: it costs more than half a second."""
    import orbax.checkpoint as ocp

    return ocp


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs the traceback of every thread that fails, and then raises: the exception is enough."""
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def is_first() -> bool:
    """Whether this process writes what is written once."""
    return jax.process_index() == 0


def wait_for_all(what: str) -> None:
    """Until every process of the run is here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(what)


class Leaf(NamedTuple):
    """What is stored of one leaf."""

    shape: tuple[int, ...]
    dtype: str
    data: Any  # numbers, also of typed keys

    @classmethod
    def of(cls, leaf: Any) -> "Leaf":
        """Of a JAX or NumPy array."""
        return cls(leaf.shape, str(leaf.dtype), jax.random.key_data(leaf) if is_key(leaf) else leaf)


def copied(leaves: dict[str, Leaf]) -> dict[str, Leaf]:
    """The leaves in memory of their own, in the host's: what they came from may change."""
    for leaf in leaves.values():
        if isinstance(leaf.data, jax.Array):
            leaf.data.copy_to_host_async()  # all are on their way before the first is waited for
    return {path: leaf._replace(data=np.array(leaf.data)) for path, leaf in leaves.items()}


def write_arrays(folder: Path, leaves: dict[str, Leaf]) -> dict[str, Any]:
    """The arrays, by orbax, which makes all processes meet; what the manifest says of each leaf."""
    entries, arrays = {}, {}
    for path, leaf in leaves.items():
        name = f"{len(arrays):05d}" if leaf.data.size else None  # orbax refuses zero-size arrays: a template has them
        entries[path] = {"shape": list(leaf.shape), "dtype": leaf.dtype, "array": name}
        if name is not None:
            arrays[name] = leaf.data
    ocp = orbax()
    with _quiet(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:  # synchronous: its errors surface
        checkpointer.save(folder / _ARRAYS, arrays)
    return entries


def write_manifest(folder: Path, step: int, entries: dict[str, Any], extra: dict[str, Any]) -> None:
    """What makes the folder a checkpoint, all of it on the disk when this returns."""
    files = {name: _sha256(folder / name, sync=True) for name in _files(folder)}
    body = {"format_version": FORMAT_VERSION, "step": step, "leaves": entries, "files": files, "extra": extra}
    partial = folder / f"{MANIFEST}.partial"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(body | {"sha256": _digest(body)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, folder / MANIFEST)
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync(path)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, if it is as it was written. ValueError if another version of this library wrote it."""
    try:
        if (folder / MANIFEST).stat().st_size > _LARGEST_MANIFEST:
            raise ValueError(f"it has more than {_LARGEST_MANIFEST:,} bytes")
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
    """Every file that was written is there with every bit, and no other."""
    try:
        found = _files(folder)
        for name in sorted(files.keys() | found):
            if name not in found:
                raise Damaged(f"{name} is missing")
            if name not in files:
                raise Damaged(f"{name} is not part of it; remove that file")
            if _sha256(folder / name) != files[name]:
                raise Damaged(f"{name}: its sha256 differs")
    except OSError as error:
        raise Damaged(first_line(error)) from error


def read_arrays(folder: Path, entries: dict[str, Any], expected: dict[str, Any]) -> dict[str, np.ndarray]:
    """Path -> the stored numbers. Orbax casts to whatever dtype it is asked for, so it is asked for none."""
    ocp = orbax()
    numbers = {
        path: jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf for path, leaf in expected.items()
    }
    names = {path: entries[path]["array"] for path, leaf in expected.items() if leaf.size}
    as_numpy = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names.values()}
    try:
        with _quiet(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            described = checkpointer.metadata(folder / _ARRAYS).item_metadata.tree
            _check_described(described, {name: numbers[path] for path, name in names.items()})
            stored = checkpointer.restore(folder / _ARRAYS, restore_args=as_numpy)
    except Damaged:
        raise
    except Exception as error:  # the files are as they were written, so this orbax cannot read them
        raise Damaged(f"orbax cannot read it: {first_line(error)}") from error
    empty = {path: np.zeros(like.shape, like.dtype) for path, like in numbers.items() if path not in names}
    return empty | {path: stored[name] for path, name in names.items()}


def _check_described(described: dict[str, Any], expected: dict[str, Any]) -> None:
    """The arrays are those of the manifest, in pieces no larger than themselves: checked before memory is taken."""
    if described.keys() != expected.keys():
        raise Damaged(f"it holds {len(described)} arrays, its manifest names {len(expected)}")
    for name, like in expected.items():
        found = described[name]
        if (tuple(found.shape), np.dtype(found.dtype)) != (like.shape, like.dtype):
            got = f"{np.dtype(found.dtype)}{list(found.shape)}"
            raise Damaged(f"array {name} is {got}, its manifest says {checks.describe(like)}")
        piece = found.storage.chunk_shape
        if len(piece) != len(like.shape) or any(
            size > max(most, 1) for size, most in zip(piece, like.shape, strict=True)
        ):
            raise Damaged(f"array {name} is {checks.describe(like)}, but is stored in pieces of {list(piece)}")


def _files(folder: Path) -> set[str]:
    """Every file below the folder but the manifest, relative to it."""
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return paths - {MANIFEST}


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path, *, sync: bool = False) -> str:
    with open(path, "rb") as file:
        if sync:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(folder: Path) -> None:
    """The folder's entries are on the disk; some network file systems cannot be asked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
