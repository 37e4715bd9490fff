"""Silences known messages of other packages, and nothing else."""

import contextlib
import io
import warnings
from collections.abc import Iterator

# MuJoCo's MJX prints these to stdout when NVIDIA's optional Warp is absent.
_KNOWN = ("Failed to import warp", "Failed to import mujoco_warp")


@contextlib.contextmanager
def without_warp_message() -> Iterator[None]:
    """Captures stdout inside the block, then prints it without MJX's two messages about the optional Warp.

    It also ignores the deprecation warning of jaxopt, which brax imports.

    >>> with without_warp_message():
    ...     from mujoco import mjx
    """
    captured = io.StringIO()
    try:
        with contextlib.redirect_stdout(captured), warnings.catch_warnings():
            # brax.envs imports jaxopt, which warns that it is no longer maintained
            warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
            yield
    finally:
        shown = "".join(line for line in captured.getvalue().splitlines(True) if not line.startswith(_KNOWN))
        if shown:
            print(shown, end="")  # unlike sys.stdout.write, nothing happens where standard output is closed
