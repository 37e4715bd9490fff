"""The indicator at convergence a second way, by distances; and the trained run's numbers in the text."""

import numpy as np
import pytest

from experiments.theory import indicator, maze


@pytest.mark.parametrize("gamma_hdm", [0.95, 0.75, 0.4, 0.36])
def test_what_is_picked_is_what_ends_within_a_distance(gamma_hdm):
    """Q - V(s') = -gamma^(d' - 1) at the distance d' of s', which is below log gamma_hdm where d' is small enough."""
    after = maze.distances()[maze.maze().after]
    expected = (after > 0) & (-(maze.GAMMA ** (np.maximum(after, 1) - 1.0)) < np.log(gamma_hdm))
    np.testing.assert_array_equal(indicator.picked(gamma_hdm), expected)


def test_the_text_has_the_trained_runs_numbers():
    text = indicator.claim().remark
    assert "| 200,000 | 0.85 |" in text
    for run in indicator.trained().values():
        assert run["name"] == "hdm_four_rooms"
        assert list(run["gamma_hdm"]) == [str(value) for value in indicator.SHOWN]
        # the shares belong together: what is picked of the best and of the other actions averages to the rest's
        of = run["gamma_hdm"]["0.85"]
        low, high = sorted((of["picked_of_closer"], of["picked_of_not_closer"]))
        rest = (of["picked_of_all"] - run["share_arriving"] * of["picked_of_arriving"]) / (1 - run["share_arriving"])
        assert low < rest < high
