"""A section of the page and its summary, on a claim that costs nothing."""

from cheap_claim import claim

from experiments.theory import page


def test_a_section_says_everything():
    text = page.section(3, claim())
    for part in ("## 3. A claim", "[D 1]", "It is so.", "- one\n- two", "Verdict: holds.", "A caption.", "A remark."):
        assert part in text
    assert "| a \\| b | 1 | 1 | 0.1 | yes |" in text
    assert "| off by | 0.1 to 0.3 | 0.2 |  | yes |" in text
    assert "![A claim, with |bars|](theory/k.png)" in text
    assert "| a \\| b | 1 | 2 | 0.1 | **no** |" in page.section(1, claim(measured=2.0))


def test_a_claim_without_a_picture_has_no_link_to_one(tmp_path):
    bare = claim()._replace(draw=None, caption="")
    assert "![" not in page.section(1, bare)
    page.write([bare], tmp_path)
    assert [path.name for path in tmp_path.rglob("*.*")] == [page.NAME]


def test_the_summary_counts_and_links():
    text = page.summary([claim(), claim("other", 2.0, "It's another")])
    assert "| 1 | [A claim, with \\|bars\\|](#1-a-claim-with-bars) | [D 1] | holds | 2 of 2 |" in text
    assert "| 2 | [It's another](#2-its-another) | [D 1] | holds | 1 of 2 |" in text
