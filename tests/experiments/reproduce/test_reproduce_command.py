"""python -m experiments.reproduce: what it writes, its exit codes, and a study that is killed midway and run again."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import done_runs
import pytest

from experiments.reproduce import __main__ as command
from experiments.reproduce import figures, page, stored
from hindsight_jax.runs.lock import Lock

ONLY = "hem-figure-9a"
RUNS = {run.path: run for run in command.runs_of(command.STUDIES, "quick")}
MINE = [path for path in RUNS if path.startswith(ONLY)]


@pytest.fixture
def drawn(monkeypatch):
    """Blank pictures, in no time; tests/experiments/reproduce/test_page.py draws them."""
    names = []
    monkeypatch.setattr(figures, "picture", lambda study, results: names.append(study.name) or b"\x89PNG")
    return names


def runner_of(folder, failing=(), asked=None):
    """Leaves each run done, unless its path is in `failing`."""

    def run(arguments, log):
        path = arguments[-1].removeprefix(f"--workdir={folder}/")
        if asked is not None:
            asked.append(path)
        if path in failing:
            return 1
        done_runs.leave(RUNS[path], "quick", folder, [0.25, 0.5])
        return 0

    return run


def reproduce(folder, runner, *arguments):
    return command.main(["--budget=quick", f"--workdir={folder}", *arguments], runner)


def test_a_study_s_runs_are_trained_and_its_results_written(tmp_path, capsys, drawn):
    before = stored.places("default", tmp_path).page.read_bytes()
    asked = []
    assert reproduce(tmp_path, runner_of(tmp_path, asked=asked), f"--only={ONLY}") == 0
    assert asked == MINE
    said = capsys.readouterr().out
    assert "0 of 2 runs done" in said
    assert "2 of 2 runs done" in said
    results = json.loads((tmp_path / f"{ONLY}-quick.json").read_text())
    assert list(results) == ["n_5", "n_80"]
    assert results["n_5"]["success_end"] == [[0.25, 0.25], [0.5, 0.5]]
    assert (tmp_path / f"{ONLY}-quick.png").exists()
    assert drawn == [ONLY]
    text = (tmp_path / "results.md").read_text()
    assert "2 of 2 runs are done" in page.block_of(text, f"{ONLY}-quick")
    assert stored.places("default", tmp_path).page.read_bytes() == before  # the repository's stays

    again = []
    assert reproduce(tmp_path, runner_of(tmp_path, asked=again), f"--only={ONLY}") == 0
    assert again == []
    assert (tmp_path / "results.md").read_text() == text


def test_a_run_that_fails_is_named_at_the_end_and_the_rest_is_written(tmp_path, capsys, drawn):
    runner = runner_of(tmp_path, failing=MINE[:1])
    assert reproduce(tmp_path, runner, f"--only={ONLY},hem-figure-10") == 1
    captured = capsys.readouterr()
    assert captured.err == f"error: {MINE[0]}: exit code 1, see {tmp_path}/{MINE[0]}.log\n"
    text = (tmp_path / "results.md").read_text()
    assert "1 of 2 runs are done" in page.block_of(text, f"{ONLY}-quick")
    assert "6 of 6 runs are done" in page.block_of(text, "hem-figure-10-quick")
    assert "4 of 7 runs are done" in page.block_of(text, "hem-figure-3-quick")  # it shows four of these runs


def test_a_run_of_another_process_is_named_and_no_failure(tmp_path, capsys, drawn):
    path = done_runs.leave(RUNS[MINE[0]], "quick", tmp_path, share=0.5, finished=False)
    with Lock(path):
        assert reproduce(tmp_path, runner_of(tmp_path), f"--only={ONLY}") == 0
    assert f"{MINE[0]}: left to the process that trains it" in capsys.readouterr().out
    assert "1 of 2 runs are done" in (tmp_path / "results.md").read_text()


def test_a_run_of_several_studies_is_tried_once(tmp_path, drawn):
    asked = []
    runner = runner_of(tmp_path, failing=("hdm-table-1/hdm_push",), asked=asked)
    assert reproduce(tmp_path, runner, "--only=hdm-table-1", "hdm-figure-7") == 1
    assert asked == ["hdm-table-1/gcsl_push", "hdm-table-1/her_push", "hdm-table-1/hdm_push"]


def test_stored_runs_stay_where_the_work_directory_is_gone(tmp_path):
    """A clone holds results, and no runs."""
    first, second = (RUNS[path] for path in MINE)
    done_runs.leave(first, "quick", tmp_path / "a", [0.25, 0.5])
    done_runs.leave(second, "quick", tmp_path / "b", [0.75, 1.0])
    for folder in ("a", "b"):
        stored.store([first, second], "quick", tmp_path / folder, tmp_path)
    found = stored.load([first, second], "quick", tmp_path)
    assert {path: run["success_end"][0][-1] for path, run in found.items()} == {first.path: 0.25, second.path: 0.75}
    assert len((tmp_path / f"{ONLY}-quick.json").read_text().splitlines()) == 4  # a line each, and the brackets


def test_the_list_says_what_is_done(tmp_path, capsys):
    done_runs.leave(RUNS[MINE[0]], "quick", tmp_path)
    assert reproduce(tmp_path, None, "--list") == 0
    everything = capsys.readouterr().out
    assert all(f"{study.source}: {study.title}" in everything for study in command.STUDIES)
    assert reproduce(tmp_path, None, "--list", f"--only={ONLY}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 of 2 runs done, about 1m 40s left" in lines[2]
    assert [line.split() for line in lines[3:]] == [[MINE[0], "done", "100%"], [MINE[1], "new", "0%"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == [ONLY]  # it writes nothing


def test_what_is_done_is_written_without_training(tmp_path, drawn):
    done_runs.leave(RUNS[MINE[0]], "quick", tmp_path)
    assert reproduce(tmp_path, None, "--write", f"--only={ONLY}") == 0
    assert list(json.loads((tmp_path / f"{ONLY}-quick.json").read_text())) == ["n_5"]
    assert "1 of 2 runs are done" in (tmp_path / "results.md").read_text()


def test_wrong_arguments_are_refused(tmp_path, capsys):
    assert reproduce(tmp_path, None, "--only=hdm-table-2") == 2
    assert "Did you mean --only=hdm-table-1?" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        command.main(["--budget=large"])
    assert refused.value.code == 2


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (f"{ONLY}-quick.json", "[]", "no JSON object of runs"),
        (f"{ONLY}-quick.json", "{", "it is no JSON"),
        ("results.md", f"<!-- study {ONLY}-quick -->\n", "<!-- end --> must follow"),
    ],
)
def test_a_file_that_cannot_be_written_to_is_refused_before_anything_is_trained(
    tmp_path, capsys, name, text, complaint
):
    (tmp_path / name).write_text(text)
    asked = []
    assert reproduce(tmp_path, runner_of(tmp_path, asked=asked), f"--only={ONLY}") == 2
    assert complaint in capsys.readouterr().err
    assert asked == []


LONGER = """
import sys
from experiments.reproduce import studies
studies.QUICK = dict(studies.QUICK) | {"total_steps": 4_000, "evaluation.every": 40, "checkpoint.seconds": 0.0}
from experiments.reproduce.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def start(folder):
    command_line = [sys.executable, "-c", LONGER, "--budget=quick", f"--workdir={folder}", f"--only={ONLY}"]
    with open(f"{folder}.log", "w") as log:
        return subprocess.Popen(command_line, cwd=stored.ROOT, stdout=log, stderr=log)


