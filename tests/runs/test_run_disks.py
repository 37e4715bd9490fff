"""A run whose disk is full, read-only, limited or gone ends with 1 and one message, and goes on to the same bits."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fork_server import TINY

# room for a few checkpoints of 120 kB
DISK = "8m"


def mount(path: Path, *options: str) -> bool:
    """Whether this user may."""
    path.mkdir(exist_ok=True)
    command = ["mount", *options, str(path)]
    return bool(shutil.which("mount")) and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, where this user may mount one."""
    path = tmp_path / "disk"
    if not mount(path, "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs"):
        pytest.skip("this user may not mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def failed(ended, *words: str) -> None:
    """Exit code 1, and one line that names the trouble and the remedy."""
    assert ended.code == 1, (ended.output, ended.errors)
    assert ended.errors.startswith("error: ")
    assert ended.errors.count("\n") == 1, ended.errors
    for word in words:
        assert word in ended.errors, ended.errors


def says(ended, trouble: str) -> bool:
    """Whether one line of its errors has the message, in whose line orbax's threads may have begun to print."""
    lines = ended.errors.splitlines()
    return ended.code == 1 and sum(trouble in line.partition("error: ")[2] for line in lines) == 1


def resumed(server, assert_whole, path: Path, setup: str = "") -> None:
    ended = server.run("--resume", f"--workdir={path}", setup=setup)
    assert ended.code == 0, ended.errors
    assert_whole(path)


def table(path: Path) -> bytes:
    return (path / "metrics.jsonl").read_bytes()


# ---- full

# a page that is half written when the disk fills is taken away, and so makes room again
NO_PAGE = "from hindsight_jax.runs import session; session.Session.show = lambda *_: None"


def test_a_disk_that_fills_up_ends_a_run_and_nothing_is_lost(server, whole, assert_whole, disk):
    path = disk / "run"
    full = f"fork_server.after_checkpoint(2, lambda: fork_server.fill({str(disk)!r}))\n" + NO_PAGE
    failed(server.run(*TINY, f"--workdir={path}", setup=full), "No space left on device", "Free some space")
    assert table(path).count(b"\n") >= 4
    assert len(list(path.glob("checkpoints/step_*"))) == 2
    before = {entry: entry.read_bytes() for entry in path.rglob("*") if entry.is_file() and entry.name != ".lock"}
    failed(server.run("--resume", f"--workdir={path}"), "No space left on device")
    for entry, data in before.items():
        assert entry.read_bytes() == data
    (disk / "filler").unlink()
    resumed(server, assert_whole, path)


def test_a_disk_that_is_full_at_the_start_takes_no_run(server, disk):
    path = disk / "run"
    failed(server.run(*TINY, f"--workdir={path}", setup=f"fork_server.fill({str(disk)!r})"), "No space left on device")
    assert not list(path.glob("*.json"))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_a_disk_that_fills_up_at_any_call_ends_a_run_and_nothing_is_lost(server, whole, assert_whole, disk, part):
    """Before every third call, each part at others; whether it ends depends on whether something is still to come.

    Within a save orbax's threads may print more than the message.
    """
    ends = 0
    for number in range(part, whole.num_calls, 24):
        path = disk / "run"
        full = f"fork_server.at_call({number}, lambda: fork_server.fill({str(disk)!r}))"
        ended = server.run(*TINY, f"--workdir={path}", setup=full)
        (disk / "filler").unlink(missing_ok=True)
        if ended.code:
            assert says(ended, "No space left on device"), ended.errors
            ends += 1
        begun = (path / "config.json").exists()
        ended = server.run(*(("--resume",) if begun else TINY), f"--workdir={path}")
        assert ended.code == 0, ended.errors
        assert_whole(path)
        shutil.rmtree(path)
    assert ends >= 5


@pytest.mark.seldom
@pytest.mark.parametrize("size", [1500, 9500])
def test_a_limit_on_the_size_of_files_ends_a_run_and_nothing_is_lost(server, whole, assert_whole, tmp_path, size):
    """Of config.json; of a checkpoint's files, where orbax's threads may print more than the message."""
    path = tmp_path / "run"
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    ended = server.run(*TINY, f"--workdir={path}", setup=limit)
    assert ended.code == 1
    assert says(ended, "File too large"), ended.errors
    begun = (path / "config.json").exists()
    ended = server.run(*(("--resume",) if begun else TINY), f"--workdir={path}")
    assert ended.code == 0, ended.errors
    assert_whole(path)


# ---- read-only


# A kernel that finds an error on a disk makes it read-only by force; a user may while no file is open for writing, so
# the lock is let go.
READ_ONLY = """
import subprocess, time
def read_only():
    for name in os.listdir("/proc/self/fd"):
        if os.path.exists(f"/proc/self/fd/{{name}}") and os.readlink(f"/proc/self/fd/{{name}}").endswith(".lock"):
            os.dup2(os.open(os.devnull, os.O_RDONLY), int(name))
    while subprocess.run(["mount", "-o", "remount,ro", {!r}], capture_output=True).returncode:
        time.sleep(0.01)
"""


@pytest.mark.seldom
def test_a_read_only_disk_takes_no_run_and_keeps_what_it_has(server, whole, assert_whole, disk):
    path = disk / "run"
    in_the_middle = READ_ONLY.format(str(disk)) + "fork_server.after_checkpoint(2, read_only)"
    failed(server.run(*TINY, f"--workdir={path}", setup=in_the_middle), "Read-only file system")
    before = table(path)
    for arguments in (("--resume", f"--workdir={path}"), (*TINY, f"--workdir={disk / 'other'}")):
        failed(server.run(*arguments), "Read-only file system", "another")
    assert table(path) == before
    assert not (disk / "other").exists()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    resumed(server, assert_whole, path)


# ---- gone


@pytest.mark.seldom
@pytest.mark.parametrize(
    "what",
    ["the directory", "the checkpoints", "the rows"],
)
def test_a_directory_that_is_removed_ends_a_run_and_is_not_made_again(server, tmp_path, what):
    path = tmp_path / "run"
    part = {"the directory": path, "the checkpoints": path / "checkpoints", "the rows": path / "metrics.jsonl"}[what]
    # renamed first: a file that is written meanwhile would keep the directory
    remove = "import shutil\ndef remove():\n    os.replace({0!r}, {1!r})\n    shutil.rmtree({1!r}, True)\n"
    setup = remove.format(str(part), str(tmp_path / "gone")) + "fork_server.after_checkpoint(2, remove)"
    failed(server.run(*TINY, f"--workdir={path}", setup=setup), "No such file or directory")
    assert not part.exists()


@pytest.mark.seldom
def test_a_directory_that_is_renamed_ends_a_run_and_goes_on_at_its_new_place(server, whole, assert_whole, tmp_path):
    path, moved = tmp_path / "run", tmp_path / "moved"
    setup = f"fork_server.after_checkpoint(2, lambda: os.replace({str(path)!r}, {str(moved)!r}))"
    failed(server.run(*TINY, f"--workdir={path}", setup=setup), "No such file or directory")
    assert not path.exists()
    resumed(server, assert_whole, moved)


# ---- what is there instead


@pytest.mark.parametrize(
    "damage",
    [
        ("config.json", b""),
        ("config.json", b'{"name": "her_flip_bit"}'),
        ("metrics.jsonl", b""),
        ("metrics.jsonl", b"x\n"),
    ],
)
def test_a_damaged_file_is_refused_by_name_and_nothing_is_changed(server, whole, tmp_path, damage):
    path = Path(shutil.copytree(whole.path, tmp_path / "run"))
    (path / damage[0]).write_bytes(damage[1])
    before = {entry: entry.read_bytes() for entry in path.rglob("*") if entry.is_file() and entry.name != ".lock"}
    ended = server.run("--resume", "--config.total_steps=90", f"--workdir={path}")
    assert ended.code in (1, 2)
    assert ended.errors.startswith("error: ")
    assert ended.errors.count("\n") == 1
    assert damage[0] in ended.errors
    assert {entry: entry.read_bytes() for entry in before} == before


@pytest.mark.seldom
def test_every_checkpoint_damaged_is_refused_and_one_is_passed_over(server, whole, assert_whole, tmp_path):
    path = Path(shutil.copytree(whole.path, tmp_path / "run"))
    old, new = sorted(path.glob("checkpoints/step_*"))
    (new / "manifest.json").write_text("{}")
    resumed(server, assert_whole, path)
    for folder in path.glob("checkpoints/step_*"):
        (folder / "manifest.json").write_text("{}")
    before = sorted(path.rglob("*"))
    failed(server.run("--resume", f"--workdir={path}"), "damaged", "Nothing was deleted")
    assert sorted(path.rglob("*")) == before
    assert old in before


# ---- names


@pytest.mark.seldom
@pytest.mark.parametrize(
    "name",
    [
        "-\N{GREEK SMALL LETTER PI} \N{SNOWMAN}'\"$HOME\n[0.1]\\**",
        "x" * 255,
        "-",
        "a b",
        "step_000000000001",
    ],
)
def test_any_name_that_the_system_takes_is_a_work_directory(server, assert_whole, tmp_path, name):
    ended = server.run(*TINY, f"--workdir={tmp_path / name}")
    assert (ended.code, ended.errors) == (0, "")
    assert_whole(tmp_path / name)


@pytest.mark.seldom
def test_a_relative_path_is_of_the_folder_where_the_run_began(server, assert_whole, tmp_path):
    process = server.start(
        *TINY, "--workdir=here/run", cwd=tmp_path, setup="fork_server.after_checkpoint(2, lambda: 0)"
    )
    assert process.wait().code == 0
    assert_whole(tmp_path / "here" / "run")


@pytest.mark.parametrize("kind", ["too long a name", "a dangling link", "a file", "a link to itself"])
def test_what_can_be_no_directory_is_refused_with_a_remedy(server, tmp_path, kind):
    path = tmp_path / ("x" * 256 if kind == "too long a name" else "a\nrun")
    if kind == "a dangling link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "a link to itself":
        path.symlink_to(path)
    elif kind == "a file":
        path.write_text("mine")
    before = os.listdir(tmp_path)
    failed(server.run(*TINY, f"--workdir={path}"), "--workdir")
    assert os.listdir(tmp_path) == before
