"""The result of checking a claim: its figures beside their expected values, a text, and most often a picture."""

import math
from collections.abc import Callable
from typing import NamedTuple, SupportsFloat


class Figure(NamedTuple):
    """A measured number and its expected value; it holds if abs(measured - expected) <= tolerance, so NaN does not."""

    name: str
    expected: float
    measured: float
    tolerance: float
    is_range: bool = False  # then it is the range from expected - tolerance to expected + tolerance

    @property
    def holds(self) -> bool:
        """Whether the measured number is finite and within the tolerance."""
        return math.isfinite(self.measured) and abs(self.measured - self.expected) <= self.tolerance

    @property
    def expected_text(self) -> str:
        """'0.5', or '0.05 to 0.13' for a range."""
        if self.is_range:
            return f"{self.expected - self.tolerance:.4g} to {self.expected + self.tolerance:.4g}"
        return f"{self.expected:.4g}"

    @property
    def measured_text(self) -> str:
        """Four digits, or 'below 1e-10' where 0 is expected: the digits of a rounding error differ between machines."""
        if self.expected == 0.0 and 0.0 < self.tolerance <= 1e-3 and self.holds:
            return f"below {self.tolerance:.0e}"
        return f"{self.measured:.4g}"

    @property
    def tolerance_text(self) -> str:
        """'1e-10', 'exact', or '' for a range."""
        if self.is_range:
            return ""
        return f"{self.tolerance:.1g}" if self.tolerance else "exact"


def equals(name: str, expected: float, measured: SupportsFloat, tolerance: float) -> Figure:
    """measured = expected +- tolerance.

    >>> equals("slope", -1.0, -0.999, 0.02).holds, equals("slope", -1.0, math.nan, 0.02).holds
    (True, False)
    """
    return Figure(name=name, expected=float(expected), measured=float(measured), tolerance=float(tolerance))


def between(name: str, low: float, high: float, measured: SupportsFloat) -> Figure:
    """low <= measured <= high, for errors whose size depends on the problem.

    >>> between("off by", 0.05, 0.13, 0.2).holds, between("off by", 0.05, 0.13, 0.1).expected_text
    (False, '0.05 to 0.13')
    """
    middle, half = (low + high) / 2, (high - low) / 2
    return Figure(name=name, expected=middle, measured=float(measured), tolerance=half, is_range=True)


class Claim(NamedTuple):
    """A claim of a paper: its statement, its measured figures, and the rest of its section of the page."""

    key: str  # names the picture: key.png
    title: str
    source: str  # equations [D n] of HDM, [M n] of hEM
    statement: str
    conditions: tuple[str, ...]
    verdict: str  # a few words
    remark: str  # corrections of the paper's statement, or consequences for the code
    figures: tuple[Figure, ...]
    caption: str = ""  # of the picture
    draw: Callable[[], bytes] | None = None  # a PNG; None: numbers say it all

    @property
    def holds(self) -> bool:
        """Whether every figure holds."""
        return all(figure.holds for figure in self.figures)
