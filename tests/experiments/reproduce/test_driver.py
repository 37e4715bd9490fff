"""The driver, with a runner that leaves folders instead of training: what it skips, resumes, names and leaves alone."""

import functools

import done_runs
import pytest

from experiments.reproduce import driver, studies
from experiments.reproduce.studies import Run
from hindsight_jax.runs import batch
from hindsight_jax.runs.lock import Lock

RUNS = tuple(Run("some", f"beta_{i}", "hdm_flip_bit", {"agent.beta": 0.25 * i}, seeds=2) for i in (1, 2, 3))
BY_LABEL = {run.label: run for run in RUNS}


class Runner:
    """Leaves the run's folder done, unless its label is in `failing`; remembers its command lines."""

    def __init__(self, workdir, failing=()):
        self.workdir, self.failing, self.asked = workdir, failing, []

    def __call__(self, arguments, log):
        self.asked.append(arguments)
        run = BY_LABEL[arguments[-1].rpartition("/")[2]]
        log.write_text("training\n")
        if run.label in self.failing:
            return 1
        if "--resume" in arguments:
            path = self.workdir / run.path
            for file in sorted(path.rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
        done_runs.leave(run, "default", self.workdir)
        return 0


def drive(workdir, runner, runs=RUNS):
    said = []
    outcomes = list(driver.train(runs, "default", workdir, runner=runner, say=said.append))
    return {outcome.run.label: outcome.trouble for outcome in outcomes}, said


def test_new_runs_are_trained_by_the_command_line_and_done_ones_skipped(tmp_path):
    done_runs.leave(RUNS[1], "default", tmp_path)
    runner = Runner(tmp_path)
    found, said = drive(tmp_path, runner)
    assert found == {"beta_1": "", "beta_2": "", "beta_3": ""}
    assert [arguments[:3] for arguments in runner.asked] == [
        ["--config=hdm_flip_bit", "--config.seeds=2", f"--config.agent.beta={beta}"] for beta in (0.25, 0.75)
    ]
    assert runner.asked[0][3] == f"--workdir={tmp_path}/some/beta_1"
    assert said[0] == f"some/beta_1: hindsight-jax {' '.join(runner.asked[0])}"
    again = Runner(tmp_path)
    assert drive(tmp_path, again)[0] == found
    assert again.asked == []


@pytest.mark.parametrize(("share", "finished"), [(0.4, False), (0.4, True), (1.0, False)])
def test_what_was_cut_off_is_resumed(tmp_path, share, finished):
    """Stopped by a signal; killed, after an earlier summary; and stopped before the last summary."""
    done_runs.leave(RUNS[0], "default", tmp_path, share=share, finished=finished)
    runner = Runner(tmp_path)
    assert drive(tmp_path, runner, RUNS[:1])[0] == {"beta_1": ""}
    assert runner.asked == [["--resume", f"--workdir={tmp_path}/some/beta_1"]]


def test_a_run_that_fails_is_named_and_the_others_go_on(tmp_path):
    found, _ = drive(tmp_path, Runner(tmp_path, failing=("beta_2",)))
    assert found == {"beta_1": "", "beta_2": f"exit code 1, see {tmp_path}/some/beta_2.log", "beta_3": ""}


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_that_another_process_trains_is_left_to_it(tmp_path, begun):
    path = tmp_path / RUNS[0].path
    if begun:
        done_runs.leave(RUNS[0], "default", tmp_path, share=0.5)
    path.mkdir(parents=True, exist_ok=True)
    runner = Runner(tmp_path)
    with Lock(path):
        found, _ = drive(tmp_path, runner)
    assert found == {"beta_1": batch.LOCKED, "beta_2": "", "beta_3": ""}
    assert len(runner.asked) == 2


def test_a_run_that_another_process_began_at_the_same_moment_is_left_to_it(tmp_path):
    """The run's own lock has refused ours, whose exit code is 1."""
    path = tmp_path / RUNS[0].path
    locks = []

    def runner(arguments, log):
        path.mkdir(parents=True)
        locks.append(Lock(path).acquire())
        return 1

    assert drive(tmp_path, runner, RUNS[:1])[0] == {"beta_1": batch.LOCKED}
    locks[0].release()


def test_a_folder_that_holds_another_run_is_refused_and_kept(tmp_path):
    other = RUNS[0]._replace(values={"agent.beta": 0.5})
    done_runs.leave(other, "default", tmp_path)
    runner = Runner(tmp_path)
    found, _ = drive(tmp_path, runner, RUNS[:1])
    assert "holds another run" in found["beta_1"]
    assert runner.asked == []


def test_a_folder_of_another_budget_or_number_of_seeds_is_another_run(tmp_path):
    done_runs.leave(RUNS[0], "quick", tmp_path)
    assert driver.progress_of(RUNS[0], "quick", tmp_path).state == "done"
    assert driver.progress_of(RUNS[0], "default", tmp_path).state == "another run"
    done_runs.leave(RUNS[1]._replace(seeds=3), "default", tmp_path)
    assert driver.progress_of(RUNS[1], "default", tmp_path).state == "another run"


def test_a_folder_that_cannot_be_read_is_another_run(tmp_path):
    path = done_runs.leave(RUNS[0], "default", tmp_path)
    (path / "config.json").write_text("{")
    assert driver.progress_of(RUNS[0], "default", tmp_path).state == "another run"


def test_how_long_what_is_left_takes(tmp_path):
    """A done run took 100 s; one at a fourth took 25 s; one of twice the seeds has not begun."""
    large = Run("some", "large", "hdm_flip_bit", {"agent.beta": 4.0, "relabel.absorbing": False}, seeds=4)
    unknown = Run("some", "unknown", "hdm_printed_push")
    done_runs.leave(RUNS[0], "default", tmp_path)
    done_runs.leave(RUNS[1], "default", tmp_path, share=0.25, finished=False)
    found = [driver.progress_of(run, "default", tmp_path) for run in (RUNS[0], RUNS[1], large, unknown)]
    assert [one.state for one in found] == ["done", "cut off", "new", "new"]
    assert driver.seconds_left(found, "default") == (pytest.approx(75.0 + 200.0), 1)
    assert driver.seconds_left(found, "default", start=10.0) == (pytest.approx(305.0), 1)
    expected = Run("some", "expected", "hdm_door", seeds=6)  # 13.1 minutes of three seeds
    assert driver.seconds_left([driver.progress_of(expected, "default", tmp_path)], "default") == (
        pytest.approx(60 * 13.1 * 2),
        0,
    )


def test_every_override_is_taken_by_the_command_line():
    from experiments.reproduce import __main__ as command
    from hindsight_jax.cli import arguments

    parse = functools.cache(lambda *words: arguments.parse(list(words)))
    for run in command.runs_of(command.STUDIES, "quick")[::5]:
        asked = parse(*driver.job_of(run, "quick", driver.ROOT).arguments)
        assert asked.config == studies.config_of(run, "quick")
