"""The parts of the bench that are asked for are measured, printed and written."""

import json

import commands
import pytest

from experiments.bench import measure
from hindsight_jax.runs import jax_flags


@pytest.fixture
def parts(monkeypatch):
    """Two parts that measure nothing, in place of all; the arguments that they are called with."""
    calls = []
    one = measure.OneTable(lambda *arguments: calls.append(arguments) or {"small": 1.23456, "large": 1234567.8})
    several = measure.SeveralTables(lambda *arguments: calls.append(arguments) or {"first": {"x": 2.0}, "second": {}})
    monkeypatch.setattr(measure, "PARTS", {"one": one, "several": several, "ring": one})
    monkeypatch.setattr(jax_flags, "configure_jax", lambda seeds: None)
    return calls


def test_the_command_measures_the_parts_asked_for_prints_and_writes(parts, tmp_path, capsys):
    path = tmp_path / "figures.json"
    arguments = ["--config=her_push", "--seeds=3", f"--output={path}", "--parts", "one", "several"]
    assert commands.run("experiments.bench", arguments) == 0
    assert [call[0] for call in parts] == ["her_push"] * 2
    assert [call[-1] for call in parts] == [3, 3]
    figures = json.loads(path.read_text())
    assert figures["one"] == {"small": 1.23456, "large": 1234567.8}
    assert figures["several"] == {"first": {"x": 2.0}, "second": {}}
    output = capsys.readouterr().out
    for text in ("1.235", "1,234,568", "several: first", "several: second"):
        assert text in output


def test_what_was_measured_before_a_part_failed_is_written(parts, monkeypatch, tmp_path):
    def fail(*arguments):
        raise RuntimeError("no such library")

    monkeypatch.setitem(measure.PARTS, "fails", measure.OneTable(fail))
    path = tmp_path / "figures.json"
    with pytest.raises(RuntimeError, match="no such library"):
        commands.run("experiments.bench", [f"--output={path}", "--parts", "several", "fails", "one"])
    figures = json.loads(path.read_text())
    assert figures["several"]["first"] == {"x": 2.0}
    assert not {"fails", "one"} & figures.keys()


def test_the_part_beside_a_peer_is_given_it_and_its_figures_are_written_as_they_come(parts, tmp_path):
    given, written, told = [], [], []

    def beside(peer, publish, report):
        given.append(peer)
        publish({"runs": 1})
        report("a run", {"x": 1.0})
        return {"runs": 2}

    measure.PARTS["beside"] = measure.BesidePeer(beside)
    tell = lambda *table: told.append(table)
    figures = measure.measure("her_push", 1, ["beside"], tell, lambda found: written.append(dict(found)), "the peer")
    assert given == ["the peer"]
    assert [found["beside"] for found in written] == [{"runs": 1}, {"runs": 2}]
    assert told == [("beside: a run", {"x": 1.0})]
    assert figures["beside"] == {"runs": 2}
