"""The README does what it says: its Python runs, and its two commands are what CI runs."""

import pathlib
import re
import shlex
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


def commands() -> list[list[str]]:
    """Arguments of every command line of the README, a block's lines and inline code alike."""
    lines = re.findall(r"(?:-m experiments\.run|\bhindsight-jax) (--[^`\n]*)", README)
    return [shlex.split(line.removesuffix(" &")) for line in lines]


@pytest.mark.parametrize("index", [0, 1, pytest.param(2, marks=pytest.mark.slow), 3])  # the third compiles push
def test_python_runs_as_printed(index, capsys):
    exec(compile(blocks("python")[index], f"README.md, Python block {index}", "exec"), {"__name__": "__main__"})
    output = capsys.readouterr().out
    if index == 2:  # a line of report, then the shape
        line, shape = output.splitlines()
        assert line.startswith("hdm_push: 10,400 of 10,400 env steps, success ")
        assert shape == "(3, 2, 2, 1)"


def test_the_blocks_are_four_of_python_and_two_of_shell():
    assert (len(blocks("python")), len(blocks("sh"))) == (4, 2)


def test_what_the_python_computes():
    """The results that the README's comments promise."""
    namespace = {}
    exec(blocks("python")[1], namespace)
    assert namespace["index"] == -1 or 3 < namespace["index"] <= 50
    assert namespace["probabilities"].shape == (52,)
    assert abs(float(namespace["probabilities"].sum()) - 1.0) < 1e-5
    assert abs(float(namespace["probabilities"][0]) - 0.15) < 1e-6


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


def test_every_command_line_is_one_that_the_program_takes():
    lines = commands()
    assert ["--config=hdm_push"] in lines
    assert ["--list"] in lines
    for line in lines:
        if "--resume" in line:  # of a directory that is not here
            assert line == ["--resume", "--workdir=runs/hdm_push-<date>"]
        else:
            cli_arguments.parse(line)
    short = re.search(r"command_of 1\) (.*)\"$", CI, re.MULTILINE).group(1)
    arguments = cli_arguments.parse(["--config=hdm_push", *short.split()])
    assert arguments.config["total_steps"] == 12_000


def test_the_paths_of_its_tables_are_there():
    first_cells = "".join(re.findall(r"^\|(.*?)\|", README, re.MULTILINE))
    names = {*presets.ALGORITHMS, *presets.ENVIRONMENTS, *presets.names()}  # the tables are of these, and of paths
    paths = [cell for cell in re.findall(r"`([^`]+)`", first_cells) if cell not in names]
    assert "hindsight_jax/losses" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_layout_names_every_package_and_module():
    parts = {path.relative_to(ROOT) for path in (ROOT / "hindsight_jax").iterdir() if path.name[0] not in "_."}
    parts |= {path.relative_to(ROOT) for path in (ROOT / "experiments").iterdir() if path.name[0] not in "_."}
    kinds = {path for path in parts if path.suffix == ".py" or (ROOT / path).is_dir()}
    assert [str(path) for path in sorted(kinds) if f"`{path}`" not in README] == []


def test_the_walk_of_a_transition_names_functions_that_are_there():
    steps = re.findall(r"^\d\. .*$", README, re.MULTILINE)
    assert len(steps) == 9
    named = [pair for step in steps for pair in re.findall(r"`([\w/]+\.py)`, `(\w+)`", step)]
    assert len(named) >= len(steps)
    text = {path: (ROOT / "hindsight_jax" / path).read_text() for path, _ in named}
    assert [pair for pair in named if f"def {pair[1]}(" not in text[pair[0]]] == []
