"""SIGTERM and SIGINT as a flag that the training loop polls, so that a run saves a checkpoint before it ends.

JAX and orbax catch neither signal: without this, SIGTERM ends a process at any line.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_CAUGHT = (signal.SIGTERM, signal.SIGINT)


class GracefulExit:
    """Stores the first SIGTERM or SIGINT in `signal`; a second one raises SystemExit at once.

    Signals that are ignored already, as `nohup` and a shell's `&` arrange, stay ignored. Leaving the block restores the
    previous handlers. `exit_code` is the one that shells expect: 143 for SIGTERM, 130 for SIGINT.

    Raises:
      RuntimeError: entered outside the main thread, where Python cannot set handlers, or entered twice.

    >>> import os, signal
    >>> with GracefulExit() as stop:
    ...     for epoch in range(10):
    ...         if epoch == 3:
    ...             os.kill(os.getpid(), signal.SIGTERM)
    ...         if stop.signal:
    ...             break  # here a run saves a checkpoint, and then calls sys.exit(stop.exit_code)
    >>> epoch, stop.signal.name, stop.exit_code
    (3, 'SIGTERM', 143)
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int:
        """128 + the signal's number; 0 if there was none."""
        return 128 + self.signal if self.signal else 0

    def __enter__(self) -> "GracefulExit":
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "GracefulExit: entered in a thread, but only the main thread gets signals. Enter it there."
            )
        if self._previous:
            raise RuntimeError(
                "GracefulExit: entered twice, but it stores one set of handlers. Make a second GracefulExit."
            )
        self.signal = None
        for number in _CAUGHT:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: a handler that was set from C

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise SystemExit(128 + number)
        self.signal = signal.Signals(number)
