"""The files of one checkpoint: a manifest that was edited, or signed again over other arrays, is never believed."""

import json
import pickle
import shutil
import types
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from damage import check_damaged, files_of, folder, small_state

from hindsight_jax.checkpoints import files as run_files
from hindsight_jax.checkpoints.checkpoints import CheckpointError, Checkpoints


def test_the_bits_of_the_manifest_count(small_steps, tmp_path):
    """A flipped manifest is refused, or says what it said before (a flip may hit white space)."""
    step = Path(shutil.copytree(folder(small_steps, 200), tmp_path / folder(small_steps, 200).name))
    original, before = (step / "manifest.json").read_bytes(), run_files.read_manifest(step)
    accepted = 0
    for bit in range(0, 8 * len(original), 17):
        data = bytearray(original)
        data[bit // 8] ^= 1 << bit % 8
        (step / "manifest.json").write_bytes(data)
        try:
            assert run_files.read_manifest(step) == before
            accepted += 1
        except run_files.Damaged:
            pass
    assert accepted < 0.05 * len(original)


def edit_manifest(directory: Path, newest: int, sign: bool, **changes) -> None:
    path = folder(directory, newest) / "manifest.json"
    body = json.loads(path.read_bytes())
    digest = body.pop("sha256")
    body |= changes
    path.write_text(json.dumps(body | {"sha256": run_files._digest(body) if sign else digest}))


@pytest.mark.parametrize("changes", [{"step": 201}, {"extra": {"bytes": 9}}, {"format_version": 2}, {"leaves": {}}])
def test_an_edited_manifest_is_damage(directory, changes):
    edit_manifest(directory, 200, sign=False, **changes)
    assert "manifest.json (format_version" in check_damaged(directory, str(changes))


def test_another_format_version_is_refused_by_name(directory):
    edit_manifest(directory, 200, sign=True, format_version=2)
    with pytest.raises(ValueError, match=r"format_version of .*200: got 2, but this release reads 1\. Restore it with"):
        Checkpoints(directory).restore(small_state(0))


def test_a_signed_lie_about_a_leaf_is_not_cast(directory):
    """Orbax would cast to the template's dtype silently."""
    leaves = {"['x']": {"shape": [50], "dtype": "int32", "array": "00000"}}
    for step in (100, 200):
        edit_manifest(directory, step, sign=True, leaves=leaves)
    with pytest.raises(CheckpointError, match=r"array 00000 is float32\[50\], its manifest says int32\[50\]"):
        Checkpoints(directory).restore({"x": jnp.zeros((50,), jnp.int32)})


def resave(directory: Path, arrays: dict[str, np.ndarray]) -> None:
    """Other arrays in step 200, with a manifest that was signed again."""
    inside = folder(directory, 200) / "arrays"
    shutil.rmtree(inside)
    leaves = {name: run_files.Leaf.of(array) for name, array in arrays.items()}
    run_files.write_arrays(inside.parent, leaves)
    hashed = {name: run_files._sha256(inside.parent / name) for name in run_files._files(inside.parent)}
    edit_manifest(directory, 200, sign=True, files=hashed)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros(10**8, np.int8)}, r"array 00000 is int8\[100000000\], its manifest says float32\[50\]"),
        ({"x": np.zeros((50, 2), np.float32)}, r"array 00000 is float32\[50, 2\], its manifest says float32\[50\]"),
        ({"x": np.zeros(50, np.float16)}, r"array 00000 is float16\[50\], its manifest says float32\[50\]"),
        ({"x": np.zeros(50, np.float32), "y": np.zeros(3)}, "it holds 2 arrays, its manifest names 1"),
    ],
)
def test_arrays_of_other_sizes_are_refused_before_they_are_read(directory, monkeypatch, arrays, said):
    """A file of some bytes may describe an array of any size."""
    import orbax.checkpoint as ocp

    resave(directory, arrays)
    read, real = [], ocp.Checkpointer.restore
    monkeypatch.setattr(
        ocp.Checkpointer, "restore", lambda self, path, **more: (read.append(path), real(self, path, **more))[1]
    )
    with pytest.warns(UserWarning, match=said):
        step, state, _ = Checkpoints(directory).restore(small_state(0))
    assert step == 100
    assert np.array_equal(state["x"], small_state(100)["x"])
    assert [path.parent.name for path in read] == ["step_000000000100"]


def test_pieces_larger_than_their_array_are_refused():
    """Each is decoded whole."""
    like, pieces = jax.ShapeDtypeStruct((50,), jnp.float32), types.SimpleNamespace(chunk_shape=(10**9,))
    described = {"00000": types.SimpleNamespace(shape=(50,), dtype=np.dtype("float32"), storage=pieces)}
    with pytest.raises(run_files.Damaged, match=r"float32\[50\], but is stored in pieces of \[1000000000\]"):
        run_files._check_described(described, {"00000": like})


def test_a_manifest_of_any_size_is_not_read(directory, monkeypatch):
    monkeypatch.setattr(run_files, "_MAX_MANIFEST_BYTES", 100)
    with pytest.raises(CheckpointError, match=r"200 is damaged \(manifest.json: ValueError: it has more than 100 b"):
        Checkpoints(directory).restore(small_state(0))


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_planted_pickle_is_never_executed(small_steps, tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "executed"))
    for i, name in enumerate([path.relative_to(folder(small_steps, 200)) for path in files_of(small_steps, 200)]):
        directory = Path(shutil.copytree(small_steps, tmp_path / f"copy{i}"))
        (folder(directory, 200) / name).write_bytes(bomb)
        check_damaged(directory, str(name))
        if name != Path("manifest.json"):  # and one whose manifest was signed again
            files = json.loads((folder(directory, 200) / "manifest.json").read_bytes())["files"]
            hashed = run_files._sha256(folder(directory, 200) / name)
            edit_manifest(directory, 200, sign=True, files=files | {name.as_posix(): hashed})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state = Checkpoints(directory).restore(small_state(0))[1]
            assert any(np.array_equal(state["x"], small_state(step)["x"]) for step in (100, 200))
    assert not (tmp_path / "executed").exists()
    pickle.loads(bomb).close()  # the bomb works
    assert (tmp_path / "executed").exists()
