"""Listing names imports no simulator, and making a task prints nothing."""

import os
import subprocess
import sys

QUIET = """
import sys
from hindsight_jax import envs
assert "push" in envs.names()
heavy = {"mujoco", "brax", "flax", "OpenGL"} & set(sys.modules)
assert not heavy, f"names imported {heavy}"
envs.register("my_push", lambda: envs.make("push"))
heavy = {"mujoco", "brax", "flax", "OpenGL"} & set(sys.modules)
assert not heavy, f"register imported {heavy}"
assert envs.GoalEnv.__name__ == "GoalEnv" and envs.AutoReset.__name__ == "AutoReset"
envs.make("my_push")
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
