"""Collecting results: what the JSON holds, the table's text, and bad arguments."""

import json
import math
import pathlib
import re

import pytest

from experiments.reproduce import collect
from hindsight_jax.runs import config_file, strict_json
from hindsight_jax.runs.workdir import WorkDir

ROOT = pathlib.Path(__file__).parents[3]
PAGE = (ROOT / "docs/results.md").read_text()
HEADER = (
    "| run | seeds | env steps | updates | success at the end | any step | seconds |\n|---|---|---|---|---|---|---|\n"
)


def row(member, env_steps, success_end, **extra):
    return {
        "member": member,
        "seed": 10 + member,
        "env_steps": env_steps,
        "updates": env_steps // 2,
        "success_end": success_end,
        "success_any": min(success_end + 0.25, 1.0),
        "q_mean": -2.0 - member,
        "seconds_train": env_steps / 100,
        "seconds_evaluate": 0.25,
        **extra,
    }


def fabricated(path, ends, name="hdm_push", **overrides):
    """A work directory whose member i reached `ends[i][e]` at evaluation e, at 1,000 (e + 1) env steps."""
    workdir = WorkDir.create(path)
    overrides = {field.replace("__", "."): value for field, value in overrides.items()}
    made = config_file.resolve(name, {"seed": 10, "seeds": len(ends) or 2, **overrides})
    workdir.write_config(config_file.to_json(made), name=name)
    for e in range(len(ends[0]) if ends else 0):
        workdir.append_records([row(i, 1000 * (e + 1), end[e]) for i, end in enumerate(ends)])
    return path


