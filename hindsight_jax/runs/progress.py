"""Live progress: on a terminal, a bar with success so far, env steps per second and time left.

Without a terminal there are two lines, one at the start and one at the end, and with `verbose` one per evaluation. A
closed pipe, a full disk behind a redirection, or a terminal that is gone silences the output and never ends a run.
"""

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

import numpy as np
from numpy.typing import ArrayLike

from hindsight_jax import checks
from hindsight_jax.runs.streams import Unbreakable, standard_output


class Progress:
    """Shows how far a run is. A context manager: enter it when training starts.

    >>> import io
    >>> stream = io.StringIO()
    >>> with Progress(1000, name="hdm_push", members=2, stream=stream, clock=iter([0.0, 10.0]).__next__) as progress:
    ...     progress.evaluated(1000, [0.5, 0.75])
    >>> print(stream.getvalue().splitlines()[-1])
    hdm_push: 1,000 of 1,000 env steps per seed in 10s, 200 env steps/s, success 0.625
    """

    def __init__(
        self,
        total_steps: int,
        *,
        name: str,
        members: int = 1,
        settings: int = 1,
        start: int = 0,
        stream: TextIO | None = None,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prints nothing yet.

        Args:
          total_steps: env steps per seed.
          name: of the run, the first word of every line.
          members: of the population; env steps per second are their sum.
          settings: of a grid, each with members / settings seeds.
          start: env steps per seed that earlier processes took.
          stream: where to write; standard output by default.
          verbose: whether to print a line per evaluation if `stream` is not a terminal.
          clock: returns seconds; called once on entering and once on leaving.

        Raises:
          ValueError: total_steps, members or settings below 1, or start outside of [0, total_steps].
        """
        self._total = checks.positive_int("total_steps", total_steps, "Pass env steps per seed.")
        self._members = checks.positive_int("members", members, "Pass the number of members.")
        self._settings = checks.positive_int("settings", settings, "Pass 1 without a grid.")
        self._start = checks.whole("start", start, 0, self._total, "Pass the env steps of the checkpoint.")
        self._name = name
        self._stream = standard_output() if stream is None else Unbreakable(stream)
        self._live = self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        self._verbose, self._clock = verbose, clock
        self._steps, self._success, self._began = start, None, 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        self._began = self._clock()
        count = self._members // self._settings
        seeds = "1 seed" if count == 1 else f"{count} seeds"
        seeds = seeds if self._settings == 1 else f"{self._settings} settings x {seeds}"
        resumed = f", from {self._start:,}" if self._start else ""
        self.print(f"{self._name}: {seeds} x {self._total:,} env steps{resumed}")
        if self._live:
            self._bar = _make_bar(self._stream, self._members, self._start)
            self._task = self._bar.add_task(
                self._name, total=self._total, completed=self._start, note="no evaluation yet", updated=0.0
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        seconds = max(self._clock() - self._began, 1e-9)
        rate = (self._steps - self._start) * self._members / seconds
        parts = [
            f"{self._steps:,} of {self._total:,} env steps per seed in {duration(seconds)}",
            f"{rate:,.0f} env steps/s",
        ]
        parts += [self._success] if self._success else []
        stopped = "stopped at " if kind is not None else ""
        self.print(f"{self._name}: {stopped}{', '.join(parts)}")

    def advance(self, env_steps: int) -> None:
        """Shows that the run has taken this many env steps per seed, with those before a resume."""
        self._steps = env_steps
        if self._bar is not None:
            self._bar.update(self._task, completed=env_steps, updated=self._bar.get_time())

    def evaluated(self, env_steps: int, success_end: ArrayLike) -> None:
        """Shows the success rates of an evaluation, one per member, at this many env steps per seed."""
        rates = np.asarray(success_end, dtype=np.float64)
        self._success = _success(rates.reshape(-1), self._settings)
        self.advance(env_steps)
        if self._bar is not None:
            self._bar.update(self._task, note=self._success)
        elif self._verbose:
            each = " ".join(f"{rate:.2f}" for rate in rates.reshape(-1))
            self.print(f"{self._name}: {env_steps:,} env steps per seed, {self._success}, seeds {each}")

    def print(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._stream.write(text + "\n")
            self._stream.flush()


def _success(rates: np.ndarray, settings: int) -> str:
    """'success 0.625', or of several settings that of the members; those that are not finite are counted apart.

    >>> _success(np.array([0.5, 0.75, np.nan]), 1)
    'success 0.625 of 2 members, 1 not finite'
    """
    finite = rates[np.isfinite(rates)]
    failed = len(rates) - len(finite)
    if not len(finite):
        return "success of no member finite"
    words = f"success {finite.mean():.3f}" if settings == 1 else f"success {finite.min():.3f} to {finite.max():.3f}"
    return f"{words} of {len(finite)} members, {failed} not finite" if failed else words


def _make_bar(stream: Unbreakable, members: int, start: int) -> Any:
    """A rich progress bar that redraws twice a second."""
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column
    from rich.text import Text

    class Numbers(ProgressColumn):
        """Success so far, env steps per second of all members, time left."""

        def render(self, task: Any) -> Text:
            rate = task.speed or max(task.completed - start, 0) / max(task.elapsed or 0.0, 1e-9)
            if not rate:
                return Text(task.fields["note"])
            since = task.get_time() - task.fields["updated"]
            left = duration(max((task.total - task.completed) / rate - since, 0.0))
            return Text(f"{task.fields['note']}, {rate * members:,.0f} env steps/s, {left} left")

    line = Column(no_wrap=True, overflow="ellipsis")
    console = Console(file=stream, force_terminal=True)  # type: ignore[arg-type]  # has every method that rich calls
    columns = (TextColumn("{task.description}", markup=False), BarColumn(12), TaskProgressColumn(), Numbers(line))
    # a rate over five minutes: a run may report less than once in rich's default of thirty seconds
    return RichProgress(*columns, console=console, refresh_per_second=2, speed_estimate_period=300.0, transient=True)


def duration(seconds: float) -> str:
    """3725.0 -> '1h 02m', 125.0 -> '2m 05s', 9.6 -> '10s'.

    >>> duration(3725.0), duration(125.0), duration(9.6)
    ('1h 02m', '2m 05s', '10s')
    """
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole}s"
