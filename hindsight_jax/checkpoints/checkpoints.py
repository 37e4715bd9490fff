"""Checkpoints that are restored bit for bit or refused: arrays by orbax, and a manifest with the SHA-256 of every file.

A directory holds one folder per step:

    step_000000200000/manifest.json    written last: format version, step, leaf -> shape, dtype, file -> sha256, extra
    step_000000200000/arrays/          the arrays, by orbax
    tmp-...                            a save that was killed; the next save removes it
    damaged-step_...                   a step that a restore passed over; never read, never removed

One run writes a directory at a time (the caller holds a lock); any number may read it. A single process copies the
state and goes on while a thread writes the copy. Several processes of a run save together and wait: each writes its
part of the arrays, the first one all other files. Any number of processes may restore.
"""

import errno
import functools
import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import backend, checks
from hindsight_jax.checkpoints import files
from hindsight_jax.checkpoints.background import Background
from hindsight_jax.training import sharding

_STEP = re.compile(r"step_(\d{12,})")


class CheckpointError(RuntimeError):
    """No stored step can be restored. Nothing was deleted."""


class Checkpoints:
    """The newest `keep` checkpoints of one run.

    The state is a pytree of arrays: any shapes (zero-size ones too), any dtypes of JAX, typed keys. The tree itself is
    never stored: `restore` takes a template, and every leaf must agree with it by path, shape and dtype. Restored
    leaves are JAX arrays, on the devices of the template's leaf if it is a committed array or a ShapeDtypeStruct with a
    sharding over devices, else on the default device. Weak types come back strong. No pickle is written or read.

    >>> import jax.numpy as jnp
    >>> import tempfile
    >>> state = {"weights": jnp.arange(3.0), "key": jax.random.key(0)}
    >>> checkpoints = Checkpoints(tempfile.mkdtemp(), keep=2)
    >>> checkpoints.save(200, state, {"bytes": 17})  # returns when the state is copied
    >>> checkpoints.wait()  # returns when it is on the disk
    >>> step, restored, extra = checkpoints.restore(jax.eval_shape(lambda: state))
    >>> step, restored["weights"].tolist(), extra
    (200, [0.0, 1.0, 2.0], {'bytes': 17})
    """

    def __init__(self, directory: str | os.PathLike, *, keep: int = 2):
        """Makes the directory if it is not there (OSError if that fails) and reads nothing."""
        self.keep = checks.positive_int("keep", keep, "Keep 2, so that there is a step to fall back to.")
        checks.path("directory", directory, "Name the directory of the run.")
        if "://" in os.fsdecode(directory):
            rule = "it must be a path of this system, and that is an address"
            checks.fail("directory", repr(directory), rule, "Mount it, and name the directory where it is mounted.")
        self.directory = Path(directory).absolute()
        self._damaged: set[Path] = set()  # found by restore; set aside by the next save
        self._writer = Background()
        files.check_length(self.directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    def is_empty(self) -> bool:
        """Whether the directory holds no step, not even a damaged one."""
        return not any(self.directory.glob("*step_*"))

    def latest_step(self) -> int | None:
        """The newest complete step, None if there is none. Its files are not verified; `restore` does that.

        Waits for a save that is being written, and raises its error.
        """
        self.wait()
        steps = self._complete()
        return files.step_of(steps[-1]) if steps else None

    def save(self, step: int, state: Any, extra: dict[str, Any] | None = None) -> None:
        """Copies the state, and starts a thread that writes the copy and then removes all but the newest `keep` steps.

        Waits first for a save that is still being written. Where several processes hold the state, all of them must
        call, with the same step and extra; they return when the checkpoint is on the disk.

        Args:
          step: an integer above every stored step.
          state: a pytree of JAX or NumPy arrays. They may be donated afterwards.
          extra: a dict that JSON stores without loss, such as a config or the size of a log.

        Raises:
          ValueError: a leaf, `extra` or `step` cannot be stored; nothing was written.
          OSError: the disk is full, read-only or gone; the stored steps are untouched. Raised by the next call of
            `raise_if_failed`, `wait`, `save`, `latest_step` or `restore`.
        """
        step = self._check_step(step)  # waits
        leaves = _leaves("state", state, (jax.Array, np.ndarray))
        _check_readable(leaves)
        extra = _check_extra({} if extra is None else extra)
        files.orbax()  # import here, so that a broken orbax is not reported as a disk error
        stored = {path: files.Leaf.of(leaf) for path, leaf in leaves.items()}
        if jax.process_count() > 1:
            self._write(step, stored, extra)
            return
        copies = files.copied(stored)
        self._writer.start(functools.partial(self._write, step, copies, extra))

    def raise_if_failed(self) -> None:
        """Raises the error of a save that failed in its thread; never waits."""
        self._writer.raise_if_failed()

    def wait(self) -> None:
        """Returns when no save is being written; raises the error of one that failed."""
        self._writer.wait()

    def _write(self, step: int, leaves: dict[str, files.Leaf], extra: dict[str, Any]) -> None:
        """Writes a whole checkpoint, and prunes old ones."""
        temporary = self.directory / f"tmp-{step}"
        try:
            if files.is_first():
                self._remove_temporaries()
                temporary.mkdir()
            entries = files.write_arrays(temporary, leaves)
            if files.is_first():
                files.check_readable(temporary, entries, leaves)
                files.write_manifest(temporary, step, entries, extra)
                self._commit(temporary, self.directory / f"step_{step:012d}")
            files.wait_for_all(f"step {step}")
        except Exception as error:
            if files.is_first():
                shutil.rmtree(temporary, ignore_errors=True)
            raise self._not_saved(step, error) from error
        if files.is_first():
            self._prune()

    def restore(
        self, template: Any, renamed: Mapping[str, str] | None = None, added: Mapping[str, float] | None = None
    ) -> tuple[int, Any, dict[str, Any]]:
        """(step, state, extra) of the newest intact step: every file has the SHA-256 that was stored.

        A damaged step is passed over with a UserWarning that names it; the next save sets it aside.

        Args:
          template: the state's pytree, of `jax.ShapeDtypeStruct` (see `jax.eval_shape`) or of arrays.
          renamed: old -> new part of a leaf's path, for checkpoints of earlier versions: {".net.": ".network."} loads
            the leaf that was stored as `.net.w` into `.network.w`. Checkpoints with the new paths load too.
          added: end of a leaf's path -> the number that fills it in checkpoints of earlier versions, which lack it.

        Raises:
          ValueError: the checkpoint is of another format version, or a leaf has another path, shape or dtype.
          CheckpointError: there is no checkpoint, or every one is damaged. Nothing is deleted.
        """
        expected = _leaves("template", template, (jax.ShapeDtypeStruct, jax.Array, np.ndarray))
        backend.start()
        self.wait()
        self._damaged.clear()
        damage: list[str] = []
        for folder in reversed(self._folders()):
            try:
                manifest = files.read_manifest(folder)
                stored = _rename(manifest["leaves"], renamed or {}, expected)
                filled = _added(stored, expected, added or {})
                present = {path: leaf for path, leaf in expected.items() if path not in filled}
                _check_leaves(f"{folder.name} of {self.directory}", stored, present)
                files.check_files(folder, manifest["files"])
                arrays = files.read_arrays(folder, stored, present) | filled
            except files.Damaged as reason:
                self._damaged.add(folder)
                damage.append(f"{folder.name} is damaged ({reason})")
                continue
            if damage:
                warnings.warn(
                    f"{self.directory}: {'; '.join(damage)}. Restored step {manifest['step']} instead.", stacklevel=2
                )
            leaves = [_place(arrays[path], like) for path, like in expected.items()]
            return manifest["step"], jax.tree.unflatten(jax.tree.structure(template), leaves), manifest["extra"]
        raise CheckpointError(
            f"{self.directory}: {'; '.join(damage) or 'it holds no checkpoint'}. "
            "Nothing was deleted. Put back a copy of it, or start a new run in another directory."
        )

    def _folders(self) -> list[Path]:
        """Every step folder, damaged or not, oldest first."""
        paths = self.directory.glob("step_*") if self.directory.is_dir() else []
        return sorted((path for path in paths if _STEP.fullmatch(path.name)), key=files.step_of)

    def _complete(self) -> list[Path]:
        """The folders with a manifest, oldest first, except those that a restore has passed over as damaged."""
        return [path for path in self._folders() if path not in self._damaged and (path / files.MANIFEST).is_file()]

    def _check_step(self, step: int) -> int:
        step = checks.whole("step", step, 0, math.inf, "Count environment steps or updates.")
        latest = self.latest_step()
        if latest is not None and step <= latest:
            remedy = "Restore before going on, skip a save when latest_step() == step, or use a new directory."
            checks.fail("step", step, f"step {latest} is stored in {self.directory} and steps must grow", remedy)
        return step

    def _not_saved(self, step: int, error: Exception) -> Exception:
        if jax.process_count() > 1 and not isinstance(error, OSError) and not _is_of_the_system(error):
            return CheckpointError(
                f"the checkpoint of step {step} was not saved, since another process of the run is gone or failed; its "
                f"own output says why ({files.first_line(error)}). Stored steps are untouched: "
                f"{[files.step_of(folder) for folder in self._complete()]}. Restore with any number of processes."
            )
        code = getattr(error, "errno", None) or _os_error_code(error)
        remedy = "Free some space or make the directory writable, then save again, or resume from them"
        if isinstance(error, files.Damaged):
            remedy = "Check the disk, or choose a directory with plain letters in its path"
        return OSError(
            code,
            f"{os.strerror(code)}: the checkpoint of step {step} was not saved ({files.first_line(error)}). "
            f"Stored steps are untouched: {[files.step_of(folder) for folder in self._complete()]}. {remedy}",
            str(self.directory),
        )

    def _remove_temporaries(self) -> None:
        for path in self.directory.glob("tmp-*"):
            shutil.rmtree(path)

    def _commit(self, temporary: Path, final: Path) -> None:
        """Renames the temporary folder to `final`, once damaged folders are renamed to damaged-..."""
        for folder in sorted(self._damaged | {final}):
            if folder.exists():
                os.rename(folder, _unused(folder.with_name(f"damaged-{folder.name}")))
        self._damaged.clear()
        os.rename(temporary, final)
        files.sync_directory(self.directory)

    def _prune(self) -> None:
        """Removes all but the newest `keep` steps, each renamed first, so that a kill leaves no half-removed step."""
        for folder in self._complete()[: -self.keep]:
            try:
                temporary = _unused(folder.with_name(f"tmp-{folder.name}"))
                os.rename(folder, temporary)
                shutil.rmtree(temporary)
            except OSError as error:
                warnings.warn(f"the old checkpoint {folder} could not be removed: {error}", stacklevel=3)


def _unused(path: Path) -> Path:
    """The path, or else the path with the first suffix .1, .2, ... that does not exist yet."""
    candidates = (path.with_name(f"{path.name}.{i}") if i else path for i in range(10**6))
    return next(candidate for candidate in candidates if not candidate.exists())


def _is_of_the_system(error: Exception) -> bool:
    return "os_error_code=" in str(error)


def _os_error_code(error: Exception) -> int:
    """Tensorstore raises ValueError with the operating system's error number in its text."""
    match = re.search(r"os_error_code='(\d+)'", str(error))
    return int(match[1]) if match else errno.EIO


def _rename(stored: dict[str, Any], renamed: Mapping[str, str], expected: dict[str, Any]) -> dict[str, Any]:
    """The stored leaves under their new paths; a path that the template has already stays."""

    def new_path(path: str) -> str:
        for old, new in renamed.items():
            path = path if path in expected else path.replace(old, new)
        return path

    return {new_path(path): leaf for path, leaf in stored.items()}


def _added(stored: Mapping[str, Any], expected: Mapping[str, Any], added: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The expected leaves that are not stored and whose path has an end in `added`, filled with its number."""
    return {
        path: np.full(leaf.shape, number, leaf.dtype)
        for path, leaf in expected.items()
        for end, number in added.items()
        if path.endswith(end) and path not in stored
    }


def _leaves(name: str, tree: Any, kinds: tuple[type, ...]) -> dict[str, Any]:
    """Path -> leaf, in the order of the tree. ValueError if a leaf is not an array that JAX holds without a cast."""
    flat = jax.tree_util.tree_flatten_with_path(tree)[0]
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in flat}
    if len(leaves) < len(flat):
        checks.fail(name, "two leaves of one path", "paths must differ", "Give the tree's nodes distinct key names.")
    for path, leaf in leaves.items():
        if not isinstance(leaf, kinds):
            checks.fail(name + path, repr(leaf), "a leaf must be an array", "Wrap it in jnp.asarray, or use `extra`.")
        if not (files.is_key(leaf) or _is_number(leaf.dtype)):
            checks.fail(name + path, checks.describe(leaf), "JAX cannot hold this dtype", "Cast it, or use `extra`.")
    if not any(leaf.size for leaf in leaves.values()):
        checks.fail(name, f"{len(leaves)} leaves", "it must hold at least one number", "Pass the run's state.")
    return leaves


def _check_readable(leaves: dict[str, Any]) -> None:
    """ValueError if a leaf was deleted, for example by donation."""
    for path, leaf in leaves.items():
        if isinstance(leaf, jax.Array) and leaf.is_deleted():
            checks.fail(f"state{path}", "a deleted array", "its values must exist", "Save before the state is donated.")


def _is_number(dtype: Any) -> bool:
    """Whether JAX holds this dtype without a cast: numbers and booleans, float64 only with x64."""
    numeric = jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)
    return numeric and jax.dtypes.canonicalize_dtype(dtype) == dtype


def _check_leaves(source: str, stored: dict[str, Any], expected: dict[str, Any]) -> None:
    """ValueError naming the first leaf that the checkpoint and the template do not agree on."""
    remedy = "Restore with the configuration that wrote it, or start a new run in another directory."
    for path, leaf in expected.items():
        if path not in stored:
            checks.fail(f"template{path}", checks.describe(leaf), f"{source} has no such leaf", remedy)
        shape, dtype = stored[path]["shape"], stored[path]["dtype"]
        if (shape, dtype) != (list(leaf.shape), str(leaf.dtype)):
            checks.fail(f"template{path}", checks.describe(leaf), f"{source} has {dtype}{shape} there", remedy)
    for path in stored:
        if path not in expected:
            checks.fail(f"template{path}", "no such leaf", f"{source} has one", remedy)


def _place(array: np.ndarray, like: Any) -> jax.Array:
    """The stored array as a JAX array, with the sharding of the template's leaf."""
    placed = sharding.put(array, _sharding(like))
    return jax.random.wrap_key_data(placed, dtype=like.dtype) if files.is_key(like) else placed


def _sharding(like: Any) -> Any:
    """The sharding of a template's leaf; None for the default device, also for the abstract mesh of an eval_shape."""
    if isinstance(like, np.ndarray) or (isinstance(like, jax.Array) and not like.committed):
        return None
    abstract = isinstance(getattr(like.sharding, "mesh", None), jax.sharding.AbstractMesh)
    return None if abstract else like.sharding


def _check_extra(extra: Any) -> dict[str, Any]:
    """A deep copy of `extra`; ValueError if JSON would change it."""
    remedy = "Use string keys, lists, Python numbers, and None instead of NaN."
    try:
        copy = json.loads(json.dumps(extra))
    except (TypeError, ValueError) as error:
        checks.fail("extra", files.first_line(error), "it must be a dict that JSON carries unchanged", remedy)
    if not isinstance(extra, dict) or copy != extra:
        checks.fail("extra", repr(extra)[:300], "it must be a dict that JSON carries unchanged", remedy)
    return copy
