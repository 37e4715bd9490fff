"""The page about Gymnasium does what it says."""

import pathlib
import re

import pytest

pytest.importorskip("gymnasium")

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "gymnasium.md").read_text()


def test_its_python_runs():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    exec(compile("\n".join(blocks), "gymnasium.md", "exec"), {"__name__": "page"})
