"""Layers point one way: each module imports only what the table of the design allows."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "hindsight_jax"

# Every module of a room may import the rooms listed, itself, and nothing else of ours.
ALLOWED = {
    "types": set(),
    "checks": {"types"},
    "fields": {"checks"},
    "statistics": {"types", "checks"},
    "plotting": {"types", "checks"},
    "losses": {"types", "checks"},
    "relabel": {"types", "checks"},
    "networks": {"types", "checks"},
    "replay": {"types", "checks", "relabel"},
    "rendering": {"types", "checks"},
    "envs": {"types", "checks", "rendering"},
    "agents": {"types", "checks", "fields", "losses", "networks"},
    "training": {"types", "checks", "relabel", "replay", "agents.base", "envs.base"},
    "checkpoints": {"checks", "training.sharding"},
    "presets": {"types", "checks", "fields", "agents", "envs", "relabel", "replay", "training"},
    "study": {"checks", "fields", "presets", "statistics", "plotting", "training"},
    "runs": {
        "types",
        "checks",
        "fields",
        "rendering",
        "envs.base",
        "presets",
        "statistics",
        "plotting",
        "training",
        "checkpoints",
    },
    "cli": {"checks", "fields", "presets", "runs"},
    "interop": {"types", "checks", "envs", "rendering"},
    "__init__": set(),
}


def imported(path: pathlib.Path) -> set[str]:
    """Dotted names below hindsight_jax that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide layers"
            whole = {"hindsight_jax", "hindsight_jax.envs", "hindsight_jax.agents", "hindsight_jax.training"}
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module in whole else {node.module or ""}
    return {name.removeprefix("hindsight_jax.") for name in found if name.startswith("hindsight_jax.")}


def violations(path: pathlib.Path) -> list[str]:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = ALLOWED[room] | {room}
    return [name for name in imported(path) if not any(name == a or name.startswith(f"{a}.") for a in allowed)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_its_lower_layers(path):
    assert violations(path) == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_experiments(path):
    assert "experiments" not in {node.split(".")[0] for node in _roots(path)}


def _roots(path: pathlib.Path) -> set[str]:
    tree = ast.parse(path.read_text())
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_the_check_sees_a_wrong_import(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "losses.py").write_text("from hindsight_jax import networks\nfrom hindsight_jax.checks import fail\n")
    assert violations(tmp_path / "losses.py") == ["networks"]
