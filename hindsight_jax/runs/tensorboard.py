"""TensorBoard events: a copy of metrics.jsonl that TensorBoard can draw, one folder per member.

The calling thread writes the events, at once. tensorboardX's own `SummaryWriter` hands them to a thread behind a queue
of ten, and a full disk kills that thread: the run would then wait for the queue for ever. Its encodings are used here.
"""

import contextlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from hindsight_jax.runs.records import INDEX_KEYS, Record

_PREFIX = "events.out.tfevents."  # TensorBoard reads the files whose name holds 'tfevents', in the order of their names


class Events:
    """Event files under one directory, `member_<i>_seed_<s>/events.out.tfevents.<generation>`.

    Raises:
      OSError: from any method, where the file system refuses.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def append(self, records: Sequence[Record]) -> None:
        """Adds one event per record at x = env_steps, with its numbers except the indices. Synced on return."""
        for folder, group in self._by_folder(records).items():
            files = sorted(folder.glob(f"{_PREFIX}*"))
            self._make(folder)
            path = files[-1] if files else folder / f"{_PREFIX}{1:010d}"
            _write(path, group, is_new=not files)

    def rewrite(self, records: Sequence[Record]) -> None:
        """Replaces all events by those of `records`: writes new files first, then removes the old ones.

        The new files sort after the old ones, so a TensorBoard that is watching goes on reading.
        """
        old = sorted(self.directory.glob(f"*/{_PREFIX}*"))
        generation = 1 + max((int(path.suffix[1:]) for path in old if path.suffix[1:].isdigit()), default=0)
        for folder, group in self._by_folder(records).items():
            self._make(folder)
            _write(folder / f"{_PREFIX}{generation:010d}", group, is_new=True)
        for path in old:
            path.unlink()

    def _make(self, folder: Path) -> None:
        """Makes the folder, but no parents: a work directory that was deleted is not made again."""
        for one in (self.directory, folder):
            # not pathlib's exist_ok, which says that a folder exists where it vanishes meanwhile
            with contextlib.suppress(FileExistsError):
                os.mkdir(one)

    def _by_folder(self, records: Sequence[Record]) -> dict[Path, list[Record]]:
        folders: dict[Path, list[Record]] = {}
        for record in records:
            folder = self.directory / f"member_{record['member']}_seed_{record['seed']}"
            folders.setdefault(folder, []).append(record)
        return folders


def _write(path: Path, records: Sequence[Record], is_new: bool) -> None:
    """Appends the records to one event file; a new file begins with its version."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    events = [Event(wall_time=records[0].get("unix_seconds", 0.0), file_version="brain.Event:2")] if is_new else []
    for record in records:
        tags = sorted(set(record) - set(INDEX_KEYS) - {"unix_seconds"})
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=float(record[tag])) for tag in tags])
        events.append(Event(wall_time=record.get("unix_seconds", 0.0), step=record["env_steps"], summary=summary))
    with open(path, "wb" if is_new else "ab") as file:
        file.write(b"".join(_framed(event.SerializeToString()) for event in events))
        file.flush()
        os.fsync(file.fileno())


def _framed(data: bytes) -> bytes:
    """TFRecord framing: length, its checksum, the data, its checksum; little endian."""
    from tensorboardX.record_writer import masked_crc32c

    header = struct.pack("<Q", len(data))
    return header + struct.pack("<I", masked_crc32c(header)) + data + struct.pack("<I", masked_crc32c(data))
