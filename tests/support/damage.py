"""Small checkpoints, their files, and the restore that passes over a damaged one."""

import warnings
from pathlib import Path

import jax
import numpy as np

from hindsight_jax.checkpoints.checkpoints import Checkpoints


def small_state(step: int) -> dict[str, jax.Array]:
    return {"x": jax.random.normal(jax.random.key(step), (50,))}


def folder(directory: Path, step: int) -> Path:
    return directory / f"step_{step:012d}"


def files_of(directory: Path, step: int) -> list[Path]:
    return [path for path in sorted(folder(directory, step).rglob("*")) if path.is_file()]


def check_damaged(directory: Path, damaged: str) -> str:
    """Step 100 comes back, bit for bit, with a warning that names step 200."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step, state, _ = Checkpoints(directory).restore(small_state(0))
    text = " ".join(str(warning.message) for warning in caught)
    assert step == 100, damaged
    assert np.array_equal(state["x"], small_state(100)["x"])
    assert "step_000000000200 is damaged" in text, damaged
    return text
