"""A work directory to write into."""

import math

import pytest

from hindsight_jax.runs.workdir import WorkDir


@pytest.fixture
def run(tmp_path):
    """A fresh run with its config."""
    fresh = WorkDir.create(tmp_path / "runs" / "first")
    fresh.write_config({"seed": 7, "agent": {"gamma_hdm": math.inf}}, name="hdm_push", argv=["--workdir=/a/b/first"])
    return fresh
