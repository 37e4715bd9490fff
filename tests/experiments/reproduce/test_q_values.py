"""Arguments of the table of Q beside trajectories; test_run.py prints one from a real run."""

import jax.numpy as jnp
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


def coded():
    """Of three slots two are filled; state i of trajectory c is 10 c + i, and its action 100 c + i. The first comes to
    its goal with its last action; the second would after it has ended."""
    states = np.arange(3.0)[:, None, None] * 10 + np.arange(4.0)[None, :, None]
    actions = np.arange(3)[:, None, None] * 100 + np.arange(3)[None, :, None]
    goals, lengths = np.array([[-3.0], [-13.0], [0.0]]), np.array([3, 2, 3])
    return types.Trajectory(states, -states, actions, goals, lengths, np.zeros(3, bool))


def test_steps_are_one_of_each_trajectory_with_the_goal_that_is_given():
    stored = coded()
    step = q_values.steps(stored, 1, np.array([0, 1]), stored.achieved_goal[:2, 2])
    assert step.observation.ravel().tolist() == [1, 11]
    assert step.action.ravel().tolist() == [1, 101]
    assert step.goal.ravel().tolist() == step.next_achieved_goal.ravel().tolist() == [-2, -12]
    assert step.reward.tolist() == [-1, -1]


def test_a_goal_is_missed_if_no_state_of_the_episode_is_there():
    distance = lambda achieved, goal: jnp.abs(achieved - goal).sum()
    assert q_values.missed(coded(), 2, distance, 0.5).tolist() == [False, True]


def test_runs_with_one_are_not():
    for name in ("hdm_push", "her_push_paper", "her_hbc_flip_bit"):
        q_values.refuse_without_q(name, presets.config(name))
