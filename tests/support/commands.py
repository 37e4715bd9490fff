"""Runs a module as `python -m` does, in this process."""

import runpy
import sys
from collections.abc import Sequence

import pytest


def run(module: str, argv: Sequence[str] = ()) -> int:
    """The exit status of `python -m module argv`; what the module imports may be patched beforehand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *argv])
        with pytest.raises(SystemExit) as end:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    return end.value.code
