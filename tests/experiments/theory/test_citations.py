"""The index of equations: complete, as committed, and of files that cite what it says."""

import re

import pytest

from experiments.theory import citations

ROWS = re.findall(
    r"^\| \[([DM]) (\d+)\] \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", citations.PAGE.read_text(), re.MULTILINE
)


def test_every_equation_of_both_papers_has_a_row():
    """HDM numbers 59, hEM 11."""
    numbers = [("D", n) for n in range(1, 60)] + [("M", n) for n in range(1, 12)]
    assert [(paper, int(number)) for paper, number, *_ in ROWS] == numbers


def test_the_committed_index_is_that_of_the_tree():
    page = citations.PAGE.read_text()
    assert page == citations.written(page), "write it anew: python -m experiments.theory.citations"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}{row[1]}")
def test_each_row_names_files_that_cite_it(row):
    paper, number, _, code, _, tests = row
    for path in re.findall(r"`([\w/.]+)`", f"{code} {tests}"):
        assert (paper, int(number)) in citations.cited((citations.ROOT / path).read_text()), path
    if "hindsight_jax/" in code:  # what users call is tested where its equation can be found
        assert "tests/" in tests


def test_lists_and_ranges_are_read():
    text = "[D 5, 15-17], [D Lemma 4.2, 9], [D 31, after a logarithm], [D Algorithm 1, lines 1, 3 and 4] and [M\n10]"
    assert citations.cited(text) == {("D", n) for n in (5, 15, 16, 17, 9, 31)} | {("M", 10)}
