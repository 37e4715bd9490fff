"""What the labels of a policy cost another: the batches on identity-coded episodes, refusals, a run from end to end."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments.reproduce import labels
from hindsight_jax.runs.load import load

LENGTH = np.array([5, 1, 3])


def coded():
    """Three episodes of up to five steps; each number is 100 n + t, of modes less and of own goals more by a half."""
    code = (100.0 * np.arange(3)[:, None] + np.arange(5))[..., None].astype(np.float32)
    frame = np.zeros((3, 5, 1, 1, 3), np.uint8)
    return labels.Episodes(frame, code, code, code - 0.5, code, code[:, 0] + 0.5, LENGTH)


def test_hindsight_is_of_the_same_episode_and_later():
    batch = labels.batches(coded(), "hindsight", "states", 20, seed=0)
    (n, t), (of, later) = (divmod(x[..., 0], 100) for x in (batch.observation, batch.goal))
    np.testing.assert_array_equal(n, of)
    assert set(n.ravel()) == {0, 2}  # one step alone has no later place
    assert np.all((t < later) & (later < LENGTH[n.astype(int)]))
    assert {(a, b) for a, b in zip(t[n == 2], later[n == 2], strict=True)} == {(0, 1), (0, 2), (1, 2)}
    np.testing.assert_array_equal(batch.action, batch.observation)  # as it was taken


def test_modes_are_of_the_episodes_own_goal():
    batch = labels.batches(coded(), "modes", "states", 4, seed=0)
    np.testing.assert_array_equal(batch.action, batch.observation - 0.5)
    np.testing.assert_array_equal(batch.goal, batch.observation // 100 * 100 + 0.5)


def test_frames_are_those_of_the_step_and_the_one_before():
    numbers, states = (labels.batches(coded(), "modes", shown, 4, seed=0).observation for shown in ("images", "states"))
    n, t = divmod(states[..., 0], 100)
    np.testing.assert_array_equal(numbers, np.stack([5 * n + np.maximum(t - 1, 0), 5 * n + t], axis=-1))


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
