"""A user's modules, imported by --import and again by a run that is resumed."""

import sys

import pytest
from bad_arguments import PUSH
from parsing import refused, resume

from hindsight_jax import presets
from hindsight_jax.cli import arguments as cli_arguments
from hindsight_jax.cli import help
from hindsight_jax.runs import config_file, imports
from hindsight_jax.runs.workdir import WorkDir


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A folder with a user's module, which adds a field and an algorithm of that name."""
    name = "registers_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(
        "from typing import Annotated\n"
        "from hindsight_jax import agents, fields, presets\n"
        "Mine = Annotated[float, fields.Allowed('a number of mine', 0.0, 1.0)]\n"
        "def mine(spec, *, distance, hparams=agents.QLearningHparams(), mine: Mine = 0.5):\n"
        "    return agents.q_learning(spec, distance=distance, hparams=hparams)\n"
        "presets.register_algorithm('mine', agent=mine, help='my own', reads_rewards=True)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    kept = dict(presets.ALGORITHMS), dict(presets.AGENTS), dict(imports._imported)
    yield name
    for table, before in zip((presets.ALGORITHMS, presets.AGENTS, imports._imported), kept, strict=True):
        table.clear()
        table.update(before)
    sys.modules.pop(name, None)


def test_a_module_that_is_imported_brings_names_and_fields(module, tmp_path):
    assert cli_arguments.parse(["--import", module, "--import=json", "--list=mine"]).list == "mine"
    arguments = cli_arguments.parse([f"--import={module}", "--config=mine_push", "--config.agent.mine=0.25"])
    assert (arguments.name, arguments.config["agent.mine"]) == ("mine_push", 0.25)
    assert module in imports.imported()
    assert "my own" in help.list_text("mine")
    assert {module, "json"} <= set(imports.imported())


def test_a_resumed_run_imports_its_modules_again(module, tmp_path):
    made = cli_arguments.parse([f"--import={module}", "--config=mine_push"])
    run = WorkDir.create(tmp_path / "run")
    run.write_config(config_file.to_json(made.config), name=made.name)
    assert run.read_config()["imports"] == imports.imported()
    del presets.ALGORITHMS["mine"], sys.modules[module]
    assert cli_arguments.parse(resume(tmp_path / "run", "--config=mine_push")).name == "mine_push"


@pytest.mark.parametrize(
    ("source", "got"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("import no_such_thing", "No module named 'no_such_thing'")],
)
def test_a_module_that_fails_is_refused_with_its_own_error(tmp_path, monkeypatch, source, got):
    name = f"fails_{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    message = refused([f"--import={name}", PUSH])
    assert got in message
    assert f'python -c "import {name}" shows where' in message
