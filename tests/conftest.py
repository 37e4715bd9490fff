"""Settings of every test: ranks never promote, and physics warnings of other people's imports stay quiet."""

import os
import signal
import threading

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MUJOCO_GL", "disable")

import compiles
import jax
import pytest

pytest_plugins = ["run_fixtures"]

jax.config.update("jax_numpy_rank_promotion", "raise")

# Where a shell's `&` or a CI runner started the tests, SIGINT is ignored, and children inherit that; the tests send it.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def quick_compiles():
    """For `pytestmark = pytest.mark.usefixtures("quick_compiles")`: a module whose code runs once or twice."""
    with compiles.quick():
        yield
