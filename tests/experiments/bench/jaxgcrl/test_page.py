"""The section beside JaxGCRL, from figures whose cells follow by hand."""

import copy
import json
import pathlib

import pytest

from experiments.bench.jaxgcrl import page
from experiments.reproduce.page import block_of
from hindsight_jax.runs import strict_json

ROOT = pathlib.Path(__file__).parents[4]


def run(library, name, success_any, seconds, **more):
    """Evaluations every 1,000 env steps; 4 s of imports, 10 of compilation, 1 of each evaluation."""
    count = len(success_any)
    curve = {
        "env_steps": [1_000 * (i + 1) for i in range(count)],
        "updates": [10 * (i + 1) for i in range(count)],
        "success_any": success_any,
        "success_end": [0.5 * x for x in success_any],
        "seconds": seconds,
        "compile_seconds": [10.0] * count,
        "evaluation_seconds": [float(i + 1) for i in range(count)],
    }
    base = {
        "library": library,
        "name": name,
        "task": "reach",
        "seed": 0,
        "settings": {"num_envs": 64, "seed": 0},
    }
    return base | {"start_seconds": 4.0, "curve": curve, "section_seconds": 1.0} | more


FIGURES = {
    "commit": "a" * 40,
    "versions": {"jax": "0.10.2", "brax": "0.14.2"},
    "device": {"cpu_cores": 2, "processor": "EPYC", "kind": "cpu"},
    "jaxgcrl": {
        "peer": {
            "versions": {"jax": "0.4.25", "brax": "0.12.1"}, "commit": "b" * 40, "level": 0.9, "episodes": 256,
            "steps": 4_000, "seeds": [0], "minutes": 1.0, "configs": ["hem_brax_reacher"],
        },
        "runs": {
            "a": run("jaxgcrl", "JaxGCRL", [0.95, 0.5, 0.9, 1.0], [30.0, 50.0, 70.0, 90.0]),
            "b": run("hindsight_jax", "hem_brax_reacher", [0.9, 0.9], [20.0, 25.0]),
            "c": run("hindsight_jax", "crl_brax_reacher", [0.2], [20.0], stopped="time limit of 60 s"),
            "d": run("hindsight_jax", "crl_brax_reacher", [], [], error="RuntimeError: x", seed=1),
        },
    },
}  # fmt: skip


def test_rows_say_when_success_was_reached():
    """The first at 1,000 steps: 30 s, 20 without compilation, 15 without imports and an evaluation too."""
    rows = [page.row(run) for run in FIGURES["jaxgcrl"]["runs"].values()]
    assert [" | ".join(row) for row in rows] == [
        "reach | JaxGCRL | 0 | 1,000: 30 s (20, 15) | 3,000: 70 s (60, 53) | - | - | 4,000 | 40 | 1.000 | 0.500 | 90",
        "reach | hem_brax_reacher | 0 | 1,000: 20 s (10, 5) | 1,000: 20 s (10, 5) | - | - | 2,000 | 20 | 0.900 | "
        "0.450 | 25",
        "reach | crl_brax_reacher | 0 | - | - | - | - | 1,000 | 10 | 0.200 | 0.100 | 20, stopped: time limit of 60 s",
        "reach | crl_brax_reacher | 1 | - | - | - | - | - | - | - | - | error: RuntimeError: x",
    ]
    assert {len(row) for row in rows} == {len(page.HEADING)}


def test_ratios_are_of_runs_that_both_got_there():
    """3,000 over 1,000 env steps, 70 over 20 seconds, 60 over 10 without compilation."""
    assert page.ratios(FIGURES["jaxgcrl"]["runs"]) == [
        "- hem_brax_reacher, seed 0, at any step, from there on: JaxGCRL needs 3.0 times the env steps and 3.5 "
        "times the seconds (6.0 without compilation)."
    ]


def test_the_section_has_its_command_and_how_it_was_measured():
    text = page.block(FIGURES)
    assert text.startswith("## Beside JaxGCRL\n")
    command = (
        "--parts jaxgcrl --peer-python=PATH --peer-configs hem_brax_reacher --peer-steps=4000 --peer-seeds 0 "
        "--peer-minutes=1 "
    )
    said = (command, "commit bbbbbbb, jax 0.4.25", "commit aaaaaaa, jax 0.10.2", "2 cores (EPYC)", "`--num_envs 64`")
    for part in (*said, "256 episodes", "success was 0.9 or more"):
        assert part in text
    assert "\n\n\n" not in text
    assert "{" not in text


def test_the_command_writes_the_section_and_again_in_its_place(tmp_path):
    source, target = tmp_path / "figures.json", tmp_path / "page.md"
    source.write_text(json.dumps(FIGURES))
    target.write_text("# Results\n")
    assert page.main([str(source), str(target)]) == 0
    assert target.read_text() == f"# Results\n\n<!-- study jaxgcrl -->\n{page.block(FIGURES)}\n<!-- end -->\n"
    changed = copy.deepcopy(FIGURES)
    changed["jaxgcrl"]["peer"]["commit"] = None
    source.write_text(json.dumps(changed))
    assert page.main([str(source), str(target)]) == 0
    assert target.read_text() == f"# Results\n\n<!-- study jaxgcrl -->\n{page.block(changed)}\n<!-- end -->\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "error: Expecting"), ("{}", "it has no 'jaxgcrl'; make it with --parts jaxgcrl"), (None, "usage: ")],
)
def test_figures_that_are_none_are_refused_and_the_page_stays(text, said, tmp_path, capsys):
    source, target = tmp_path / "figures.json", tmp_path / "page.md"
    target.write_text("# Results\n")
    source.write_text(text or "")
    assert page.main([str(source), str(target)][: 1 if text is None else 2]) == 2
    assert said in capsys.readouterr().err
    assert target.read_text() == "# Results\n"


def test_the_page_is_in_step_with_the_stored_figures():
    stored = ROOT / page.FIGURES
    wanted = page.block(strict_json.restored(json.loads(stored.read_text()))) if stored.exists() else None
    again = f"run python -m {page.__name__} {page.FIGURES} docs/results.md"
    assert block_of((ROOT / "docs" / "results.md").read_text(), page.NAME) == wanted, again
