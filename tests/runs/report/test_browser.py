"""The page in a browser: it draws every chart without a message of the console, legends work, and a phone has room.

Needs Chromium; without one the tests are skipped, and say so.
"""

import json
import os
import re
import shutil
import subprocess

import pytest
from shown_runs import make_run

from hindsight_jax.runs import sources
from hindsight_jax.runs.report import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
]
pytestmark = [
    pytest.mark.seldom,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: the report was not looked at in a browser"),
]

# Plays a reader: waits for the charts, acts, and leaves what it sees in the document, as JSON.
READER = """
<script>
const click = (node) => {
  for (const kind of ["mousedown", "mouseup", "click"]) node.dispatchEvent(new MouseEvent(kind, { bubbles: true }));
};
const settled = () => new Promise((resolve) => setTimeout(resolve, 800));
const shown = () => plots().map((plot) => plot.data.map((trace) => trace.visible));
async function read() {
  while (!document.body.dataset.drawn) await settled();
  const found = { charts: plots().length, lines: document.querySelectorAll(".scatterlayer .js-line").length };
  found.width = document.body.clientWidth;
  found.widest = Math.max(...plots().map((plot) => plot.getBoundingClientRect().right));
  found.page = document.documentElement.scrollWidth;
  const names = [...document.querySelectorAll(".legendtoggle")];
  found.names = names.length;
  if (names.length) {
    click(names[0]);
    await settled();
    found.hidden = shown();
    click(document.querySelector(".legendtoggle"));
    await settled();
    found.again = shown();
  }
  const box = document.getElementById("seeds");
  if (box) {
    box.click();
    await settled();
    found.without_seeds = shown();
  }
  const left = document.createElement("pre");
  left.id = "found";
  left.textContent = JSON.stringify(found);
  document.body.append(left);
}
read();
</script>
"""


def look(html, tmp_path, width=1200):
    """(what the reader found, what the console said) on a page of this width."""
    path, profile = tmp_path / "page.html", tmp_path / "profile"
    narrow = f"<style>body {{ width: {width}px; margin: 0 }}</style>"
    path.write_text(html.replace("</head>", narrow + "</head>").replace("</body>", READER + "</body>"))
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", f"--window-size={max(width, 500)},900"]
    environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
    ended = subprocess.run(
        [*command, "--virtual-time-budget=20000", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=True,
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', ended.stdout)
    assert found, ended.stderr[-2000:]
    return json.loads(found.group(1)), [line for line in ended.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = [make_run(folder / "a"), make_run(folder / "b", "her_push", ((0.1, 0.3), (0.2, 0.4)))]
    return page.page(sources.read(runs))


def test_every_chart_is_drawn_and_a_click_on_the_legend_hides_a_line_everywhere(two, tmp_path):
    """Three charts of two lines: two seeds, two ends of a band and a mean each."""
    found, console = look(two, tmp_path)
    assert console == []
    assert (found["charts"], found["names"]) == (3, 2)
    assert found["lines"] == 3 * 2 * 5
    assert found["hidden"] == [[False, False, False, False, "legendonly", *[True] * 5]] * 3
    assert found["again"] == [[True] * 10] * 3
    assert found["without_seeds"] == [[False, False, True, True, True] * 2] * 3


def test_a_phone_has_room_for_it(two, tmp_path):
    """Tables scroll by themselves; charts are as wide as the page and no wider."""
    found, console = look(two, tmp_path, width=360)
    assert console == []
    assert found["width"] == 360
    assert found["widest"] <= 360
    assert found["page"] <= 500  # the narrowest window of a browser without a screen


def test_a_console_message_would_be_seen(tmp_path):
    broken = page.page([]).replace("draw().catch", "console.error('oops'); draw().catch")
    assert any("oops" in line for line in look(broken, tmp_path)[1])
