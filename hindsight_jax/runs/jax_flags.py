"""What the commands ask of XLA, before it compiles anything.

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
    """Sets XLA_FLAGS for a CPU, before JAX's backend starts; a flag of the user's own wins, and a GPU reads none.

    Large programs end (`avoid_deadlock`), and M members, if told, are spread over the cores: as many devices as there
    are cores, or the largest number below that divides M. Where every core is a device, a product keeps to its own:
    two threads that meet after each product wait for each other more than they share. An M that leaves cores over,
    such as a prime one, keeps products that spread over all cores.

    Raises ValueError if `num_members` is given and is no positive integer.
    """
    avoid_deadlock()
    if num_members is None:
        return
    checks.positive_int("num_members", num_members, "A population has at least one member.")
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
    """Sets XLA_FLAGS so that large programs end on a CPU of few cores; a flag of the user's own wins.

    The scheduler that jaxlib 0.10 has by default lets parts of a program run at once, on a pool of as many threads as
    there are cores; a rollout of 1,000 claws on two cores then waits for itself for ever. Other versions are left
    alone: XLA ends a process whose flags it does not know.
    """
    if jax.__version_info__[:2] == (0, 10):
        add(f"{SCHEDULER}=false")


def add(flag: str) -> None:
    """Appends the flag to XLA_FLAGS, unless it is set there already."""
    flags = os.environ.get("XLA_FLAGS", "")
    if flag.partition("=")[0] not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()


def configure_jax(num_members: int | None = None) -> None:
    """Float32 products in full (a GPU would round them to TF32), a CPU's cores for so many members, and compiled code
    kept for the next start.
    """
    import jax

    from hindsight_jax.runs import jax_flags

    jax_flags.configure(num_members)
    os.environ.setdefault("MUJOCO_GL", "disable")  # or mujoco looks for GL when it is imported
    if jax.config.jax_default_matmul_precision is None:  # JAX_DEFAULT_MATMUL_PRECISION sets it
        jax.config.update("jax_default_matmul_precision", "float32")
    if not jax.config.jax_compilation_cache_dir:  # JAX_COMPILATION_CACHE_DIR sets it
        with contextlib.suppress(RuntimeError):  # a user without a home, as containers have them, keeps nothing
            root = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
            jax.config.update("jax_compilation_cache_dir", str(root / "hindsight_jax"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
