"""Where results come from: every version, and no one's folders."""

import importlib.metadata
import json
import platform
import re
import shutil
import socket
import subprocess

import jax
import pytest
from golden import GOLDEN

from hindsight_jax.runs import provenance


def test_versions_are_those_of_the_installed_packages():
    versions = provenance.versions()
    assert set(versions) == {"python", *provenance.PACKAGES}
    assert versions["python"] == platform.python_version()
    assert versions["jax"] == jax.__version__
    assert versions["orbax-checkpoint"] == importlib.metadata.version("orbax-checkpoint")


def test_an_absent_package_is_none(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package-anywhere",))
    assert provenance.versions()["no-such-package-anywhere"] is None


def test_device_and_precision_are_those_of_this_process():
    assert provenance.device()["platform"] == jax.default_backend()
    assert provenance.device()["count"] == jax.device_count()
    assert provenance.precision()["matmul"] == "default"
    with jax.default_matmul_precision("highest"):
        assert provenance.precision()["matmul"] == "highest"


def test_settings_that_change_numbers_are_named_one_by_one(monkeypatch):
    now = provenance.describe()
    assert now["settings"].keys() <= provenance.SETTINGS.keys()
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    with jax.threefry_partitionable(False), jax.numpy_dtype_promotion("strict"), jax.enable_x64(True):
        then = provenance.describe()
    expected = ["precision", "jax_threefry_partitionable", "jax_numpy_dtype_promotion", "NVIDIA_TF32_OVERRIDE"]
    assert provenance.changed(then, now) == provenance.changed(now, then) == expected
    assert provenance.changed(now, now) == []


def test_what_an_earlier_version_did_not_record_is_its_default_or_not_compared(monkeypatch):
    golden = json.loads((GOLDEN / "config.json").read_text())
    monkeypatch.setattr(provenance, "settings", lambda: dict(provenance.SETTINGS))
    now = {**provenance.describe(), **{kind: golden[kind] for kind in ("commit", "dirty", "precision", "xla_flags")}}
    now |= {"versions": golden["versions"] | {"new": "1.0"}, "device": now["device"] | golden["device"]}
    assert "processor" in now["device"].keys() - golden["device"].keys()
    assert provenance.changed(now, golden) == []
    now["settings"] |= {"jax_threefry_partitionable": False}
    assert provenance.changed(now, golden) == ["jax_threefry_partitionable"]


@pytest.mark.parametrize(
    ("text", "model"), [("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n", "A CPU @ 2 GHz"), (None, "?")]
)
def test_the_processor_is_linux_s_word_for_it_or_python_s(text, model, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "?")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert provenance.processor() == model


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--config=hdm_push", "--config=hdm_push"),
        ("--config.seeds=8", "--config.seeds=8"),
        ("--workdir=/home/ada/runs/first", "--workdir=first"),
        ("--workdir=/home/ada/runs/first/", "--workdir=first"),
        ("/home/ada/first", "first"),
        ("~/runs/first", "first"),
        ("runs/first", "runs/first"),
        ("../runs/first", "../runs/first"),
        ("--xla_dump_to=/home/ada/dump --xla_cpu_x=1", "--xla_dump_to=dump --xla_cpu_x=1"),
        ("C:\\Users\\ada\\first", "first"),
        ("", ""),
    ],
)
def test_absolute_paths_are_cut_and_relative_ones_are_kept(argument, expected):
    assert provenance.portable(argument) == expected


def test_nothing_of_this_machine_but_its_hardware(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/secret/place/dump")
    text = json.dumps(provenance.describe(["--workdir=/secret/place/first"]))
    assert "secret" not in text
    assert str(provenance._ROOT) not in text
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)
    assert "--workdir=first" in text
    assert "--xla_dump_to=dump" in text


def repository(tmp_path, monkeypatch):
    git = shutil.which("git") or pytest.skip("git is not there")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "hindsight_jax/runs").mkdir(parents=True)
    (tmp_path / "hindsight_jax/runs/provenance.py").write_text("first\n")
    run = lambda *arguments: subprocess.run(
        [git, "-C", tmp_path, *arguments], check=True, capture_output=True, text=True
    )
    run("init", "-q")
    run("add", "hindsight_jax/runs/provenance.py")
    run("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "first")
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    return run


def test_commit_and_dirty(tmp_path, monkeypatch):
    run = repository(tmp_path, monkeypatch)
    head = run("rev-parse", "HEAD").stdout.strip()
    assert provenance.commit() == {"commit": head, "dirty": False}
    (tmp_path / "notes.txt").write_text("not a source")
    assert provenance.commit() == {"commit": head, "dirty": False}
    (tmp_path / "experiments" / "new.py").write_text("a source that no commit holds")
    assert provenance.commit() == {"commit": head, "dirty": True}
    (tmp_path / "experiments" / "new.py").unlink()
    (tmp_path / "hindsight_jax/runs/provenance.py").write_text("changed\n")
    assert provenance.commit() == {"commit": head, "dirty": True}


def test_sources_inside_of_someone_elses_repository_have_no_commit(tmp_path, monkeypatch):
    run = repository(tmp_path, monkeypatch)
    run("rm", "-q", "--cached", "hindsight_jax/runs/provenance.py")
    run("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "gone")
    assert provenance.commit() == {"commit": None, "dirty": None}


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == {"commit": None, "dirty": None}


def test_a_foreign_git_dir_does_not_mislead(tmp_path, monkeypatch):
    run = repository(tmp_path, monkeypatch)
    head = run("rev-parse", "HEAD").stdout.strip()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert provenance.commit()["commit"] == head
