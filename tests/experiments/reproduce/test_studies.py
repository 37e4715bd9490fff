"""The studies are right as data: every run can be made, every claim names runs, and the counts are the papers'."""

import re

import pytest

from experiments.reproduce import __main__ as command
from experiments.reproduce import hdm_studies, hem_studies, studies
from hindsight_jax import presets

STUDIES = {study.name: study for study in command.STUDIES}


@pytest.mark.parametrize("budget", studies.BUDGETS)
def test_every_run_can_be_made(budget):
    """A wrong field or value is a ValueError; `training` refuses no config that this takes."""
    for run in command.runs_of(command.STUDIES, budget):
        config = studies.config_of(run, budget)
        assert config["seeds"] == (2 if budget == "quick" else 5)
        assert config["seed"] == 0


def test_every_study_has_runs_in_every_budget_that_it_has():
    for study in command.STUDIES:
        assert len(studies.runs_of(study, "quick")) >= 2
        assert studies.runs_of(study, "default") == study.runs
        assert bool(studies.runs_of(study, "paper")) == study.has_paper


def test_names_are_folders_and_one_path_is_one_run():
    runs = [cell.run for study in command.STUDIES for cell in study.cells]
    by_path = {run.path: run for run in runs}
    assert all(by_path[run.path] == run for run in runs)
    assert len(STUDIES) == len(command.STUDIES)
    assert all(re.fullmatch(r"[a-z0-9-]+/[\w.]+", path) for path in by_path)
    assert {run.study for run in runs} <= set(STUDIES)
    same = [(r.name, tuple(r.values.items()), tuple(r.tuned.items())) for r in by_path.values()]
    assert len(set(same)) == len(same)  # nothing is trained twice


def test_cells_have_a_place_each_and_claims_and_quick_runs_are_cells():
    for study in command.STUDIES:
        places = [(cell.row, cell.column, cell.panel) for cell in study.cells]
        assert len(set(places)) == len(places)
        paths = {run.path for run in study.runs}
        assert set(study.quick) <= paths
        assert {place[:2] for place in places} >= set(study.printed)
        assert study.claims
        for claim in study.claims:
            named = {path for pair in claim.pairs for path in pair if path}
            assert named <= paths, claim.text
            assert all(bool(worse) == (claim.kind != "reaches") for _, worse in claim.pairs)
            assert (claim.by > 0) == (claim.kind != "above")
        assert len({claim.text for claim in study.claims}) == len(study.claims)


def test_every_study_has_a_claim_that_its_miniature_can_test():
    for study in command.STUDIES:
        assert any({path for path in pair if path} <= set(study.quick) for c in study.claims for pair in c.pairs)


def test_table_1_is_six_algorithms_on_five_tasks():
    runs = hdm_studies.table_1.runs
    assert len(runs) == 30
    names = {f"{algorithm}_{task}" for algorithm in hdm_studies.ROWS.values() for task in hdm_studies.TASKS}
    assert {run.name for run in runs} == {run.label for run in runs} == names
    assert all(not run.values and not run.tuned for run in runs)  # the shared schedules
    assert len(hdm_studies.PRINTED) == 30
    assert hdm_studies.PRINTED["HDM", "claw"] == pytest.approx((0.2789, 0.0646))
    assert hdm_studies.PRINTED["GCSL", "push"] == pytest.approx((0.4467, 0.1386))
    assert hdm_studies.figure_7.runs == hdm_studies.figure_8.runs == runs


def test_a_sweep_holds_its_default_and_its_lines():
    """The rows of shares' panels depend on the swept field, and so none of them is a line."""
    for study, lines in ((hdm_studies.figure_10, ["her_push", "gcsl_push"]), (hdm_studies.shares, [])):
        for panel in {cell.panel for cell in study.cells}:
            mine = [cell for cell in study.cells if cell.panel == panel]
            assert [cell.run.name for cell in mine if not cell.column] == lines
            for row in {cell.row for cell in mine if cell.column}:
                swept = [cell for cell in mine if cell.column and cell.row == row]
                values = [float(cell.column) for cell in swept]
                assert values == sorted(values)
                (default,) = [cell for cell in swept if cell.run.study == hdm_studies.TABLE_1]
                (field,) = {field for cell in swept for field in cell.run.values}
                assert field.endswith(f".{panel}")
                assert {cell.run.name for cell in swept} == {default.run.name}
                assert presets.config(default.run.name)[field] == float(default.column)


def test_defaults_undo_a_change_each_and_train_as_many_updates():
    """60,000: (250,000 - 200 * 50) / (4 * 50) epochs of 50 updates; with one trajectory, a fourth of the steps."""
    default = presets.config("hdm_push")
    for run in hdm_studies.defaults.runs[1:]:
        config = studies.config_of(run, "default")
        assert any(config[field] != default[field] for field in config if field not in ("seeds", "total_steps"))
        learning = config["total_steps"] - 50 * config["replay.warmup"]
        assert learning / (50 * config["env.num_envs"]) * config["agent.updates_per_epoch"] == 60_000


def test_the_miniature_is_small():
    for run in command.runs_of(command.STUDIES, "quick"):
        config = studies.config_of(run, "quick")
        assert config["total_steps"] <= 160
        assert config.get("env.horizon") == 5
        assert config.get("env.size", 0) <= 4
        assert config["evaluation.episodes"] <= 4


def test_what_the_paper_did_not_run_has_no_paper_s_budget():
    her = [run for run in hem_studies.figure_3.runs if run.name == "her_flip_bit"]
    assert len(her) == 3
    assert [run for run in studies.runs_of(hem_studies.figure_3, "paper") if run in her] == []
    with pytest.raises(ValueError, match="no paper has her_flip_bit"):
        studies.config_of(her[0], "paper")
