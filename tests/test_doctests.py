"""The examples in docstrings, of every module whose own test file does not run them."""

import doctest
import importlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
# Modules whose own tests run their examples.
ELSEWHERE = {
    "experiments.config",
    "experiments.grids",
    "experiments.plan",
    "experiments.plots",
    "experiments.progress",
    "experiments.provenance",
    "experiments.rows",
    "experiments.workdir",
    "hindsight_jax.agents.q_learning",
    "hindsight_jax.fields",
    "hindsight_jax.losses.hdm",
    "hindsight_jax.losses.imitation",
    "hindsight_jax.losses.value",
    "hindsight_jax.networks",
    "hindsight_jax.relabel.laws",
    "hindsight_jax.relabel.rows",
    "hindsight_jax.replay",
    "hindsight_jax.statistics",
    "hindsight_jax.study",
    "hindsight_jax.training.membership",
    "hindsight_jax.training.memory",
    "hindsight_jax.training.placement",
    "hindsight_jax.training.population",
}
# They compile MJX for nothing but the example; tests/envs runs the same code.
TASKS = ("claw", "door", "fetch_reach", "four_rooms", "lunar_lander", "point_mass", "push", "reacher", "sawyer_reach")
SLOW = {f"hindsight_jax.envs.{name}" for name in ("physics", "wrappers", *TASKS)}


def modules_with_examples() -> set[str]:
    """Dotted names, by the text of the files: nothing is imported."""
    names = set()
    for package in ("hindsight_jax", "experiments"):
        for path in (ROOT / package).rglob("*.py"):
            if ">>> " in path.read_text():
                names.add(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    return names


def test_the_list_of_other_tests_names_modules_with_examples():
    assert modules_with_examples() >= ELSEWHERE


def parameters() -> list:
    names = sorted(modules_with_examples() - ELSEWHERE)
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


@pytest.mark.parametrize("name", parameters())
def test_examples_run(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
    assert results.attempted > 0