def finish(folder):
    """Runs the command to its end; what it said."""
    code = start(folder).wait()
    said = pathlib.Path(f"{folder}.log").read_text()
    assert code == 0, said
    return said


def numbers(folder):
    results = json.loads((folder / f"{ONLY}-quick.json").read_text())
    return {label: (run["env_steps"], run["success_end"], run["last"]) for label, run in results.items()}


@pytest.mark.slow  # seven processes that compile
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_study_that_is_stopped_midway_ends_with_the_same_numbers(tmp_path, number):
    """By a signal to the command, which passes it on; and killed, so that the run it had begun goes on alone."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finish(whole)
    stopped, first = start(cut), cut / MINE[0]
    deadline = time.monotonic() + 300
    while not (first / "metrics.jsonl").exists() or (first / "metrics.jsonl").read_bytes().count(b"\n") < 10:
        assert time.monotonic() < deadline
        assert stopped.poll() is None
        time.sleep(0.02)
    stopped.send_signal(number)
    if number == signal.SIGTERM:
        assert stopped.wait() == 143
        assert json.loads((first / "summary.json").read_text())["interrupted"]
        assert "--resume" in finish(cut)
    else:
        assert stopped.wait() == -signal.SIGKILL
        assert f"{MINE[0]}: python -m" not in finish(cut)  # the run that it had begun goes on alone, and is left to it
        while not (first / "summary.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        finish(cut)
    assert numbers(cut) == numbers(whole)
