"""Checkpoints under faults: files are damaged, saves are killed, disks are full. Never silently wrong, nothing lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from damage import check_damaged, files_of, folder, small_state
from saving import save

from hindsight_jax.checkpoints.checkpoints import CheckpointError, Checkpoints

ROOT = Path(__file__).parents[2]


def big_state(step: int) -> dict[str, jax.Array]:
    return {"x": jax.random.normal(jax.random.key(step), (200_000,))}  # 0.8 MB that no compression helps


def listing(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# ---- damage


def damage_delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def damage_empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def damage_truncate(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def damage_zero_a_block(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    start = rng.choice([i for i, byte in enumerate(data) if byte])
    end = min(start + 512, len(data))
    data[start:end] = bytes(end - start)
    path.write_bytes(data)


def damage_flip_a_bit(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


DAMAGES = [damage_delete, damage_empty, damage_truncate, damage_zero_a_block, damage_flip_a_bit]


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file_damaged_falls_back_with_a_warning(directory, damage):
    files = files_of(directory, 200)
    assert len(files) > 8
    for path in files:
        original = path.read_bytes()
        damage(path, random.Random(str(path.relative_to(directory))))
        text = check_damaged(directory, str(path))
        assert path.name in text
        path.write_bytes(original)
    assert Checkpoints(directory).restore(small_state(0))[0] == 200


@pytest.mark.seldom
@pytest.mark.parametrize("seed", range(3))
def test_four_hundred_bit_flips_are_never_silent(directory, seed):
    """Orbax alone restores 396 of 400 such flips of its data file silently wrong."""
    path = max(files_of(directory, 200), key=lambda p: p.stat().st_size)
    original, rng = path.read_bytes(), random.Random(seed)
    for _ in range(400):
        damage_flip_a_bit(path, rng)
        check_damaged(directory, path.name)
        path.write_bytes(original)


@pytest.mark.parametrize("damage", DAMAGES)
def test_all_damaged_is_an_error_and_deletes_nothing(directory, damage):
    rng = random.Random(0)
    for step in (100, 200):
        damage(rng.choice(files_of(directory, step)), rng)
    before = listing(directory)
    with pytest.raises(CheckpointError, match=r"200 is damaged.*100 is damaged.*Nothing was deleted\. Put back a copy"):
        Checkpoints(directory).restore(small_state(0))
    assert listing(directory) == before


def test_no_checkpoint_is_an_error(tmp_path):
    (tmp_path / "step_1").mkdir()  # not a name of ours
    with pytest.raises(CheckpointError, match="it holds no checkpoint"):
        Checkpoints(tmp_path).restore({"x": jnp.zeros(())})


@pytest.mark.parametrize("kind", ["extra file", "renamed", "manifest gone", "not a manifest", "arrays gone"])
def test_other_damage_falls_back(directory, kind):
    newest = folder(directory, 200)
    match kind:
        case "extra file":
            (newest / "arrays/notes.txt").write_text("hello")
        case "renamed":
            shutil.rmtree(newest)
            shutil.copytree(folder(directory, 100), newest)
        case "manifest gone":
            (newest / "manifest.json").unlink()
            assert Checkpoints(directory).latest_step() == 100
        case "not a manifest":
            (newest / "manifest.json").write_text("[1, 2]")
        case "arrays gone":
            shutil.rmtree(newest / "arrays")
    check_damaged(directory, kind)


# ---- kills


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may clean up after it."""


def die_at(context: pytest.MonkeyPatch, limit: int | None) -> list[str]:
    """The calls that change what a directory holds are counted; before the one at `limit` we die."""
    calls: list[str] = []

    def wrap(module, name):
        original = getattr(module, name)

        def wrapped(*args, **kwargs):
            calls.append(name)
            if len(calls) - 1 == limit:
                raise Killed
            return original(*args, **kwargs)

        context.setattr(module, name, wrapped)

    for module, name in [(os, "rename"), (os, "replace"), (os, "rmdir"), (os, "unlink")]:
        wrap(module, name)
    return calls


