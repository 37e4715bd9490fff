"""Checkpoints: what goes in comes out bit for bit, or is refused by name. Faults are in test_checkpoint_faults."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import compiles
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from saving import save

from hindsight_jax.checkpoints import files
from hindsight_jax.checkpoints.checkpoints import Checkpoints

ROOT = Path(__file__).parents[2]


class Counters(NamedTuple):
    steps: jax.Array
    done: jax.Array


@flax.struct.dataclass
class RunLike:
    params: dict
    counters: Counters
    key: jax.Array
    name: str = flax.struct.field(pytree_node=False, default="static")


def make_state(seed: int = 0) -> RunLike:
    """Every kind of leaf that a run may hold, and floats that a careless copy would change."""
    odd = np.array([np.nan, -0.0, np.inf, 1e-45, np.float32(0.1)], np.float32).view(np.uint32)
    odd[0] |= seed + 1  # a NaN payload
    params = {
        "odd": jnp.asarray(odd.view(np.float32)),
        "a/b.c": (jnp.full((2, 3), seed, jnp.bfloat16), [jnp.arange(4, dtype=jnp.uint8) + seed]),
        "ring": jax.random.normal(jax.random.key(seed), (64, 9)),
        "none": None,
        "empty": {},
        "zero": jnp.zeros((0, 3), jnp.bool_),
        "zero_keys": jax.random.split(jax.random.key(0), 2)[:0],
        "numpy": np.arange(3, dtype=np.int32) + seed,
    }
    counters = Counters(jnp.asarray(2**31 - 1 - seed, jnp.int32), jnp.array([[True], [False]]))
    return RunLike(params, counters, {"one": jax.random.key(seed, impl="rbg"), "many": member_keys(seed)})


def member_keys(seed: int) -> jax.Array:
    return jax.vmap(jax.random.key)(jnp.arange(6) + seed).reshape(2, 3)


def raw(leaf: Any) -> tuple:
    data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return str(leaf.dtype), leaf.shape, np.asarray(data).tobytes()


def assert_same(left: Any, right: Any) -> None:
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(left), jax.tree.leaves(right), strict=True):
        assert raw(a) == raw(b), jax.tree_util.keystr(path)


def abstract(state: Any) -> Any:
    return jax.eval_shape(lambda: state)


def listing(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory) -> Path:
    """A directory that holds steps 100 and 200. Tests copy it."""
    directory = tmp_path_factory.mktemp("two")
    checkpoints = Checkpoints(directory)
    save(checkpoints, 100, make_state(1), {"bytes": 1})
    save(checkpoints, 200, make_state(2), {"bytes": 2})
    return directory


@pytest.fixture
def copy(two_steps, tmp_path) -> Path:
    return Path(shutil.copytree(two_steps, tmp_path / "checkpoints"))


def folder(directory: Path, step: int) -> Path:
    return directory / f"step_{step:012d}"


# ---- what goes in comes out


@pytest.mark.parametrize("as_template", [abstract, lambda state: state], ids=["abstract", "arrays"])
def test_round_trip_is_bit_for_bit(copy, as_template):
    step, state, extra = Checkpoints(copy).restore(as_template(make_state(7)))
    assert (step, extra) == (200, {"bytes": 2})
    assert_same(state, make_state(2))
    assert all(isinstance(leaf, jax.Array) and not leaf.committed for leaf in jax.tree.leaves(state))


def test_extra_comes_back_equal(tmp_path):
    extra = {"config": {"lr": 0.1, "layers": [1, 2], "best": float("-inf"), "none": None}, "π": True, "n": 2**60}
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 0, {"a": jnp.ones(1)}, extra)
    assert checkpoints.restore({"a": jnp.ones(1)})[2] == extra
    save(checkpoints, 1, {"a": jnp.ones(1)})
    assert checkpoints.restore({"a": jnp.ones(1)})[2] == {}


@pytest.mark.parametrize(
    "extra", [{"a": (1,)}, {1: 2}, {"a": np.int32(1)}, {"a": float("nan")}, {"a": jnp.ones(1)}, [1]]
)
def test_extra_that_json_would_change_is_refused(tmp_path, extra):
    with pytest.raises(ValueError, match=r"extra: got .* JSON carries unchanged\. Use string keys"):
        save(Checkpoints(tmp_path), 0, {"a": jnp.ones(1)}, extra)
    assert names(tmp_path) == []


def test_donation_after_a_save_and_after_a_restore(tmp_path):
    """The saved values survive donation, the buffer is still donated (no copy), and nothing is traced again."""
    traces = []

    def epoch(state):
        traces.append(1)
        return jax.tree.map(lambda x: x + 1, state)

    epoch = jax.jit(epoch, donate_argnums=0)
    checkpoints = Checkpoints(tmp_path)
    state = epoch({"ring": jnp.zeros((1 << 16,)), "count": jnp.zeros((), jnp.int32)})
    address = state["ring"].unsafe_buffer_pointer()
    save(checkpoints, 1, state)
    state = epoch(state)
    assert state["ring"].unsafe_buffer_pointer() == address
    for _ in range(2):  # a donated template still says shapes and dtypes; a donated restore leaves the files alone
        _, restored, _ = checkpoints.restore(state)
        assert restored["ring"][0] == restored["count"] == 1
        state = epoch(restored)
        assert state["ring"][-1] == state["count"] == 2
        epoch(state)
    assert len(traces) == 1


def test_a_save_returns_before_it_is_written_and_keeps_what_it_was_given(tmp_path, monkeypatch):
    """The disk hangs: training goes on, and overwrites in place what was passed."""
    may_go_on, real = threading.Event(), files.write_manifest

    def slow(*arguments):
        assert may_go_on.wait(30)
        real(*arguments)

    monkeypatch.setattr(files, "write_manifest", slow)
    checkpoints, state = (
        Checkpoints(tmp_path),
        {"x": jnp.arange(5.0), "k": jax.random.key(3), "n": np.arange(3, dtype=np.int32)},
    )
    wanted = {path: raw(leaf) for path, leaf in state.items()}
    extra = {"seconds": {"train": 1.5}}
    checkpoints.save(1, state, extra)
    checkpoints.raise_if_failed()
    assert not list(tmp_path.glob("step_*"))
    extra["seconds"]["train"] = 2.5
    jax.jit(lambda x: x + 1, donate_argnums=0)(state.pop("x"))
    state["n"] += 1
    may_go_on.set()
    _, restored, kept = checkpoints.restore({"x": jnp.zeros(5), **state})  # which waits
    assert kept == {"seconds": {"train": 1.5}}
    assert {path: raw(leaf) for path, leaf in restored.items()} == wanted


def train_on(checkpoints):
    """For a minute at most."""
    for _ in range(6000):
        checkpoints.raise_if_failed()
        time.sleep(0.01)


def test_an_error_of_the_background_comes_at_the_next_step_and_the_save_after_it_succeeds(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    checkpoints, state = Checkpoints(tmp_path), {"x": jnp.arange(5.0)}
    with monkeypatch.context() as context:
        context.setattr(files, "write_manifest", full)
        checkpoints.save(1, state)
        with pytest.raises(OSError, match="No space left on device: the checkpoint of step 1 was not saved"):
            train_on(checkpoints)
    assert checkpoints.latest_step() is None
    assert not list(tmp_path.iterdir())
    save(checkpoints, 1, state)
    assert checkpoints.latest_step() == 1


def test_a_placed_template_places(tmp_path):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    state = {"x": jnp.ones((2,)), "k": jax.random.key(1)}
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, state)
    structs = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device) for name, leaf in state.items()}
    for template in (structs, jax.device_put(state, device)):
        restored = checkpoints.restore(template)[1]
        assert_same(restored, state)
        assert restored["x"].committed
        assert restored["k"].sharding == device


def test_a_moved_directory_restores(copy):
    moved = copy.rename(copy.with_name("elsewhere"))
    assert_same(Checkpoints(moved).restore(abstract(make_state()))[1], make_state(2))


def test_a_restore_writes_nothing(copy):
    (copy / "tmp-900-1").mkdir()  # perhaps another process is saving
    before = listing(copy), names(copy)
    checkpoints = Checkpoints(copy)
    assert checkpoints.latest_step() == 200
    checkpoints.restore(abstract(make_state()))
    assert (listing(copy), names(copy)) == before


# ---- which steps are stored


def test_two_steps_are_kept_and_leftovers_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path / "deep" / "directory")
    assert checkpoints.latest_step() is None
    for step in (0, 5, np.int64(70)):
        (checkpoints.directory / "tmp-3-77" / "arrays").mkdir(parents=True)
        save(checkpoints, step, {"a": jnp.full((2,), step)})
        assert checkpoints.latest_step() == step
    assert names(checkpoints.directory) == [folder(tmp_path, step).name for step in (5, 70)]


@pytest.mark.parametrize(("step", "rule"), [(200, "grow"), (7, "grow"), (-1, ">= 0"), (1.5, ">= 0"), (True, ">= 0")])
def test_steps_grow(copy, step, rule):
    with pytest.raises(ValueError, match=f"step: got .*{rule}"):
        save(Checkpoints(copy), step, make_state())


@pytest.mark.parametrize("keep", [0, -1, 1.5, True])
def test_keep_is_a_positive_integer(tmp_path, keep):
    with pytest.raises(ValueError, match="keep: got"):
        Checkpoints(tmp_path, keep=keep)


def test_a_damaged_step_is_set_aside_by_the_next_save(copy):
    (folder(copy, 200) / "arrays/_METADATA").unlink()
    checkpoints = Checkpoints(copy)
    with pytest.warns(UserWarning, match="_METADATA is missing"):
        assert checkpoints.restore(abstract(make_state()))[0] == 100
    assert checkpoints.latest_step() == 100
    save(checkpoints, 200, make_state(3))
    assert names(copy) == ["damaged-step_000000000200", folder(copy, 100).name, folder(copy, 200).name]
    step, state, _ = Checkpoints(copy).restore(abstract(make_state()))
    assert step == 200
    assert_same(state, make_state(3))


# ---- what cannot be stored


@pytest.mark.parametrize(
    ("leaf", "rule"),
    [
        (1.0, "must be an array"),
        ("text", "must be an array"),
        (jax.ShapeDtypeStruct((), jnp.float32), "must be an array"),
        (np.ones(2), "cannot hold this dtype"),
        (np.array([{}], object), "cannot hold this dtype"),
        (np.array(["a"]), "cannot hold this dtype"),
        (np.zeros(2, [("x", np.int32)]), "cannot hold this dtype"),
        (np.zeros(2, "datetime64[s]"), "cannot hold this dtype"),
    ],
)
def test_a_leaf_that_is_no_array_is_refused_by_name(tmp_path, leaf, rule):
    with pytest.raises(ValueError, match=rf"state\.params\['bad'\]: got .*{rule}"):
        save(Checkpoints(tmp_path), 0, RunLike({"bad": leaf}, None, jnp.ones(1)))
    assert names(tmp_path) == []


def test_a_donated_leaf_is_refused_by_name(tmp_path):
    leaf = jnp.ones(3)
    leaf.delete()
    with pytest.raises(ValueError, match=r"state\['x'\]: got a deleted array"):
        save(Checkpoints(tmp_path), 0, {"x": leaf})


@pytest.mark.parametrize("state", [{}, None, {"a": jnp.zeros((0,))}])
def test_an_empty_state_is_refused(tmp_path, state):
    with pytest.raises(ValueError, match=r"state: got \d leaves, but it must hold at least one number"):
        save(Checkpoints(tmp_path), 0, state)


# ---- another template


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ring": jnp.zeros((64, 8))}, r"\['ring'\]: got float32\[64, 8\], but .*200.* has float32\[64, 9\] there"),
        ({"ring": jnp.zeros((64, 9), jnp.int32)}, r"\['ring'\]: got int32\[64, 9\], but .* has float32"),
        ({"ring": jnp.zeros((64, 9), jnp.bfloat16)}, r"\['ring'\]: got bfloat16"),
        ({"zero": jnp.zeros((0, 4), jnp.bool_)}, r"\['zero'\]: got bool\[0, 4\]"),
        ({"zero": jnp.zeros((1, 3), jnp.bool_)}, r"\['zero'\]: got bool\[1, 3\]"),
        ({"more": jnp.zeros(())}, r"\['more'\]: got float32\[\], but .* has no such leaf"),
        ({"numpy": None}, r"\['numpy'\]: got no such leaf, but .* has one"),
        ({"a/b.c": {"x": jnp.zeros(1)}}, r"\['a/b.c'\]\['x'\]: got float32\[1\], but .* has no such leaf"),
    ],
)
def test_another_template_is_refused_by_name(copy, change, message):
    state = make_state()
    template = abstract(state.replace(params=state.params | change))
    before = listing(copy)
    with pytest.raises(ValueError, match=r"template\.params" + message + ".*Restore with the configuration"):
        Checkpoints(copy).restore(template)
    assert listing(copy) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"one": jax.random.key(0)}, r"\['one'\]: got key<fry>\[\], but .* has key<rbg>"),
        ({"many": jnp.zeros((2, 3, 2), jnp.uint32)}, r"\['many'\]: got uint32\[2, 3, 2\], but .* has key<fry>\[2, 3\]"),
        ({"many": jax.random.split(jax.random.key(0), (3, 2))}, r"\['many'\]: got key<fry>\[3, 2\]"),
    ],
)
def test_another_kind_of_key_is_refused_by_name(copy, change, message):
    state = make_state()
    with pytest.raises(ValueError, match=r"template\.key" + message):
        Checkpoints(copy).restore(state.replace(key=state.key | change))


# ---- size and devices


@pytest.mark.seldom
def test_a_hundred_megabytes_are_saved_in_seconds(tmp_path):
    state = {"ring": jax.random.normal(jax.random.key(0), (25_000_000,))}
    checkpoints = Checkpoints(tmp_path)
    start = time.monotonic()
    save(checkpoints, 1, state)
    assert time.monotonic() - start < 20  # about 0.5 s on two idle cores
    assert raw(checkpoints.restore(state)[1]["ring"]) == raw(state["ring"])


SHARDED = """
import sys, types
package = sys.modules["hindsight_jax.training"] = types.ModuleType("hindsight_jax.training")
package.__path__ = [sys.argv[1]]  # without its __init__, which imports much more
from hindsight_jax.checkpoints.checkpoints import Checkpoints
assert not any(name.startswith("orbax") for name in sys.modules), "orbax is slow to import"
import jax, jax.numpy as jnp, numpy as np
from jax._src import xla_bridge
assert not xla_bridge._backends, "a device was touched at import"
checkpoints = Checkpoints(sys.argv[2])
mesh = jax.make_mesh((4,), ("member",))
split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("member"))
state = jax.device_put({"x": jnp.arange(8.0).reshape(4, 2), "k": jax.random.split(jax.random.key(0), 4)}, split)
checkpoints.save(1, state)
for template in (state, jax.eval_shape(lambda: state)):
    _, restored, _ = checkpoints.restore(template)
    assert np.array_equal(restored["x"], state["x"])
    assert np.array_equal(jax.random.key_data(restored["k"]), jax.random.key_data(state["k"]))
    if template is state:
        assert restored["x"].sharding == split and restored["k"].sharding == split
