"""The processes of one run, by `jax.distributed`. Each trains its own members; all of them stop together.

Dimension key: P processes.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

import jax
import numpy as np

from hindsight_jax import backend

SECONDS_TO_START = 300  # in which all processes must start
SECONDS_OF_SILENCE = 60  # after which a process that hangs counts as gone; JAX notices at once one that ends
SECONDS_OF_GRACE = 2.0  # for the other processes to print their errors


class Address(NamedTuple):
    """The address of process 0, the number of processes and the index of this one; None: JAX asks the cluster."""

    coordinator: str | None = None  # HOST:PORT
    processes: int | None = None
    process: int | None = None


class ProcessesError(RuntimeError):
    """The processes cannot connect, or one of them is gone; the message names the remedy."""


class Processes(NamedTuple):
    """The P processes of a run, seen from one of them."""

    index: int = 0  # of this process
    count: int = 1  # P

    @property
    def is_first(self) -> bool:
        """Whether this is process 0, which writes all files but the records of other processes' members."""
        return self.index == 0

    def all_gather(self, numbers: Sequence[float] | np.ndarray) -> np.ndarray:
        """All-gathers `numbers`: f64[P, ...]. Collective: every process must call it with the same shape.

        Raises ProcessesError if another process is gone.

        >>> Processes().all_gather([2.0, 3.0]).tolist()
        [[2.0, 3.0]]
        """
        local = np.asarray(numbers, np.float64)
        if self.count == 1:
            return local[None]
        from jax.experimental import multihost_utils

        with _processes_errors():
            bits = multihost_utils.process_allgather(local.view(np.uint32))  # as bits: JAX would round f64 to f32
        return np.asarray(bits).view(np.float64).reshape(self.count, *local.shape)

    def wait(self) -> None:
        """A barrier: returns when every process has called it."""
        self.all_gather([0.0])


def join(address: Address | None) -> Processes:
    """Connects the processes of a run, and starts JAX's backend. Without an address the run has one process.

    JAX asks SLURM, Open MPI, Kubernetes or the TPU pod for the entries of the address that are None.

    Raises ProcessesError if the others do not connect, BackendError if the backend does not start.
    """
    if address is None:
        backend.start()
        return Processes()
    jax.config.update("jax_enable_preemption_service", False)  # it would catch SIGTERM: see signals.py
    try:
        jax.distributed.initialize(
            *address, initialization_timeout=SECONDS_TO_START, heartbeat_timeout_seconds=SECONDS_OF_SILENCE
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        remedy = "Start all of them, or give --coordinator=HOST:PORT --processes=N --process=I to each."
        raise ProcessesError(f"the run's processes could not come together ({reason}). {remedy}") from error
    backend.start()
    return Processes(jax.process_index(), jax.process_count())


def leave(code: int, processes: Processes) -> NoReturn:
    """Flushes and exits at once, without JAX's barrier, on which the others would block, and without its threads."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a broken pipe, a closed stream, none
            stream.flush()
    if processes.is_first and processes.count > 1:
        time.sleep(SECONDS_OF_GRACE)  # JAX ends the others with process 0: let them print their errors first
    os._exit(code)


@contextlib.contextmanager
def _processes_errors() -> Iterator[None]:
    """Turns the error of a broken collective into a ProcessesError."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise ProcessesError(
            "another process of this run is gone, so this one stops too; the output of the other says why. Go on from "
            "the last checkpoint with --resume, with any number of processes."
        ) from error
