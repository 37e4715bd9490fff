"""What the labels of a policy cost another: the labels of identity-coded episodes, refusals, a run from end to end."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.reproduce import labels
from hindsight_jax import relabel, types
from hindsight_jax.runs.load import load


def coded():
    """Three episodes of up to five steps; each number is 100 n + t, of modes less and of own goals more by a half."""
    code = (100.0 * np.arange(3)[:, None] + np.arange(6))[..., None].astype(np.float32)
    length, done = np.array([5, 1, 3], np.int32), np.zeros(3, bool)
    played = types.Trajectory(code, code, code[:, :-1], code[:, 0] + 0.5, length, done)
    frame = np.broadcast_to(code[..., None, None] // 100 + 16 * (code[..., None, None] % 100), (3, 6, 40, 40, 3))
    return labels.Episodes(played, frame.astype(np.uint8), mode=code[:, :-1] - 0.5)


def drawn(of, shown):
    ring, held, law = labels.memory(coded(), of, shown)
    return ring.sample(held, jax.random.key(0), 200, law, relabel.reward_by_index())


def test_hindsight_is_the_action_taken_for_a_place_later_in_the_episode():
    batch = drawn("hindsight", "states")
    np.testing.assert_array_equal(batch.action, batch.observation)
    np.testing.assert_array_equal(batch.goal // 100, batch.observation // 100)
    assert np.all(batch.goal > batch.observation)


def test_modes_are_the_actions_meant_for_the_episodes_own_goal():
    batch = drawn("modes", "states")
    np.testing.assert_array_equal(batch.action, batch.observation - 0.5)
    np.testing.assert_array_equal(batch.goal, batch.observation // 100 * 100 + 0.5)


def test_images_show_the_step_and_the_one_before():
    batch = drawn("hindsight", "images")
    before, now = batch.observation[:, 0, 0, 0], batch.observation[:, 0, 0, 3]
    np.testing.assert_array_equal(now, batch.action[:, 0] // 100 + 16 * (batch.action[:, 0] % 100))
    np.testing.assert_array_equal(before, np.where(now < 16, now, now - 16))


@pytest.mark.parametrize("argv", [[], ["a.json"], ["a.json", "b", "c"]])
def test_other_arguments_are_refused(argv, capsys):
    assert labels.main(argv) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_run_gives_four_curves(tmp_path, monkeypatch):
    small = ("total_steps=2000", "replay.warmup=2", "evaluation.episodes=4", "evaluation.every=1000", "seeds=1")
    options = [f"--config.{option}" for option in small]
    train = ["experiments.run", "--config=hem_point_mass", *options, f"--workdir={tmp_path}/run"]
    done = subprocess.run([sys.executable, "-m", *train], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, value in {"EPISODES": 4, "AT_ONCE": 2, "UPDATES": 4, "EVERY": 2, "BATCH": 8, "TRIED": 4}.items():
        monkeypatch.setattr(labels, name, value)
    assert labels.main([f"{tmp_path}/a.json", f"{tmp_path}/run"]) == 0
    numbers = json.loads((tmp_path / "a.json").read_text())
    assert set(numbers["curves"]) == {f"{a}, {b}" for a in ("states", "images") for b in ("modes", "hindsight")}
    for curve in numbers["curves"].values():
        assert [row["updates"] for row in curve] == [2, 4]
    for taken, meant in zip(numbers["deviation_of_actions"], numbers["deviation_of_modes"], strict=True):
        assert taken > meant + 0.05  # noise of 0.2
    with pytest.raises(ValueError, match="got a run of hem_point_mass, but it must be a run of an imitation agent"):
        labels.expert(load(tmp_path / "run")._replace(agents=()))
