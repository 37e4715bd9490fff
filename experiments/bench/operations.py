"""Where the time of an update goes: to matrix products, and to everything around them, as JAX's profiler sees it.

Times are of one member's update, on the thread that starts an operation: XLA's CPU splits some products between
threads, and shows the first one's part. A profiler slows what it watches a little.
"""

import gzip
import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from experiments.bench import hlo, timing, update_cost
from hindsight_jax import presets

CALLS = 10  # that are watched
SHOWN = 12  # of the costliest operations
_HOLD_OTHERS = ("while", "call", "cond")  # what they run is counted by itself


def measure(name: str, setup: presets.Setup, values: dict[str, Any], seeds: int) -> dict[str, float]:
    """Microseconds of an update: all, its useful operations at the peak, all but products, and the costliest."""
    del name
    call, count, text = update_cost.updates(setup, values, seeds)
    product, operations = timing.matrix_product()
    seconds, matmul = timing.best_of(call, product)
    updates, threads = count * seeds, len(jax.local_devices())
    at_peak = (setup.flops_per_update or math.nan) * matmul / operations * threads  # NaN: the agent does not count them
    shapes = hlo.products(text)
    spent = {name: each / (CALLS * updates) for name, each in watched(call).items()}
    figures = {
        "microseconds": 1e6 * seconds * threads / updates,
        "useful_operations_at_the_peak": 1e6 * at_peak,
        "all_but_products": sum(each for name, each in spent.items() if name not in shapes),
    }
    costliest = sorted(spent, key=lambda name: -spent[name])[:SHOWN]
    titles = [f"product {shapes[name]}" if name in shapes else _kind(name) for name in costliest]
    return figures | {f"{i + 1}: {titles[i]}": spent[name] for i, name in enumerate(costliest)}


def watched(call: Callable[[], Any]) -> Counter[str]:
    """Microseconds of each operation of a program, by its name in XLA's text, over CALLS calls."""
    jax.block_until_ready(call())
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(CALLS):
                jax.block_until_ready(call())
        (path,) = Path(folder).rglob("*.trace.json.gz")
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    spent: Counter[str] = Counter()
    for event in events:
        if "hlo_op" in event.get("args", {}) and _kind(event["name"]) not in _HOLD_OTHERS:
            spent[event["name"]] += event["dur"]
    return spent


def _kind(name: str) -> str:
    """The name without its number.

    >>> _kind("broadcast_maximum_fusion.1")
    'broadcast_maximum_fusion'
    """
    return name.partition(".")[0]
