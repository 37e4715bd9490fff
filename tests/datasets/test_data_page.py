"""The page about data sets does what it says."""

import pathlib
import re
import shlex

import numpy as np
import pytest

from hindsight_jax import datasets
from hindsight_jax.cli import arguments

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "data.md").read_text()


@pytest.fixture
def ran(tmp_path, monkeypatch, capsys):
    """(folder, what the page's Python printed)."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), "data.md", "exec"), {"__name__": "page"})
    return tmp_path, capsys.readouterr().out


def test_its_python_runs_and_prints_what_it_says(ran):
    folder, printed = ran
    assert all(f"`{line}`" in PAGE for line in printed.splitlines())
    assert len(printed.splitlines()) == 2
    own, flat = datasets.load(folder / "bits.npz"), datasets.load(folder / "steps_with_goals.npz")
    np.testing.assert_array_equal(own.achieved_goal, flat.achieved_goal)
    with np.load(folder / "bits.npz") as file:
        assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == set(file.files)


def test_its_commands_are_taken():
    commands = [shlex.split(line)[1:] for line in re.findall(r"^hindsight-jax .*$", PAGE, re.MULTILINE)]
    configs = [arguments.parse(command).config for command in commands]
    assert [config.get("data.share") for config in configs] == [1.0, 0.5, None]
    offline = configs[0]
    per_update = offline["env.size"] * offline["env.num_envs"] / offline["agent.updates_per_epoch"]
    assert (offline["total_steps"], per_update) == (32_000, 8)
