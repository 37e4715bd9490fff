"""The page about brax does what it says."""

import importlib
import pathlib
import re
import sys

import jax
import numpy as np
import pytest
import registering

from hindsight_jax import envs, presets, training
from hindsight_jax.cli import help

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "brax.md").read_text()
ICE, TRAIN = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """What the file of the page defines; the tables are as they were afterwards."""
    (tmp_path / "ice.py").write_text(ICE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ice", raising=False)
    with registering.tables_restored():
        yield vars(importlib.import_module("ice"))
    del sys.modules["ice"]


def test_the_task_has_names_fields_and_a_sound_contract(page):
    assert {f"{name}_ice" for name in ("hem", "gcsl", "her_ddpg_dense", "hpg")} <= set(presets.names())
    config = presets.config("hem_ice", {"env.horizon": 7})
    assert (config["env.threshold"], config["total_steps"]) == (0.1, 15_000)
    task = presets.build("hem_ice", config).env
    assert (type(task), task.spec.horizon) == (page["IceTask"], 7)
    envs.check_task(task)
    assert "a puck is pushed over ice to a place" in help.help_text("hem_ice")


def test_a_full_force_moves_the_puck_as_the_page_says(page):
    """x' is 0.05 after a step and 0.25 (1 - 0.8^n) after n; x is their sum: 0.05 + 0.09 + 0.122 after three."""
    task = page["IceTask"](horizon=3)
    policy = lambda observation, goal, key: jax.numpy.array([1.0, 0.0])
    result = jax.jit(lambda key: training.rollout(task, policy, key, 1))(jax.random.key(0))
    np.testing.assert_allclose(result.trajectories.observation[0, :, 0], [0.0, 0.05, 0.14, 0.262], atol=1e-6)


@pytest.mark.seldom
def test_the_picture_has_puck_goal_and_ice(page):
    task = page["IceTask"]()
    scene = jax.jit(lambda key: task.scene(task.reset(key)))(jax.random.key(0))
    assert len(scene.kinds) == 3


@pytest.mark.slow  # it trains
@pytest.mark.usefixtures("page")
def test_it_learns():
    namespace = {}
    exec(compile(TRAIN, "brax.md, training", "exec"), namespace)
    assert namespace["study"]["success_end"][:, -1].min() > 0.8
