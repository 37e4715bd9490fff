"""A figure holds only within its tolerance, and a claim only if all of its figures do."""

import math

import pytest

from experiments.theory.results import Claim, between, equals


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (equals("x", 1.0, 1.01, 0.02), True),
        (equals("x", 1.0, 1.03, 0.02), False),
        (equals("x", 1.0, 0.97, 0.02), False),
        (equals("x", 3, 3, 0), True),
        (equals("x", 3, 4, 0), False),
        (equals("x", 0.0, math.nan, 1.0), False),
        (equals("x", math.inf, math.inf, 1.0), False),
        (between("x", 0.25, 0.75, 0.5), True),
        (between("x", 0.25, 0.75, 0.75), True),
        (between("x", 0.25, 0.75, 0.8), False),
        (between("x", 0.25, 0.75, 0.2), False),
    ],
)
def test_a_figure_holds_within_its_tolerance(figure, holds):
    assert figure.holds is holds


def test_the_texts_of_a_figure():
    figure = equals("x", -1.0, -0.99949, 0.02)
    assert (figure.expected_text, figure.measured_text, figure.tolerance_text) == ("-1", "-0.9995", "0.02")
    figure = between("x", 0.05, 0.13, 0.1)
    assert (figure.expected_text, figure.measured_text, figure.tolerance_text) == ("0.05 to 0.13", "0.1", "")
    assert equals("x", 0, 3.2e-16, 1e-10).measured_text == "below 1e-10"  # its digits are the machine's
    assert equals("x", 0, 3.2e-9, 1e-10).measured_text == "3.2e-09"  # a failure shows its digits
    assert equals("x", 0, 0.0, 0.0).measured_text == "0"
    assert equals("x", 0, 0.0, 0.0).tolerance_text == "exact"


def test_a_claim_holds_if_all_figures_do():
    good, bad = equals("good", 1.0, 1.0, 0.0), equals("bad", 1.0, 2.0, 0.0)
    make = lambda *figures: Claim("k", "t", "s", "s", (), "v", "r", figures, "c", lambda: b"")
    assert make(good, good).holds
    assert not make(good, bad).holds
