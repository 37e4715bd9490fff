"""`hindsight-jax show` and `compare`: what they print and write, and what they refuse."""

import pytest
from shown_runs import make_run

from hindsight_jax import backend
from hindsight_jax.cli import main, show


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs, in the current directory."""
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "a", curves=((0.7, 0.9), (0.7, 0.8)))
    make_run(tmp_path / "b", "her_push", ((0.2, 0.6), (0.4, 0.5)))


def test_show_writes_a_run_s_page_into_it_and_that_of_several_here(runs, tmp_path, capsys):
    assert main.main(["show", "a"]) == 0
    assert main.main(["show", "a", "other=b", "--title=two"]) == 0
    assert main.main(["show", ".", "--output=c.html"]) == 0
    assert capsys.readouterr().out.splitlines() == ["1 run: a/report.html", "2 runs: report.html", "2 runs: c.html"]
    assert "<title>two</title>" in (tmp_path / "report.html").read_text()
    assert "other: success" in (tmp_path / "report.html").read_text()
    assert "<title>hdm_push</title>" in (tmp_path / "a" / "report.html").read_text()


def test_compare_prints_how_each_ended_and_the_differences(runs, capsys):
    """0.3 in both pairs at the end; 0.4 and 0.3 on average: mean 0.35, half 12.7062 * 0.05."""
    assert main.main(["compare", "a", "b"]) == 0
    table = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in table]
    assert cells[1] == ["hdm_push", "2", "200", "0.850 (0.215 to 1.000)", "0.775 (0.457 to 1.000)"]
    last, recent, better = "0.300 (0.300 to 0.300)", "0.350 (-0.285 to 0.985)", "1.00 (0.16 to 1.00)"
    assert cells[5] == ["her_push", last, recent, better, "seed by seed"]
    assert cells[7] == ["hdm_push is the best of the last evaluations, chosen in hindsight."]


def test_compare_with_a_line_of_choice(runs, capsys):
    assert main.main(["compare", "a", "b", "--against=her_push", "--measure=any"]) == 0
    output = capsys.readouterr().out
    assert "her_push above" in output
    assert "-0.300 (-0.300 to -0.300)" in output
    assert "hindsight" not in output


def test_lines_that_are_equally_good_are_said_to_be(runs, tmp_path, capsys):
    make_run(tmp_path / "c", "gcsl_push", ((0.7, 0.9), (0.7, 0.8)))
    assert main.main(["compare", "a", "b", "c"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Tied, over the last evaluations: hdm_push; gcsl_push."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "the following arguments are required"),
        (["show", "nowhere"], "DIR: got 'nowhere', but it must be the directory of a run"),
        (["compare", "a", "--against=her"], "--against: got 'her', but it must be one of: hdm_push."),
        (["compare", "a", "--measure=best"], "--measure: invalid choice: 'best'"),
        (["compare", "a", "--meas=end"], "unrecognized arguments: --meas=end"),
    ],
)
def test_what_does_not_fit_is_refused_on_one_line(runs, arguments, message, capsys):
    assert main.main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert message in errors


def test_a_page_that_cannot_be_written_ends_with_1(runs, capsys):
    assert main.main(["show", "a", "--output=none/page.html"]) == 1
    assert "none/page.html: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "compare", "evaluate", "export", "batch"])
def test_each_command_has_help(command, capsys):
    assert main.main([command, "--help"]) == 0
    assert f"usage: hindsight-jax {command}" in capsys.readouterr().out


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "a"), backend.BackendError("no device")])
def test_a_folder_that_vanishes_and_a_device_that_fails_end_a_command_with_1(monkeypatch, capsys, error):
    monkeypatch.setattr(show, "main", lambda argv: (_ for _ in ()).throw(error))
    assert main.main(["show", "a"]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_a_word_that_is_nearly_a_command_gets_a_suggestion(capsys):
    assert main.main(["shwo", "a"]) == 2
    assert "shwo: it belongs to no flag, and is no command. Did you mean show?" in capsys.readouterr().err
