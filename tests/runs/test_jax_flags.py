"""What a command sets before it compiles anything: XLA's flags, the precision of products, the cache of programs."""

import os

import jax
import pytest

from hindsight_jax.cli import main
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


@pytest.mark.parametrize(
    ("arguments", "num_members"),
    [
        (["--config.seeds=3"], 3),
        (["--config.seeds=3", '--config.grid={"agent.beta": [1, 2], "agent.gamma_hdm": [0, 0.5]}'], 12),
        (["--config.seeds=3", '--config.grid={"agent.beta": [1, 2], "agent.hidden_sizes": [[8], [4, 4]]}'], 6),
        (["--config.seeds=6", "--workdir=made", "--coordinator=host:1", "--processes=2", "--process=0"], 3),
        (["--config.seeds=1", "--workdir=made", "--coordinator=host:1", "--processes=2", "--process=0"], 1),
    ],
)
def test_a_run_tells_how_many_members_one_program_of_this_process_has(arguments, num_members, monkeypatch):
    """Seeds times settings; hidden sizes are a program each."""

    class Told(Exception):
        pass

    def told(number):
        raise Told(number)

    monkeypatch.setattr(jax_flags, "configure", told)
    with pytest.raises(Told) as found:
        main.main(["--config=hdm_push", *arguments])
    assert found.value.args == (num_members,)


SETTINGS = ("jax_default_matmul_precision", "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """A function of the user's own precision and cache: the values of SETTINGS after `configure_jax`."""
    monkeypatch.setattr(jax_flags, "configure", lambda num_members: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = {name: getattr(jax.config, name) for name in SETTINGS}

    def configure(precision, cache):
        for name, value in zip(SETTINGS, (precision, cache, 7.0), strict=True):
            jax.config.update(name, value)
        jax_flags.configure_jax(3)
        return tuple(getattr(jax.config, name) for name in SETTINGS)

    yield configure
    for name, value in before.items():
        jax.config.update(name, value)


def test_products_are_full_and_programs_are_kept_unless_the_user_says_otherwise(configured, tmp_path):
    """A GPU would round float32 products to TF32; what compiles in less than half a second is not worth a file."""
    kept = str(tmp_path / "hindsight_jax")
    assert configured(None, None) == ("float32", kept, 0.5)
    assert configured("bfloat16", None) == ("bfloat16", kept, 0.5)
    assert configured(None, "own") == ("float32", "own", 7.0)


def test_the_cache_is_below_the_home_where_no_other_place_is_named(configured, monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert configured(None, None)[1] == str(tmp_path / ".cache" / "hindsight_jax")


@pytest.mark.parametrize(("before", "after"), [(None, "disable"), ("egl", "egl")])
def test_mujoco_looks_for_no_gl_unless_the_user_wants_it(configured, before, after, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", before or "")
    if before is None:
        monkeypatch.delenv("MUJOCO_GL")
    configured(None, None)
    assert os.environ["MUJOCO_GL"] == after
