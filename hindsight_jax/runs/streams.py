"""Standard output that never ends a run: a closed pipe or a full disk is no reason to lose training."""

import contextlib
import io
import os
import sys
from typing import Any, TextIO


class Unbreakable:
    """A text stream whose failures silence it. What Python flushes at its exit then goes nowhere, without a message."""

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
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def standard_output() -> Unbreakable:
    """Standard output, as a stream that never raises."""
    return Unbreakable(io.StringIO() if sys.stdout is None else sys.stdout)  # None: closed when Python started


def say(text: str) -> None:
    """Prints a line to standard output, wherever that goes: see `Progress`.

    >>> say("her_push: program 1 of 2")
    her_push: program 1 of 2
    """
    stream = standard_output()
    stream.write(text + "\n")
    stream.flush()


def hold_standard_descriptors() -> None:
    """Opens the null device where standard input, output or errors are closed, as a shell's `>&-` leaves them.

    Otherwise the next files that are opened, rows or a checkpoint, would get those numbers, and libraries in C++ would
    write their messages into them.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
