"""The picture shows the stored figures."""

import io
import json
import pathlib

from PIL import Image

from experiments.limits import picture
from hindsight_jax import plotting

STORED = pathlib.Path(__file__).parents[3] / "experiments" / "results" / "limits.json"


def test_a_panel_for_each_measurement(monkeypatch):
    kept, real = [], plotting.png
    monkeypatch.setattr(plotting, "png", lambda figure, dpi: kept.append(figure) or real(figure, dpi))
    figures = json.loads(STORED.read_text())
    data = picture.draw(figures)
    left, middle, right = kept[0].axes
    ratios = [f"{entry['change_ratio']:.3f}" for entry in figures["locks"].values()]
    assert [label.get_text() for label in left.get_xticklabels()] == ratios
    lines = {line.get_label(): list(line.get_ydata()) for line in middle.get_lines()}
    assert lines["true"] == figures["bounds"]["true_value"]
    assert set(lines) == {"true", *figures["bounds"]["found"]}
    widths = [bar.get_width() for bar in right.patches]
    assert widths == [entry["success"]["mean"] for entry in figures["gambles"].values()]
    with Image.open(io.BytesIO(data)) as image:
        assert image.size[0] > 3 * image.size[1] - 200
    assert len(data) < 300_000
