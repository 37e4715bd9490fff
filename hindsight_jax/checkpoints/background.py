"""Work behind the caller's back, one piece at a time, whose errors are not lost."""

import threading
from collections.abc import Callable


class Background:
    """Calls one function at a time in a thread; what it raises is raised again, once, by the next method.

    The thread ends with the process, even in the middle of its work: `wait` for what must be finished.

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
        """Begins when the work before is done; returns at once then."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def raise_if_failed(self) -> None:
        """Raises the error of work that has failed; never waits."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Returns when nothing is under way; raises the error of work that has failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # of any kind: it is raised where the caller can see it
            self._error = error
