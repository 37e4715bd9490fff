"""The directory of a run. A kill at any moment loses no finished record.

    config.json      every value of the config, versions, device, precision, commit, arguments
    metrics.jsonl    one record per member and evaluation, appended and synced
    metrics-I.jsonl  records of the members that process I = 1, 2, ... trains, until the run is resumed
    tensorboard/     the same records for TensorBoard
    curves.png, policy.gif, summary.json, report.html
    checkpoints/     see `checkpoints.Checkpoints`

A file that is written whole is written under another name and renamed, so it is the old or the new one, never a half.
"""

import contextlib
import errno
import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hindsight_jax.checkpoints.files import check_length, sync_directory
from hindsight_jax.runs import curves, imports, provenance, records, strict_json, video
from hindsight_jax.runs import summary as run_summary
from hindsight_jax.runs.files import WorkDirError, append, explain_errors, replace
from hindsight_jax.runs.records import Record
from hindsight_jax.runs.tensorboard import Events

FORMAT = 1


class WorkDir:
    """One run's directory, from `create`, `create_unused` or `open`. Further processes of the same run `join`.

    One run uses it at a time: the caller holds a `Lock`. Every method raises `WorkDirError` where the file system
    refuses: full disk, no permission, a directory that is gone.

    >>> import tempfile
    >>> workdir = WorkDir.create(tempfile.mkdtemp() + "/first")
    >>> workdir.write_config({"seed": 0}, name="hdm_push")
    >>> workdir.append_records([dict(member=0, seed=0, env_steps=100, updates=50, success_end=0.25, success_any=0.5)])
    >>> [record["success_any"] for record in WorkDir.open(workdir.path).read_records()]
    [0.5]
    """

    def __init__(self, path: Path, process: int = 0) -> None:
        """Use `create`, `create_unused`, `open` or `join`."""
        self.path = path = path.absolute()  # of the folder where the run began, whatever the current one is later
        self._records = path / (f"metrics-{process}.jsonl" if process else "metrics.jsonl")
        self._events = Events(path / "tensorboard")
        self._size = 0  # bytes of this process's whole records
        self._last_steps: dict[int, int] = {}  # member -> env steps of its last record

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> "WorkDir":
        """A directory for a new run: makes it, with its parents. An existing one must hold hidden files only.

        Raises:
          WorkDirError: it holds other files, or the file system refuses.
        """
        workdir = cls(Path(path))
        with explain_errors(workdir.path, "cannot make the work directory"):
            check_length(workdir.path)
            workdir.path.mkdir(parents=True, exist_ok=True)
            present = [name for name in sorted(os.listdir(workdir.path)) if not _may_ignore(workdir.path / name)]
        if present:
            raise WorkDirError(
                f"{path}: holds {', '.join(present[:5])} already. Continue that run with --resume, or choose another "
                "--workdir.",
                errno.EEXIST,
            )
        with explain_errors(workdir._records, "cannot be written"):
            workdir._records.touch()
            sync_directory(workdir.path)
        return workdir

    @classmethod
    def create_unused(cls, path: str | os.PathLike[str]) -> "WorkDir":
        """As `create`, at the first of path, path-2, path-3, ... that is not there: no two processes get the same one.

        >>> import tempfile
        >>> parent = tempfile.mkdtemp()
        >>> [WorkDir.create_unused(f"{parent}/run").path.name for _ in range(3)]
        ['run', 'run-2', 'run-3']
        """
        first = Path(path)
        with explain_errors(first, "cannot make the work directory"):
            first.parent.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                unused = first if number == 1 else first.with_name(f"{first.name}-{number}")
                with contextlib.suppress(FileExistsError):
                    unused.mkdir()
                    break
        return cls.create(unused)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "WorkDir":
        """The directory of an earlier run. Changes nothing; call `rewind` before `append_records`.

        Raises:
          WorkDirError: it holds no run, or a line other than a half-written last one cannot be read.
        """
        workdir = cls(Path(path))
        for name in ("config.json", "metrics.jsonl"):
            if not (workdir.path / name).is_file():
                raise WorkDirError(
                    f"{path}: no {name}, so there is no run to resume. Check --workdir, or start without --resume.",
                    errno.ENOENT,
                )
        workdir._adopt(_whole_lines(workdir._records))
        return workdir

    @classmethod
    def join(cls, path: str | os.PathLike[str], process: int) -> "WorkDir":
        """For process 1, 2, ... of a run, after process 0 has made or rewound the directory.

        Raises:
          WorkDirError: the directory is not there, or holds records of this process already.
        """
        workdir = cls(Path(path), process)
        with (
            explain_errors(workdir._records, "cannot be written; all processes must see one directory"),
            open(workdir._records, "xb"),
        ):
            sync_directory(workdir.path)
        return workdir

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints; `Checkpoints` makes it."""
        return self.path / "checkpoints"

    def write_config(
        self,
        config: Mapping[str, Any],
        *,
        name: str,
        grid: Mapping[str, Any] | None = None,
        argv: Sequence[str] = (),
        parent: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes config.json: the name, every value, the grid, and `provenance.describe`.

        Args:
          config: nested values; infinities are written as text and come back as floats.
          name: of the preset.
          grid: field -> list of values, from `config_file.grid_to_json`.
          argv: the command line's arguments, `sys.argv[1:]`.
          parent: of a run that began from another: its path from this directory, name, commit and env steps.
        """
        document = {"format": FORMAT, "name": name, "config": config, **({"grid": grid} if grid else {})}
        document |= {"imports": imports.imported()} if imports.imported() else {}
        document |= {"parent": parent} if parent else {}
        self._write_json("config.json", document | provenance.describe(argv) | {"resumed": []})

    def note_resume(self, config: Mapping[str, Any], argv: Sequence[str] = ()) -> list[str]:
        """Stores the values of the resumed run, and appends its env steps and provenance to `resumed`.

        Returns what changed since the process before (`provenance.changed`): results may depend on it, bit for bit.
        """
        document = self.read_config()
        entry = {"env_steps": max(self._last_steps.values(), default=0), **provenance.describe(argv)}
        document |= {"config": config, "resumed": [*document.get("resumed", []), entry]}
        self._write_json("config.json", document)
        return provenance.changed(entry, [document, *document["resumed"]][-2])

    def read_config(self) -> dict[str, Any]:
        """Undoes `write_config`: {"name", "config", "versions", "device", "commit", ...}.

        Raises:
          WorkDirError: config.json is missing, damaged or of another format.
        """
        document = self._read_json("config.json")
        if document.get("format") != FORMAT:
            raise WorkDirError(
                f"{self.path / 'config.json'}: format {document.get('format')!r}, but this version reads {FORMAT}. "
                "Use the version of the commit it names."
            )
        return document

    def append_records(self, new: Sequence[Mapping[str, Any]]) -> None:
        """Appends records to metrics.jsonl in one write, synced, all or none; then to TensorBoard.

        Each gets `unix_seconds`, the time of writing.

        Raises:
          ValueError: a record lacks a required key, holds a value that is not a number, or is not later than the last
            one of its member.
          WorkDirError: the file system refuses, or another process has changed the file.
        """
        now = time.time()
        lines = [records.encode({"unix_seconds": now, **record}) for record in new]
        decoded = [records.decode(line) for line in lines]
        last_steps = self._advanced(decoded)
        data = "".join(line + "\n" for line in lines).encode()
        with explain_errors(self._records, "cannot append records"):
            append(self._records, data, at=self._size)
        self._size += len(data)
        self._last_steps = last_steps
        with explain_errors(self._events.directory, "cannot append events"):
            self._events.append(decoded)

    def rewind(self, env_steps: int, num_records: int) -> None:
        """Cuts the records of all processes to those up to `env_steps`, in metrics.jsonl alone; the events too.

        Args:
          env_steps: of the restored checkpoint; 0 to begin again.
          num_records: the number of records when the checkpoint was made.

        Raises:
          WorkDirError: there are fewer or more records than that. Nothing is changed then.
        """
        earlier = [record for record in self.read_records() if record["env_steps"] <= env_steps]
        if len(earlier) != num_records:
            raise WorkDirError(
                f"{self._records}: has {len(earlier)} records up to {env_steps} env steps, but the checkpoint was made "
                f"at {num_records}, so this is another file. Put back the one of the checkpoint, or start a new run."
            )
        data = "".join(records.encode(record) + "\n" for record in earlier).encode()
        replace(self._records, data)
        with explain_errors(self.path, "cannot remove the records of further processes"):
            for path in self._record_files()[1:]:
                path.unlink()
        self._adopt(data)
        with explain_errors(self._events.directory, "cannot rewrite events"):
            self._events.rewrite(earlier)

    def read_records(self) -> list[Record]:
        """Every whole record by env steps and member, NaN as a float; a half-written last line is left out."""
        by_index: dict[tuple[int, int], Record] = {}
        for path in self._record_files():
            for record in _parse(path, _whole_lines(path)):
                by_index.setdefault((record["env_steps"], record["member"]), record)  # twice after a kill in `rewind`
        return [by_index[index] for index in sorted(by_index)]

    def write_curves(self, title: str) -> None:
        """Draws every record so far into curves.png: see `curves.curves`."""
        replace(self.path / "curves.png", curves.curves(self.read_records(), title))

    def write_policy(self, frames: np.ndarray, frames_per_second: float) -> None:
        """Writes policy.gif, which loops, from frames u8[F, H, W, 3]: see `video.encode_gif`."""
        replace(self.path / "policy.gif", video.encode_gif(frames, frames_per_second))

    def write_summary(self, *, num_episodes: int, seconds: Mapping[str, float], **extra: Any) -> dict[str, Any]:
        """Writes summary.json from the records so far, and returns it: see `summary.summarise`.

        Args:
          num_episodes: episodes per seed and evaluation.
          seconds: durations by name, {"total": 812.5}; written as `seconds_total`.
          **extra: further entries, {"interrupted": True}.
        """
        config = self.read_config()
        summary = {"name": config["name"], **run_summary.summarise(self.read_records()), "num_episodes": num_episodes}
        summary |= {"commit": config["commit"], "dirty": config["dirty"], "device": config["device"]["kind"]}
        summary |= {f"seconds_{key}": value for key, value in seconds.items()} | extra
        self._write_json("summary.json", summary)
        return summary

    def write_programs(self, summaries: Mapping[str, Any]) -> None:
        """Writes summary.json of a directory with one work directory for each program: their summaries by name."""
        self._write_json("summary.json", {"name": self.read_config()["name"], "programs": summaries})

    def read_summary(self) -> dict[str, Any]:
        """Undoes `write_summary`."""
        return self._read_json("summary.json")

    def _advanced(self, new: Sequence[Record]) -> dict[int, int]:
        """Env steps of each member after these records; ValueError for one that is not later than the last."""
        last_steps = dict(self._last_steps)
        for record in new:
            member, steps = record["member"], record["env_steps"]
            if steps <= last_steps.get(member, -1):
                raise ValueError(
                    f"env_steps: got {steps} for member {member}, but its last record is at {last_steps[member]}. "
                    "Write one record per member and evaluation; when resuming, call rewind first."
                )
            last_steps[member] = steps
        return last_steps

    def _adopt(self, data: bytes) -> None:
        """Remembers these bytes as the file's whole records."""
        self._last_steps = {record["member"]: record["env_steps"] for record in _parse(self._records, data)}
        self._size = len(data)

    def _record_files(self) -> list[Path]:
        """metrics.jsonl, then the files of further processes."""
        return [self.path / "metrics.jsonl", *sorted(self.path.glob("metrics-*.jsonl"))]

    def _write_json(self, name: str, document: Mapping[str, Any]) -> None:
        replace(self.path / name, (json.dumps(strict_json.plain(document), indent=2, allow_nan=False) + "\n").encode())

    def _read_json(self, name: str) -> dict[str, Any]:
        with explain_errors(self.path / name, "cannot be read"):
            data = (self.path / name).read_bytes()
        try:
            document = strict_json.restored(json.loads(data))
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise WorkDirError(f"{self.path / name}: it is damaged: not a JSON object. Put back a copy.")
        return document


def _whole_lines(path: Path) -> bytes:
    """The bytes of a file up to the end of its last whole line."""
    with explain_errors(path, "cannot be read"):
        data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def _parse(path: Path, data: bytes) -> list[Record]:
    parsed = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            parsed.append(records.decode(line.decode()))
        except ValueError as error:
            raise WorkDirError(
                f"{path}: line {number} cannot be read ({error}). The file is damaged: put back a copy, or delete "
                "that line and all after it, and resume from an earlier checkpoint."
            ) from error
    return parsed


def _may_ignore(path: Path) -> bool:
    """Whether `create` may ignore this entry: hidden files (the lock), an empty metrics.jsonl, or an empty checkpoints/
    left by a run killed at start-up.
    """
    if path.name == "checkpoints":
        return path.is_dir() and not os.listdir(path)
    return path.name.startswith(".") or (path.name == "metrics.jsonl" and path.stat().st_size == 0)
