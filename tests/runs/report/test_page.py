"""The page of a report: what it says in words, that nothing of a run becomes markup, and that it needs no network."""

import json
import re

import numpy as np
import pytest
from golden import GOLDEN
from one_record import record
from shown_runs import make_run

from hindsight_jax.runs import sources
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.report import page
from hindsight_jax.runs.video import encode_gif
from hindsight_jax.runs.workdir import WorkDir


def text_of(html):
    """What a reader sees, without tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.partition("<body>")[2].partition('<script type="app')[0]))


def test_a_run_in_words(tmp_path):
    make_run(tmp_path / "a")
    html = page.page(sources.read([tmp_path / "a"]))
    text = text_of(html)
    sentence = "hdm_push: success 0.700 (0.000 to 1.000) at the end of an episode, mean and 95 % interval over 2 seeds"
    assert sentence in text
    assert "after 200 env steps." in text
    assert "[0.60 0.80]" in text
    assert "train 1m 01s" in text
    assert "Differences" not in text
    assert "<title>hdm_push</title>" in html


def test_a_run_of_an_earlier_version_has_a_report():
    """Its config.json names no processor."""
    assert "x cpu (Linux x86_64)" in text_of(page.page(sources.read([GOLDEN])))


def test_the_page_fetches_nothing(tmp_path):
    html = page.page(sources.read([make_run(tmp_path / "a")]))
    without_library = re.sub(r'(<script type="text/plain" id="library">).*?</script>', "", html, flags=re.DOTALL)
    assert "http" not in without_library
    assert not re.findall(r'(?:src|href)="(?!data:)', without_library)
    assert len(html) < 5_000_000


def test_figures_are_json_that_no_name_can_leave(tmp_path):
    """A label is text, in the tables and in the script."""
    html = page.page(sources.read([f"</script><b>x={make_run(tmp_path / 'a')}"]))
    assert "<b>x" not in html
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', html, re.DOTALL).group(1))
    assert list(figures) == ["success_end", "success_any", "q_mean"]
    assert figures["success_end"]["data"][-1]["name"] == "</script><b>x"


def test_several_runs_are_compared_with_the_best_of_their_task(tmp_path):
    paths = [
        make_run(tmp_path / "a", "hdm_push", ((0.7, 0.9), (0.7, 0.8))),
        make_run(tmp_path / "b", "her_push", ((0.2, 0.6), (0.4, 0.5)), beta=2.0),
        make_run(tmp_path / "c", "her_door"),
    ]
    text = text_of(page.page(sources.read(paths)))
    # at the end 0.3 in both seeds; over both evaluations 0.8 - 0.4 and 0.75 - 0.45
    assert "hdm_push above at the end" in text
    assert "her_push 0.300 (0.300 to 0.300) 0.350 (-0.285 to 0.985) 1.00 (0.16 to 1.00) seed by seed" in text
    assert "her_door above" not in text
    assert "agent.beta 1 2 1" in text
    assert "env.threshold 0.05 0.05" not in text.partition("every value of")[0]


def test_what_is_wrong_is_said(tmp_path):
    """Stopped, at 200 of 1,000; a seed that froze."""
    path = make_run(tmp_path / "a", total=1000, finished=False)
    WorkDir.open(path).append_records([record(m, 300, 0.5 if m else float("nan"), frozen=1 - m) for m in (0, 1)])
    text = text_of(page.page(sources.read([path])))
    assert "hdm_push: stopped, at 300 of 1,000 env steps." in text
    assert "seed 7 was frozen before 300 env steps" in text


def test_a_run_without_an_evaluation_is_no_trouble(tmp_path):
    path = make_run(tmp_path / "a", curves=((), ()), finished=False)
    assert "hdm_push: stopped, at 0 of 200 env steps." in text_of(page.page(sources.read([path])))


def test_videos_are_in_the_page_while_there_is_room(tmp_path, monkeypatch):
    path, frames = make_run(tmp_path / "a"), np.zeros((2, 8, 8, 3), np.uint8)
    (path / "policy.gif").write_bytes(encode_gif(frames, 10.0))
    (path / "videos").mkdir()
    (path / "videos" / "far goals.gif").write_bytes(encode_gif(frames, 10.0))
    html = page.page(sources.read([path]))
    assert html.count("data:image/gif;base64,") == 2
    assert "hdm_push: the median seed, 8, at the end of the run" in text_of(html)
    assert "hdm_push: far goals" in text_of(html)
    monkeypatch.setattr(page.sections, "MAX_VIDEO_BYTES", (path / "policy.gif").stat().st_size)
    html = page.page(sources.read([path]))
    assert html.count("data:image/gif;base64,") == 1
    assert "Left out, to keep the page small: hdm_push: far goals.gif" in text_of(html)


def test_a_page_that_cannot_be_written_names_the_file(tmp_path):
    found = sources.read([make_run(tmp_path / "a")])
    with pytest.raises(OSError, match=r"b/report\.html: cannot be written"):
        page.write(found, tmp_path / "b" / "report.html")


@pytest.mark.parametrize("gone", ["config.json", "metrics.jsonl", "everything"])
def test_the_page_of_a_run_that_is_gone_names_the_file(tmp_path, gone):
    """A run that goes on says so and ends by its own error, not by this page's."""
    path = make_run(tmp_path / "a")
    path.rename(tmp_path / "moved") if gone == "everything" else (path / gone).unlink()
    with pytest.raises(WorkDirError, match=r"a/.*\.json.* cannot be read \(No such file or directory\)\. It is gone"):
        page.write_own(path)
    assert not (path / page.NAME).exists()
