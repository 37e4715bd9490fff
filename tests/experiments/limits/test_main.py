"""The command, with the stored figures in place of a measurement; and the page has them."""

import json
import pathlib

import commands
import pytest
import registering

from experiments.limits import __main__ as command
from experiments.limits import measure

ROOT = pathlib.Path(__file__).parents[3]
FIGURES = json.loads((ROOT / "experiments" / "results" / "limits.json").read_text())
PAGE = (ROOT / "docs" / "limits.md").read_text()


def test_the_command_writes_figures_and_picture(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(measure, "measure", lambda seeds, report: FIGURES | {"seeds": list(seeds)})
    with registering.tables_restored():
        assert (
            commands.run("experiments.limits", ["--seeds=7,8", f"--results={tmp_path}", f"--pictures={tmp_path}"]) == 0
        )
    assert json.loads((tmp_path / "limits.json").read_text()) == FIGURES | {"seeds": [7, 8]}
    assert (tmp_path / "limits.png").stat().st_size > 1_000
    assert "her without own goals: success" in capsys.readouterr().out


@pytest.mark.parametrize("argument", ["--seeds=7", "--seeds=7,7", "--seeds=x", "--results=no_such_folder"])
def test_wrong_arguments_give_status_2(argument, capsys):
    assert commands.run("experiments.limits", [argument]) == 2
    assert argument.partition("=")[2] in capsys.readouterr().err


def test_the_page_prints_what_the_command_prints_of_the_stored_figures():
    (printed,) = [block for block in PAGE.split("```")[1::2] if "change ratio" in block]
    assert printed.strip().splitlines() == command.summary(FIGURES)
