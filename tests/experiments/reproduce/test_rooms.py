"""The table of four_rooms' walls: what is refused, and one from a real run. Its counts are in the module's examples."""

import pytest
from golden import GOLDEN

from experiments.reproduce import rooms
from hindsight_jax.cli import main as cli

SMALL = (
    "--config=sac_her_four_rooms",
    "--config.seeds=2",
    "--config.total_steps=1200",
    "--config.env.num_envs=4",
    "--config.replay.warmup=4",
    "--config.replay.capacity=20",
    "--config.agent.hidden_sizes=8",
    "--config.agent.batch_size=8",
    "--config.agent.updates_per_epoch=1",
    "--config.evaluation.episodes=4",
)


def test_no_directory_is_refused(capsys):
    assert rooms.main([]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(("path", "got"), [(GOLDEN, "DIR: got a run of "), ("none", "config.json")])
def test_what_is_no_run_of_four_rooms_is_refused(path, got, capsys):
    assert rooms.main([str(path)]) == 2
    assert got in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_a_row(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "configure_jax", lambda members: None)
    assert cli.main([*SMALL, f"--workdir={tmp_path / 'a'}"]) == 0
    capsys.readouterr()
    assert rooms.main([str(tmp_path / "a")]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert head.count("|") == row.count("|") == 7
    name, *shares = row.strip("| ").split(" | ")
    assert name == "a"
    success, (one, two) = [float(share) for share in shares[:3]], [float(share) for share in shares[3:]]
    assert all(0.0 <= share <= 1.0 for share in success)
    assert 1.0 > one >= two >= 0.0
