"""What a claim of the theory comes to: figures with what was expected of them, in words and in a picture."""

import math
from collections.abc import Callable
from typing import NamedTuple, SupportsFloat


class Figure(NamedTuple):
    """One number beside what it should be: it holds if abs(measured - expected) <= tolerance, so NaN never does."""

    name: str
    expected: float
    measured: float
    tolerance: float
    is_range: bool = False  # expected and tolerance stand for the ends of a range

    @property
    def holds(self) -> bool:
        """Within tolerance."""
        return math.isfinite(self.measured) and abs(self.measured - self.expected) <= self.tolerance

    @property
    def expected_text(self) -> str:
        """'0.5', '0.05 to 0.13' or, where nothing may be left over, '0'."""
        if self.is_range:
            return f"{self.expected - self.tolerance:.4g} to {self.expected + self.tolerance:.4g}"
        return f"{self.expected:.4g}"

    @property
    def measured_text(self) -> str:
        """Four digits; what rounding leaves of 0 is given by its bound, since its digits differ between machines."""
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
    return Figure(name, float(expected), float(measured), float(tolerance))


def between(name: str, low: float, high: float, measured: SupportsFloat) -> Figure:
    """low <= measured <= high, for failures, whose size depends on the problem.

    >>> between("off by", 0.05, 0.13, 0.2).holds, between("off by", 0.05, 0.13, 0.1).expected_text
    (False, '0.05 to 0.13')
    """
    return Figure(name, (low + high) / 2, float(measured), (high - low) / 2, is_range=True)


class Claim(NamedTuple):
    """A claim of a paper, what was measured of it, and what its words should say."""

    key: str  # names the picture: key.png
    title: str
    source: str  # equations [D n] of HDM, [M n] of hEM
    statement: str
    conditions: tuple[str, ...]
    verdict: str  # a few words
    remark: str  # where the paper's words need mending, or what follows for the code
    figures: tuple[Figure, ...]
    caption: str  # of the picture
    draw: Callable[[], bytes]  # a PNG

    @property
    def holds(self) -> bool:
        """Every figure does."""
        return all(figure.holds for figure in self.figures)
