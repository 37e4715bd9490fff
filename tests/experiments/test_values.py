"""Arguments of the table of Q beside trajectories; test_run.py prints one from a real run."""

import pytest

from experiments import values


@pytest.mark.parametrize("argv", [[], ["--workdir"], ["--workdir=a", "--workdir=b"], ["a"]])
def test_other_arguments_are_refused(argv, capsys):
    assert values.main(argv) == 2
    assert "usage" in capsys.readouterr().err


def test_a_directory_without_a_run_is_refused(tmp_path, capsys):
    assert values.main([f"--workdir={tmp_path}"]) == 2
    assert "config.json" in capsys.readouterr().err
