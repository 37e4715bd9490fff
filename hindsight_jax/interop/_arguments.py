"""What callers of the adapters pass, as arrays.

Dimension key: D action dims.
"""

from typing import Any

import numpy as np

from hindsight_jax import checks, types


def _array(name: str, value: Any) -> np.ndarray:
    """Converts the value to a NumPy array; a ragged list and a masked array raise ValueError."""
    checks.plain_array(name, value)
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        checks.fail(name, checks.describe(value), "it must be an array", "Give every row the same length.")


def numbers(name: str, value: Any) -> np.ndarray:
    """Converts real numbers to f32[...], infinite beyond float32; texts and complex numbers raise ValueError."""
    array = _array(name, value)
    if array.dtype.kind not in "fiub":
        remedy = "Pass an array of this task's shape and of a real dtype."
        checks.fail(name, checks.describe(value), "it must be an array of numbers", remedy)
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def action(value: Any, kind: types.Discrete | types.Box) -> np.ndarray:
    """Checks an action against the action set, and converts it to i32[D], or to f32[D] in [-1, 1]."""
    array, box = _array("action", value), isinstance(kind, types.Box)
    shape = (kind.num_dims,) if box or kind.num_dims > 1 else ()
    if array.shape not in (shape, (kind.num_dims,)) or array.dtype.kind not in ("f" if box else "iu"):
        rule = f"it must be {'float' if box else 'int'}{list(shape)}"
        checks.fail("action", checks.describe(array), rule, "Pass one action of env.action_space.")
    if box and not np.isfinite(array).all():
        checks.fail("action", value, "it must be finite", "Look for a NaN in the policy.")
    if not box and not ((array >= 0) & (array < kind.num_bins)).all():
        checks.fail("action", value, f"it must lie in 0..{kind.num_bins - 1}", "Draw from env.action_space.")
    array = array.reshape(kind.num_dims)
    return np.clip(array, -1.0, 1.0).astype(np.float32) if box else array.astype(np.int32)


def given_range(name: str, given: Any, size: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(low, high) as a caller gives them."""
    try:
        pair: Any = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        pair = np.zeros(0)
    if pair.shape != (2, size) or not np.isfinite(pair).all() or not (pair[0] < pair[1]).all():
        rule = f"it must be (low, high), {size} finite numbers each, each low below its high"
        checks.fail(name, checks.short(given), rule, "Leave it out for the environment's own, or for -1 and 1.")
    low, high = map(tuple, pair.tolist())
    return low, high
