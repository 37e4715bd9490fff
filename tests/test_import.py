"""What importing costs: no device, no network, no GL, no simulator, and losses need jax alone."""

import subprocess
import sys

import pytest

HEAVY = ("brax", "mujoco", "matplotlib", "flax", "optax", "orbax", "scipy", "ml_collections", "rich", "tensorboardX")

BLOCKED = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {names!r}:
            raise ImportError('blocked: ' + name)
sys.meta_path.insert(0, Block())
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["losses", "relabel", "replay", "types"])
def test_pure_modules_need_jax_alone(name):
    code = BLOCKED.format(names=HEAVY) + f"from hindsight_jax import {name}\nprint({name}.__name__)"
    assert run(code).strip() == f"hindsight_jax.{name}"


def test_the_package_imports_nothing_heavy_and_touches_no_device():
    code = """
import sys, socket
def refuse(*args, **kwargs):
    raise AssertionError('network')
socket.socket.connect = refuse
import hindsight_jax
from hindsight_jax import losses, presets, relabel, replay
import jax
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), 'a device was touched'
print(sorted({m.split('.')[0] for m in sys.modules} & set(HEAVY)))
""".replace("HEAVY", repr(HEAVY))
    assert run(code).strip() == "[]"


def test_every_name_of_the_index_can_be_asked_for():
    code = """
import warnings
warnings.filterwarnings('ignore', 'JAXopt')
import hindsight_jax as hj
for name in hj.__all__:
    assert getattr(hj, name).__name__ == ('train' if name == 'train' else 'hindsight_jax.' + name)
try:
    hj.loses
except AttributeError as error:
    print(error)
"""
    assert "losses" in run(code)


def test_envs_need_no_gl():
    code = BLOCKED.format(names=("OpenGL", "glfw")) + (
        "import os\nos.environ['MUJOCO_GL'] = 'disable'\nfrom hindsight_jax import envs\n"
        "import jax\nstate = envs.make('push').reset(jax.random.key(0))\nprint(float(state.reward))"
    )
    assert run(code).strip() == "0.0"
