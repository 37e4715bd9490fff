"""What a ring of trajectories stores, and how a uniform pair is found in it.

Dimension key: C capacity in trajectories, T horizon."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax.types import Trajectory


class ReplayState(NamedTuple):
    """The ring. Slots that were never written are never read, whatever they hold."""

    trajectories: Trajectory  # [C, ...]
    end: jax.Array  # i32[C], pairs ever added when this slot was written, its own included
    total: jax.Array  # i32[], pairs ever added
    next_slot: jax.Array  # i32[], where the next trajectory goes; the oldest one once the ring is full
    size: jax.Array  # i32[], trajectories stored, <= C


def count_pairs(state: ReplayState) -> jax.Array:
    """i32[], the (trajectory, t) pairs stored."""
    return jnp.where(state.size > 0, state.total - first_count(state), 0)


def oldest_slot(state: ReplayState) -> jax.Array:
    capacity = state.end.shape[0]
    return (state.next_slot - state.size) % capacity


def first_count(state: ReplayState) -> jax.Array:
    """The running count at the start of the oldest slot."""
    oldest = oldest_slot(state)
    return state.end[oldest] - state.trajectories.length[oldest]


def find(state: ReplayState, rank: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(slot, t) of the rank-th stored pair, counted from the oldest; ranks of any shape."""
    capacity = state.end.shape[0]
    oldest, first = oldest_slot(state), first_count(state)
    slot_of = lambda k: (oldest + k) % capacity

    def halve(_, bounds):
        low, high = bounds
        middle = low + (high - low) // 2
        beyond = read(state.end, slot_of(middle)) - first > rank  # a difference, so that the count may wrap
        return jnp.where(beyond, low, middle + 1), jnp.where(beyond, middle, high)

    start = (jnp.zeros_like(rank), jnp.full_like(rank, jnp.maximum(state.size - 1, 0)))
    low, _ = jax.lax.fori_loop(0, int(capacity - 1).bit_length(), halve, start)
    slot = slot_of(low)
    before = read(state.end, slot) - read(state.trajectories.length, slot) - first
    return slot, rank - before


def read(array: jax.Array, *indices: jax.Array) -> jax.Array:
    """array[indices], without the clamping that hides a wrong index: ours are in bounds by construction."""
    return array.at[indices].get(mode="promise_in_bounds", wrap_negative_indices=False)
