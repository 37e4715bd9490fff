"""The page: markers are replaced in place, and what stands between them is what the stored results say."""

import pytest

from experiments.reproduce import __main__ as command
from experiments.reproduce import figures, page, stored, studies
from experiments.reproduce.studies import Cell, Claim, Run, Study
from hindsight_jax.runs import config_file

RESULTS = stored.places("default", stored.ROOT).results
TEXT = stored.places("default", stored.ROOT).page.read_text()
A, B, C = (
    Run("small", label, "hdm_flip_bit", {"agent.beta": beta}) for label, beta in (("a", 0.5), ("b", 2), ("c", 4))
)
STUDY = Study(
    name="small",
    title="a title",
    source="a paper, Table 9",
    asks="What is it?",
    cells=(Cell(A, "first", "left"), Cell(B, "second", "left"), Cell(A, "first", "right"), Cell(C, "second", "right")),
    figure="curves",
    claims=(Claim("a is above", "above", ((A.path, B.path), (A.path, C.path))),),
    quick=(A.path,),
    printed={("first", "left"): (0.25, 0.125)},
)


def result(*ends):
    return {
        "name": "hdm_flip_bit",
        "commit": "0123456789",
        "seeds": list(range(len(ends))),
        "env_steps": [10],
        "seconds": [65.0],
        "success_end": [[end] for end in ends],
    }


FOUND = {A.path: result(0.5, 0.5, 0.5), B.path: result(0.25, 0.25, 0.25)}


def test_the_block_of_a_study():
    assert page.block(STUDY, FOUND, "default", "small.png") == (
        "### a paper, Table 9: a title\n"
        "\n"
        "What is it?\n"
        "\n"
        "`python -m experiments.reproduce --only=small`: 2 of 3 runs are done, 2m 10s in all, by commit 0123456.\n"
        "\n"
        "|  | left | right |\n"
        "|---|---|---|\n"
        "| first | 0.500 (0.500 to 0.500) [0.250 ± 0.125] | 0.500 (0.500 to 0.500) |\n"
        "| second | 0.250 (0.250 to 0.250) | - |\n"
        "\n"
        "![a title](small.png)\n"
        "\n"
        "| claim | runs | apart, seed by seed | a seed is above | |\n"
        "|---|---|---|---|---|\n"
        "| a is above | 1 of 2 pairs are done | |  | **open** |\n"
        "| | a : b | 0.250 (0.250 to 0.250) | 1.00 (0.34 to 1.00) | holds |"
    )


def test_the_summary_has_a_line_for_each_claim():
    other = STUDY._replace(source="Ours", claims=(Claim("level", "level", ((A.path, B.path),), 0.5), *STUDY.claims))
    assert page.summary((STUDY, other), FOUND, "default") == (
        "### Every claim, and its verdict\n"
        "\n"
        "Of 3 claims 1 hold, 0 do not, and 2 are open, 2 of these since runs are missing. A claim about several pairs "
        "of runs holds if each pair does.\n"
        "\n"
        "| study | claim | pairs that hold | a seed is above | |\n"
        "|---|---|---|---|---|\n"
        "| [a paper, Table 9](#a-paper-table-9-a-title) | a is above | 1 of 2, 1 not run |  | **open** |\n"
        "| [Ours, small](#ours-a-title) | level | 1 of 1 | 1.00 (0.34 to 1.00) | **holds** |\n"
        "|  | a is above | 1 of 2, 1 not run |  | **open** |"
    )
    assert "paper" not in page.summary((STUDY._replace(has_paper=False),), FOUND, "paper").partition("schedule")[2]


def test_tasks_that_all_rows_have_are_pooled():
    found = FOUND | {C.path: result(0.0, 0.25, 0.5)}
    header, _, first, second = page.table(STUDY, "", found)
    assert header == "|  | left | right | IQM of 2 tasks |"
    assert first.endswith("| 0.500 (0.500 to 0.500) |")
    assert "| 0.250 (" in second  # 0, [0.25, 0.25, 0.25, 0.25], 0.5


