"""How the tests compile: fast, to slow code, since most of it runs once; and what one run compiled, the next one loads.

Read before JAX is imported. All of it is set in the environment, so that the processes that tests start do the same.
"""

import contextlib
import importlib.metadata
import os
import pathlib
import time
from collections.abc import Iterator

DAYS = 30  # an entry that old is deleted
# Code of XLA's older emitters, a module in one piece: both halve what it takes to compile. Other versions may not know
# these flags, and XLA ends a process that names one which it does not know.
FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"

EMITTERS = {"xla_cpu_use_fusion_emitters": True}  # compiler_options of `jax.jit`: the new ones, where bits are compared


def configure() -> None:
    """Keeps compiled code below ~/.cache, or in the user's JAX_COMPILATION_CACHE_DIR, and skips XLA's optimisations."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        root = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(root / "hindsight_jax_tests")
        _delete_old(root / "hindsight_jax_tests")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
    known = importlib.metadata.version("jaxlib").startswith("0.10.")
    if known and FLAGS not in os.environ.get("XLA_FLAGS", ""):  # workers inherit it
        os.environ["XLA_FLAGS"] = xla_flags(FLAGS)


def _delete_old(folder: pathlib.Path) -> None:
    oldest = time.time() - DAYS * 24 * 3600
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def xla_flags(*flags: str) -> str:
    """XLA_FLAGS of the tests with others, for a process of its own."""
    return " ".join((os.environ.get("XLA_FLAGS", ""), *flags)).strip()


@contextlib.contextmanager
def optimised() -> Iterator[None]:
    """Compiles with XLA's optimisations, as users do; for functions that were not compiled before."""
    import jax

    jax.config.update("jax_disable_most_optimizations", False)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", True)
