"""`hindsight-jax batch`: what it makes of names and files, with a runner that leaves folders instead of training."""

import pathlib

import pytest
from shown_runs import make_run

from hindsight_jax.cli import batch, main
from hindsight_jax.runs import config_file, imports
from hindsight_jax.runs.workdir import WorkDir

NIGHT = """
[defaults]
seeds = 2
agent.epsilon = 0.3

[[run]]
config = ["hdm_push", "her_push"]

[[run]]
label = "betas"
config = "hdm_push"
agent.epsilon = 0.1
agent.hidden_sizes = [8, 8]
grid = { "agent.beta" = [0.5, 1] }
"""


@pytest.fixture
def night(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("night.toml").write_text(NIGHT)


class Runner:
    """Leaves each run done, but for those in `failing`; remembers what it was asked."""

    def __init__(self, jobs, failing=()):
        self.jobs, self.failing, self.asked = {str(job.path): job for job in jobs}, failing, []

    def __call__(self, arguments, log):
        self.asked.append(arguments)
        job = self.jobs[arguments[-1].removeprefix("--workdir=")]
        log.write_text("")
        if job.label in self.failing:
            return 1
        workdir = WorkDir.create(job.path)
        grid = config_file.grid_to_json(job.grid)
        workdir.write_config(config_file.to_json(job.config), name=job.name, grid=grid)
        total, members = job.config["total_steps"], config_file.num_members(job.config, job.grid)
        fixed = {"updates": 1, "success_end": 0.5, "success_any": 0.5, "seconds_train": 4.0, "seconds_evaluate": 1.0}
        settings = config_file.members(job.config, job.grid).settings
        records = [{"member": m, "seed": m, "env_steps": total, **settings[m], **fixed} for m in range(members)]
        workdir.append_records(records)
        workdir.write_summary(num_episodes=8, seconds={})
        return 0


def jobs(*what, flags=()):
    return batch.jobs_of(what, flags, pathlib.Path("w"))


def test_a_file_s_runs_have_its_defaults_and_their_own_values(night):
    found = jobs("night.toml")
    assert [(job.label, job.name, str(job.path)) for job in found] == [
        ("hdm_push", "hdm_push", "w/hdm_push"),
        ("her_push", "her_push", "w/her_push"),
        ("betas", "hdm_push", "w/betas"),
    ]
    assert [job.config["agent.epsilon"] for job in found] == [0.3, 0.3, 0.1]
    assert [job.config["seeds"] for job in found] == [2, 2, 2]
    assert found[2].config["agent.hidden_sizes"] == (8, 8)
    assert found[2].grid == {"agent.beta": (0.5, 1.0)}


def test_a_file_may_name_modules_to_import(night, monkeypatch):
    monkeypatch.syspath_prepend(".")
    monkeypatch.setattr(imports, "_imported", {})  # which is of the whole process
    pathlib.Path("of_mine.py").write_text("")
    pathlib.Path("a.toml").write_text('[defaults]\nimport = "of_mine"\n\n[[run]]\nconfig = "hdm_push"\n')
    (job,) = jobs("a.toml")
    assert job.arguments == ["--import=of_mine", "--config=hdm_push"]


def test_names_take_the_flags_of_the_command_line_and_so_do_files(night):
    first, *rest = jobs("gcsl_push", "night.toml", flags=["--config.seeds=3"])
    assert first.arguments == ["--config=gcsl_push", "--config.seeds=3"]
    assert {job.config["seeds"] for job in (first, *rest)} == {3}


def test_it_trains_what_is_not_done_and_leaves_one_page(night, capsys):
    arguments = ["night.toml", "--workdir=w"]
    runner = Runner(jobs("night.toml"))
    assert batch.main(arguments, runner) == 0
    assert len(runner.asked) == 3
    output = capsys.readouterr().out
    assert """betas: hindsight-jax --config=hdm_push """ in output
    assert """'--config.grid={"agent.beta": [0.5, 1]}' --workdir=w/betas""" in output  # as a shell takes it
    assert "her_push: done, 5s of work; 2 of 3 runs" in output
    assert "report: w/report.html" in output
    html = pathlib.Path("w/report.html").read_text()
    for label in ("her_push", "betas: beta 0.5", "betas: beta 1"):
        assert f"{label}: success 0.500" in html
    again = Runner(jobs("night.toml"))
    assert batch.main(arguments, again) == 0
    assert again.asked == []


def test_one_failure_does_not_stop_the_others_and_is_the_exit_code(night, capsys):
    assert batch.main(["night.toml", "--workdir=w"], Runner(jobs("night.toml"), failing=("her_push",))) == 1
    captured = capsys.readouterr()
    assert captured.err == "error: her_push: exit code 1, see w/her_push.log\n"
    assert "betas: done" in captured.out
    assert batch.main(["night.toml", "--workdir=w", "--list"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["hdm_push", "done"],
        ["her_push", "new"],
        ["betas", "done"],
    ]


def test_ctrl_c_stops_it_and_says_how_to_go_on(night, capsys):
    def interrupted(arguments, log):
        raise KeyboardInterrupt

    assert batch.main(["night.toml", "--workdir=w"], interrupted) == 130
    assert "the same command goes on from here" in capsys.readouterr().out


def test_a_folder_that_holds_another_run_is_kept_and_named(night, capsys):
    make_run(pathlib.Path("w/hdm_push"))
    before = pathlib.Path("w/hdm_push/config.json").read_bytes()
    assert batch.main(["hdm_push", "--workdir=w"], Runner([])) == 1
    assert "w/hdm_push holds another run. Move it" in capsys.readouterr().err
    assert pathlib.Path("w/hdm_push/config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hdm_pus"], "hdm_pus: --config: got 'hdm_pus', but there is no such name. Did you mean"),
        (["hdm_push", "hdm_push"], "label: got 'hdm_push' twice"),
        (["none.toml"], "none.toml: cannot be read"),
        (["bad.toml"], "bad.toml: it must have tables [[run]]"),
        (["empty.toml"], 'run 1: config is missing. Write config = "hdm_push".'),
        (["outside.toml"], "label: got '../x', but it must be a directory's name"),
        (["hdm_push", "--config.agent.beta=-1"], "hdm_push: --config.agent.beta: got"),
        (["hdm_push", "--resume"], "--resume: it is no flag of batch"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(night, arguments, message, capsys):
    pathlib.Path("bad.toml").write_text("[runs]\n")
    pathlib.Path("empty.toml").write_text("[[run]]\nseeds = 2\n")
    pathlib.Path("outside.toml").write_text('[[run]]\nconfig = "hdm_push"\nlabel = "../x"\n')
    assert main.main(["batch", *arguments, "--workdir=w"]) == 2
    assert message in capsys.readouterr().err
    assert not pathlib.Path("w").exists()


@pytest.mark.slow
def test_a_run_is_trained_by_a_process_with_a_line_for_each_evaluation(tmp_path, capsys):
    """Its log has them; two programs of a grid are one run."""
    small = [
        "env.size=4",
        "replay.warmup=8",
        "evaluation.episodes=8",
        "evaluation.every=80",
        "total_steps=200",
        "seeds=1",
    ]
    grid = tmp_path / "grid.toml"
    grid.write_text('[[run]]\nlabel = "g"\nconfig = "her_flip_bit"\ngrid = { "agent.hidden_sizes" = [[8], [4, 4]] }\n')
    arguments = [str(grid), *(f"--config.{value}" for value in small), f"--workdir={tmp_path}/w"]
    assert main.main(["batch", *arguments]) == 0
    log = (tmp_path / "w" / "g.log").read_text()
    assert "env steps per seed, success" in log
    assert "g: done" in capsys.readouterr().out
    assert batch.main([*arguments, "--list"]) == 0
    assert "done  100%" in capsys.readouterr().out


def test_a_run_that_cannot_start_does_not_stop_the_others(night, capsys):
    """The folder of its log takes no file; another run's directory is a file."""
    pathlib.Path("w/her_push.log").mkdir(parents=True)
    pathlib.Path("w/betas").touch()
    assert batch.main(["night.toml", "--workdir=w"], Runner(jobs("night.toml"))) == 1
    captured = capsys.readouterr()
    assert "hdm_push: done" in captured.out
    assert "error: her_push: it did not start ([Errno 21] Is a directory: 'w/her_push.log')" in captured.err
    assert "error: betas: it did not start (" in captured.err
