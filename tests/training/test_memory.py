"""The free memory of a host, a container or a device; None where it is unknown."""

import jax
import jax.numpy as jnp
import pytest

from hindsight_jax.training import memory


def test_free_memory_is_the_hosts_on_a_cpu():
    if jax.local_devices()[0].platform != "cpu":
        pytest.skip("another device counts its own memory")
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 0 < memory.free_memory() <= total


class Device:
    def __init__(self, statistics):
        self.statistics = statistics

    def memory_stats(self):
        return self.statistics


def test_free_memory_of_a_device_is_its_limit_less_what_is_used(monkeypatch):
    for statistics, free in (({"bytes_limit": 10, "bytes_in_use": 4}, 6), ({"bytes_limit": 10}, 10)):
        monkeypatch.setattr(jax, "local_devices", lambda s=statistics: [Device(s)])
        assert memory.free_memory() == free


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A host of 9 kB free, and an empty folder for its container."""
    (tmp_path / "meminfo").write_text("MemTotal: 20 kB\nMemAvailable:      9 kB\n")
    group = tmp_path / "group"
    group.mkdir()
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUPS", ((group, "max", "current", "inactive_file"),))
    monkeypatch.setattr(jax, "local_devices", lambda: [Device(None)])
    return group


def test_a_container_s_limit_counts_and_cached_files_do_not(system):
    assert memory.free_memory() == 9 * 1024
    (system / "max").write_text("5000\n")
    (system / "current").write_text("4000\n")
    assert memory.free_memory() == 9 * 1024  # without memory.stat nothing is known of the container
    (system / "memory.stat").write_text("anon 1000\ninactive_file 3000\n")
    assert memory.free_memory() == 5000 - 4000 + 3000
    (system / "max").write_text("max\n")
    assert memory.free_memory() == 9 * 1024


def test_unknown_is_none(system, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "nowhere")
    assert memory.free_memory() is None


def test_bytes_are_counted_by_shape_and_keys_are_eight_each():
    tree = {"a": jnp.zeros((3, 2)), "b": jnp.zeros(5, jnp.bool_), "k": jax.random.split(jax.random.key(0), 2)}
    assert memory.num_bytes(tree) == 24 + 5 + 16
    assert memory.num_bytes(jax.eval_shape(lambda: tree)) == 24 + 5 + 16
