"""Training: collect, store, sample, learn and evaluate as pure functions over one pytree."""

from hindsight_jax.training.finite import NonFinite
from hindsight_jax.training.members import Members, members
from hindsight_jax.training.memory import MemoryUse, free_memory, memory_use, num_bytes
from hindsight_jax.training.population import Population, devices_of, make_population, member_keys
from hindsight_jax.training.record import normalize_metrics, pop_metrics
from hindsight_jax.training.rollout import Rollout, rollout
from hindsight_jax.training.run import Run, example_trajectory, make_run
from hindsight_jax.training.sharding import default_chunk, devices_for, local_member, local_members
from hindsight_jax.training.state import Best, Data, PopulationState, RunSizes, RunSpec, RunState, with_overrides_of

__all__ = [
    "Best",
    "Data",
    "Members",
    "MemoryUse",
    "NonFinite",
    "Population",
    "PopulationState",
    "Rollout",
    "Run",
    "RunSizes",
    "RunSpec",
    "RunState",
    "default_chunk",
    "devices_for",
    "devices_of",
    "example_trajectory",
    "free_memory",
    "local_member",
    "local_members",
    "make_population",
    "make_run",
    "member_keys",
    "members",
    "memory_use",
    "normalize_metrics",
    "num_bytes",
    "pop_metrics",
    "rollout",
    "with_overrides_of",
]
