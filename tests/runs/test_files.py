"""Every way in which a file system may refuse a write: an error with its remedy, and what was written before stays."""

import errno
import os
import resource
import shutil

import pytest
from evaluations import evaluation

from hindsight_jax.runs import workdir
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.workdir import WorkDir


def failing(code, after=0):
    """An os.write that writes `after` bytes and then fails with this error."""
    state = {"left": after}
    real = os.write

    def write(descriptor, data):
        if state["left"] <= 0:
            raise OSError(code, os.strerror(code))
        count = real(descriptor, data[: state["left"]])
        state["left"] -= count
        return count

    return write


def test_a_second_writer_is_noticed(run):
    other = WorkDir.open(run.path)
    run.append_records(evaluation(100))
    with pytest.raises(WorkDirError, match="Another process"):
        other.append_records(evaluation(100))
    assert len(run.read_records()) == 3


@pytest.mark.parametrize("after", [0, 1, 150])
def test_full_disk_keeps_the_earlier_records_and_says_what_to_do(run, monkeypatch, after):
    run.append_records(evaluation(100))
    before = (run.path / "metrics.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(workdir.os, "write", failing(errno.ENOSPC, after))
        with pytest.raises(
            WorkDirError, match=r"metrics\.jsonl: cannot append records.*disk is full.*--resume"
        ) as caught:
            run.append_records(evaluation(200))
    assert caught.value.errno == errno.ENOSPC
    assert (run.path / "metrics.jsonl").read_bytes() == before
    run.append_records(evaluation(200))  # space was freed
    assert len(run.read_records()) == 6


def test_a_real_limit_of_the_system_keeps_the_earlier_records(run):
    run.append_records(evaluation(100))
    before = (run.path / "metrics.jsonl").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))  # a write of 100 bytes, then EFBIG
    try:
        with pytest.raises(WorkDirError, match="may not grow"):
            run.append_records(evaluation(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_full_disk_keeps_the_old_file_whole(run, monkeypatch):
    before = (run.path / "config.json").read_bytes()

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(workdir.os, "replace", full)
        with pytest.raises(WorkDirError, match=r"config\.json: cannot be written.*disk is full"):
            run.write_config({"seed": 8}, name="other")
    assert (run.path / "config.json").read_bytes() == before
    assert sorted(os.listdir(run.path)) == ["config.json", "metrics.jsonl"]


def test_a_signal_while_writing_leaves_no_half_record(run, monkeypatch):
    run.append_records(evaluation(100))
    before = (run.path / "metrics.jsonl").read_bytes()
    real = os.write

    def interrupted(descriptor, data):
        real(descriptor, data[:40])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workdir.os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.append_records(evaluation(200))
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_a_vanished_directory_is_an_error_and_is_not_made_again(run):
    run.append_records(evaluation(100))
    shutil.rmtree(run.path)
    for write in (lambda: run.append_records(evaluation(200)), lambda: run.write_config({}, name="x")):
        with pytest.raises(WorkDirError, match="It is gone"):
            write()
    assert not run.path.exists()


def test_a_deleted_file_of_records_is_an_error_and_is_not_begun_again(run):
    (run.path / "metrics.jsonl").unlink()
    with pytest.raises(WorkDirError, match="It is gone"):
        run.append_records(evaluation(100))
    assert not (run.path / "metrics.jsonl").exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_place_is_refused_with_a_remedy(tmp_path, monkeypatch, code):
    def refuse(self, *args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(workdir.Path, "mkdir", refuse)
    with pytest.raises(WorkDirError, match="Choose another --workdir"):
        WorkDir.create(tmp_path / "first")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WorkDirError, match="No permission"):
        WorkDir.create(tmp_path / "first")
    tmp_path.chmod(0o700)
