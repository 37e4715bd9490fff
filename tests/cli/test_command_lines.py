"""A process refuses every bad command line: exit code 2 or 1, one line, at once, and no file left."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bad_arguments import BAD
from fork_server import ROOT, TINY

# Ends as soon as main has: the interpreter's own end takes ten times as long as a refusal.
QUICK = "sys.exit = lambda code: (sys.stdout.flush(), sys.stderr.flush(), os._exit(code))"
NO_CACHE = "import jax; jax.config.update('jax_enable_compilation_cache', False)"
SECONDS = 3.0  # of the processor: other work may share the machine

BIG = "--config=hdm_push --config.seeds=100 --config.replay.capacity=40000000"
# arguments (DIR is an empty folder), the exit code, a part of the message, and a part of its remedy
REFUSED = [
    (f"{BIG} --workdir=made", 1, "replay.capacity", "Lower --config.replay.capacity"),
    ("--resume --workdir=DIR", 2, "config.json", "without --resume"),
    ("--resume --workdir=DIR/none", 2, "config.json", "without --resume"),
    ("--resume --workdir=/dev/null", 2, "/dev/null", "--workdir"),
    ("--config=hdm_push --workdir=/dev/null", 1, "/dev/null", "another --workdir"),
    ("--config=hdm_push --workdir=/dev/null/run", 1, "is a file", "another --workdir"),
    ('--config=hdm_push --config.grid={"agent.gama_hdm":[1]} --workdir=made', 2, "agent.gama_hdm", "agent.gamma_hdm"),
    ('--config=hdm_push --config.grid={"agent.gamma_hdm":[-1]} --workdir=made', 2, "-1", "[0, inf]"),
]


def check(code: int, output: str, errors: str, expected: int, got: str, remedy: str) -> None:
    assert (code, output) == (expected, ""), errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1, errors
    assert got in errors
    assert remedy in errors


@pytest.mark.seldom
def test_every_bad_command_line_ends_with_2_and_leaves_nothing(server, tmp_path):
    slowest = 0.0
    for line, got, remedy in BAD:
        argv = line.split(" ") if line else []
        ended = server.run(*argv, cwd=tmp_path, setup=QUICK)
        check(*ended[:3], 2, got, remedy)
        assert not list(tmp_path.iterdir()), line
        slowest = max(slowest, ended.cpu_seconds)
    assert slowest < SECONDS


@pytest.mark.parametrize(("line", "code", "got", "remedy"), REFUSED, ids=[case[0][:60] for case in REFUSED])
def test_what_only_the_system_refuses_ends_with_1_or_2_and_leaves_nothing(server, tmp_path, line, code, got, remedy):
    folder = tmp_path / "folder"
    folder.mkdir()
    ended = server.run(*line.replace("DIR", str(folder)).split(" "), cwd=tmp_path, setup=QUICK)
    check(*ended[:3], code, got, remedy)
    assert ended.cpu_seconds < SECONDS
    assert sorted(tmp_path.rglob("*")) == [folder]


FULL = """
import jax
def full(*_, **__):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
jax.device_put = full
"""


@pytest.mark.parametrize(
    ("setup", "got"),
    [
        ("import jax; jax.config.update('jax_platforms', 'nonsense')", "JAX_PLATFORMS=nonsense"),
        (FULL, "Out of memory"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--explain"], ['--config.grid={"agent.layer_norm": [true, false]}']])
def test_a_device_that_cannot_be_used_is_refused_before_a_folder_is_made(server, tmp_path, setup, got, more):
    ended = server.run(*TINY, *more, cwd=tmp_path, setup=f"{setup}\n{QUICK}")
    check(*ended[:3], 1, got, "or set JAX_PLATFORMS=cpu.")
    assert not list(tmp_path.iterdir())


def test_a_current_folder_that_is_gone_is_named(server, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    ended = server.run(*TINY, "--workdir=run", cwd=folder, setup=f"os.rmdir({str(folder)!r})\n{QUICK}")
    check(*ended[:3], 1, "run: the current folder cannot be found", "Put it back")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its permissions")
def test_a_directory_without_permission_is_refused(server, tmp_path):
    for folder in (tmp_path, *tmp_path.parents):
        if "pytest" in str(folder):
            folder.chmod(0o711)
    ended = server.run(*TINY, f"--workdir={tmp_path / 'run'}", setup=f"{NO_CACHE}\nos.setuid(54321)\n{QUICK}")
    check(*ended[:3], 1, str(tmp_path / "run"), "Choose another --workdir, or change the permissions.")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "code", "got", "remedy"),
    [
        (lambda path: (path / "config.json").write_text("{"), 2, "config.json", "damaged. Put back a copy."),
        (lambda path: (path / "metrics.jsonl").unlink(), 1, "no metrics.jsonl", "Check --workdir"),
        (lambda path: shutil.rmtree(path / "checkpoints"), 1, "no checkpoint", "Put back a copy"),
    ],
)
def test_a_directory_that_is_no_whole_run_is_not_resumed(server, whole, tmp_path, change, code, got, remedy):
    path = Path(shutil.copytree(whole.path, tmp_path / "run"))
    change(path)
    before = {entry: entry.read_bytes() for entry in path.rglob("*") if entry.is_file() and entry.name != ".lock"}
    ended = server.run("--resume", f"--workdir={path}")
    check(*ended[:3], code, got, remedy)
    assert {entry: entry.read_bytes() for entry in before} == before


def test_a_run_is_not_resumed_with_other_values(server, whole, tmp_path):
    path = Path(shutil.copytree(whole.path, tmp_path / "run"))
    text = (path / "config.json").read_text()
    assert text.count('"batch_size": 8') == 1
    (path / "config.json").write_text(text.replace('"batch_size": 8', '"batch_size": 9'))
    before = (path / "metrics.jsonl").read_bytes()
    ended = server.run("--resume", f"--workdir={path}")
    check(*ended[:3], 1, "config.json: agent.batch_size", "Put the value back, or start a new run.")
    assert (path / "metrics.jsonl").read_bytes() == before


def test_a_finished_run_is_not_overwritten(server, whole):
    before = {path: path.read_bytes() for path in whole.path.rglob("*") if path.is_file()}
    ended = server.run(*TINY, f"--workdir={whole.path}")
    check(*ended[:3], 1, "config.json", "--resume")
    assert {path: path.read_bytes() for path in before} == before


def test_list_names_everything(server):
    ended = server.run("--list=all", setup=QUICK)
    assert (ended.code, ended.errors) == (0, "")
    assert {"hdm_push", "her_push", "hdm_push_paper"} <= set(ended.output.split())


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_bad_command_lines_end_a_fresh_process_within_3_seconds_of_work(tmp_path, part, record_property):
    slowest = 0.0
    for line, got, remedy in BAD[part::10]:
        command = [sys.executable, "-m", "experiments.run", *(line.split(" ") if line else [])]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        check(done.returncode, done.stdout, done.stderr, 2, got, remedy)
        assert not list(tmp_path.iterdir()), line
        slowest = max(slowest, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    record_property("slowest_cpu_seconds", slowest)
    print(f"the slowest of {len(BAD[part::10])} took {slowest:.2f} CPU seconds")
    assert slowest < SECONDS
