"""The page and the command, on a claim that costs nothing."""

import io
import subprocess
import sys

import commands
import numpy as np
import pytest
from PIL import Image

from experiments.theory import claims as all_claims
from experiments.theory import drawing, page
from experiments.theory.results import Claim, between, equals


def picture():
    figure, (left, right) = drawing.panels(2)
    drawing.line(left, [1, 2, 3], [1.0, 4.0, 9.0], "squares", 0)
    drawing.reference_line(left, [1, 2, 3], [1.0, 4.0, 9.0], "exact")
    drawing.diagonal(right, [1, 2], [1, 2], "points", 1)
    for axis in (left, right):
        drawing.label(axis, "title", "x (steps)", "y (reward)")
        drawing.legend(axis)
    return drawing.png(figure)


def claim(key="k", measured=1.0, title="A claim, with |bars|"):
    figures = (equals("a | b", 1.0, measured, 0.1), between("off by", 0.1, 0.3, 0.2))
    return Claim(key, title, "[D 1]", "It is so.", ("one", "two"), "holds", "A remark.", figures, "A caption.", picture)


def test_a_section_says_everything():
    text = page.section(3, claim())
    for part in ("## 3. A claim", "[D 1]", "It is so.", "- one\n- two", "Verdict: holds.", "A caption.", "A remark."):
        assert part in text
    assert "| a \\| b | 1 | 1 | 0.1 | yes |" in text
    assert "| off by | 0.1 to 0.3 | 0.2 |  | yes |" in text
    assert "![A claim, with |bars|](theory/k.png)" in text
    assert "| a \\| b | 1 | 2 | 0.1 | **no** |" in page.section(1, claim(measured=2.0))


def test_the_summary_counts_and_links():
    text = page.summary([claim(), claim("other", 2.0, "It's another")])
    assert "| 1 | [A claim, with \\|bars\\|](#1-a-claim-with-bars) | [D 1] | holds | 2 of 2 |" in text
    assert "| 2 | [It's another](#2-its-another) | [D 1] | holds | 1 of 2 |" in text


def test_a_picture_opens_is_small_and_comes_out_the_same_twice():
    data = picture()
    assert data == picture()
    assert len(data) < drawing.MAX_BYTES
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (1000, 390)
        colours = {tuple(colour) for colour in np.asarray(image.convert("RGB")).reshape(-1, 3)}
    assert (0, 114, 178) in colours  # the line


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
    assert (tmp_path / "theory.md").read_text().count("\n## ") == 10
