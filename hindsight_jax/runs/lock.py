"""A lock on a work directory, so that one process at a time uses it."""

import errno
import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType

NAME = ".lock"


class LockedError(RuntimeError):
    """Another process uses the directory; the message names it."""


class Lock:
    """An exclusive lock on an existing directory, held inside a `with` block.

    The kernel holds it (flock on the file `.lock`), so it ends with the process, however that dies, and a `.lock` that
    is left behind locks nothing. Do not remove the file during a run.

    Raises:
      LockedError: another process, or another Lock of this one, has the directory; the message names its pid and host.
      OSError: there is no such directory, it is read-only, or its file system has no locks.

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> with Lock(directory):
    ...     try:
    ...         Lock(directory).acquire()
    ...     except LockedError as error:
    ...         print("refused:", str(os.getpid()) in str(error))
    refused: True
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory).absolute() / NAME
        self._descriptor: int | None = None

    def acquire(self) -> "Lock":
        """Takes the lock, or raises at once; never waits."""
        if self._descriptor is not None:
            raise LockedError(f"{self.path.parent}: this Lock is held already. Release it first.")
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)  # child processes do not inherit it
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except OSError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise self._refusal(error, holder) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        """Releases the lock, if it is held; the file stays."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _refusal(self, error: OSError, holder: str) -> Exception:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return LockedError(
                f"{self.path.parent}: process {holder or '(unknown)'} works here, and only one may. "
                "Wait for it, end it, or choose another directory."
            )
        return self._unusable(error)

    def _unusable(self, error: OSError) -> OSError:
        trouble = f"cannot lock it ({error.strerror}). Make it writable, or choose another directory"
        return OSError(error.errno, trouble, str(self.path))

    def __enter__(self) -> "Lock":
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_held(directory: str | os.PathLike[str]) -> bool:
    """Whether a process works in the directory; False if there is none. Leaves no file where no lock was ever taken.

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> with Lock(directory):
    ...     is_held(directory)
    True
    >>> is_held(directory)
    False
    """
    try:
        descriptor = os.open(Path(directory) / NAME, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