def test_a_figure_of_another_study_s_runs_repeats_no_table():
    assert "| first |" not in page.block(STUDY._replace(figure="gain"), FOUND, "default", "small.png")


def test_a_failed_seed_is_said():
    assert "| first | a seed failed [0.250 ± 0.125] |" in page.block(
        STUDY, {A.path: result(0.5, float("nan"))}, "default", "small.png"
    )


def test_a_study_that_has_not_begun_has_no_table():
    text = page.block(STUDY, {}, "paper", "small.png")
    assert text.startswith("### a paper, Table 9: a title, the paper's schedule\n")
    assert text.endswith("`python -m experiments.reproduce --only=small --budget=paper`: 0 of 0 runs are done.")


def test_a_block_is_replaced_in_place_and_nothing_else():
    text = "# A\n\n<!-- study one -->\nold\n\n- x\n<!-- end -->\n\nhand\n\n<!-- study two -->\nkept\n<!-- end -->\n"
    after = page.replaced(text, "one", "new")
    assert after == text.replace("old\n\n- x", "new")
    assert page.replaced(after, "one", "new") == after
    assert (page.block_of(after, "one"), page.block_of(after, "two"), page.block_of(after, "th")) == (
        "new",
        "kept",
        None,
    )
    assert page.replaced(text, "three", "last") == f"{text}\n<!-- study three -->\nlast\n<!-- end -->\n"


@pytest.mark.parametrize(
    "text",
    [
        "<!-- study one -->\nno end\n",
        "<!-- study one -->\n<!-- study two -->\n<!-- end -->\n",
        "<!-- study one -->\n<!-- end -->\n<!-- study one -->\n<!-- end -->\n",
    ],
)
def test_markers_that_are_wrong_are_refused(text):
    with pytest.raises(ValueError, match=r"^page: got"):
        page.replaced(text, "one", "new")


@pytest.mark.parametrize("study", command.STUDIES, ids=lambda study: study.name)
def test_the_page_is_in_step_with_the_stored_results(study):
    for budget in ("default", "paper"):
        results, name = stored.load(studies.runs_of(study, budget), budget, RESULTS), page.key(study.name, budget)
        written = page.block_of(TEXT, name)
        if budget == "default" or results or written:
            again = f"run python -m experiments.reproduce --only={study.name} --budget={budget}"
            assert written == page.block(study, results, budget, f"{name}.png"), again
        assert bool(results) == (stored.places(budget, stored.ROOT).pictures / f"{name}.png").exists()


def test_the_verdicts_are_in_step_with_the_stored_results():
    every = stored.load([run for study in command.STUDIES for run in study.runs], "default", RESULTS)
    again = "run python -m experiments.reproduce --write"
    assert page.block_of(TEXT, page.SUMMARY) == page.summary(command.STUDIES, every, "default"), again


def test_stored_runs_are_those_of_the_studies():
    """With every value that the study has now: a changed default must be run again."""
    for study in command.STUDIES:
        for path, run in stored.load(study.runs, "default", RESULTS).items():
            (wanted,) = [one for one in study.runs if one.path == path]
            values, config = config_file.from_json(run["name"], run["values"]), studies.config_of(wanted, "default")
            assert run["name"] == wanted.name
            changed = {field for field in config if values.get(field) != config[field]}
            assert changed <= {"checkpoint.seconds", "checkpoint.keep", "on_nan"}, path


@pytest.mark.parametrize(
    "study", [s if s.name == "hdm-figure-8" else pytest.param(s, marks=pytest.mark.seldom) for s in command.STUDIES]
)
def test_every_study_has_a_picture_of_what_is_done(study):
    found = {path: result(0.5, 0.75) for path in study.quick}
    assert figures.picture(study, found).startswith(b"\x89PNG")
    assert figures.picture(study, {study.quick[0]: result(0.5, float("nan"))}).startswith(b"\x89PNG")
