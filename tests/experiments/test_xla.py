"""The flag that keeps jaxlib 0.10 from waiting for itself."""

import os

import jax
import pytest

from experiments import xla

FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"


@pytest.mark.parametrize(
    ("before", "version", "after"),
    [
        ("", (0, 10, 2), FLAG),
        ("--xla_force_host_platform_device_count=2", (0, 10, 2), f"--xla_force_host_platform_device_count=2 {FLAG}"),
        (FLAG.replace("false", "true"), (0, 10, 2), FLAG.replace("false", "true")),
        ("", (0, 11, 0), ""),
    ],
)
def test_the_flag_is_added_once_where_it_is_known(before, version, after, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", before)
    monkeypatch.setattr(jax, "__version_info__", version)
    xla.avoid_deadlock()
    xla.avoid_deadlock()
    assert os.environ["XLA_FLAGS"] == after
