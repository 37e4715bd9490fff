"""Names such as hdm_push.

`algorithms`, `environments` and `tuning` are the data, `resolve` reads them, `build` makes a run.
"""

from hindsight_jax.presets.algorithms import AGENTS, ALGORITHMS, AgentKind, Algorithm
from hindsight_jax.presets.build import CHANGED_SHARE, Setup, build
from hindsight_jax.presets.environments import ENVIRONMENTS, Environment
from hindsight_jax.presets.expected import EXPECTED, Expected
from hindsight_jax.presets.grids import Grid, check_grid, entries, label, programs, settings
from hindsight_jax.presets.register import register_algorithm, register_environment
from hindsight_jax.presets.resolve import (
    all_fields,
    candidates,
    changed,
    check,
    complete,
    config,
    describe,
    fields_of,
    horizon,
    names,
    population_fields,
    split,
    tuned,
)
from hindsight_jax.presets.tuning import ANYWHERE, SCHEDULES, TUNED

__all__ = [
    "AGENTS",
    "ALGORITHMS",
    "ANYWHERE",
    "CHANGED_SHARE",
    "ENVIRONMENTS",
    "EXPECTED",
    "SCHEDULES",
    "TUNED",
    "AgentKind",
    "Algorithm",
    "Environment",
    "Expected",
    "Grid",
    "Setup",
    "all_fields",
    "build",
    "candidates",
    "changed",
    "check",
    "check_grid",
    "complete",
    "config",
    "describe",
    "entries",
    "fields_of",
    "horizon",
    "label",
    "names",
    "population_fields",
    "programs",
    "register_algorithm",
    "register_environment",
    "settings",
    "split",
    "tuned",
]
