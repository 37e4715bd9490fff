"""The pages that a newcomer reads do what they say: their Python runs, and their commands are ones that we take."""

import pathlib
import re
import shlex
import shutil

import pytest
from golden import GOLDEN

from hindsight_jax import presets
from hindsight_jax.cli import arguments, batch, commands, evaluate

ROOT = pathlib.Path(__file__).parent.parent
TEXT = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
}
GUIDES = (  # whose command lines are complete
    "README.md",
    *(
        f"docs/{name}.md"
        for name in ("index", "idea", "many_seeds", "many_machines", "losses", "after_training", "images")
    ),
)
COMMAND = re.compile(r"(?:-m experiments\.run|\bhindsight-jax) ([^`\n]*)")


def run(name: str) -> dict:
    """What a page's Python defines, run from top to bottom."""
    namespace = {"__name__": "__main__"}
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT[name], re.DOTALL | re.MULTILINE)
    exec(compile("\n".join(blocks), f"{name}, its Python", "exec"), namespace)
    return namespace


@pytest.mark.slow
def test_the_readme_trains_a_study_and_computes_a_loss(capsys):
    page = run("README.md")
    assert page["study"]["success_end"].shape == (2, 4, 1)
    assert capsys.readouterr().out.startswith("[")
    assert float(page["loss"]) == 1.5  # td (-3 - (-1 + 0.5 * -2))^2 = 1, and imitation 2 * 0.25
    assert float(page["law"].pmf(3, 50, horizon=50)[0]) == pytest.approx(0.15)


@pytest.mark.slow  # it compiles push
def test_the_page_of_many_seeds_trains_a_grid_and_plays_one_of_its_policies(capsys):
    page = run("docs/many_seeds.md")
    line, shape = capsys.readouterr().out.splitlines()  # a line of report, then the shape
    assert line.startswith("hdm_push: 10,400 of 10,400 env steps, success ")
    assert shape == "(3, 2, 2, 1)"
    assert page["mean"].shape == (3, 2, 1)
    assert (page["action"].shape, page["action"].dtype) == ((1,), "int32")


def test_what_the_python_of_the_losses_computes():
    """The results that the page's comments promise."""
    page = run("docs/losses.md")
    assert page["index"] == -1 or 3 < page["index"] <= 50
    assert page["probabilities"].shape == (52,)
    assert abs(float(page["probabilities"].sum()) - 1.0) < 1e-5
    assert abs(float(page["probabilities"][0]) - 0.15) < 1e-6
    assert page["gradient"]["w"].shape == (2, 5)


@pytest.mark.seldom  # it compiles the drawing
def test_the_python_of_images_observes_what_the_page_says():
    page = run("docs/images.md")
    observation = page["state"].obs["observation"]
    assert (observation.shape, observation.dtype) == ((48, 48, 6), "uint8")


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A folder with the runs that the pages' commands read: tiny ones, under the pages' names."""
    runs = (
        "bits",
        "bits_slower",
        "grid",
        "night/her_flip_bit",
        "night/gcsl_flip_bit",
        "reproduce/hdm-table-1/hdm_push",
    )
    for name in runs:
        shutil.copytree(GOLDEN, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def take(words: list[str]) -> None:
    """Fails unless the command line takes these words; runs what takes no training."""
    if words[0] == "batch":
        given, flags = batch.parse_arguments(words[1:])
        if not given.what[0].endswith(".toml"):
            assert batch.jobs_of(given.what, flags, given.workdir)
    elif words[0] == "evaluate":
        evaluate.parse(words[1:])
    elif words[0] in ("show", "compare"):
        assert commands.run(words) == 0
    elif words[0] == "export":
        pytest.importorskip("onnx")  # tests/interop/test_export_page.py runs it
    elif "--resume" in words:  # of a directory that is not here
        assert words == ["--resume", "--workdir=runs/hdm_push-<date>"]
    else:
        arguments.parse(words)


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_line_is_one_that_the_program_takes(name, trained):
    for line in COMMAND.findall(TEXT[name]):
        take(shlex.split(line.removesuffix(" &")))


def test_the_command_lines_are_found():
    lines = [line for name in GUIDES for line in COMMAND.findall(TEXT[name])]
    for word in ("--config=hdm_push", "--list", "batch", "show", "compare", "evaluate", "--from=runs/bits"):
        assert any(line.startswith(word) for line in lines), word
    with pytest.raises(SystemExit):
        take(["batch", "her_flip_bit"])


def test_the_list_of_runs_is_one_that_batch_reads(tmp_path):
    """The file of the page of many seeds."""
    (block,) = re.findall(r"^```toml\n(.*?)^```$", TEXT["docs/many_seeds.md"], re.DOTALL | re.MULTILINE)
    (tmp_path / "night.toml").write_text(block)
    jobs = batch.jobs_of([str(tmp_path / "night.toml")], [], tmp_path)
    assert [job.label for job in jobs] == ["hdm_push", "her_push", "weights"]
    assert [job.config["seeds"] for job in jobs] == [5, 5, 5]
    assert jobs[2].config["relabel.behaviour"] == 0.3


def first_cells(name: str) -> list[str]:
    """What stands in code in the first column of a page's tables."""
    return re.findall(r"`([^`]+)`", "".join(re.findall(r"^\|(.*?)\|", TEXT[name], re.MULTILINE)))


def test_the_tables_of_the_idea_have_every_algorithm_and_task():
    cells = set(first_cells("docs/idea.md"))
    assert cells | {"hdm_printed"} == {*presets.ALGORITHMS, *presets.ENVIRONMENTS}  # it stands beside hdm


def test_the_layout_has_every_package_and_module_and_no_path_that_is_gone():
    paths = first_cells("docs/code.md")
    assert [path for path in paths if not (ROOT / path).exists()] == []
    parts = [path for top in ("hindsight_jax", "experiments") for path in (ROOT / top).iterdir()]
    kinds = {path.relative_to(ROOT) for path in parts if path.name[0] not in "_." and path.suffix in ("", ".py")}
    assert [str(path) for path in sorted(kinds) if str(path) not in paths] == []


def test_the_walk_of_a_transition_names_functions_that_are_there():
    steps = re.findall(r"^\d\. .*$", TEXT["docs/code.md"], re.MULTILINE)
    assert len(steps) == 9
    named = [pair for step in steps for pair in re.findall(r"`([\w/]+\.py)`, `(\w+)`", step)]
    assert len(named) >= len(steps)
    text = {path: (ROOT / "hindsight_jax" / path).read_text() for path, _ in named}
    assert [pair for pair in named if f"def {pair[1]}(" not in text[pair[0]]] == []
