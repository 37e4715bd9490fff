"""The stored figures in words, as docs/limits.md has them."""

from collections.abc import Mapping
from typing import Any


def lines(figures: Mapping[str, Any]) -> list[str]:
    """The figures of the page, a line each."""
    text = lambda rate: f"{rate['mean']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"
    found = []
    for size, entry in figures["locks"].items():
        rates = [f"{name} {text(rate)}" for name, rate in entry.items() if name != "change_ratio"]
        found.append(f"lock of {size}: change ratio {entry['change_ratio']:.4f}; " + "; ".join(rates))
    numbers = lambda values: " ".join(f"{x:.2f}" for x in values)
    found.append(f"true value by distance: {numbers(figures['bounds']['true_value'])}")
    for label, entry in figures["bounds"]["found"].items():
        ends = lambda name, entry=entry: f"{entry[name][0]:.2f} to {entry[name][-1]:.2f}"
        over_time = f"mean Q {ends('q_mean')}, imitated {ends('imitated_fraction')}"
        values = numbers(entry["value_by_distance"])
        found.append(f"bound by {label}: {values}; {over_time}; success {text(entry['success'])}")
    for label, entry in figures["gambles"].items():
        found.append(f"{label}: success {text(entry['success'])}; gambles by cell {numbers(entry['gambles'])}")
    return found