print("done")
"""


def test_a_population_spread_over_devices_comes_back_spread(tmp_path):
    """In a process of its own, which sees four devices, and in which the import can be watched."""
    command = [sys.executable, "-c", SHARDED, str(ROOT / "hindsight_jax/training"), str(tmp_path)]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": compiles.xla_flags("--xla_force_host_platform_device_count=4"),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "done", done.stderr


# ---- leaves that a later version renamed


class Member(NamedTuple):
    agent: dict
    values: jax.Array  # not below `agent`: keeps its name


def member(name: str) -> Member:
    counters = Counters(jnp.arange(3), jnp.ones(2, bool))
    return Member({name: counters, "key": jax.random.key(3)}, jnp.arange(4.0))


RENAMED = {".agent['values'].": ".agent['hparams']."}


def test_a_renamed_leaf_loads_bit_for_bit_and_so_does_one_that_has_the_new_name(tmp_path):
    for stored in ("values", "hparams"):
        checkpoints = Checkpoints(tmp_path / stored)
        save(checkpoints, 1, member(stored))
        restored = checkpoints.restore(abstract(member("hparams")), renamed=RENAMED)[1]
        assert_same(restored, member("hparams"))


def test_a_leaf_whose_old_name_the_template_still_has_stays(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, member("values"))
    assert_same(checkpoints.restore(member("values"), renamed=RENAMED)[1].agent["key"], jax.random.key(3))


def test_a_leaf_that_is_not_renamed_is_refused_by_its_old_name(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, member("values"))
    with pytest.raises(ValueError, match=r"template\.agent\['hparams'\]\.steps: .* has no such leaf"):
        checkpoints.restore(member("hparams"), renamed={".other.": ".hparams."})


def test_a_directory_is_empty_until_a_step_is_there_damaged_or_not(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.is_empty()
    save(checkpoints, 1, {"x": jnp.ones(1)})
    assert not checkpoints.is_empty()
    os.rename(folder(tmp_path, 1), tmp_path / f"damaged-{folder(tmp_path, 1).name}")
    assert not checkpoints.is_empty()
