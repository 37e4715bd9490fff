"""Two small steps to damage."""

import shutil
from pathlib import Path

import pytest
from damage import small_state
from saving import save

from hindsight_jax.checkpoints.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def small_steps(tmp_path_factory) -> Path:
    """A directory that holds steps 100 and 200. Tests copy it."""
    directory = tmp_path_factory.mktemp("small")
    for step in (100, 200):
        save(Checkpoints(directory), step, small_state(step))
    return directory


@pytest.fixture
def directory(small_steps, tmp_path) -> Path:
    return Path(shutil.copytree(small_steps, tmp_path / "copy"))
