"""What a run imitates: distances around walls, shares by hand, refusals, and a real run from end to end."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.reproduce import imitated
from hindsight_jax.runs import config_file
from hindsight_jax.runs.workdir import WorkDir


def points(*places):
    return np.array(places, np.float32)


def test_distances_are_straight_where_the_line_is_free():
    """Within a room, and through a doorway whose middle is at x = -0.3."""
    start, end = points((-0.5, 0.2), (-0.3, -0.3)), points((-0.2, 0.6 - 0.1), (-0.3, 0.3))
    np.testing.assert_allclose(imitated.distance(start, end), [np.hypot(0.3, 0.3), 0.6], atol=1e-6)


def test_distances_lead_around_walls_and_not_into_them():
    """Around the wall's end at (-0.2, 0), a circle of 0.08 m: two tangents of 0.1166 m and an arc of 158.9 degrees."""
    start, end = points((-0.1, -0.1), (-0.1, -0.1)), points((-0.1, 0.1), (0.0, 0.0))
    around, inside = imitated.distance(start, end)
    assert around == pytest.approx(2 * 0.1166 + 0.08 * np.deg2rad(158.9), abs=0.03)
    assert inside == np.inf


def test_shares_by_hand():
    """Forty rows of each of four kinds: arriving; closer, picked; closer, not picked; not closer, picked."""
    kinds = lambda *values: np.repeat(values, 40)
    found = imitated.Facts(
        arrives=kinds(True, False, False, False),
        greedy=kinds(True, True, True, False),
        distance=kinds(0.05, 0.15, 0.35, 0.15),
        progress=kinds(0.05, 0.01, 0.01, -0.01),
        advantage=kinds(0.0, -1.0, -0.6, -1.0),  # log 0.5 = -0.69
    )
    shares = imitated.shares(found, 0.5)
    assert shares["picked_of_all"] == 0.5
    assert shares["picked_of_arriving"] == 0.0
    assert (shares["picked_of_closer"], shares["picked_of_not_closer"]) == (0.5, 1.0)
    assert (shares["picked_of_greedy"], shares["picked_of_not_greedy"]) == (0.5, 1.0)
    assert shares["closer"] == {"picked": 0.5, "not picked": 1.0}
    assert shares["distance"] == {"picked": 0.15, "not picked": 0.35}
    assert shares["closer_by_distance"][1] == {
        "from": 0.1, "to": 0.2, "share_picked": 1.0, "picked": 0.5, "not picked": None,
    }  # fmt: skip
    assert "share_picked" not in shares["closer_by_distance"][0]  # those rows arrive


@pytest.mark.parametrize("argv", [[], ["a.json", "b.png"], ["a.json", "b.png", "runs/a"]])
def test_other_arguments_are_refused(argv, capsys):
    assert imitated.main(argv) == 2
    assert "usage" in capsys.readouterr().err


def test_a_run_of_another_task_is_refused(tmp_path, capsys):
    workdir = WorkDir.create(tmp_path / "run")
    made = config_file.resolve("hdm_push", {"seeds": 2})
    workdir.write_config(config_file.to_json(made), name="hdm_push")
    assert imitated.main([f"{tmp_path}/a.json", f"{tmp_path}/a.png", f"push={tmp_path}/run"]) == 2
    assert (
        "got a run of hdm_push, but the numbers are those of one setting of hdm_four_rooms" in capsys.readouterr().err
    )
    assert not (tmp_path / "a.json").exists()


@pytest.mark.slow
def test_a_small_run_gives_numbers_and_a_picture(tmp_path):
    small = ("total_steps=2000", "replay.warmup=20", "evaluation.episodes=4", "evaluation.every=1000", "seeds=1")
    options = [f"--config.{option}" for option in small]
    train = ["experiments.run", "--config=hdm_four_rooms", *options, f"--workdir={tmp_path}/run"]
    show = ["experiments.reproduce.imitated", f"{tmp_path}/a.json", f"{tmp_path}/a.png", f"small={tmp_path}/run"]
    for module in (train, show):
        done = subprocess.run([sys.executable, "-m", *module], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "a.json").read_text())["small"]
    assert numbers["env_steps"] == 2200  # 20 trajectories of 50 steps, then epochs of 8
    assert 0.1 < numbers["share_arriving"] < 0.4
    assert set(numbers["gamma_hdm"]) == {"0.95", "0.85", "0.75", "0.4"}
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
