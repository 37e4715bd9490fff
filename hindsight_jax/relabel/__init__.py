"""Goal laws, rewards of relabelled steps, and the preference among relabelled steps."""

from hindsight_jax.relabel.laws import (
    BEHAVIOUR,
    INVALID,
    Geometric,
    Law,
    Mixture,
    behaviour,
    episode,
    final,
    future,
    geometric,
    hindsight,
    mixture,
    next_state,
)
from hindsight_jax.relabel.preference import Preference, prefer
from hindsight_jax.relabel.rewards import RewardFn, Step, reward_by_index, reward_by_success

__all__ = [
    "BEHAVIOUR",
    "INVALID",
    "Geometric",
    "Law",
    "Mixture",
    "Preference",
    "RewardFn",
    "Step",
    "behaviour",
    "episode",
    "final",
    "future",
    "geometric",
    "hindsight",
    "mixture",
    "next_state",
    "prefer",
    "reward_by_index",
    "reward_by_success",
]
