"""The mathematics of the two papers, checked on problems small enough to be exact: python -m experiments.theory.

One module a claim; each has a function `claim()` that measures its figures and returns a `results.Claim`. The tests
assert on the same figures, and check them a second way.
"""
