"""The page about Gymnasium does what it says."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import registering

pytest.importorskip("gymnasium")

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gymnasium.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
OURS, ENVIRONMENT, TRAIN = slice(2), 2, 3
COMMANDS = re.findall(r"^hindsight-jax (.*)$", PAGE, re.MULTILINE)


def test_its_python_runs():
    assert len(BLOCKS) == 4
    exec(compile("\n".join(BLOCKS[OURS]), "gymnasium.md", "exec"), {"__name__": "page"})


def test_the_environment_has_fewer_than_40_lines_and_names():
    from hindsight_jax import presets
    from hindsight_jax.cli import help

    assert sum(bool(line.strip()) for line in BLOCKS[ENVIRONMENT].splitlines()) < 40
    with registering.tables_restored():
        exec(compile(BLOCKS[ENVIRONMENT], "numpy_bits.py", "exec"), {"__name__": "numpy_bits"})
        assert {f"{name}_numpy_bits" for name in ("hdm", "her", "gcsl", "hem", "hpg")} <= set(presets.names())
        config = presets.config("hdm_numpy_bits", {"env.size": 3})
        assert presets.build("hdm_numpy_bits", config).env.spec.observation_shape == (3,)
        assert "bits are flipped, in NumPy" in help.help_text("hdm_numpy_bits")


def run_python(folder, *words):
    """A Python in that folder, which knows the package but for what lies there."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "MPLBACKEND": "Agg"}
    command = [sys.executable, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow  # trains
def test_it_learns(tmp_path):
    (tmp_path / "numpy_bits.py").write_text(BLOCKS[ENVIRONMENT])
    (tmp_path / "page.py").write_text(BLOCKS[TRAIN] + "assert study['success_end'][:, -1].min() > 0.9, study\n")
    run_python(tmp_path, "page.py")


@pytest.mark.slow  # two processes, which compile
def test_its_commands_train_and_resume(tmp_path):
    (tmp_path / "numpy_bits.py").write_text(BLOCKS[ENVIRONMENT])
    small = {"replay.warmup": 2, "agent.updates_per_epoch": 2, "agent.batch_size": 8, "evaluation.episodes": 4}
    small |= {"total_steps": 340, "evaluation.every": 160}
    first, resume = COMMANDS[:2]
    flags = [f"--config.{field}={value}" for field, value in small.items()]
    run_python(tmp_path, "-m", "hindsight_jax.cli.main", *shlex.split(first), *flags)
    run_python(tmp_path, "-m", "hindsight_jax.cli.main", *shlex.split(resume), "--config.total_steps=500")
    rows = [json.loads(line) for line in (tmp_path / "runs" / "bits" / "metrics.jsonl").read_text().splitlines()]
    assert [(row["seed"], row["env_steps"]) for row in rows] == [(s, n) for n in (180, 340, 500) for s in (0, 1)]
