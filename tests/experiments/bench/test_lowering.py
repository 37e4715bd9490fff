"""Every algorithm and every task lowers for a GPU and for a TPU, and holds nothing that would hurt there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench import lowering
from hindsight_jax import envs, presets

NAMES = set(presets.names())
ENVS_MAKE = envs.make
PROGRAMS = {(program, platform) for program in ("init", "advance", "evaluate") for platform in ("cuda", "tpu")}


def first_of(candidates):
    """The first name that there is, in a list; none if there is none of them."""
    return [name for name in candidates if name in NAMES][:1]


def every_name():
    """Each algorithm with MuJoCo, with a task of pure JAX and from images; each task, and each from images."""
    names = set()
    for row in presets.ALGORITHMS:
        for tasks in (["push"], ["flip_bit", "navigation"], ["push_pixels"]):
            names.update(first_of(f"{row}_{task}" for task in tasks))
    for task in envs.names():
        for suffix in ("", "_pixels"):
            names.update(first_of(f"{row}_{task}{suffix}" for row in ("hdm", "hem")))
    return sorted(names)


SAMPLE = ["her_flip_bit"]
REST = [pytest.param(name, marks=pytest.mark.slow) for name in every_name() if name not in SAMPLE]


def test_every_algorithm_task_and_task_of_images_is_among_them():
    rows, tasks, _ = zip(*map(presets.split, every_name()), strict=True)
    assert {*rows} == {*presets.ALGORITHMS}
    assert {*tasks} == {*presets.ENVIRONMENTS}


@pytest.fixture(scope="module")
def shared_tasks():
    """Runs on the same task share it, and what was traced of it."""
    made = {}

    def make(task, **arguments):
        key = task, *sorted(arguments.items())
        if key not in made:
            made[key] = ENVS_MAKE(task, **arguments)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envs, "make", make)
        yield


@pytest.mark.usefixtures("shared_tasks")
@pytest.mark.parametrize("name", [*SAMPLE, *REST])
def test_it_lowers_and_nothing_in_it_would_hurt(name):
    found = {(program, platform): faults for program, platform, faults in lowering.lowered(name)}
    assert found == {key: [] for key in PROGRAMS}


def of_host(x):
    return jax.pure_callback(np.sin, x, x)


def in_a_loop(x):
    return jax.lax.fori_loop(0, 3, lambda i, x: of_host(x), x)


def of_constant(x):
    return jnp.asarray(np.arange(400_000, dtype=np.float32))[x.astype(jnp.int32)]


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (of_host, "host: pure_callback"),
        (in_a_loop, "host: pure_callback"),
        (of_constant, "constant of 1,600,000 bytes: 400000xf32"),
        (lambda x: jnp.linalg.eigh(jnp.outer(x, x))[0], "custom call cusolver_syevd_ffi"),
    ],
)
def test_what_would_hurt_is_found(function, fault):
    assert lowering.faults(jax.jit(function).trace(jnp.ones(3)), "cuda") == [fault]


def test_float64_is_found():
    with jax.enable_x64(True):
        traced = jax.jit(lambda x: x * 2.0).trace(jax.ShapeDtypeStruct((3,), "float64"))
    assert lowering.faults(traced, "cuda") == ["float64"]


def test_kernels_of_a_task_and_of_an_algorithm():
    """A bit that is flipped takes a few kernels, and no loop; an update moves every layer of the network."""
    step = lowering.of_env_step("flip_bit")
    assert 0 < step["kernels"] < 40
    assert step["custom_calls"] == 0
    assert step["elsewhere_kernels"] == step["kernels"]
    assert lowering.of_update("her_flip_bit", 2)["kernels"] > 10
