"""Arguments of the table of Q beside trajectories; test_run.py prints one from a real run."""

import numpy as np
import pytest

from experiments.reproduce import q_values
from hindsight_jax import presets, types


@pytest.mark.parametrize("argv", [[], ["--workdir"], ["--workdir=a", "--workdir=b"], ["a"]])
def test_other_arguments_are_refused(argv, capsys):
    assert q_values.main(argv) == 2
    assert "usage" in capsys.readouterr().err


def test_a_directory_without_a_run_is_refused(tmp_path, capsys):
    assert q_values.main([f"--workdir={tmp_path}"]) == 2
    assert "config.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hem_push", "her_01_push", "her_ddpg_push", "hpg_push"])
def test_runs_without_such_a_q_are_refused_by_name(name, tmp_path):
    with pytest.raises(ValueError, match=f"--workdir: got a run of {name}, but the table is for Q-learning"):
        q_values.measure(name, presets.config(name), tmp_path)


def test_another_beta_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the table is for Q-learning with rewards of -1, and 0"):
        q_values.measure("hdm_push", presets.config("hdm_push", {"agent.beta": 0.5}), tmp_path)


def test_next_states_are_one_step_of_each_stored_trajectory():
    """Of three slots the first two are filled; state i of trajectory c is 10 c + i, and its action 100 c + i."""
    states = np.arange(3.0)[:, None, None] * 10 + np.arange(4.0)[None, :, None]
    actions = np.arange(3)[:, None, None] * 100 + np.arange(3)[None, :, None]
    stored = types.Trajectory(states, -states, actions, None, None, None)
    step = q_values.next_states(stored, 1, 2)
    assert step.observation.ravel().tolist() == [1, 11]
    assert step.action.ravel().tolist() == [1, 101]
    assert step.goal.ravel().tolist() == step.next_achieved_goal.ravel().tolist() == [-2, -12]
    assert step.reward.tolist() == [-1, -1]


def test_runs_with_one_are_not():
    for name in ("hdm_push", "her_push_paper", "her_hbc_flip_bit"):
        q_values.refuse_without_q(name, presets.config(name))
