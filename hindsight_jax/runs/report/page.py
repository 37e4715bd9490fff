"""Puts a report together: what ended how, charts, videos, what differs between the runs, and where they come from.

Plotly draws the charts; its script is in the page once, compressed, so that the page stays below 5 MB.
"""

import base64
import functools
import gzip
import html
import json
import string
from collections.abc import Iterable, Sequence
from pathlib import Path

from hindsight_jax.runs import comparison
from hindsight_jax.runs.files import explain_errors, replace
from hindsight_jax.runs.report import sections
from hindsight_jax.runs.report.charts import Chart, charts
from hindsight_jax.runs.sources import Source, lines, open_run

NAME = "report.html"


def write(sources: Sequence[Source], path: Path, title: str = "") -> None:
    """Writes the page of these runs; the old page stays until the new one is whole.

    Raises WorkDirError where the file system refuses.
    """
    with explain_errors(path, "cannot be written"):
        replace(path, page(sources, title).encode())


def write_own(workdir: Path) -> None:
    """Writes report.html of one run into its work directory. Raises WorkDirError, also where a file of it is gone."""
    write([open_run(workdir)], workdir / NAME)


def page(sources: Sequence[Source], title: str = "") -> str:
    """The HTML of one or several runs. The title is that of the runs' names by default."""
    shown = lines(sources)
    success, diagnostics = charts(shown)
    if len(shown) > 1:
        success[0].figure["layout"] |= {"showlegend": True, "legend": {"orientation": "h", "y": -0.2, "title": {}}}
    parts = [
        sections.state(sources, shown),
        sections.results(shown),
        sections.differences(shown),
        _charts("Success", success, "large", _seeds_switch(shown)) if shown else "",
        sections.videos(sources),
        _charts("Diagnostics", diagnostics) if diagnostics else "",
        sections.what_differs(sources),
        sections.origins(sources),
        sections.glossary_of_columns(),
    ]
    return _template().substitute(
        title=html.escape(title or ", ".join(dict.fromkeys(source.document["name"] for source in sources))),
        body="\n".join(part for part in parts if part),
        figures=_json({each.key: each.figure for each in (*success, *diagnostics)}),
        library=_library(),
    )


def _charts(heading: str, drawn: Iterable[Chart], size: str = "", before: str = "") -> str:
    """A heading, and a figure for each chart, in as many columns as the screen has room for."""
    figures = [
        f'<figure class="chart"><h3>{html.escape(each.title)}</h3>'
        f'<div class="plot" data-key="{html.escape(each.key)}"></div>'
        f"<figcaption>{_caption(each)}</figcaption></figure>"
        for each in drawn
    ]
    return f'<h2>{heading}</h2>{before}<div class="charts {size}">{"".join(figures)}</div>'


def _caption(chart: Chart) -> str:
    name = f"<code>{html.escape(chart.key)}</code>"
    return f"{name}: {html.escape(chart.meaning)}" if chart.meaning else name


def _seeds_switch(shown: Sequence[comparison.Line]) -> str:
    """A box to hide the thin lines, where there are some."""
    if all(len({record["seed"] for record in line.records}) < 2 for line in shown):
        return ""
    words = (
        "Thick: the mean over seeds; band: its 95 % interval. Drag to zoom, double-click to see all. A click on a name "
        "of the legend hides its line in every chart, a double click shows it alone."
    )
    box = '<label><input type="checkbox" id="seeds" checked> show each seed</label>'
    return f'<p class="soft">{words} {box}</p>'


def _json(document: object) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@functools.cache
def _template() -> string.Template:
    return string.Template((Path(__file__).parent / "template.html").read_text())


@functools.cache
def _library() -> str:
    """Plotly's script, gzip and base64."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()
