"""The bench as a command: its tables, its arguments, its help."""

import json

import commands
import pytest
from bench_values import positive

from experiments.bench import measure
from experiments.bench.jaxgcrl import compare
from hindsight_jax import presets
from hindsight_jax.runs import jax_flags


@pytest.mark.slow
def test_the_whole_bench_prints_its_tables_and_writes_its_figures(short, monkeypatch, tmp_path, capsys):
    tiny = {"replay.warmup": 2, "replay.capacity": 8, "env.horizon": 5, "evaluation.episodes": 2}
    tiny |= {"agent.batch_size": 4, "agent.updates_per_epoch": 2, "agent.hidden_sizes": (4,)}
    config = presets.config
    monkeypatch.setattr(presets, "config", lambda name: config(name) | tiny)
    path = tmp_path / "bench.json"
    monkeypatch.setattr(jax_flags, "configure_jax", lambda seeds: None)  # of the whole process
    arguments = ["--config=her_push", "--seeds=2", f"--output={path}", f"--picture={tmp_path / 'bench.png'}"]
    assert commands.run("experiments.bench", [*arguments, "--parts", "environment", "ring", "run"]) == 0
    assert (tmp_path / "bench.png").stat().st_size > 5_000
    figures = json.loads(path.read_text())
    assert (figures["config"], figures["seeds"]) == ("her_push", 2)
    assert "commit" in figures
    output = capsys.readouterr().out
    for title in ("environment", "ring", "run"):
        positive(figures[title])
        assert all(name in output for name in figures[title])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--config=hdm_psh"], "invalid choice: 'hdm_psh'"),
        (["--seeds=0"], "--seeds: got 0, but it must be at least 1"),
        (["--seeds=-1"], "--seeds: got -1, but it must be at least 1"),
        (["--seeds=two"], "invalid int value: 'two'"),
        (["--config=hpg_push"], "invalid choice: 'hpg_push'"),  # on policy: it has no ring to measure
        (["--picture=x.png", "--parts", "run"], "--picture: it draws the parts ring and scaling"),
        (["--parts", "rings"], "invalid choice: 'rings'"),
        (["--rounds=3"], "unrecognized arguments: --rounds=3"),
        (["hdm_push"], "unrecognized arguments: hdm_push"),
        (["--parts", "jaxgcrl"], "--parts jaxgcrl: it needs JaxGCRL. Clone it, install it in a virtual environment"),
        (["--parts", "jaxgcrl", "--peer-python=no/such", "--peer-configs", "her_push"], "--peer-configs: got her_push"),
    ],
)
def test_bad_arguments_end_with_2_before_anything_is_measured(argv, said, capsys, monkeypatch):
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("it measured"))
    assert commands.run("experiments.bench", argv) == 2
    assert said in capsys.readouterr().err


def test_help_names_every_argument(capsys):
    assert commands.run("experiments.bench", ["--help"]) == 0
    output = capsys.readouterr().out
    assert all(part in output for part in measure.PARTS)
    assert all(flag in output for flag in ("--config", "--seeds", "--parts", "--output", "--picture", "--peer-python"))


def test_the_peer_is_found_before_anything_is_measured_and_a_run_that_failed_is_the_exit_status(monkeypatch):
    asked, given = [], []
    runs = {"a": {"error": "RuntimeError: x"}}
    monkeypatch.setattr(compare, "find", lambda *values: asked.append(values) or "the peer")
    monkeypatch.setattr(measure, "measure", lambda *values: given.append(values[-1]) or {"jaxgcrl": {"runs": runs}})
    monkeypatch.setattr(jax_flags, "configure_jax", lambda seeds: None)
    arguments = ["--parts", "jaxgcrl", "--peer-python=PATH", "--peer-configs", "hem_push", "--peer-steps=5"]
    assert commands.run("experiments.bench", [*arguments, "--peer-seeds", "3", "4"]) == 1
    runs["a"].pop("error")
    assert commands.run("experiments.bench", arguments) == 0
    assert asked == [("PATH", None, ["hem_push"], 5, seeds, 60.0) for seeds in ([3, 4], [0])]
    assert given == ["the peer"] * 2
