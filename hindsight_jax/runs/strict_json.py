"""Strict JSON, which has no NaN: numbers that are not finite are the strings "NaN", "Infinity" and "-Infinity"."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

from hindsight_jax import checks

SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def plain(value: Any) -> Any:
    """The value as strict JSON can hold it: NumPy and JAX scalars become Python's, NaN and infinities strings.

    Raises:
      ValueError: a value that JSON cannot hold.

    >>> plain({"gamma_hdm": math.inf, "layers": (256, 256)})
    {'gamma_hdm': 'Infinity', 'layers': [256, 256]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # arrays and their scalars
        return plain(value.tolist())
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        if math.isfinite(number):
            return number
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    checks.fail("value", repr(value), "it must be a number, text, list or mapping", "Convert it before it is written.")


def restored(value: Any) -> Any:
    """Undoes `plain` for numbers: the three strings become floats again, everywhere inside of the value.

    >>> restored({"gamma_hdm": "Infinity"})
    {'gamma_hdm': inf}
    """
    if isinstance(value, dict):
        return {key: restored(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [restored(entry) for entry in value]
    return SPECIAL.get(value, value) if isinstance(value, str) else value
