"""Standard output whose errors never end a run: a closed pipe or a full disk only silences it."""

import contextlib
import io
import os
import sys
from typing import Any, TextIO


class Unbreakable:
    """A text stream that never raises: its first error silences it, also for the flush when Python exits."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._silent = False

    def write(self, text: str) -> int:
        if not self._silent:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding or "ascii"
                return self.write(text.encode(encoding, "replace").decode(encoding))
            except (OSError, ValueError):  # a closed pipe or terminal, a full disk, a closed file
                self._silence()
        return len(text)

    def flush(self) -> None:
        if not self._silent:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._silence()

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def _silence(self) -> None:
        self._silent = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def standard_output() -> Unbreakable:
    """Standard output as a stream that never raises."""
    return Unbreakable(io.StringIO() if sys.stdout is None else sys.stdout)  # None: closed when Python started


def print_line(text: str) -> None:
    """Prints a line to standard output; never raises.

    >>> print_line("her_push: program 1 of 2")
    her_push: program 1 of 2
    """
    stream = standard_output()
    stream.write(text + "\n")
    stream.flush()


def open_standard_descriptors() -> None:
    """Opens the null device for each of standard input, output and error that is closed, as by a shell's `>&-`.

    Otherwise the next file that is opened, such as metrics.jsonl or a checkpoint, would get the number 0, 1 or 2, and
    libraries in C++ would write their messages into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
