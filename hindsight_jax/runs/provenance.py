"""Provenance of a result: versions, device, precision, commit and arguments, without absolute paths."""

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "brax", "mujoco", "mujoco-mjx", "orbax-checkpoint", "numpy")
_ROOT = Path(__file__).resolve().parents[2]
_ABSOLUTE = re.compile(r"(^|[=,:\s\"'])(?:~|[A-Za-z]:)?[/\\][^\s,:\"']*?([^/\\\s,:\"']+)[/\\]*(?=$|[\s,:\"'])")


def describe(argv: Sequence[str] = ()) -> dict[str, Any]:
    """Everything outside the config that a run's numbers may depend on. Starts JAX's backend.

    Args:
      argv: the arguments after the program's name; absolute paths in them are cut to their last part.

    >>> sorted(describe(["--config=hdm_push"]))
    ['arguments', 'commit', 'device', 'dirty', 'precision', 'versions', 'xla_flags']
    """
    return {
        "versions": versions(),
        "device": device(),
        "precision": precision(),
        "xla_flags": portable(os.environ.get("XLA_FLAGS", "")),
        **commit(),
        "arguments": [portable(argument) for argument in argv],
    }


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
    """JAX's devices, and the processor and system of the host, without its name."""
    import jax

    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


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
