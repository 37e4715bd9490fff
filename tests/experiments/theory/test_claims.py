"""Every claim: its figures are within their tolerances, and the committed page says what they are.

Where each claim is checked a second way, the file is named after its module.
"""

import pathlib
import re

import pytest

from experiments.theory import page
from experiments.theory.claims import CLAIMS

DOCS = pathlib.Path(__file__).parents[3] / "docs"
WITHOUT_PICTURE = {"evidence", "boltzmann"}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")


def words_and_numbers(text):
    """The text with its numbers taken out, and the numbers: another machine may round a last digit its way."""
    return _NUMBER.sub("#", text), [float(number) for number in _NUMBER.findall(text)]


@pytest.mark.seldom
@pytest.mark.parametrize("key", list(CLAIMS))
def test_every_figure_holds_and_the_committed_page_says_so(key):
    claim, number = CLAIMS[key](), list(CLAIMS).index(key) + 1
    assert claim.key == key
    assert [figure.name for figure in claim.figures if not figure.holds] == []
    committed = sections((DOCS / page.NAME).read_text(encoding="utf-8"))[number - 1]
    words, numbers = words_and_numbers(page.section(number, claim).strip())
    committed_words, committed_numbers = words_and_numbers(committed.strip())
    assert words == committed_words, "write it anew: python -m experiments.theory --output=docs"
    assert numbers == pytest.approx(committed_numbers, rel=2e-2, abs=1e-12)


def sections(text):
    """The parts of a page that begin with '## '."""
    return ["## " + part for part in text.split("\n## ")[1:]]


def test_the_committed_page_has_every_claim_and_its_picture():
    text = (DOCS / page.NAME).read_text(encoding="utf-8")
    assert len(sections(text)) == len(CLAIMS)
    pictures = {path.stem: path for path in (DOCS / page.FOLDER).glob("*")}
    assert set(pictures) == set(CLAIMS) - WITHOUT_PICTURE | {"imitated_four_rooms"}  # the last: of a trained run
    for key, path in pictures.items():
        assert f"({page.FOLDER}/{key}.png)" in text
        assert 3_000 < path.stat().st_size < 150_000
    assert "**no**" not in text


def test_the_comparison_of_pages_sees_words_and_numbers():
    words, numbers = words_and_numbers("slope -1.5e-3 at k 2^10, [D 4], x_1")
    assert words == "slope # at k #^#, [D #], x_1"
    assert numbers == [-1.5e-3, 2.0, 10.0, 4.0]


@pytest.mark.seldom
@pytest.mark.parametrize("key", list(CLAIMS))
def test_every_picture_is_drawn(key):
    draw = CLAIMS[key]().draw
    assert (draw is None) == (key in WITHOUT_PICTURE)
    if draw:
        assert draw()[:4] == b"\x89PNG"