def save_and_die(directory: Path, damaged: bool, limit: int | None) -> int | None:
    """Saves step 300 (or 200 again, after a restore that found it damaged); the number of calls, None if killed."""
    checkpoints = Checkpoints(directory)
    if damaged:
        (folder(directory, 200) / "arrays/_METADATA").unlink()
        with pytest.warns(UserWarning, match="200 is damaged"):
            checkpoints.restore(small_state(0))
    with pytest.MonkeyPatch.context() as context:
        calls = die_at(context, limit)
        try:
            save(checkpoints, 200 if damaged else 300, small_state(1))
        except Killed:
            return None
    return len(calls)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_kill_before_every_call_leaves_the_last_complete_step(small_steps, tmp_path, damaged):
    total = save_and_die(Path(shutil.copytree(small_steps, tmp_path / "whole")), damaged, None)
    assert total >= 3
    for limit in range(total):
        directory = Path(shutil.copytree(small_steps, tmp_path / f"{limit}"))
        assert save_and_die(directory, damaged, limit) is None
        with warnings.catch_warnings():  # the damaged step may still be there; half a step never is
            warnings.simplefilter("ignore" if damaged else "error")
            step, state, _ = Checkpoints(directory).restore(small_state(0))
        old, new = (100, 200) if damaged else (200, 300)
        assert step in (old, new)
        assert np.array_equal(state["x"], small_state(old if step == old else 1)["x"])
        save(Checkpoints(directory), 400, state)
        assert not [name for name in names(directory) if name.startswith("tmp-")]
        shutil.rmtree(directory)


WRITER = """
import sys, types
package = sys.modules["hindsight_jax.training"] = types.ModuleType("hindsight_jax.training")
package.__path__ = [sys.argv[1]]  # without its __init__, which imports much more
from hindsight_jax.checkpoints.checkpoints import Checkpoints
import jax
checkpoints = Checkpoints(sys.argv[2])
for step in range(1, 10**6):
    state = {"x": jax.random.normal(jax.random.key(step), (200_000,))}
    checkpoints.save(step, state, {"step": step})
    checkpoints.wait()
    print(step, flush=True)
"""


