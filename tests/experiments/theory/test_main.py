"""The command that writes the page, on claims that cost nothing."""

import subprocess
import sys

import commands
import pytest
from cheap_claim import claim

from experiments.theory import claims as all_claims


@pytest.fixture
def claims(monkeypatch):
    """Two claims in place of the real ones."""
    table = {"good": lambda: claim("good"), "bad": lambda: claim("bad", 2.0)}
    monkeypatch.setattr(all_claims, "CLAIMS", table)


@pytest.mark.usefixtures("claims")
def test_the_command_writes_the_page_and_fails_if_a_figure_does(tmp_path, capsys):
    assert commands.run("experiments.theory", [f"--output={tmp_path}/new/folder"]) == 1
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"new/folder/theory.md", "new/folder/theory/good.png", "new/folder/theory/bad.png"}
    output = capsys.readouterr().out
    assert "bad: a | b: expected 1, measured 2" in output
    assert "1 of 2" in output


@pytest.mark.usefixtures("claims")
def test_the_command_with_one_claim(tmp_path, capsys):
    assert commands.run("experiments.theory", [f"--output={tmp_path}", "good"]) == 0
    assert "## 1. A claim" in (tmp_path / "theory.md").read_text()
    assert not (tmp_path / "theory" / "bad.png").exists()
    assert "measured" not in capsys.readouterr().out


@pytest.mark.usefixtures("claims")
@pytest.mark.parametrize("arguments", [["nonsense"], ["--outptu=x"], ["good", "--output={}/file"]])
def test_bad_arguments_give_a_message_and_status_2(arguments, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert commands.run("experiments.theory", [argument.format(tmp_path) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("python -m experiments.theory: error:")
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.slow
def test_the_real_command(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "experiments.theory", f"--output={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert (tmp_path / "theory.md").read_text().count("\n## ") == 17
