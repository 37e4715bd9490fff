"""A checkpoint that is on the disk when the call returns, or whose error is raised by it."""

from typing import Any

from hindsight_jax.checkpoints.checkpoints import Checkpoints


def save(checkpoints: Checkpoints, step: Any, state: Any, extra: Any = None) -> None:
    checkpoints.save(step, state, extra)
    checkpoints.wait()
