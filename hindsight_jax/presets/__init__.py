"""Names such as hdm_push, and everything behind them: `rows` is the table, `build` makes a run of a row."""

from hindsight_jax.presets.build import CHANGED_SHARE, Experiment, build
from hindsight_jax.presets.rows import (
    ALGORITHMS,
    ENVIRONMENTS,
    POPULATION_FIELDS,
    TUNED,
    Algorithm,
    Environment,
    check,
    config,
    describe,
    fields_of,
    horizon,
    names,
    split,
    tuned,
)

__all__ = [
    "ALGORITHMS",
    "CHANGED_SHARE",
    "ENVIRONMENTS",
    "POPULATION_FIELDS",
    "TUNED",
    "Algorithm",
    "Environment",
    "Experiment",
    "build",
    "check",
    "config",
    "describe",
    "fields_of",
    "horizon",
    "names",
    "split",
    "tuned",
]
