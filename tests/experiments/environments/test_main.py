"""The command that measures all tasks: its measurements, its output, its files and its refusals."""

import json
import re

import commands
import pytest
from task_figures import FIGURES

from experiments.environments import gallery, measure
from hindsight_jax import envs
from hindsight_jax.envs import registry
from hindsight_jax.runs.chance import Chance


def main(argv):
    return commands.run("experiments.environments", argv)


@pytest.fixture
def measured(monkeypatch):
    """The arguments of every measurement; no task is measured."""
    asked = []
    monkeypatch.setattr(measure, "measure", lambda *arguments: asked.append(arguments) or FIGURES)
    return asked


def test_the_command_measures_prints_and_writes(measured, tmp_path, capsys):
    output, plot, page = (tmp_path / name for name in ("f.json", "f.png", "f.md"))
    page.write_text("before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n")
    files = [f"--output={output}", f"--plot={plot}", f"--page={page}"]
    arguments = ["--tasks", "push", "door", "--episodes=7", "--rounds=3", *files]
    assert main(arguments) == 0
    assert measured == [("push", 7, 3), ("door", 7, 3)]
    figures = json.loads(output.read_text())
    assert list(figures["tasks"]) == ["push", "door"]
    assert figures["tasks"]["door"] == FIGURES
    assert figures["episodes"] == 7
    assert {"versions", "device", "commit", "arguments"} <= set(figures)
    assert str(tmp_path) not in output.read_text()
    printed = capsys.readouterr().out
    assert "push" in printed
    assert "0.750" in printed
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert text.startswith("before\n<!-- figures -->\n| task |")
    assert text.endswith("<!-- end of figures -->\nafter\n")
    assert "old" not in text

    page.write_text("<!-- figures --><!-- end of figures -->")
    assert main([f"--load={output}", f"--page={page}"]) == 0
    assert len(measured) == 2  # nothing new
    assert page.read_text() == text[len("before\n") : -len("\nafter\n")]
    assert main([f"--load={output}", f"--output={output}"]) == 0
    assert json.loads(output.read_text()) == figures


def test_some_tasks_of_a_file_are_measured_again_and_the_others_kept(measured, tmp_path):
    path = tmp_path / "figures.json"
    old = {"episodes": 7, "commit": "old", "tasks": {"push": {**FIGURES, "success_end": 0.5}, "door": FIGURES}}
    path.write_text(json.dumps(old))
    assert main([f"--load={path}", "--tasks", "push", "claw", "--episodes=9", f"--output={path}"]) == 0
    assert [name for name, *_ in measured] == ["push", "claw"]
    figures = json.loads(path.read_text())
    assert figures["tasks"] == {"push": FIGURES, "door": FIGURES, "claw": FIGURES}
    assert (figures["episodes"], figures["commit"]) == (7, "old")
    assert {name: run["episodes"] for name, run in figures["again"].items()} == {"push": 9, "claw": 9}


def test_no_rounds_keep_the_speeds_of_a_file(monkeypatch, tmp_path):
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"episodes": 7, "tasks": {"push": FIGURES, "door": FIGURES}}))
    monkeypatch.setattr(measure, "chance", lambda env, episodes: Chance(*[0.125] * 5))
    assert main([f"--load={path}", "--tasks", "door", "--rounds=0", f"--output={path}"]) == 0
    figures = json.loads(path.read_text())
    assert figures["tasks"] == {"push": FIGURES, "door": FIGURES | Chance(*[0.125] * 5)._asdict()}
    assert list(figures["again"]) == ["door, shares"]
    assert main([f"--load={path}", "--tasks", "claw", "--rounds=0"]) == 2  # it has none of claw


@pytest.mark.seldom
def test_shares_of_navigation_s_goals_are_printed_and_nothing_is_measured(measured, capsys):
    assert main(["--navigation", "1", "30"]) == 0
    assert re.findall(r"K = (\d+).* (\d\.\d{4}) of", capsys.readouterr().out) == [
        ("1", "1.0000"),
        ("30", "0.0000"),
    ]
    assert measured == []


def test_all_tasks_are_measured_by_default_at_the_batches_of_the_table(measured):
    main([])
    assert measured == [(name, 1000, 8) for name in registry.OF_PAPERS]
    assert [str(batch) for batch in measure.BATCHES] == list(FIGURES["speed"])


def test_the_gallery_is_drawn_and_nothing_is_measured(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(envs, "make", lambda name: f"task {name}")
    monkeypatch.setattr(gallery, "draw", lambda tasks: repr(tasks).encode())
    path = tmp_path / "gallery.png"
    assert main(["--tasks", "push", "claw", f"--gallery={path}"]) == 0
    assert path.read_bytes() == b"{'push': 'task push', 'claw': 'task claw'}"
    assert measured == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--tasks", "psh"], "invalid choice: 'psh'"),
        (["--episodes=0"], "--episodes: got 0, but it must be at least 1"),
        (["--episodes=many"], "invalid int value: 'many'"),
        (["--rounds=0"], "--rounds: got 0, but it must be at least 1"),
        (["--gallery=a.png", "--plot=b.png"], "--gallery: it measures no task"),
        (["--inputs=a.png", "--plot=b.png"], "--inputs: it measures no task"),
        (["--inputs=a.png", "--tasks", "door"], "--inputs: it draws point_mass, reacher, "),
        (["--navigation", "2", "--output=b.json"], "--navigation: it measures no task"),
        (["--navigation", "2", "0"], "--navigation: got 0, but it must be at least 1"),
        (["--load=nowhere.json"], "--load: got nowhere.json, but there is no such file"),
        (["--page=nowhere.md"], "--page: got nowhere.md, but there is no such file"),
        (["push"], "unrecognized arguments: push"),
    ],
)
def test_bad_arguments_end_with_2_before_anything_is_measured(argv, said, measured, capsys):
    assert main(argv) == 2
    assert said in capsys.readouterr().err
    assert measured == []
