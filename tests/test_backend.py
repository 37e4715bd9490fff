"""A backend that is not there, or a device that fails when it is touched first: one error, with a remedy."""

import os
import pickle
import re
import subprocess
import sys

import commands
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hindsight_jax as hj
from hindsight_jax import backend, envs, presets
from hindsight_jax.backend import BackendError
from hindsight_jax.checkpoints.checkpoints import Checkpoints
from hindsight_jax.interop.gymnasium import GymnasiumEnv

FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4 bytes.\nBuffers: ...")


def failing(error: Exception):
    def fail(*_, **__):
        raise error

    return fail


@pytest.fixture
def no_device(monkeypatch):
    monkeypatch.setattr(jax, "devices", failing(AssertionError()))  # as of JAX for a GPU of NVIDIA that is not there


@pytest.mark.parametrize(
    ("function", "error", "cause"),
    [
        ("devices", AssertionError(), r"\(it finds no such device\)"),
        ("devices", RuntimeError("Unable to initialize backend 'x'"), r"\(Unable to initialize backend 'x'\)"),
        ("device_put", FULL, r"\(RESOURCE_EXHAUSTED: Out of memory allocating 4 bytes\.\)"),
    ],
)
def test_every_error_becomes_one_that_names_its_cause_and_a_remedy(monkeypatch, function, error, cause):
    monkeypatch.setattr(jax, function, failing(error))
    with pytest.raises(BackendError, match=rf"^JAX_PLATFORMS=cpu: .* {cause}\. Check its driver, .*; or set JAX_PLAT"):
        backend.start()


def test_it_may_be_called_while_tracing():
    assert jax.jit(lambda x: (backend.start(), x + 1.0)[1])(1.0) == 2.0


ENTRIES = [
    lambda path: hj.train("her_flip_bit", seeds=1),
    lambda path: presets.build("her_flip_bit", presets.config("her_flip_bit")),  # of load, q_values, sessions
    lambda path: pickle.loads(pickle.dumps(envs.make("point_mass").engine)).scene(jnp.zeros(2)),
    lambda path: envs.check_task(envs.make("flip_bit", size=3)),
    lambda path: GymnasiumEnv("flip_bit", size=19).reset(seed=0),  # no other test has made it
    lambda path: Checkpoints(path).restore({"x": np.zeros(3, np.float32)}),
]


@pytest.mark.parametrize("number", range(len(ENTRIES)))
def test_what_touches_the_backend_first_raises_it(no_device, tmp_path, number):
    with pytest.raises(BackendError, match="set JAX_PLATFORMS=cpu"):
        ENTRIES[number](tmp_path)


COMMANDS = [
    ("experiments.bench", "--parts=startup"),
    ("experiments.environments", "--tasks=flip_bit"),
    ("experiments.environments", "--gallery=made.png"),
    ("experiments.theory", "limits", "--output=made"),
    ("experiments.reproduce.imitated", "made.json", "made.png", "a=run"),
    ("experiments.reproduce.labels", "made.json", "run"),
    ("experiments.reproduce.q_values", "--workdir=run"),
    ("experiments.reproduce.rooms", "run"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_ends_with_one_line_and_writes_nothing(no_device, tmp_path, monkeypatch, command):
    """`experiments.run` is tested in tests/cli/test_command_lines.py. The others compute nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, command[0], raising=False)  # runpy warns of a module that is there
    status = commands.run(command[0], command[1:])  # of sys.exit: a text is printed, and the status is 1
    assert re.fullmatch(r"error: JAX_PLATFORMS=cpu: .*set JAX_PLATFORMS=cpu\.", status)
    assert not list(tmp_path.iterdir())


@pytest.mark.seldom
@pytest.mark.parametrize("platform", ["cuda", "gpu", "tpu", "nonsense", "cpu,nonsense"])
def test_a_platform_that_is_not_there_is_refused_in_a_process_of_its_own(platform):
    code = "from hindsight_jax import backend; backend.start_or_exit()"
    environment = os.environ | {"JAX_PLATFORMS": platform, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        pytest.skip("this machine has it")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: JAX_PLATFORMS={platform}: JAX cannot use that backend (")
    assert done.stderr.count("\n") == 1
