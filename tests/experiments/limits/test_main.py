"""The command, with the stored figures in place of a measurement; and the page has them."""

import json
import pathlib

import commands
import pytest
import registering

from experiments.limits import measure, summary

ROOT = pathlib.Path(__file__).parents[3]
FIGURES = json.loads((ROOT / "experiments" / "results" / "limits.json").read_text())
PAGE = (ROOT / "docs" / "limits.md").read_text()


@pytest.fixture
def cheap(monkeypatch):
    """The stored figures in place of a measurement, those of the gamble with a mark."""
    marked = FIGURES["gambles"] | {"marked": FIGURES["gambles"]["gcsl"]}
    parts = {part: lambda seeds, report, part=part: FIGURES[part] for part in measure.PARTS}
    monkeypatch.setattr(measure, "PARTS", parts | {"gambles": lambda seeds, report: marked})


@pytest.mark.usefixtures("cheap")
def test_the_command_writes_figures_and_picture_and_keeps_the_parts_that_are_not_asked_for(tmp_path, capsys):
    folders = [f"--results={tmp_path}", f"--pictures={tmp_path}"]
    with registering.tables_restored():
        assert commands.run("experiments.limits", ["--seeds=7,8", *folders]) == 0
    (tmp_path / "limits.png").unlink()
    stored = json.loads((tmp_path / "limits.json").read_text())
    assert stored["bounds"] == FIGURES["bounds"]
    assert "marked: success" in capsys.readouterr().out
    (tmp_path / "limits.json").write_text(json.dumps(stored | {"gambles": {}, "bounds": stored["bounds"]}))
    with registering.tables_restored():
        assert commands.run("experiments.limits", ["gambles", "--seeds=9,8", *folders]) == 0
    found = json.loads((tmp_path / "limits.json").read_text())
    assert found["seeds"] == {"locks": [7, 8], "bounds": [7, 8], "gambles": [9, 8]}
    assert found["gambles"] == stored["gambles"]
    assert (tmp_path / "limits.png").stat().st_size > 1_000


@pytest.mark.parametrize("argument", ["--seeds=7", "--seeds=7,7", "--seeds=x", "--results=no_such_folder", "luck=1"])
def test_wrong_arguments_give_status_2(argument, capsys):
    assert commands.run("experiments.limits", [argument]) == 2
    assert argument.rpartition("=")[2] in capsys.readouterr().err


def test_the_page_prints_what_the_command_prints_of_the_stored_figures():
    (printed,) = [block for block in PAGE.split("```")[1::2] if "change ratio" in block]
    assert [line for line in printed.strip().splitlines() if line[0] != "$"] == summary.lines(FIGURES)
