"""README, the notes and the pages of docs point at what is there: files, headings, modules and tests."""

import pathlib
import re

import pytest

from experiments.theory.page import anchor
from hindsight_jax import presets

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "BUILD_NOTES.md", *(ROOT / "docs").glob("*.md")])
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
TEXT = {path: path.read_text() for path in PAGES}


def headings(text):
    """The anchors of a page's headings, outside of its code."""
    return {
        anchor(title) for title in re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    }


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\((?!http)([^)\s]+)\)", TEXT[page]):
        path, _, heading = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not heading or heading in headings(TEXT[there]), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_paths_modules_and_tests_exist(page):
    text = TEXT[page]
    for path in re.findall(
        r"(?<![\w/])((?:hindsight_jax|experiments|tests|docs)/[\w/.]*\w\.(?:py|json|md|png|xml))", text
    ):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"-m ((?:experiments|hindsight_jax)[\w.]*\w)", text):
        file = ROOT / module.replace(".", "/")
        assert file.with_suffix(".py").exists() or (file / "__main__.py").exists(), module
    tests = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"`(test_\w+)`", text)) <= tests


def test_no_file_names_a_page_that_is_not_in_the_tree():
    """In sources and pages: a name in capitals that ends in .md is a file at the root."""
    files = [
        *ROOT.glob("*.md"),
        *(path for top in ("hindsight_jax", "experiments", "tests", "docs") for path in (ROOT / top).rglob("*.*")),
    ]
    for path in files:
        if path.suffix in (".py", ".md", ".xml"):
            for name in re.findall(r"\b[A-Z][A-Z_]+\.md\b", path.read_text()):
                assert (ROOT / name).exists(), f"{path}: {name}"


def test_every_page_is_in_the_navigation_of_the_site():
    """By its path below docs; the notes lie beside the pages there."""
    listed = re.findall(r"\b([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == sorted({"BUILD_NOTES.md", *(path.name for path in (ROOT / "docs").glob("*.md"))})


def test_a_page_with_python_has_a_test_that_names_it():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for page in PAGES:
        if "```python\n" in TEXT[page]:
            assert f'{page.name}"' in tests, page.name


def test_every_row_is_explained():
    """In the first table of the page of the algorithms."""
    page = TEXT[ROOT / "docs" / "algorithms.md"]
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    assert set(presets.ALGORITHMS) <= rows
