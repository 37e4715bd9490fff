"""The README does what it says: its two commands are what CI runs, and its figures stand on the pages it names."""

import pathlib
import re
import subprocess
import tomllib

import pytest

from hindsight_jax import presets
from hindsight_jax.cli import arguments as cli_arguments

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()


def blocks(language: str) -> list[str]:
    """Fenced blocks of that language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_blocks_are_two_of_python_and_two_of_shell():
    """`tests/test_guides.py` runs the Python."""
    assert (len(blocks("python")), len(blocks("sh"))) == (2, 2)


def rows() -> list[tuple[str, str, str]]:
    """The cells of each row of the table of what it does: what, how well, and links."""
    return re.findall(r"^\| (\S.*?) \| (.*?)\| (\[.*?) \|$", README, re.MULTILINE)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_figures_of_a_row_stand_on_the_pages_that_it_links_to(row):
    """Each number, or each `m of n`, in those words."""
    _, figures, links = row
    pages = "".join((ROOT / path).read_text() for path in re.findall(r"\]\(([^)#]+)", links))
    for figure in re.findall(r"\d[\d,.]*(?: of \d[\d,.]*)?", figures.replace("fetch_reach and", "")):
        assert re.search(rf"(?<![\d.]){re.escape(figure.rstrip(',.'))}(?![\d])", pages), figure


def test_the_table_has_rows_and_its_counts_are_right():
    assert len(rows()) == 18
    assert any(what == "Twenty-five algorithms on sixteen tasks" for what, _, _ in rows())
    assert len(presets.ALGORITHMS) == 25
    assert len([name for name in presets.ENVIRONMENTS if not name.endswith("_pixels")]) == 16


@pytest.mark.parametrize("number", [1, 2])
def test_ci_runs_the_commands_as_printed(number):
    function = re.search(r"^command_of\(\) \{.*?^\}$", CI, re.DOTALL | re.MULTILINE).group()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{function}\ncommand_of {number}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == blocks("sh")[number - 1]
    assert done.stdout.count("\n") == 1  # CI adds arguments behind the first one's only line
    assert f"$(command_of {number})" in CI


VENV = r"python3 -m venv \.venv"
STEPS = {
    1: (VENV, r"\.venv/bin/pip install .* \.", r"\.venv/bin/python -m experiments\.run --config=hdm_push"),
    2: (VENV, r"\.venv/bin/pip install .* '\.\[test\]'", r"\.venv/bin/python -m pytest -q -n auto --dist loadfile"),
}


@pytest.mark.parametrize(("number", "needed"), STEPS.items())
def test_each_command_makes_an_environment_installs_and_runs(number, needed):
    steps = blocks("sh")[number - 1].strip().split(" && ")
    assert len(steps) == len(needed)
    for step, pattern in zip(steps, needed, strict=True):
        assert re.fullmatch(pattern, step), step
    constraints = re.search(r"-c (\S+)", steps[1]).group(1)
    assert (ROOT / constraints).is_file()


def test_the_extra_that_the_tests_need_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(entry.startswith("pytest") for entry in extras["test"])


def test_ci_s_short_run_is_one_that_the_program_takes():
    short = re.search(r"command_of 1\) (.*)\"$", CI, re.MULTILINE).group(1)
    arguments = cli_arguments.parse(["--config=hdm_push", *short.split()])
    assert arguments.config["total_steps"] == 12_000


def test_ci_builds_the_site_by_the_command_that_stands_here():
    command = ".venv/bin/python -m mkdocs build --strict"
    install = ".venv/bin/pip install -c constraints.txt -e '.[docs]'"
    assert f"`{install}`" in README
    assert f"`{command}`" in README
    assert command in CI
    assert install.replace("install", "install --quiet") in CI
