"""The Markdown page of the claims, and its pictures."""

import pathlib
from collections.abc import Sequence

from experiments.theory.results import Claim, Figure

NAME, FOLDER = "theory.md", "theory"  # the page, and the folder beside it that holds the pictures

_INTRODUCTION = """\
# The theory, checked

Every claim of the two papers that the code rests on, measured on problems small enough to be exact: HDM (Zhang and
Stadie 2022, equations [D n]) and hEM (Tang and Kucukelbir 2020, equations [M n]). Where a claim is about our code it is
measured through the losses, goal laws, ring and agents themselves; the other side is written out in float64.

A figure holds if it differs from what is expected by at most the tolerance, or lies in the range. The conditions are
part of each claim, and where one is left out, the table shows by how much the claim is then wrong.

Written by `python -m experiments.theory`; the same figures are asserted by `tests/experiments/theory`.
"""


def render(claims: Sequence[Claim]) -> str:
    """The page: a summary table, then a section for each claim."""
    sections = [section(number, claim) for number, claim in enumerate(claims, 1)]
    return "\n".join([_INTRODUCTION, summary(claims), *sections])


def summary(claims: Sequence[Claim]) -> str:
    """The summary table, a row for each claim."""
    rows = [
        f"| {number} | [{cell(claim.title)}](#{number}-{anchor(claim.title)}) | {cell(claim.source)} | "
        f"{cell(claim.verdict)} | {count(claim)} |"
        for number, claim in enumerate(claims, 1)
    ]
    head = "| | claim | source | verdict | figures that hold |\n|---|---|---|---|---|"
    return "\n".join([head, *rows, ""])


def section(number: int, claim: Claim) -> str:
    """The section of a claim: statement, conditions, verdict, figures, picture if it has one, remark."""
    conditions = "\n".join(f"- {condition}" for condition in claim.conditions)
    rows = "\n".join(row(figure) for figure in claim.figures)
    picture = f"![{claim.title}]({FOLDER}/{claim.key}.png)\n\n{claim.caption}\n\n" if claim.draw else ""
    return f"""\
## {number}. {claim.title}

*{claim.source}*

{claim.statement}

Conditions:

{conditions}

**Verdict: {claim.verdict}.**

| figure | expected | measured | tolerance | holds |
|---|---|---|---|---|
{rows}

{picture}{claim.remark}
"""


def row(figure: Figure) -> str:
    """One line of a section's table."""
    cells = (
        cell(figure.name),
        figure.expected_text,
        figure.measured_text,
        figure.tolerance_text,
        "yes" if figure.holds else "**no**",
    )
    return f"| {' | '.join(cells)} |"


def count(claim: Claim) -> str:
    """The number of figures that hold, such as '11 of 11'."""
    return f"{sum(figure.holds for figure in claim.figures)} of {len(claim.figures)}"


def cell(text: str) -> str:
    """Text for a table's cell, with its bars escaped."""
    return text.replace("|", "\\|")


def anchor(title: str) -> str:
    """A heading's anchor, as GitHub makes it.

    >>> anchor("HER's reward follows, at last")
    'hers-reward-follows-at-last'
    """
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def write(claims: Sequence[Claim], output: pathlib.Path) -> pathlib.Path:
    """Writes the page and its pictures to `output`, which is created if it does not exist; returns the page's path."""
    (output / FOLDER).mkdir(parents=True, exist_ok=True)
    for claim in claims:
        if claim.draw:
            (output / FOLDER / f"{claim.key}.png").write_bytes(claim.draw())
    page = output / NAME
    page.write_text(render(claims), encoding="utf-8")
    return page
