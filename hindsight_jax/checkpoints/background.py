"""Runs one function at a time in a background thread, and re-raises its error in the caller."""

import threading
from collections.abc import Callable


class Background:
    """Calls one function at a time in a thread; the next method call re-raises its error, once.

    The thread ends with the process, even in the middle of a function: call `wait` before the process ends.

    >>> background, done = Background(), []
    >>> background.start(lambda: done.append("written"))
    >>> background.wait()
    >>> done
    ['written']
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Waits for the previous function, raises its error, and starts `work`. Does not wait for `work`."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def raise_if_failed(self) -> None:
        """Raises the error of a function that failed; never waits."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Returns when no function is running; raises the error of one that failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # any kind: `wait` raises it in the caller's thread
            self._error = error
