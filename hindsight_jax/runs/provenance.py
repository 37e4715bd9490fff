"""Provenance of a result: versions, device, precision, settings, commit and arguments, without absolute paths."""

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "brax", "mujoco", "mujoco-mjx", "orbax-checkpoint", "numpy")
# JAX's flags and environment variables on which random numbers or the last bits of arithmetic may depend, with their
# defaults: those that a run of an earlier version, which recorded none, is taken to have had.
SETTINGS: dict[str, Any] = {
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_threefry_gpu_kernel_lowering": False,
    "jax_random_seed_offset": 0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_softmax_custom_jvp": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_use_direct_linearize": True,
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_exec_time_optimization_effort": 0.0,
    "jax_compiler_enable_remat_pass": True,
    "jax_use_shardy_partitioner": True,
    "jax_default_device": None,
    "NVIDIA_TF32_OVERRIDE": "",
    "TF_CUDNN_DETERMINISTIC": "",
    "LIBTPU_INIT_ARGS": "",
}
_COMPARED = ("commit", "dirty", "versions", "device", "precision", "xla_flags")
_CPUINFO = Path("/proc/cpuinfo")
_ROOT = Path(__file__).resolve().parents[2]
_ABSOLUTE = re.compile(r"(^|[=,:\s\"'])(?:~|[A-Za-z]:)?[/\\][^\s,:\"']*?([^/\\\s,:\"']+)[/\\]*(?=$|[\s,:\"'])")


def describe(argv: Sequence[str] = ()) -> dict[str, Any]:
    """Everything outside the config that a run's numbers may depend on. Starts JAX's backend.

    Args:
      argv: the arguments after the program's name; absolute paths in them are cut to their last part.

    >>> sorted(describe(["--config=hdm_push"]))
    ['arguments', 'by_device', 'commit', 'device', 'dirty', 'precision', 'settings', 'versions', 'xla_flags']
    """
    from hindsight_jax import by_device  # it imports JAX, which `versions` and `commit` do not need

    return {
        "versions": versions(),
        "device": device(),
        "precision": precision(),
        "xla_flags": portable(os.environ.get("XLA_FLAGS", "")),
        "settings": settings(),
        "by_device": by_device.describe(),
        **commit(),
        "arguments": [portable(argument) for argument in argv],
    }


def changed(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What differs between two results of `describe`, of that on which numbers may depend, bit for bit.

    Settings are named one by one. What `before`, of an earlier version, does not hold is not compared; its settings are
    JAX's defaults.

    >>> now = describe()
    >>> changed(now, now | {"commit": "another", "settings": now["settings"] | {"jax_threefry_partitionable": False}})
    ['commit', 'jax_threefry_partitionable']
    """
    kinds = [kind for kind in _COMPARED if _differs(now.get(kind), before.get(kind))]
    earlier = SETTINGS | before.get("settings", {})
    return kinds + [name for name, value in now["settings"].items() if value != earlier.get(name)]


def _differs(now: Any, before: Any) -> bool:
    """Whether two entries differ; of dicts, in what both hold."""
    if isinstance(now, Mapping) and isinstance(before, Mapping):
        return any(now[name] != before[name] for name in now.keys() & before.keys())
    return now != before


def settings() -> dict[str, Any]:
    """The values of SETTINGS in this process; a flag that this version of JAX does not know is left out."""
    import jax

    found: dict[str, Any] = {}
    for name in SETTINGS:
        if not name.startswith("jax_"):
            found[name] = portable(os.environ.get(name, ""))
        elif name in jax.config.values:
            value = getattr(jax.config, name, jax.config.values[name])  # some have no attribute
            found[name] = value if isinstance(value, (bool, int, float, str)) or value is None else str(value)
    return found


def versions() -> dict[str, str | None]:
    """Version of Python and of each of PACKAGES; None if it is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def device() -> dict[str, Any]:
    """JAX's devices and what runs them, and the processor and system of the host, without its name."""
    import jax

    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
        "runtime": str(devices[0].client.platform_version),  # such as the version of CUDA
        "processor": processor(),
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """The model of the host's processor, whose vector units XLA compiles for; "" if it is not known."""
    with contextlib.suppress(OSError):
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def precision() -> dict[str, Any]:
    """JAX's precision of matrix products, and whether float64 is on. "default" is TF32 on GPUs: ten mantissa bits."""
    import jax

    return {
        "matmul": jax.config.jax_default_matmul_precision or "default",
        "float64": bool(jax.config.jax_enable_x64),
    }


def commit() -> dict[str, Any]:
    """{"commit": 40 hex digits, "dirty": whether the sources differ from it}.

    Both are None if git does not track the sources, as those of an installed package, or git is missing.
    """
    unknown = {"commit": None, "dirty": None}
    if _git("ls-files", "--error-unmatch", "hindsight_jax/runs/provenance.py") is None:
        return unknown
    head = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--", "hindsight_jax", ":(glob)experiments/**/*.py")
    return unknown if head is None or status is None else {"commit": head, "dirty": bool(status)}


def portable(argument: str) -> str:
    """The argument with every absolute path cut to its last part.

    >>> portable("--workdir=/home/ada/runs/first"), portable("--workdir=runs/first")
    ('--workdir=first', '--workdir=runs/first')
    """
    return _ABSOLUTE.sub(r"\1\2", argument)


def _git(*arguments: str) -> str | None:
    """Output of a git command in the repository of the sources, or None if it fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        process = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()
