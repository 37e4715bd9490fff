"""The errors with which a run is refused, or ends: those whose message names a remedy."""

import contextlib
from collections.abc import Iterator

import jax

from hindsight_jax.backend import BackendError
from hindsight_jax.checkpoints.checkpoints import CheckpointError
from hindsight_jax.runs import estimate
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.lock import LockedError
from hindsight_jax.runs.processes import ProcessesError


class SessionError(RuntimeError):
    """The run cannot start or go on; the message names the remedy."""


_REFUSED = (BackendError, WorkDirError, LockedError, CheckpointError, ProcessesError, estimate.MemoryRefusal, OSError)


@contextlib.contextmanager
def refusals(*kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of these kinds, by default all whose message names a remedy, into SessionError.

    So it does with the device's memory being full. Other errors are bugs, and keep their traceback.
    """
    kinds = kinds or _REFUSED
    try:
        yield
    except kinds as error:
        raise SessionError(str(error)) from error
    except jax.errors.JaxRuntimeError as error:
        if not str(error).startswith("RESOURCE_EXHAUSTED"):
            raise
        remedy = "Use fewer seeds or settings, or lower --config.replay.capacity; nothing saved is lost."
        raise SessionError(f"the device's memory is full ({str(error).splitlines()[0][:200]}). {remedy}") from error
