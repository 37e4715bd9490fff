"""Training: collect, store, learn and evaluate as pure functions over one pytree."""

from hindsight_jax.training.finite import NonFinite
from hindsight_jax.training.members import Members, members
from hindsight_jax.training.memory import Sizes, free_memory, num_bytes, sizes
from hindsight_jax.training.population import (
    Best,
    Population,
    PopulationState,
    collect_metrics,
    make_population,
    member_keys,
)
from hindsight_jax.training.rollout import Rollout, rollout
from hindsight_jax.training.run import Run, RunState, Schedule, example_trajectory, make_run
from hindsight_jax.training.sharding import default_chunk, devices_for, local_member, local_members

__all__ = [
    "Best",
    "Members",
    "NonFinite",
    "Population",
    "PopulationState",
    "Rollout",
    "Run",
    "RunState",
    "Schedule",
    "Sizes",
    "collect_metrics",
    "default_chunk",
    "devices_for",
    "example_trajectory",
    "free_memory",
    "local_member",
    "local_members",
    "make_population",
    "make_run",
    "member_keys",
    "members",
    "num_bytes",
    "rollout",
    "sizes",
]
