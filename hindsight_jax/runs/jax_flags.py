"""Global options of XLA and JAX for the commands, set before JAX's backend starts.

Dimension key: M members of a population.
"""

import contextlib
import os
import pathlib

import jax

from hindsight_jax import checks

SCHEDULER = "--xla_cpu_enable_concurrency_optimized_scheduler"
DEVICES = "--xla_force_host_platform_device_count"
THREADS = "--xla_cpu_multi_thread_eigen"


def configure(num_members: int | None = None) -> None:
    """Sets XLA_FLAGS for a CPU, before JAX's backend starts. Flags that the user has set win; GPUs read none of these.

    Avoids a deadlock (`avoid_deadlock`), and spreads M members, if given, over the cores: one device per core, or else
    as many devices as the largest divisor of M below the number of cores. Where every core is a device, products use
    one thread: threads that synchronise after each product cost more than they save. Where M leaves cores over, as a
    prime M may, products use all cores.

    Raises ValueError if `num_members` is given and is not a positive integer.
    """
    avoid_deadlock()
    if num_members is None:
        return
    num_members = checks.positive_int("num_members", num_members, "Pass the number of seeds times settings.")
    cores = num_cores()
    devices = max(count for count in range(1, cores + 1) if num_members % count == 0)
    if devices > 1 and DEVICES not in os.environ["XLA_FLAGS"]:
        add(f"{DEVICES}={devices}")
        if devices == cores:
            add(f"{THREADS}=false")


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def avoid_deadlock() -> None:
    """Sets XLA_FLAGS so that large programs do not hang on a CPU of few cores; a flag that the user has set wins.

    The default scheduler of jaxlib 0.10 runs parts of a program at once, on one thread per core; a rollout of 1,000
    claws on two cores then waits for itself for ever. Other versions of jaxlib get no flag: XLA ends a process whose
    flags it does not know.
    """
    if jax.__version_info__[:2] == (0, 10):
        add(f"{SCHEDULER}=false")


def add(flag: str) -> None:
    """Appends the flag to XLA_FLAGS, unless it is set there already."""
    flags = os.environ.get("XLA_FLAGS", "")
    if flag.partition("=")[0] not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()


def configure_jax(num_members: int | None = None) -> None:
    """Sets JAX's global options: full float32 matmuls (GPUs default to TF32), CPU devices for so many members, and a
    persistent compilation cache.
    """
    configure(num_members)
    os.environ.setdefault("MUJOCO_GL", "disable")  # or mujoco looks for GL when it is imported
    if jax.config.jax_default_matmul_precision is None:  # JAX_DEFAULT_MATMUL_PRECISION sets it
        jax.config.update("jax_default_matmul_precision", "float32")
    if not jax.config.jax_compilation_cache_dir:  # JAX_COMPILATION_CACHE_DIR sets it
        with contextlib.suppress(RuntimeError):  # no home directory (containers): no cache
            root = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
            jax.config.update("jax_compilation_cache_dir", str(root / "hindsight_jax"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
