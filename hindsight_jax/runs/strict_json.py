"""Strict JSON, which has no NaN: numbers that are not finite are the strings "NaN", "Infinity" and "-Infinity"."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

from hindsight_jax import checks, fields

SPECIAL = {"NaN": math.nan, **fields.INFINITE}


def plain(value: Any) -> Any:
    """The value as strict JSON holds it: NumPy and JAX scalars become Python numbers, NaN and infinities strings.

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
        return "NaN" if math.isnan(number) else fields.to_json(number)
    checks.fail("value", repr(value), "it must be a number, text, list or mapping", "Convert it to one of them.")


def restored(value: Any) -> Any:
    """Undoes `plain` for numbers: the three strings become floats again, at any depth of lists and dicts.

    >>> restored({"gamma_hdm": "Infinity"})
    {'gamma_hdm': inf}
    """
    if isinstance(value, dict):
        return {key: restored(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [restored(entry) for entry in value]
    return SPECIAL.get(value, value) if isinstance(value, str) else value
