"""Writes that survive a kill or a full disk, and errors that name the file and a remedy."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from hindsight_jax.checkpoints.files import sync_directory

_REMEDIES = {
    errno.ENOSPC: "The disk is full. Nothing written before is lost: free space, then continue with --resume.",
    errno.EDQUOT: "The disk quota is used up. Nothing written before is lost: free space, then continue with --resume.",
    errno.EFBIG: "The file may not grow further. Nothing written before is lost: raise the limit, then use --resume.",
    errno.EACCES: "No permission. Choose another --workdir, or change the permissions.",
    errno.EPERM: "No permission. Choose another --workdir, or change the permissions.",
    errno.EROFS: "The file system is read-only. Choose another --workdir.",
    errno.ENOENT: "It is gone: was the directory moved or deleted? Put it back, then continue with --resume.",
    errno.EEXIST: "A file of that name lies there. Choose another --workdir.",
    errno.ENOTDIR: "A part of the path is a file. Choose another --workdir.",
    errno.ENAMETOOLONG: "Choose another --workdir.",
    errno.ELOOP: "A link on the way leads back to itself. Choose another --workdir.",
}


class WorkDirError(OSError):
    """The work directory cannot be used. The message names the file, the trouble and a remedy."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.errno = code


@contextlib.contextmanager
def explain_errors(path: Path, trouble: str) -> Iterator[None]:
    """Turns an OSError of the block into a WorkDirError that names the file and a remedy."""
    try:
        yield
    except WorkDirError:
        raise
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "Check the disk, then continue with --resume.")
        raise WorkDirError(f"{path}: {trouble} ({error.strerror or error}). {remedy}", error.errno) from error


def append(path: Path, data: bytes, at: int) -> None:
    """Appends to an existing file of `at` bytes, and syncs. On failure it cuts the file back to `at` bytes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        if size != at:
            raise WorkDirError(
                f"{path}: has {size} bytes where this process left {at}. Another process writes here, or the file was "
                "changed: stop the other process, then continue with --resume."
            )
        try:
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
        except BaseException:  # also the exception of a signal: all of the data is written, or none
            os.ftruncate(descriptor, at)
            raise
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Writes a whole file: to a temporary file beside it, synced, then renamed over it. Raises WorkDirError."""
    temporary = path.with_name(f".{path.name}.tmp")
    with explain_errors(path, "cannot be written"):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_directory(path.parent)
