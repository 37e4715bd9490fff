"""The pages of docs do what they say: their Python runs from top to bottom, and what it computes is what they claim."""

import ast
import copy
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from hindsight_jax import presets
from hindsight_jax.cli import arguments as cli_arguments
from hindsight_jax.cli import help
from hindsight_jax.presets import AGENTS

ROOT = pathlib.Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "add_your_own.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
AGENT, TRAIN, OTHER_ROW, ROW, LOOK, COMMAND, TEST = range(7)  # what each block is for


@pytest.fixture(scope="module")
def page():
    """What the page's Python defines, all of it; the tables are as they were afterwards."""
    tables = presets.ALGORITHMS, presets.all_fields(), AGENTS
    before = [copy.copy(table) for table in tables]
    namespace = {"__name__": "my_run"}  # as an import of the file: the command is not started
    try:
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"add_your_own.md, Python block {number}", "exec"), namespace)
        yield namespace
    finally:
        for table, old in zip(tables, before, strict=True):
            table.clear()
            table.update(old)


def code_lines(text):
    """Lines of statements: no imports, docstrings, comments or blank ones."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    left_out = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    left_out += [node for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    skipped = {line for node in left_out for line in range(node.lineno, node.end_lineno + 1)}
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in skipped for n, line in lines)


def test_lines_are_counted_without_imports_and_docstrings():
    text = 'import jax\n\n\ndef f(x):\n    """One.\n\n    Two.\n    """\n    # three\n    return (\n        x\n    )\n'
    assert code_lines(text) == 4


def test_loss_agent_and_row_are_fewer_than_40_lines():
    assert len(BLOCKS) == 7
    assert "fewer than 40 lines of code" in PAGE
    assert code_lines(BLOCKS[AGENT]) + code_lines(BLOCKS[ROW]) < 40


def test_the_loss_is_what_the_page_says(page):
    """gamma^(n - 1) times -log pi: 1, 1/2 and 1/4 of 2 nats at n = 1, 2, 3; at gamma 1 all the same."""
    loss = page["discounted_imitation"]
    assert [float(loss(-2.0, n, gamma=0.5)) for n in (1, 2, 3)] == [2.0, 1.0, 0.5]
    assert [float(loss(-2.0, n, gamma=1.0)) for n in (1, 2, 3)] == [2.0, 2.0, 2.0]


def test_both_members_learn(page):
    """From hardly any goal to nearly all."""
    untrained, trained = np.asarray(page["untrained"]), np.asarray(page["trained"])
    assert untrained.shape == trained.shape == (2,)
    assert untrained.max() < 0.1
    assert trained.min() > 0.8


def test_the_row_has_a_name_with_every_task_and_is_made_like_any_other(page):
    for environment in ("flip_bit", "navigation", "grid_four_rooms", "push"):
        assert f"discounted_gcsl_{environment}" in presets.names()
    values = presets.config("discounted_gcsl_push")
    assert (values["agent.gamma"], values["relabel.behaviour"], values["relabel.next_state"]) == (0.8, 0.0, 0.0)
    assert page["arguments"].config.agent.gamma == 0.5
    assert page["experiment"].env.spec.goal_shape == (25,)
    assert "discounted_gcsl_flip_bit" in help.list_text()


def test_the_row_reads_what_the_page_says(page):
    """All that its agent reads, and nothing else."""
    own = {field for field in presets.fields_of("discounted_gcsl_flip_bit") if field.startswith("agent.")}
    every = {"agent.learning_rate", "agent.gamma", "agent.hidden_sizes", "agent.layer_norm"}
    assert own == every | {"agent.batch_size", "agent.updates_per_epoch"}
    with pytest.raises(ValueError, match="epsilon"):
        cli_arguments.parse(["--config=discounted_gcsl_flip_bit", "--config.agent.epsilon=0.5"])


def test_the_other_row_needs_no_agent(page):
    values = presets.config("hdm_future_push")
    assert values["relabel.next_state"] == 0.0
    assert {field for field in values if values[field] != presets.config("hdm_push")[field]} == {"relabel.next_state"}


@pytest.mark.seldom  # it trains, and draws what a run leaves
def test_the_file_trains_the_row_from_the_command_line(tmp_path):
    (tmp_path / "my_run.py").write_text("\n\n".join(BLOCKS[i] for i in (AGENT, OTHER_ROW, ROW, COMMAND)))
    small = {"env.size": 3, "total_steps": 60, "replay.warmup": 2, "seeds": 2, "env.num_envs": 2}
    small |= {"agent.hidden_sizes": 8, "agent.updates_per_epoch": 2, "agent.batch_size": 8, "evaluation.episodes": 4}
    arguments = ["--config=discounted_gcsl_flip_bit", f"--workdir={tmp_path / 'run'}"]
    arguments += [f"--config.{field}={value}" for field, value in small.items()]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path), "MPLBACKEND": "Agg"}
    command = [sys.executable, str(tmp_path / "my_run.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"metrics.jsonl", "checkpoints", "curves.png", "summary.json"} <= left


def test_what_the_page_points_at_is_there():
    paths = set(re.findall(r"`((?:hindsight_jax|tests)/[\w/.]+)`", PAGE))
    assert "tests/agents/test_fixed_points.py" in paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
