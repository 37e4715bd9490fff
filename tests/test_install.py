"""The installation: sources for every Python we promise, and a wheel that holds the whole package and works alone."""

import ast
import fnmatch
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import warnings
import zipfile
from typing import NamedTuple

import pytest
from fork_server import TINY

from hindsight_jax import fields

ROOT = pathlib.Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted(path for folder in ("hindsight_jax", "experiments", "tests") for path in (ROOT / folder).rglob("*.py"))
# The standard library's modules that 3.12 and 3.13 took away (PEP 594, PEP 632, and imp, asyncore, lib2to3).
REMOVED = {
    "aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "imp",
    "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau",
    "telnetlib", "uu", "xdrlib",
}  # fmt: skip


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=500, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def roots(tree):
    """The first part of every name that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def faults(source):
    """Lists the faults that keep a source from running under one of PYTHONS, as far as another Python can tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an invalid escape is a SyntaxWarning from 3.12 on
        try:
            tree = ast.parse(source, feature_version=(3, 11))
        except SyntaxError as error:
            return [f"line {error.lineno}: {error.msg}"]
    return sorted(REMOVED & set(roots(tree)))


def test_every_source_parses_as_the_oldest_python_does_and_imports_nothing_that_the_newest_lacks():
    found = {str(path.relative_to(ROOT)): faults(path.read_text()) for path in SOURCES}
    assert len(found) > 150
    assert {path: why for path, why in found.items() if why} == {}


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("type Row = list[int]", "line 1"),  # 3.12
        ("def first[T](rows: list[T]): ...", "line 1"),  # 3.12
        ("pattern = '\\d'", "line 1"),
        ("import distutils.util", "distutils"),
        ("from imp import reload", "imp"),
    ],
)
def test_the_check_sees_what_one_python_lacks(source, why):
    assert why in faults(source)[0]


def test_the_tools_hold_to_the_oldest_python_that_is_promised():
    assert PROJECT["project"]["requires-python"] == f">={PYTHONS[0]}"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + PYTHONS[0].replace(".", "")
    assert PROJECT["tool"]["pyright"]["pythonVersion"] == PYTHONS[0]


def interpreter(version):
    """Its path, or None: a version manager's stand-in does not count."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        return sys.executable
    found = shutil.which(f"python{version}")
    works = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if works else None


@pytest.mark.parametrize("version", PYTHONS)
def test_every_source_compiles_under(version):
    """With the interpreters that are here; that of these tests is one of them."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    code = "import sys\nfor name in sys.stdin.read().splitlines():\n    compile(open(name, 'rb').read(), name, 'exec')"
    run(python, "-W", "error", "-c", code, input="\n".join(map(str, SOURCES)))


