"""The site builds strictly without a network, and each page in it has the structure that a Git host would show."""

import html.parser
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
from collections import Counter

import pytest

from experiments.site import reference

ROOT = pathlib.Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TAGS = ("li", "ol", "ul", "table", "tr", "td", "em", "strong", "pre", "h2", "h3", "img", "blockquote")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    for package in ("mkdocs", "material", "mkdocstrings", "gymnasium", "onnx"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no {package} here: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=os.environ | PROXY
    )
    assert done.returncode == 0, done.stderr
    return folder


# Whatever asks for the network fails at once.
PROXY = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


class Tags(html.parser.HTMLParser):
    """Counts the tags within <article>, or of all if `whole`."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.inside, self.found = whole, Counter()

    def handle_starttag(self, tag, attrs):
        self.inside |= tag == "article"
        self.found[tag] += self.inside and tag in TAGS

    def handle_endtag(self, tag):
        self.inside &= tag != "article"


def count(text: str, whole: bool = False) -> dict[str, int]:
    tags = Tags(whole)
    tags.feed(text)
    return {tag: number for tag, number in tags.found.items() if number}


@pytest.mark.seldom
def test_it_asks_nobody_else_for_anything(site):
    """A page may link to the world, but loads no script, style, font or picture from it."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    loads = r'(?:\bsrc="?|<link[^>]*\bhref="?|url\("?)(https?:)?//'
    assert [page.name for page in pages if re.search(loads, page.read_text())] == []


@pytest.mark.seldom
def test_a_page_has_as_many_lists_tables_and_blocks_of_code_as_commonmark_makes_of_it(site):
    """The site's Markdown reads some lists otherwise: it wants four blanks before what belongs to an item."""
    from markdown_it import MarkdownIt

    commonmark = MarkdownIt("commonmark").enable("table")
    for page in PAGES:
        expected = count(commonmark.render(page.read_text()), whole=True)
        assert count((site / f"{page.stem}.html").read_text()) == expected, page.name


@pytest.mark.seldom
def test_files_outside_of_the_pages_are_in_it(site):
    for page in PAGES:
        for target in re.findall(r"\]\(\.\./([^)#\s]+)", page.read_text()):
            assert (site / re.sub(r"\.md$", ".html", target)).exists(), f"{page.name}: {target}"


@pytest.mark.seldom
def test_the_reference_has_every_public_name(site):
    names = [path for module in reference.modules() for path in reference.public(module).values()]
    assert len(names) > 150
    text = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    ours = [name for name in names if name.startswith("hindsight_jax.")]
    assert [name for name in ours if f'id="{name}"' not in text] == []
