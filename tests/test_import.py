"""What importing costs: no device, no network, no GL, no simulator, no extra, and losses need jax alone."""

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

import hindsight_jax as hj

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
from hindsight_jax import losses, relabel, replay, types
import jax
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), 'a device was touched'
print(sorted({m.split('.')[0] for m in sys.modules} & set(HEAVY)))
""".replace("HEAVY", repr(HEAVY))
    assert run(code).strip() == "[]"


def test_names_and_their_values_need_no_simulator_and_touch_no_device():
    """Agents declare their hyper-parameters, so their networks' library is imported; names still take but a second."""
    code = """
import sys
from hindsight_jax import presets
assert presets.config('hdm_push')
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), 'a device was touched'
print(sorted({m.split('.')[0] for m in sys.modules} & set(HEAVY)))
""".replace("HEAVY", repr(tuple(set(HEAVY) - {"flax", "optax", "rich"})))
    assert run(code).strip() == "[]"


def test_every_name_needs_neither_a_network_nor_gl():
    """Nor does a physics task; MUJOCO_GL is not set, as on a user's machine."""
    code = (
        BLOCKED.format(names=("OpenGL", "glfw"))
        + """
import os, socket
os.environ.pop('MUJOCO_GL', None)
def refuse(*args, **kwargs):
    raise AssertionError('network')
for owner, name in ((socket.socket, 'connect'), (socket, 'getaddrinfo'), (socket, 'gethostbyname')):
    setattr(owner, name, refuse)
import warnings
warnings.filterwarnings('ignore', 'JAXopt')
import hindsight_jax as hj
for name in hj.__all__:
    assert getattr(hj, name).__name__ == (name if name in ('load', 'load_replay', 'train') else 'hindsight_jax.' + name)
import jax
from jax._src import xla_bridge
made = [hj.envs.make(name) for name in hj.envs.names()] + [hj.envs.make('point_mass', pixels=48, goals='image')]
assert not xla_bridge.backends_are_initialized(), 'a task started JAX, which a fork of this process could not use'
print(float(jax.jit(hj.envs.make('push').reset)(jax.random.key(0)).reward))
try:
    hj.loses
except AttributeError as error:
    print(error)
"""
    )
    reward, message = run(code).splitlines()
    assert reward == "0.0"
    assert "losses" in message


@pytest.mark.parametrize(
    ("index", "table"),
    [
        (hj, {name: home.partition(":")[0] for name, home in hj._INDEX.items()}),
        (hj.envs, hj.envs._LAZY),
    ],
    ids=["hindsight_jax", "envs"],
)
def test_type_checkers_are_shown_the_names_that_python_finds(index, table):
    """Each by an import from its home; a name that neither has is an error to both."""
    shown = {}
    for block in ast.parse(inspect.getsource(index)).body:
        if isinstance(block, ast.If):
            for node in block.body:
                if isinstance(node, ast.ImportFrom):
                    shown |= {
                        a.name: f"{node.module}.{a.name}" if node.module == "hindsight_jax" else node.module
                        for a in node.names
                    }
    assert shown == table


@pytest.mark.parametrize(
    ("module", "extra"), [("gymnasium", "gymnasium"), ("gymnasium_task", "gymnasium"), ("export", "onnx")]
)
def test_an_extra_that_is_absent_is_named_with_its_remedy(module, extra, monkeypatch):
    """As in an environment without it; the other extras are pandas (test_study) and the peers' (test_peers)."""
    for name in [name for name in sys.modules if name.partition(".")[0] == extra or "hindsight_jax.interop" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(ImportError, match=rf"^hindsight_jax\.interop\.{module} needs {extra}: pip install {extra}"):
        importlib.import_module(f"hindsight_jax.interop.{module}")
