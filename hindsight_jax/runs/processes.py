"""The processes of one run, by `jax.distributed`: each trains its own members, and all of them stop together.

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

SECONDS_TO_START = 300  # until all processes must have come
SECONDS_OF_SILENCE = 60  # after which a process that hangs is given up; one that ends is noticed at once

SECONDS_OF_GRACE = 2.0


class Address(NamedTuple):
    """Where process 0 listens, how many processes there are, and which one this is; all None: ask the cluster."""

    coordinator: str | None = None  # HOST:PORT
    processes: int | None = None
    process: int | None = None


class ProcessesError(RuntimeError):
    """The processes cannot come together, or one of them is gone; the message names the remedy."""


class Processes(NamedTuple):
    """This process among P."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Who writes what is written once."""
        return self.index == 0

    def all_gather(self, numbers: Sequence[float] | np.ndarray) -> np.ndarray:
        """What each process passes, f64[P, ...]; all must call it, with the same shape. Waits for all.

        Raises ProcessesError if one is gone.

        >>> Processes().all_gather([2.0, 3.0]).tolist()
        [[2.0, 3.0]]
        """
        mine = np.asarray(numbers, np.float64)
        if self.count == 1:
            return mine[None]
        from jax.experimental import multihost_utils

        with _noticed():
            bits = multihost_utils.process_allgather(mine.view(np.uint32))  # JAX would make f32 of f64
        return np.asarray(bits).view(np.float64).reshape(self.count, *mine.shape)

    def wait(self) -> None:
        """Until every process is here."""
        self.all_gather([0.0])


def join(address: Address | None) -> Processes:
    """Brings the processes of a run together, before JAX's backend starts; one process alone without an address.

    SLURM, Open MPI, Kubernetes and TPU pods are asked by JAX itself for what the address leaves open.

    Raises ProcessesError if the others do not come.
    """
    if address is None:
        return Processes()
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from us: see interrupt.py
    try:
        jax.distributed.initialize(
            *address, initialization_timeout=SECONDS_TO_START, heartbeat_timeout_seconds=SECONDS_OF_SILENCE
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        remedy = "Start all of them, or give --coordinator=HOST:PORT --processes=N --process=I to each."
        raise ProcessesError(f"the run's processes could not come together ({reason}). {remedy}") from error
    return Processes(jax.process_index(), jax.process_count())


def leave(code: int, hosts: Processes) -> NoReturn:
    """Ends this process at once, with what it has printed: others are not waited for, since they may wait for this."""
    sys.stdout.flush()
    sys.stderr.flush()
    if hosts.is_first:
        time.sleep(SECONDS_OF_GRACE)  # JAX ends the others with this one: first let them say why they stop, too
    os._exit(code)


@contextlib.contextmanager
def _noticed() -> Iterator[None]:
    """Turns a broken collective into a ProcessesError."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise ProcessesError(
            "another process of this run is gone, so this one stops, too; its own output says why. Go on from the last "
            "checkpoint with --resume, with as many processes as you like."
        ) from error
