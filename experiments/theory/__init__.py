"""The mathematics of the two papers, checked on problems small enough to be exact: python -m experiments.theory.

[D n] is equation n of HDM (Zhang and Stadie 2022, arXiv 2209.13046), [M n] that of hEM (Tang and Kucukelbir 2020, arXiv
2006.07549). Each claim has a module, whose function `claim()` measures its figures and returns a `results.Claim`. The
tests assert on the same figures, and check them a second way.
"""
