"""Replay: a ring of trajectories of unequal length, on the device, from which relabelled transitions are drawn."""

from hindsight_jax.relabel import RewardFn
from hindsight_jax.replay.ring import Replay, make_ring
from hindsight_jax.replay.state import ReplayState

__all__ = ["Replay", "ReplayState", "RewardFn", "make_ring"]
