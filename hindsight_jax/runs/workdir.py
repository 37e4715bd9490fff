"""What a run leaves behind: one directory, written so that a kill at any moment loses no finished row.

    config.json      resolved values, versions, device, precision, commit, arguments
    metrics.jsonl    one row per seed and evaluation, appended and synced
    metrics-1.jsonl  and so on: rows of the members that further processes of the run train, until it is resumed
    tensorboard/     the same rows for TensorBoard
    curves.png, policy.gif, summary.json
    checkpoints/     written by others

Files that are written whole are written beside and renamed, so they are the old one or the new one, never half of one.
"""

import contextlib
import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hindsight_jax.runs import curves, imports, provenance, records, strict_json, video
from hindsight_jax.runs import summary as run_summary
from hindsight_jax.runs.files import WorkDirError, append, explained, sync_directory
from hindsight_jax.runs.records import Row
from hindsight_jax.runs.tensorboard import Events

FORMAT = 1


class WorkDir:
    """One run's directory. Made by `create` or `open`; one process at a time, and further ones of its run by `join`.

    Every method raises `WorkDirError` where the file system refuses: full disk, no permission, a vanished directory.

    >>> import tempfile
    >>> workdir = WorkDir.create(tempfile.mkdtemp() + "/first")
    >>> workdir.write_config({"seed": 0}, name="hdm_push")
    >>> workdir.append_rows([dict(member=0, seed=0, env_steps=100, updates=50, success_end=0.25, success_any=0.5)])
    >>> [row["success_any"] for row in WorkDir.open(workdir.path).read_rows()]
    [0.5]
    """

    def __init__(self, path: Path, process: int = 0) -> None:
        """Use `create`, `open` or `join`."""
        self.path = path
        self._rows = path / (f"metrics-{process}.jsonl" if process else "metrics.jsonl")
        self._events = Events(path / "tensorboard")
        self._size = 0  # bytes of this process's rows that are known to be whole
        self._reached: dict[int, int] = {}  # env steps of the last row of each member

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> "WorkDir":
        """A directory for a new run: made, with its parents, or empty already (hidden files and locks may lie there).

        Raises:
          WorkDirError: something lies there already, or the file system refuses.
        """
        workdir = cls(Path(path))
        with explained(workdir.path, "cannot make the work directory"):
            workdir.path.mkdir(parents=True, exist_ok=True)
            present = [name for name in sorted(os.listdir(workdir.path)) if not _is_bystander(workdir.path / name)]
        if present:
            raise WorkDirError(
                f"{path}: holds {', '.join(present[:5])} already. Continue that run with --resume, or choose another "
                "--workdir.",
                errno.EEXIST,
            )
        with explained(workdir._rows, "cannot be written"):
            workdir._rows.touch()
            sync_directory(workdir.path)
        return workdir

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "WorkDir":
        """The directory of an earlier run. Nothing is changed; call `rewind` before rows are appended.

        Raises:
          WorkDirError: no run was started there, or a row other than a half-written last one cannot be read.
        """
        workdir = cls(Path(path))
        for name in ("config.json", "metrics.jsonl"):
            if not (workdir.path / name).is_file():
                raise WorkDirError(
                    f"{path}: no {name}, so there is no run to resume. Check --workdir, or start without --resume.",
                    errno.ENOENT,
                )
        workdir._adopt(_complete_bytes(workdir._rows))
        return workdir

    @classmethod
    def join(cls, path: str | os.PathLike[str], process: int) -> "WorkDir":
        """For further processes, from 1 on, of a run whose first one has made or rewound the directory.

        Raises:
          WorkDirError: the directory is not there, or holds rows of this process already.
        """
        workdir = cls(Path(path), process)
        with (
            explained(workdir._rows, "cannot be written; all processes must see one directory"),
            open(workdir._rows, "xb"),
        ):
            sync_directory(workdir.path)
        return workdir

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go; not made here."""
        return self.path / "checkpoints"

    def write_config(
        self, config: Mapping[str, Any], *, name: str, grid: Mapping[str, Any] | None = None, argv: Sequence[str] = ()
    ) -> None:
        """Writes config.json: the name, every resolved value, the grid, and what `provenance.describe` knows.

        Args:
          config: nested values; infinities are written as text and come back as floats.
          name: of the preset.
          grid: field -> list of values, as `grids.to_json` makes it.
          argv: the command line's arguments, `sys.argv[1:]`.
        """
        document = {"format": FORMAT, "name": name, "config": config, **({"grid": grid} if grid else {})}
        document |= {"imports": imports.imported()} if imports.imported() else {}
        self._write_json("config.json", document | provenance.describe(argv) | {"resumed": []})

    def note_resume(self, config: Mapping[str, Any], argv: Sequence[str] = ()) -> list[str]:
        """Stores the values to go on with, and adds with what and from where; `env_steps` is the last row's.

        Returns the names of what bits may depend on and has changed: commit, versions, device, precision, xla_flags.
        """
        document = self.read_config()
        entry = {"env_steps": max(self._reached.values(), default=0), **provenance.describe(argv)}
        document |= {"config": config, "resumed": [*document.get("resumed", []), entry]}
        self._write_json("config.json", document)
        last = ([document, *document["resumed"]])[-2]
        kinds = ("commit", "dirty", "versions", "device", "precision", "xla_flags")
        return [kind for kind in kinds if entry.get(kind) != last.get(kind)]

    def read_config(self) -> dict[str, Any]:
        """What `write_config` wrote: {"name", "config", "versions", "device", "commit", ...}.

        Raises:
          WorkDirError: no such file, damaged, or of another format.
        """
        document = self._read_json("config.json")
        if document.get("format") != FORMAT:
            raise WorkDirError(
                f"{self.path / 'config.json'}: format {document.get('format')!r}, but this version reads {FORMAT}. "
                "Use the version of the commit it names."
            )
        return document

    def append_rows(self, new: Sequence[Mapping[str, Any]]) -> None:
        """Appends rows to metrics.jsonl, in one write, synced; then to TensorBoard. All of them or none.

        `unix_seconds`, the time of writing, is added to each row.

        Raises:
          ValueError: a row without a required key, with a value that is no number, or not later than its member's last.
          WorkDirError: the file system refuses, or the file is not as this process left it.
        """
        now = time.time()
        lines = [records.encode({"unix_seconds": now, **row}) for row in new]
        decoded = [records.decode(line) for line in lines]
        reached = self._advanced(decoded)
        data = "".join(line + "\n" for line in lines).encode()
        with explained(self._rows, "cannot append rows"):
            append(self._rows, data, at=self._size)
        self._size += len(data)
        self._reached = reached
        with explained(self._events.directory, "cannot append events"):
            self._events.append(decoded)

    def rewind(self, env_steps: int, num_rows: int) -> None:
        """Makes metrics.jsonl the rows up to `env_steps`, of all processes; TensorBoard's events too.

        Args:
          env_steps: those of the checkpoint that is restored; 0 to begin again.
          num_rows: that were written when it was made.

        Raises:
          WorkDirError: there are fewer or more rows than that. Nothing is changed then.
        """
        kept = [row for row in self.read_rows() if row["env_steps"] <= env_steps]
        if len(kept) != num_rows:
            raise WorkDirError(
                f"{self._rows}: has {len(kept)} rows up to {env_steps} env steps, but the checkpoint was made at "
                f"{num_rows}: this is not the file that it was made with. Put that back, or start a new run."
            )
        data = "".join(records.encode(row) + "\n" for row in kept).encode()
        self._replace(self._rows.name, data)
        with explained(self.path, "cannot remove the rows of further processes"):
            for path in self._parts()[1:]:
                path.unlink()
        self._adopt(data)
        with explained(self._events.directory, "cannot rewrite events"):
            self._events.rewrite(kept)

    def read_rows(self) -> list[Row]:
        """Every whole row by env steps and member, NaN as a float; a half-written last line is left out."""
        found: dict[tuple[int, int], Row] = {}
        for path in self._parts():
            for row in _parse(path, _complete_bytes(path)):
                found.setdefault((row["env_steps"], row["member"]), row)  # a kill in `rewind` leaves rows twice
        return [found[key] for key in sorted(found)]

    def write_curves(self, title: str) -> None:
        """Draws every row so far into curves.png: see `plots.curves`."""
        self._replace("curves.png", curves.curves(self.read_rows(), title))

    def write_policy(self, frames: np.ndarray, frames_per_second: float) -> None:
        """Writes policy.gif, which loops: see `plots.animation`. frames u8[F, H, W, 3]."""
        self._replace("policy.gif", video.animation(frames, frames_per_second))

    def write_summary(self, *, num_episodes: int, seconds: Mapping[str, float], **extra: Any) -> dict[str, Any]:
        """Writes summary.json from the rows so far, and returns it: see `rows.summarise`.

        Args:
          num_episodes: episodes per seed and evaluation.
          seconds: durations by name, {"total": 812.5}; written as `seconds_total`.
          **extra: further entries, {"interrupted": True}.
        """
        config = self.read_config()
        summary = {"name": config["name"], **run_summary.summarise(self.read_rows()), "num_episodes": num_episodes}
        summary |= {"commit": config["commit"], "dirty": config["dirty"], "device": config["device"]["kind"]}
        summary |= {f"seconds_{key}": value for key, value in seconds.items()} | extra
        self._write_json("summary.json", summary)
        return summary

    def write_programs(self, summaries: Mapping[str, Any]) -> None:
        """Writes summary.json of a directory that holds one below it for each program: their summaries by name."""
        self._write_json("summary.json", {"name": self.read_config()["name"], "programs": summaries})

    def read_summary(self) -> dict[str, Any]:
        """What `write_summary` wrote."""
        return self._read_json("summary.json")

    def _advanced(self, new: Sequence[Row]) -> dict[int, int]:
        """Env steps of each member after these rows; refuses a row that is not later than its member's last."""
        reached = dict(self._reached)
        for row in new:
            member, steps = row["member"], row["env_steps"]
            if steps <= reached.get(member, -1):
                raise ValueError(
                    f"env_steps: got {steps} for member {member}, but its last row is at {reached[member]}. Write one "
                    "row per seed and evaluation; when resuming, call rewind first."
                )
            reached[member] = steps
        return reached

    def _adopt(self, data: bytes) -> None:
        """Takes these bytes as the file's whole rows."""
        self._reached = {row["member"]: row["env_steps"] for row in _parse(self._rows, data)}
        self._size = len(data)

    def _parts(self) -> list[Path]:
        """The files of rows: metrics.jsonl, then those of further processes."""
        return [self.path / "metrics.jsonl", *sorted(self.path.glob("metrics-*.jsonl"))]

    def _write_json(self, name: str, document: Mapping[str, Any]) -> None:
        self._replace(name, (json.dumps(strict_json.plain(document), indent=2, allow_nan=False) + "\n").encode())

    def _read_json(self, name: str) -> dict[str, Any]:
        with explained(self.path / name, "cannot be read"):
            data = (self.path / name).read_bytes()
        try:
            document = strict_json.restored(json.loads(data))
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise WorkDirError(f"{self.path / name}: is no JSON object; it is damaged. Put back a copy.")
        return document

    def _replace(self, name: str, data: bytes) -> None:
        """Writes a file whole: beside it, synced, then renamed over it."""
        beside = self.path / f".{name}.tmp"
        with explained(self.path / name, "cannot be written"):
            try:
                with open(beside, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(beside, self.path / name)
            except OSError:
                with contextlib.suppress(OSError):
                    beside.unlink()
                raise
            sync_directory(self.path)


def _complete_bytes(path: Path) -> bytes:
    """A file of rows up to its last line's end."""
    with explained(path, "cannot be read"):
        data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def _parse(path: Path, data: bytes) -> list[Row]:
    parsed = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            parsed.append(records.decode(line.decode()))
        except ValueError as error:
            raise WorkDirError(
                f"{path}: line {number} cannot be read ({error}). The file is damaged: put back a copy, or "
                "delete that line and what follows, and resume from an earlier checkpoint."
            ) from error
    return parsed


def _is_bystander(path: Path) -> bool:
    """Whether a new run may find this in its directory: hidden files, as the lock is, and what a run that was killed
    before its first step leaves, rows that never began and a folder without a checkpoint.
    """
    if path.name == "checkpoints":
        return path.is_dir() and not os.listdir(path)
    return path.name.startswith(".") or (path.name == "metrics.jsonl" and path.stat().st_size == 0)
