"""Layers point one way: each module imports only what the table of the design allows."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "hindsight_jax"

# Every module of a room may import the rooms listed, itself, and nothing else of ours.
ALLOWED = {
    "types": set(),
    "numerics": set(),
    "backend": set(),
    "by_device": set(),
    "checks": {"types", "numerics"},
    "fields": {"checks"},
    "statistics": {"types", "checks"},
    "plotting": {"types", "checks"},
    "losses": {"types", "checks"},
    "relabel": {"types", "checks", "numerics"},
    "networks": {"types", "by_device", "checks"},
    "replay": {"types", "checks", "numerics", "relabel"},
    "rendering": {"types", "by_device", "checks", "numerics"},
    "envs": {"types", "backend", "by_device", "checks", "numerics", "rendering"},
    "agents": {"types", "checks", "fields", "losses", "networks"},
    "training": {
        "types",
        "backend",
        "by_device",
        "checks",
        "numerics",
        "relabel",
        "replay",
        "agents.base",
        "envs.base",
        "envs.continuity",
        "envs.host",
    },
    "checkpoints": {"backend", "checks", "training.sharding"},
    "datasets": {"types", "backend", "checks", "numerics", "envs.base", "replay", "training"},
    "presets": {"types", "checks", "fields", "agents", "envs", "relabel", "replay", "training", "datasets"},
    "study": {"agents.base", "checks", "fields", "presets", "statistics", "plotting", "training"},
    "runs": {
        "types",
        "backend",
        "by_device",
        "checks",
        "numerics",
        "fields",
        "rendering",
        "envs.base",
        "envs.host",
        "replay",
        "presets",
        "statistics",
        "plotting",
        "training",
        "checkpoints",
    },
    "cli": {"backend", "checks", "checkpoints", "fields", "interop", "presets", "runs", "statistics"},
    "interop": {"types", "backend", "checks", "numerics", "envs", "rendering", "presets", "runs"},
    "__init__": set(),
}


def imported(path: pathlib.Path) -> set[str]:
    """Dotted names below hindsight_jax that a file imports, anywhere in it.

    But for what an index shows to type checkers alone: it imports that when it is asked for.
    """
    found = set()
    tree = ast.parse(path.read_text())
    shown = {inner for block in tree.body if isinstance(block, ast.If) for inner in ast.walk(block)}
    skipped = shown if path.name == "__init__.py" else set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide layers"
            module = node.module or ""
            is_package = (ROOT / module.replace(".", "/")).is_dir()
            found |= {f"{module}.{alias.name}" for alias in node.names} if is_package else {module}
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


DECIDES = "hindsight_jax/by_device.py"
REPORTS = "hindsight_jax/runs/provenance.py"  # the platform, among all else


def test_one_module_decides_what_depends_on_the_device():
    naming = {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("platform_dependent", "platform", "default_backend")
    }
    assert naming == {DECIDES, REPORTS}


def _roots(path: pathlib.Path) -> set[str]:
    tree = ast.parse(path.read_text())
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def first_circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import one another in a circle, by way of each other; [] if there are none."""
    done: set[str] = set()

    def search(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(imports.get(name, ())):
            if found := search(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(imports) if (found := search(name, []))), [])


def test_no_modules_import_one_another_in_a_circle():
    """Imports inside of functions count, too."""
    modules = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    of_module = lambda name: name if name in modules else name.rpartition(".")[0]
    imports = {name: {of_module(found) for found in imported(path)} - {name} for name, path in modules.items()}
    assert sum(map(len, imports.values())) > 200
    assert first_circle(imports) == []
    assert first_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_the_check_sees_a_wrong_import(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "losses.py").write_text("from hindsight_jax import networks\nfrom hindsight_jax.checks import fail\n")
    assert violations(tmp_path / "losses.py") == ["networks"]
