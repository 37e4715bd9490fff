"""The flag that keeps jaxlib 0.10 from waiting for itself."""

import os

import jax
import pytest

from hindsight_jax.runs import jax_flags

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
    jax_flags.avoid_deadlock()
    jax_flags.avoid_deadlock()
    assert os.environ["XLA_FLAGS"] == after


DEVICES, THREADS = "--xla_force_host_platform_device_count", "--xla_cpu_multi_thread_eigen=false"


@pytest.mark.parametrize(
    ("before", "num_members", "cores", "added"),
    [
        ("", None, 4, []),
        ("", 8, 4, [f"{DEVICES}=4", THREADS]),
        ("", 6, 4, [f"{DEVICES}=3"]),  # one core is left over: products may use it
        ("", 7, 4, []),  # one device, and every product on all cores
        ("", 1, 4, []),
        ("", 8, 1, []),
        (f"{DEVICES}=2", 8, 4, []),  # the user's own
        ("--xla_cpu_multi_thread_eigen=true", 8, 4, [f"{DEVICES}=4"]),
    ],
)
def test_members_are_spread_over_the_cores_and_the_user_s_flags_win(before, num_members, cores, added, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", before)
    monkeypatch.setattr(jax, "__version_info__", (0, 10, 2))
    monkeypatch.setattr(jax_flags, "num_cores", lambda: cores)
    jax_flags.configure(num_members)
    assert os.environ["XLA_FLAGS"].split() == [*before.split(), FLAG, *added]


def test_a_population_without_members_is_refused():
    with pytest.raises(ValueError, match="num_members: got 0"):
        jax_flags.configure(0)
