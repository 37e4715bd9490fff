"""Names such as hdm_push: `tables` and `schedules` are the data, `rows` reads them, `build` makes a run."""

from hindsight_jax.presets.build import AGENTS, CHANGED_SHARE, Setup, build
from hindsight_jax.presets.expected import EXPECTED, Expected
from hindsight_jax.presets.grids import Grid, check_grid, entries, label, programs, settings
from hindsight_jax.presets.resolve import check, config, describe, fields_of, horizon, names, split, tuned
from hindsight_jax.presets.tables import ALGORITHMS, ENVIRONMENTS, POPULATION_FIELDS, Algorithm, Environment
from hindsight_jax.presets.tuning import TUNED

__all__ = [
    "AGENTS",
    "ALGORITHMS",
    "CHANGED_SHARE",
    "ENVIRONMENTS",
    "EXPECTED",
    "POPULATION_FIELDS",
    "TUNED",
    "Algorithm",
    "Environment",
    "Expected",
    "Grid",
    "Setup",
    "build",
    "check",
    "check_grid",
    "config",
    "describe",
    "entries",
    "fields_of",
    "horizon",
    "label",
    "names",
    "programs",
    "settings",
    "split",
    "tuned",
]