def run_python(code: str, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", code, str(ROOT / "hindsight_jax/training"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def kill_a_writer(directory: Path, delay: float) -> int:
    """The last step that the writer reported before SIGKILL."""
    with run_python(WRITER, str(directory)) as writer:
        first = writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        rest, errors = writer.communicate()
    assert first.strip() == "1", errors
    return int((first + rest).split("\n")[-2])


def check_kill(directory: Path, delay: float) -> None:
    reported = kill_a_writer(directory, delay)
    checkpoints = Checkpoints(directory)
    step, state, extra = checkpoints.restore(big_state(0))  # a warning would be an error
    assert step in (reported, reported + 1)  # killed between the rename and the report
    assert extra == {"step": step}
    assert np.array_equal(state["x"], big_state(step)["x"])
    save(checkpoints, step + 1, state)
    assert names(directory) == [folder(directory, step).name, folder(directory, step + 1).name]


def test_sigkill_in_a_save(tmp_path):
    check_kill(tmp_path, random.uniform(0.05, 0.6))


@pytest.mark.seldom
@pytest.mark.parametrize("moment", range(40))
def test_sigkill_in_a_save_many_times(tmp_path, moment):
    check_kill(tmp_path, random.uniform(0.0, 0.5))


# ---- disks


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 2 MB, where this user may mount one."""
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a tmpfs")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_is_an_error_and_old_steps_survive(tiny_disk):
    checkpoints = Checkpoints(tiny_disk / "run")
    save(checkpoints, 1, big_state(1))
    save(checkpoints, 2, big_state(2))
    with pytest.raises(OSError, match=r"No space left.*step 3 was not saved.*untouched: \[1, 2\].*Free some") as error:
        save(checkpoints, 3, big_state(3))
    assert error.value.errno == 28
    assert names(checkpoints.directory) == [folder(tiny_disk, step).name for step in (1, 2)]  # no leftover fills it
    step, state, _ = checkpoints.restore(big_state(0))
    assert step == 2
    assert np.array_equal(state["x"], big_state(2)["x"])
    save(checkpoints, 3, {"x": jnp.zeros((3,))})  # it fits
    assert checkpoints.latest_step() == 3


def test_a_read_only_disk_reads_and_refuses_to_write(tiny_disk):
    save(Checkpoints(tiny_disk), 1, big_state(1))
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    checkpoints = Checkpoints(tiny_disk)
    assert np.array_equal(checkpoints.restore(big_state(0))[1]["x"], big_state(1)["x"])
    with pytest.raises(OSError, match="Read-only file system: the checkpoint of step 2 was not saved"):
        save(checkpoints, 2, big_state(2))
    with pytest.raises(OSError, match="Read-only"):
        Checkpoints(tiny_disk / "new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only directories")
def test_a_read_only_directory_refuses_to_write(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="step 1 was not saved"):
        save(checkpoints, 1, big_state(1))
    tmp_path.chmod(0o700)


@pytest.mark.seldom
def test_a_file_size_limit_is_an_error(tmp_path):
    """The nearest thing to a full disk that every user may have; in a child, since it limits the whole process."""
    code = WRITER.split("for step")[0] + (
        "import resource, jax.numpy as jnp\n"
        "checkpoints.save(1, {'x': jnp.arange(3.0)})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    checkpoints.save(2, {'x': jax.random.normal(jax.random.key(0), (200_000,))})\n"
        "    checkpoints.wait()\n"
        "except OSError as error:\n    print(error.errno, error)\n"
    )
    with run_python(code, str(tmp_path)) as process:
        output, errors = process.communicate()
    assert output.startswith("27 [Errno 27] File too large: the checkpoint of step 2 was not saved"), errors
    assert names(tmp_path) == [folder(tmp_path, 1).name]
    assert Checkpoints(tmp_path).restore({"x": jnp.zeros((3,))})[0] == 1


def test_a_vanished_directory_is_an_error(tmp_path):
    checkpoints = Checkpoints(tmp_path / "gone")
    save(checkpoints, 1, big_state(1))
    shutil.rmtree(tmp_path / "gone")
    assert checkpoints.latest_step() is None
    with pytest.raises(FileNotFoundError, match="step 2 was not saved"):
        save(checkpoints, 2, big_state(2))
    with pytest.raises(CheckpointError, match="it holds no checkpoint"):
        checkpoints.restore(big_state(0))
    assert not (tmp_path / "gone").exists()


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file"):
        Checkpoints(tmp_path / "file")


@pytest.mark.parametrize("name", ["fsync", "replace", "rename"])
def test_a_failing_call_is_an_error_and_old_steps_survive(directory, monkeypatch, name):
    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    before = listing(directory)
    with monkeypatch.context() as context:
        context.setattr(os, name, fail)
        with pytest.raises(OSError, match="Input/output error: the checkpoint of step 300 was not saved"):
            save(Checkpoints(directory), 300, small_state(1))
    assert listing(directory) == before
    assert len(names(directory)) == 2


def test_an_old_step_that_cannot_be_removed_is_a_warning(directory, monkeypatch):
    checkpoints, rename = Checkpoints(directory), os.rename

    def stuck(source, target):
        if Path(source).name == folder(directory, 100).name:
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", stuck)
    with pytest.warns(UserWarning, match="the old checkpoint .*100 could not be removed"):
        save(checkpoints, 300, small_state(3))
    assert np.array_equal(checkpoints.restore(small_state(0))[1]["x"], small_state(3)["x"])