def test_every_file_of_the_package_is_packaged():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["hindsight_jax"]
    package = ROOT / "hindsight_jax"
    names = [
        path.relative_to(package) for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    data = [str(name) for name in names if name.suffix != ".py"]
    assert len(data) > 10
    assert [name for name in data if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
    folders = {name.parent for name in names if name.suffix == ".py"}
    assert [folder for folder in folders if not (package / folder / "__init__.py").exists()] == []


# distribution -> its name in imports, where the two differ
IMPORTED_AS = {"absl-py": "absl", "orbax-checkpoint": "orbax", "pillow": "PIL"}
BESIDE = {"mujoco-mjx"}  # a part of the package `mujoco`


def imported_by(folder):
    """The first part of every name that the sources below a folder import and that is neither ours nor Python's."""
    found = {name for path in (ROOT / folder).rglob("*.py") for name in roots(ast.parse(path.read_text()))}
    return found - set(sys.stdlib_module_names) - {"hindsight_jax", "experiments"}


def test_what_is_installed_with_us_is_what_the_package_imports():
    """Packages of an extra are imported where their absence is an error with its remedy."""
    names = {re.match(r"[\w-]+", entry).group() for entry in PROJECT["project"]["dependencies"]}
    optional = {"gymnasium", "onnx", "onnxruntime", "pandas"}
    assert {IMPORTED_AS.get(name, name) for name in names - BESIDE} == imported_by("hindsight_jax") - optional


def test_every_version_that_ci_ran_is_written_down():
    pins = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    names = {re.match(r"[\w-]+", entry).group() for entry in PROJECT["project"]["dependencies"]}
    assert {name.lower() for name in names} <= pins


def test_the_command_is_the_function_that_the_checkout_runs():
    assert PROJECT["project"]["scripts"] == {fields.COMMAND: "hindsight_jax.cli.main:main"}
    assert "from hindsight_jax.cli.main import main" in (ROOT / "experiments/run.py").read_text()


# Runs in a folder without the checkout: the wheel finds itself, its assets and its types.
PROGRAM = """
import pathlib, sys
import hindsight_jax
assert pathlib.Path(hindsight_jax.__file__).is_relative_to(sys.argv[1]), hindsight_jax.__file__
assert (pathlib.Path(hindsight_jax.__file__).parent / "py.typed").exists()
import jax
from hindsight_jax import agents, envs, presets, replay, training
for name in envs.names():
    envs.make(name)
print(float(envs.make("push").reset(jax.random.key(0)).reward), importlib.metadata.version("hindsight-jax"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that the checkout stays clean; pip fetches the build's own setuptools."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "hindsight_jax", source / "hindsight_jax", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", source / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(built), str(source)],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("no package index to build with")
    assert done.returncode == 0, done.stderr
    (found,) = built.glob("*.whl")
    return found


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as file:
        held = {name for name in file.namelist() if ".dist-info/" not in name}
    package = (path.relative_to(ROOT) for path in (ROOT / "hindsight_jax").rglob("*") if path.is_file())
    assert held == {path.as_posix() for path in package if "__pycache__" not in path.parts}


class Installed(NamedTuple):
    """An environment that holds the wheel alone, and an empty folder to work in."""

    scripts: pathlib.Path  # with python and hindsight-jax
    packages: pathlib.Path
    folder: pathlib.Path
    bare: dict[str, str]  # environment variables
    whole: dict[str, str]  # the same, and our dependencies beside the wheel


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    place, folder = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("empty")
    venv.create(place, with_pip=True)
    run(place / "bin/python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel)
    (packages,) = (place / "lib").glob("python*/site-packages")
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "JAX_PLATFORMS": "cpu"}
    whole = bare | {"PYTHONPATH": f"{packages}:{pathlib.Path(pytest.__file__).parent.parent}"}
    return Installed(scripts=place / "bin", packages=packages, folder=folder, bare=bare, whole=whole)


@pytest.mark.slow
def test_a_wheel_works_in_an_environment_without_the_checkout(installed):
    """In an empty environment it names what it lacks; with our dependencies beside it, every task finds its assets."""
    python, bare = installed.scripts / "python", {"cwd": installed.folder, "env": installed.bare}
    assert "losses" in run(python, "-c", "import hindsight_jax\nprint(dir(hindsight_jax))", **bare)
    lacking = "try:\n    from hindsight_jax import losses\nexcept ImportError as error:\n    print(error.name)"
    assert run(python, "-c", lacking, **bare).strip() == "jax"
    whole = bare | {"env": installed.whole}
    printed = run(python, "-c", "import importlib.metadata" + PROGRAM, installed.packages, **whole)
    assert printed.split() == ["0.0", PROJECT["project"]["version"]]


ACT = """
import sys
import hindsight_jax
assert hindsight_jax.__file__.startswith(sys.argv[1]), hindsight_jax.__file__
import jax
loaded = hindsight_jax.load("run", which="last")
state = loaded.setup.env.reset(jax.random.key(0))
action = jax.jit(loaded.policy(member=1))(state.obs["observation"], state.obs["desired_goal"], jax.random.key(1))
loaded.setup.env.step(state, action)
print(loaded.name, *loaded.env_steps, action.shape)
"""


@pytest.mark.slow
def test_the_installed_command_trains_resumes_and_leaves_policies_that_act(installed):
    """In an empty folder, from the wheel: no checkout, no experiments."""
    options = {"cwd": installed.folder, "env": installed.whole}
    command = installed.scripts / "hindsight-jax"
    assert "to run one:  hindsight-jax --config=" in run(command, "--list=flip_bit", **options).lower()
    assert "results in run" in run(command, *TINY, "--workdir=run", **options)
    assert [path.name for path in installed.folder.iterdir() if not path.name.startswith(".")] == ["run"]
    begun = (installed.folder / "run/metrics.jsonl").read_bytes()
    assert "results in run" in run(command, "--resume", "--workdir=run", "--config.total_steps=90", **options)
    rows = (installed.folder / "run/metrics.jsonl").read_bytes()
    assert rows.startswith(begun)
    assert len(rows.splitlines()) > len(begun.splitlines())
    printed = run(installed.scripts / "python", "-c", ACT, installed.packages, **options)
    assert printed.split()[:4] == ["her_flip_bit", "90", "90", "(1,)"]
