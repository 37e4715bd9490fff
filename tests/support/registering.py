"""Registrations that leave no trace."""

import contextlib

from hindsight_jax.envs import registry
from hindsight_jax.presets import AGENTS, ALGORITHMS, ENVIRONMENTS

TABLES = (AGENTS, ALGORITHMS, ENVIRONMENTS, registry._REGISTERED)


@contextlib.contextmanager
def tables_restored():
    """Afterwards the tables are as they were."""
    before = [dict(table) for table in TABLES]
    try:
        yield
    finally:
        for table, old in zip(TABLES, before, strict=True):
            table.clear()
            table.update(old)
