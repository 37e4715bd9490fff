"""A claim that costs nothing, and its picture."""

from experiments.theory import drawing
from experiments.theory.results import Claim, between, equals


def picture():
    figure, (left, right) = drawing.panels(2)
    drawing.line(left, [1, 2, 3], [1.0, 4.0, 9.0], "squares", 0)
    drawing.reference_line(left, [1, 2, 3], [1.0, 4.0, 9.0], "exact")
    drawing.diagonal(right, [1, 2], [1, 2], "points", 1)
    for axis in (left, right):
        drawing.label(axis, "title", "x (steps)", "y (reward)")
        drawing.legend(axis)
    return drawing.png(figure)


def claim(key="k", measured=1.0, title="A claim, with |bars|"):
    figures = (equals("a | b", 1.0, measured, 0.1), between("off by", 0.1, 0.3, 0.2))
    return Claim(key, title, "[D 1]", "It is so.", ("one", "two"), "holds", "A remark.", figures, "A caption.", picture)
