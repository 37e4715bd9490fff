"""TensorBoard events: a copy of metrics.jsonl that TensorBoard can draw, one folder per member.

The events are written by this thread, at once. tensorboardX's own `SummaryWriter` hands them to a thread behind a queue
of ten, and a full disk kills that thread: the run would then wait for the queue for ever. Its encodings are used here.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from hindsight_jax.runs.records import INDEX_KEYS, Row

_PREFIX = "events.out.tfevents."  # TensorBoard reads the files whose name holds 'tfevents', in the order of their names


class Events:
    """Event files under one directory, `member_<i>_seed_<s>/events.out.tfevents.<generation>`.

    Raises:
      OSError: from any method, where the file system refuses.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def append(self, rows: Sequence[Row]) -> None:
        """Adds one event per row at x = env_steps: its numbers, less the indices. Flushed when this returns."""
        for folder, group in self._by_folder(rows).items():
            files = _event_files(folder)
            self._make(folder)
            path = files[-1] if files else folder / f"{_PREFIX}{1:010d}"
            _write(path, group, fresh=not files)

    def rewrite(self, rows: Sequence[Row]) -> None:
        """Makes the events those of `rows` and nothing else: new files first, then the old ones are removed.

        The new files sort after the old ones, so a TensorBoard that is watching goes on reading.
        """
        old = sorted(self.directory.glob(f"*/{_PREFIX}*"))
        generation = 1 + max((int(path.suffix[1:]) for path in old if path.suffix[1:].isdigit()), default=0)
        for folder, group in self._by_folder(rows).items():
            self._make(folder)
            _write(folder / f"{_PREFIX}{generation:010d}", group, fresh=True)
        for path in old:
            path.unlink()

    def _make(self, folder: Path) -> None:
        """Not the work directory: one that is gone stays gone."""
        self.directory.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)

    def _by_folder(self, rows: Sequence[Row]) -> dict[Path, list[Row]]:
        folders: dict[Path, list[Row]] = {}
        for row in rows:
            folders.setdefault(self.directory / f"member_{row['member']}_seed_{row['seed']}", []).append(row)
        return folders


def _event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"))


def _write(path: Path, rows: Sequence[Row], fresh: bool) -> None:
    """Appends the rows to one event file; a fresh file begins with its version."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    records = [Event(wall_time=rows[0].get("unix_seconds", 0.0), file_version="brain.Event:2")] if fresh else []
    for row in rows:
        tags = sorted(set(row) - set(INDEX_KEYS) - {"unix_seconds"})
        values = [Summary.Value(tag=tag, simple_value=float(row[tag])) for tag in tags]
        records.append(
            Event(wall_time=row.get("unix_seconds", 0.0), step=row["env_steps"], summary=Summary(value=values))
        )
    with open(path, "wb" if fresh else "ab") as file:
        file.write(b"".join(_framed(record.SerializeToString()) for record in records))
        file.flush()
        os.fsync(file.fileno())


def _framed(data: bytes) -> bytes:
    """TFRecord framing: length, its checksum, the data, its checksum; little endian."""
    from tensorboardX.record_writer import masked_crc32c

    header = struct.pack("<Q", len(data))
    return header + struct.pack("<I", masked_crc32c(header)) + data + struct.pack("<I", masked_crc32c(data))
