"""The first touch of JAX's backend, with an error that names a remedy where there is no device to compute on.

Imports touch no device. What does so first calls `start`: JAX's own errors there range from a bare AssertionError to
twenty frames.
"""

import jax
import numpy as np


class BackendError(RuntimeError):
    """JAX cannot compute: its backend does not start, or its device fails. The message holds a remedy."""


def start() -> None:
    """Starts JAX's backend, unless it has started, and puts a number on its default device.

    Raises BackendError: the backend is not installed, there is no such device, or its driver or its memory fails.

    >>> start()
    """
    try:
        with jax.ensure_compile_time_eval():  # callers may be traced
            jax.devices()
            jax.block_until_ready(jax.device_put(np.zeros((), np.float32)))
    except Exception as error:  # of any kind: JAX and its plugins raise several
        asked = jax.config.jax_platforms
        cause = (str(error).strip() or "it finds no such device").splitlines()[0].partition(" (set JAX_PLATFORMS")[0]
        what = f"JAX_PLATFORMS={asked}: JAX cannot use that backend" if asked else "JAX cannot use a device"
        remedy = "Check its driver, and whether another process fills it; install what it needs, such as jax[cuda12]"
        raise BackendError(f"{what} ({cause[:300]}). {remedy}; or set JAX_PLATFORMS=cpu.") from error


def start_or_exit() -> None:
    """As `start`, for a command: the error ends the process with status 1 and one line."""
    try:
        start()
    except BackendError as error:
        raise SystemExit(f"error: {error}") from None
