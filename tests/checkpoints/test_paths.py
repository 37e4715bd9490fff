"""Checkpoints under every name that the system takes; and a save that cannot be read back is no checkpoint."""

import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore
from damage import folder, small_state
from saving import save

import hindsight_jax
from hindsight_jax.checkpoints import files
from hindsight_jax.checkpoints.checkpoints import Checkpoints

# What a glob, a URL, a shell, tensorstore's JSON and a terminal would read more into, and names of our own files.
NAMES = ("lr[0.1]/a**b", "gs:", "{0} 50% ~ $HOME 'q\" \n\t...", os.fsdecode(b"caf\xe9\\?"))
FURTHER = (
    "[!a]",
    "what?",
    "back\\slash",
    "s3:",
    "-\N{SNOWMAN}",
    "step_000000000009",
    "arrays.orbax-checkpoint-tmp",
    "x" * 255,
)


def check_round_trip(directory: str | Path, seed: int = 1) -> None:
    save(Checkpoints(directory), 1, small_state(seed))
    assert np.array_equal(Checkpoints(directory).restore(small_state(0))[1]["x"], small_state(seed)["x"])


@pytest.mark.parametrize("names", [NAMES, pytest.param(FURTHER, marks=pytest.mark.seldom)])
def test_every_name_is_saved_and_restored(tmp_path, names):
    for name in names:
        check_round_trip(tmp_path / name)


def test_a_directory_renamed_to_a_pattern_restores(small_steps, tmp_path):
    moved = Path(shutil.copytree(small_steps, tmp_path / "lr[0.1]"))
    assert Checkpoints(moved).restore(small_state(0))[0] == 200


def test_a_link_and_a_relative_path_are_what_they_were_when_the_run_began(tmp_path, monkeypatch):
    (tmp_path / "real [1]").mkdir()
    (tmp_path / "link*").symlink_to("real [1]")
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints("link*")
    monkeypatch.chdir("/")
    save(checkpoints, 1, small_state(1))
    assert [path.name for path in (tmp_path / "real [1]").iterdir()] == [folder(tmp_path, 1).name]
    assert checkpoints.restore(small_state(0))[0] == 1


def test_a_pattern_does_not_take_the_arrays_of_another_run(small_steps, tmp_path):
    """The other one was killed in a save of the same step; or it is in one now."""
    shutil.copytree(folder(small_steps, 100) / "arrays", tmp_path / "lr0/tmp-1/arrays.orbax-checkpoint-tmp")
    check_round_trip(tmp_path / "lr?")


def test_the_longest_path_works_and_a_longer_one_is_refused_before_it_is_made(tmp_path):
    longest = os.pathconf("/", "PC_PATH_MAX") - 1 - files.BYTES_BELOW
    parent = tmp_path
    while len(str(parent)) < longest - 250:
        parent /= "x" * 120
    parent.mkdir(parents=True)
    check_round_trip(parent / ("y" * (longest - len(str(parent)) - 1)))
    with pytest.raises(OSError, match="The path is too long for the files below it"):
        Checkpoints(parent / ("z" * (longest - len(str(parent)))))
    assert len(list(parent.iterdir())) == 1


def test_an_address_is_not_taken_for_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"directory: got 'gs://bucket/run', but .* Mount it, and name"):
        Checkpoints("gs://bucket/run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "a\0b", "a\ud800", b"run", None, 3])
def test_what_no_system_can_spell_is_refused(name):
    with pytest.raises(ValueError, match=r"^directory: got .*, but it must be a path\. Name"):
        Checkpoints(name)
    with pytest.raises(ValueError, match=r"^workdir: got .*, but it must be a path\. Name"):
        hindsight_jax.load(name)


# ---- nothing is committed that a restore could not read


def lose_manifest(arrays: Path) -> None:
    (arrays / "manifest.ocdbt").unlink()


def lose_data(arrays: Path) -> None:
    shutil.rmtree(arrays / "ocdbt.process_0" / "d")


def cut_data(arrays: Path) -> None:
    largest = max((arrays / "ocdbt.process_0" / "d").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)  # nodes that nothing refers to lie at its end


def lose_piece(arrays: Path) -> None:
    """Its array is still described."""
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{arrays}/"}).result()
    store.delete_range(tensorstore.KvStore.KeyRange("00000/0", "00000/1")).result()


@pytest.mark.parametrize("lose", [lose_manifest, lose_data, cut_data, lose_piece])
def test_a_save_that_cannot_be_read_back_is_an_error_and_the_steps_before_survive(directory, monkeypatch, lose):
    write, noise = files.write_arrays, jax.random.normal(jax.random.key(0), (4000,))  # which no node holds inline

    def write_and_lose(temporary, leaves):
        entries = write(temporary, leaves)
        lose(temporary / "arrays")
        return entries

    monkeypatch.setattr(files, "write_arrays", write_and_lose)
    with pytest.raises(OSError, match=r"step 300 was not saved .*\[100, 200\]\. Check the disk"):
        save(Checkpoints(directory), 300, {"x": noise, "y": jnp.zeros(())})
    assert sorted(path.name for path in directory.iterdir()) == [folder(directory, step).name for step in (100, 200)]


def test_a_system_without_such_paths_saves_what_it_can_and_refuses_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_DESCRIPTORS", tmp_path / "none")
    check_round_trip(tmp_path / "plain")
    with pytest.raises(OSError, match=r"step 1 was not saved .*choose a directory with plain letters"):
        save(Checkpoints(tmp_path / "lr[0.1]"), 1, small_state(1))
