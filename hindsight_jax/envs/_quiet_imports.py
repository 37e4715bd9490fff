"""Silence for known messages of other packages, without hiding anything else."""

import contextlib
import io
import warnings
from collections.abc import Iterator

# MuJoCo's MJX prints these to stdout when NVIDIA's optional Warp is absent.
_KNOWN = ("Failed to import warp", "Failed to import mujoco_warp")


@contextlib.contextmanager
def without_warp_message() -> Iterator[None]:
    """Holds stdout back inside the block, then prints it, less MJX's two messages about the optional Warp.

    The deprecation warning of jaxopt, which brax imports, is ignored too.

    >>> with without_warp_message():
    ...     from mujoco import mjx
    """
    held = io.StringIO()
    try:
        with contextlib.redirect_stdout(held), warnings.catch_warnings():
            # brax.envs imports jaxopt, which warns that it is no longer maintained
            warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
            yield
    finally:
        shown = "".join(line for line in held.getvalue().splitlines(True) if not line.startswith(_KNOWN))
        if shown:
            print(shown, end="")  # unlike sys.stdout.write, nothing happens where standard output is closed
