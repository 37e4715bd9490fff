"""A whole run is measured with its parts."""

import numpy as np
import pytest
from bench_values import VALUES, positive

from experiments.bench import epoch


@pytest.mark.seldom
def test_a_run_is_measured_with_its_parts(experiment, short):
    """Figures agree with one another; what they are depends on the machine."""
    figures = epoch.measure("hdm_push", experiment, VALUES, 2)
    positive(figures)
    np.testing.assert_allclose(figures["useful_gflop_per_update"], experiment.flops_per_update / 1e9)
    for name in ("learner", "whole_run"):
        quotient = figures[f"{name}_gflops"] / figures["matmul_peak_gflops"]
        np.testing.assert_allclose(figures[f"{name}_share_of_peak"], quotient)
    # two updates for five env steps of either member
    rates = [figures[f"{name}_per_second_all_members"] for name in ("updates", "env_steps")]
    np.testing.assert_allclose(rates[0] / rates[1], 2 / 5)
    assert figures["share_evaluate"] < 1.0
