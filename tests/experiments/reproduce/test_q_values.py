"""Arguments of the table of Q beside trajectories; test_run.py prints one from a real run."""

import pytest

from experiments.reproduce import q_values
from hindsight_jax import presets


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


def test_runs_with_one_are_not():
    for name in ("hdm_push", "her_push_paper", "her_hbc_flip_bit"):
        q_values.refuse_without_q(name, presets.config(name))