def test_a_grid_has_an_entry_for_each_setting(tmp_path):
    path = fabricated(tmp_path / "a", [])
    workdir = WorkDir.open(path)
    settings = [{"agent.beta": 1.0, "agent.gamma_hdm": 0.5}, {"agent.beta": 2.0, "agent.gamma_hdm": 0.5}]
    workdir.append_records([row(i, 1000, i / 4, **settings[i // 2]) for i in range(4)])
    found = collect.digests("hdm", WorkDir.open(path))
    assert list(found) == ["hdm, beta 1, gamma_hdm 0.5", "hdm, beta 2, gamma_hdm 0.5"]
    second = found["hdm, beta 2, gamma_hdm 0.5"]
    assert second["setting"] == settings[1]
    assert second["success_end"] == [[0.5], [0.75]]
    assert list(second["last"]) == ["q_mean"]
    assert collect.main([str(tmp_path / "g.json"), f"hdm={path}"]) == 0
    assert list(json.loads((tmp_path / "g.json").read_text())) == list(found)


@pytest.fixture
def two(tmp_path):
    """Two seeds of HDM with changed values, and one seed of HER."""
    hdm = fabricated(tmp_path / "a", [[0.1, 0.5], [0.2, 0.7]], agent__gamma_hdm=math.inf, agent__hidden_sizes=(8, 8))
    her = fabricated(tmp_path / "b", [[0.125, 0.25]], name="her_push_paper")
    return hdm, her


def test_the_json_holds_every_evaluation_and_where_it_comes_from(two, tmp_path, capsys):
    path = tmp_path / "push.json"
    assert collect.main([str(path), f"hdm={two[0]}", f"her={two[1]}"]) == 0
    document = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"not JSON: {word}"))
    assert list(document) == ["hdm", "her"]
    hdm, stored = document["hdm"], WorkDir.open(two[0]).read_config()
    assert {key: hdm[key] for key in ("commit", "dirty", "device", "versions")} == {
        key: stored[key] for key in ("commit", "dirty", "device", "versions")
    }
    kept = ("commit", "dirty", "device", "versions")
    assert {key: value for key, value in hdm.items() if key not in kept} == {
        "name": "hdm_push",
        "values": strict_json.plain(stored["config"]),
        "seeds": [10, 11],
        "episodes": 200,
        "env_steps": [1000, 2000],
        "updates": [500, 1000],
        "seconds": [10.2, 20.2],  # of training and of evaluation: 10.25 and 20.25, to a tenth
        "success_end": [[0.1, 0.5], [0.2, 0.7]],
        "success_any": [[0.35, 0.75], [0.45, 0.95]],
        "q_mean": [[-2.0, -2.0], [-3.0, -3.0]],
        "last": {"q_mean": [-2.0, -3.0]},
    }
    assert hdm["values"]["agent"]["gamma_hdm"] == "Infinity"
    assert document["her"]["values"]["agent"]["hidden_sizes"] == [400, 300]
    assert str(tmp_path) not in path.read_text()


def test_the_table_says_the_last_evaluation(two, tmp_path, capsys):
    """0.5 and 0.7: mean 0.6, standard error 0.1, times Student's t of one degree of freedom, 12.7062."""
    path = tmp_path / "push.json"
    assert collect.main([str(path), f"hdm={two[0]}", f"her={two[1]}"]) == 0
    table = HEADER + (
        "| hdm | 2 | 2,000 | 1,000 | 0.600 (0.000 to 1.000) | 0.850 (0.000 to 1.000) | 20 |\n"
        "| her | 1 | 2,000 | 1,000 | 0.250 | 0.500 | 20 |\n"
    )
    assert capsys.readouterr().out == table
    before = path.read_bytes()
    assert collect.main([str(path)]) == 0  # from the file alone, which stays as it is
    assert capsys.readouterr().out == table
    assert path.read_bytes() == before


def test_runs_that_learn_no_values_have_no_q(tmp_path, capsys):
    """A policy's rows have none; where all rows have it, it is kept, NaN of a failed seed and all."""
    policy = WorkDir.create(tmp_path / "policy")
    made = config_file.resolve("hem_flip_bit", {"seed": 10, "seeds": 1})
    policy.write_config(config_file.to_json(made), name="hem_flip_bit")
    bare = {key: value for key, value in row(0, 1000, 0.5, entropy=0.25).items() if key != "q_mean"}
    policy.append_records([bare])
    failed = fabricated(tmp_path / "failed", [[0.5], [math.nan]])
    path = tmp_path / "all.json"
    assert collect.main([str(path), f"hem={policy.path}", f"hdm={failed}"]) == 0
    document = json.loads(path.read_text())
    assert "q_mean" not in document["hem"]
    assert set(document["hdm"]) - set(document["hem"]) == {"q_mean"}
    assert "| hem | 1 | 1,000 | 500 | 0.500 | 0.750 | 10 |\n" in capsys.readouterr().out


def test_a_label_is_replaced_and_others_stay(two, tmp_path, capsys):
    path = tmp_path / "push.json"
    collect.main([str(path), f"x={two[0]}", f"y={two[1]}"])
    assert collect.main([str(path), f"x={two[1]}"]) == 0
    document = json.loads(path.read_text())
    assert list(document) == ["x", "y"]
    assert document["x"] == document["y"]


def test_a_path_may_contain_an_equals_sign(tmp_path, capsys):
    workdir = fabricated(tmp_path / "lr=1", [[0.5]])
    assert collect.main([str(tmp_path / "push.json"), f"hdm={workdir}"]) == 0


def test_a_failed_seed_is_read_back_as_it_was_written(tmp_path, capsys):
    """JSON has no NaN: the table is the same from the runs and from the file."""
    workdir = fabricated(tmp_path / "a", [[0.5], [math.nan]])
    path = tmp_path / "push.json"
    assert collect.main([str(path), f"hdm={workdir}"]) == 0
    first = capsys.readouterr().out
    assert collect.main([str(path)]) == 0
    assert capsys.readouterr().out == first
    assert "nan" in first


def test_a_file_that_is_not_there_is_an_empty_table(tmp_path, capsys):
    assert collect.main([str(tmp_path / "push.json")]) == 0
    assert capsys.readouterr().out == HEADER
    assert not (tmp_path / "push.json").exists()


# But for the ablation, of which the page has fewer columns.
TABLES = re.findall(r"reproduce\.collect (experiments/results/(?!push_ablation)\w+\.json)", PAGE)


@pytest.mark.parametrize("file", TABLES)
def test_the_page_of_results_has_the_table_of_each_file_that_it_names(file):
    rows = collect.table(json.loads((ROOT / file).read_text())).splitlines()[2:]
    assert rows
    assert [row for row in rows if row not in PAGE] == []


@pytest.mark.parametrize("argv", [[], ["hdm=runs/a"], ["push.json", "runs/a"], ["push.json", "hdm=runs/a", "x"]])
def test_arguments_of_another_form_get_the_usage(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert collect.main(argv) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("usage: python -m experiments.reproduce.collect FILE.json")
    assert list(tmp_path.iterdir()) == []


def no_folder(tmp_path):
    return tmp_path / "nowhere"


def no_rows(tmp_path):
    workdir = WorkDir.create(tmp_path / "fresh")
    workdir.write_config(config_file.to_json(config_file.resolve("hdm_push")), name="hdm_push")
    return workdir.path


def another_version(tmp_path):
    workdir = WorkDir.create(tmp_path / "old")
    workdir.write_config({"seed": 0}, name="hdm_push")
    return workdir.path


def no_evaluation_of_all(tmp_path):
    workdir = WorkDir.open(no_rows(tmp_path))
    workdir.append_records([row(0, 1000, 0.5), row(1, 2000, 0.5)])
    return workdir.path


@pytest.mark.parametrize("bad", [no_folder, no_rows, another_version, no_evaluation_of_all])
def test_a_run_that_cannot_be_used_ends_with_2_and_writes_nothing(bad, two, tmp_path, capsys):
    path = tmp_path / "push.json"
    assert collect.main([str(path), f"hdm={two[0]}", f"bad={bad(tmp_path)}"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not path.exists()


@pytest.mark.parametrize("text", ["{", "[]", "1", "null"])
def test_a_file_that_holds_no_results_ends_with_2_and_is_left_alone(text, two, tmp_path, capsys):
    path = tmp_path / "push.json"
    path.write_text(text)
    assert collect.main([str(path), f"hdm={two[0]}"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert path.read_text() == text
