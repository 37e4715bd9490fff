"""`hindsight-jax export`: a file that is played back, or one line that says what was wrong."""

import os
import shutil
import subprocess
import sys

import pytest
from golden import GOLDEN

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hindsight_jax.cli import commands, export
from hindsight_jax.interop import export as exporting


@pytest.fixture
def main(monkeypatch, capsys, tmp_path):
    """A function of arguments, in an empty folder beside the golden run: (exit code, output, errors)."""
    monkeypatch.setattr(export, "configure_jax", lambda: None)  # JAX's options are the tests'
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = commands.run(["export", *arguments])
        return code, *capsys.readouterr()

    return call


def test_a_file_is_written_and_played_back(main):
    code, output, errors = main(str(GOLDEN), "policy.onnx", "--member=1", "--which", "last")
    assert (code, errors) == (0, "")
    size = os.path.getsize("policy.onnx") / 1000
    assert output.splitlines() == [
        f"policy.onnx: member 1 of her_flip_bit at the end, after 30 env steps; {size:.0f} kB",
        "onnxruntime gives JAX's action on 1,000 of 1,000 random inputs",
    ]
    metadata = exporting.read_metadata("policy.onnx")
    assert (metadata["member"], metadata["which"]) == (1, "last")


def test_without_onnxruntime_it_says_that_nothing_was_compared(main, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, output, errors = main(str(GOLDEN), "policy.onnx")
    assert (code, errors) == (0, "")
    first, second = output.splitlines()
    assert first.startswith("policy.onnx: member 0 of her_flip_bit at its best evaluation, after ")
    assert second.startswith("not played back: agreement needs onnxruntime: pip install onnxruntime")


@pytest.mark.parametrize(("agreed", "code"), [(990, 0), (989, 1)])
def test_a_file_that_acts_otherwise_is_an_error(main, monkeypatch, agreed, code):
    monkeypatch.setattr(exporting, "agreement", lambda exported, count: agreed)
    found, output, errors = main(str(GOLDEN), "policy.onnx")
    assert found == code
    line = f"onnxruntime gives JAX's action on {agreed} of 1,000 random inputs"
    if code:
        assert errors == f"error: policy.onnx: {line}, which rounding does not explain. Do not use it.\n"
    else:
        assert output.splitlines()[1] == line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: DIR, OUTPUT"),
        (("run",), "the following arguments are required: OUTPUT"),
        (("run", "policy.onnx", "--which=newest"), "argument --which: invalid choice: 'newest'"),
        (("run", "policy.onnx", "--member=first"), "argument --member: invalid int value: 'first'"),
        (("run", "policy.onnx", "--mem=1"), "unrecognized arguments: --mem=1"),
    ],
)
def test_bad_arguments_are_one_line(main, arguments, message):
    code, output, errors = main(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith(f"error: {message}")
    assert errors.endswith(". See hindsight-jax export --help.\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no_run", "policy.onnx"), "no_run/config.json: cannot be read"),
        ((str(GOLDEN), "policy.pt"), "output: got 'policy.pt', but its name must end in .onnx"),
        ((str(GOLDEN), "policy.onnx", "--member=2"), "member: got 2, but it must be an integer: there are 2 members"),
    ],
)
def test_what_fails_is_one_line(main, arguments, message):
    code, output, errors = main(*arguments)
    assert (code, output) == (1, "")
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1
    assert os.listdir() == []


def test_damaged_checkpoints_and_absent_packages_are_one_line_too(main, monkeypatch, tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints")
    code, _, errors = main("run", "policy.onnx")
    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith("error: run/checkpoints: it is not there")
    for name in [name for name in sys.modules if name.startswith(("onnx", "hindsight_jax.interop"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, errors = main(str(GOLDEN), "policy.onnx")
    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith("error: hindsight_jax.interop.export needs onnx: pip install onnx onnxruntime")


def test_help_is_printed(main):
    code, output, errors = main("--help")
    assert (code, errors) == (0, "")
    usage = "usage: hindsight-jax export [-h] [--member MEMBER] [--which {best,last}] DIR OUTPUT"
    assert " ".join(output.split()).startswith(usage)


@pytest.mark.seldom
def test_a_process_of_its_own_exports(tmp_path):
    """With JAX's options as the command sets them."""
    program = "import sys\nfrom hindsight_jax.cli.export import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, str(GOLDEN), str(tmp_path / "policy.onnx")]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}  # not the one that other tests fill
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "onnxruntime gives JAX's action on 1,000 of 1,000 random inputs"
