"""make and names: what is known, what is refused, and that names cost nothing."""

import os
import subprocess
import sys

import pytest

from hindsight_jax import envs

QUIET = """
import sys
from hindsight_jax import envs
assert "push" in envs.names()
heavy = {"mujoco", "brax", "flax", "OpenGL"} & set(sys.modules)
assert not heavy, f"names imported {heavy}"
assert envs.GoalEnv.__name__ == "GoalEnv" and envs.AutoReset.__name__ == "AutoReset"
envs.make("push")
assert not {"OpenGL", "glfw"} & set(sys.modules)
print("made")
"""


def test_names_import_no_simulator_and_make_prints_nothing_and_needs_no_gl():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", QUIET],
        env={**os.environ, "MUJOCO_GL": "disable", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "made\n"


def test_names_are_sorted_and_all_can_be_made():
    assert list(envs.names()) == sorted(envs.names())
    for name in envs.names():
        assert isinstance(envs.make(name), envs.GoalEnv)


def test_every_task_of_the_table_is_named():
    assert set(envs.names()) >= {"flip_bit", "grid_four_rooms", "navigation", "push"}


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"name: got 'pusch', but it must be one of .*push.*\. Did you mean 'push'\?"):
        envs.make("pusch")
    with pytest.raises(ValueError, match="Pick one of them"):
        envs.make("zzz")
    with pytest.raises(ValueError, match="name: got 3"):
        envs.make(3)


def test_an_unknown_override_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"override of push: got 'horizons', .*Did you mean 'horizon'\?"):
        envs.make("push", horizons=20)


def test_overrides_reach_the_spec():
    for name in envs.names():
        spec = envs.make(name, horizon=7, threshold=0.01).spec
        assert (spec.horizon, spec.threshold) == (7, 0.01)


def test_the_package_knows_its_names():
    assert {"make", "names", "GoalEnv", "AutoReset"} <= set(dir(envs))
    with pytest.raises(AttributeError, match="it has AutoReset, GoalEnv, make, names"):
        _ = envs.mak
