"""Tasks on the host have names as others do, success as others do, and no images."""

import jax.numpy as jnp
import pytest
import registering
from host_line import HostLine

from hindsight_jax import envs, presets


def test_success_is_strict_and_takes_batches():
    task = HostLine()
    assert task.success(jnp.zeros((3, 1)), jnp.array([[0.0], [0.25], [0.5]])).tolist() == [True, True, False]


def test_it_is_registered_and_made_by_name():
    with registering.tables_restored():
        presets.register_environment("host_line", HostLine, help="a walker on a line", config={"replay.warmup": 7})
        assert isinstance(envs.make("host_line", horizon=6), HostLine)
        assert presets.config("hdm_host_line")["replay.warmup"] == 7
        config = presets.config("hdm_host_line", {"env.horizon": 6})
        assert presets.build("hdm_host_line", config).env.spec.horizon == 6
        with pytest.raises(ValueError, match="'pixels', but a task that is stepped on the host has no images"):
            envs.make("host_line", pixels=48)
