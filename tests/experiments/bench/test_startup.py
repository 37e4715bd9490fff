"""The seconds of a start: of a real run (slow), and a run that ends too early is told."""

import pytest

from experiments.bench import startup

TINY = (
    "--config.env.size=3", "--config.total_steps=60", "--config.replay.warmup=2", "--config.replay.capacity=20",
    "--config.env.num_envs=2", "--config.agent.updates_per_epoch=2", "--config.evaluation.every=20",
    "--config.evaluation.episodes=8",
)  # fmt: skip


def test_a_run_that_is_refused_is_told_with_its_reason(tmp_path):
    with pytest.raises(RuntimeError, match=r"without a record: .*zzz"):
        startup.start("zzz", 2, tmp_path / "cache", tmp_path / "run")


@pytest.mark.seldom
def test_a_warm_start_is_no_slower_than_its_parts(tmp_path):
    found = startup.start("her_flip_bit", 2, tmp_path / "cache", tmp_path / "run", *TINY)
    assert 0 < found["first_state"] < found["first_rows"]
    assert found["of_which_training_and_evaluation"] < found["first_rows"]
    assert any((tmp_path / "cache").iterdir())
