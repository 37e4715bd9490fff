"""The page about what comes after training does what it says."""

import pathlib
import re
import shlex
import shutil

import numpy as np
import pytest
from golden import GOLDEN

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hindsight_jax.cli import arguments, export

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "after_training.md").read_text()


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    """On a run of three bits that has hardly learnt, so that nothing is said of what it ends in."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(GOLDEN, "runs/bits")
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    page = {"__name__": "page"}
    exec(compile("\n".join(blocks), "after_training.md", "exec"), page)
    played, agreed, task = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"her_flip_bit: \d+ of 20 episodes end in success", played)
    assert agreed == "1000"
    assert task.startswith("flip_bit [")
    inputs = {"observation": page["bits"], "goal": page["goal"]}
    np.testing.assert_array_equal(page["same"], page["session"].run(["action"], inputs)[0])


def test_the_run_is_the_one_that_is_exported():
    (train,) = re.findall(r"^hindsight-jax (--config=.*)$", PAGE, re.MULTILINE)
    (write,) = re.findall(r"^hindsight-jax (export .*)$", PAGE, re.MULTILINE)
    parsed = arguments.parse(shlex.split(train))
    assert (parsed.name, parsed.config["env.size"], str(parsed.workdir)) == ("her_flip_bit", 8, "runs/bits")
    word, *rest = shlex.split(write)
    assert word == "export"
    assert vars(export.parser().parse_args(rest)) == {
        "workdir": "runs/bits", "output": "bits.onnx", "member": 0, "which": "best",
    }  # fmt: skip
