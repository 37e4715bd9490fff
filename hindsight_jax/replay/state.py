"""The stored trajectories, and how a uniform (trajectory, t) pair is found among them.

Dimension key: C capacity in trajectories, T horizon, F frames of an image observation.

Slot k holds trajectory k and `end[k]`, the count of pairs ever added, its own included. With `first` the count before
the oldest trajectory and slot_0, slot_1, .. the slots from the oldest on, the r-th stored pair is

    k = min {k : end[slot_k] - first > r},    t = r - (end[slot_k] - length[slot_k] - first),

found by a binary search: O(log C) per draw, and nothing is moved or summed again. Counts are int32 and wrap at 2^31;
they are compared by their differences, which stay below 2^31.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax.types import Trajectory


class RingSpec(NamedTuple):
    """The static sizes of a ring."""

    example: Trajectory  # shapes and dtypes of one trajectory
    storage: Trajectory  # the same with a leading axis [C]
    capacity: int  # C, in trajectories
    horizon: int  # T, in actions
    frames: int = 0  # F, of an image observation; 0: observations are no images


class ReplayState(NamedTuple):
    """A ring's contents. Slots that were never written are never read, whatever they hold."""

    trajectories: Trajectory  # [C, ...], one per slot
    end: jax.Array  # i32[C], pairs ever added up to and with this slot's trajectory
    total: jax.Array  # i32[], pairs ever added
    next_slot: jax.Array  # i32[], the slot that is written next; the oldest one once the ring is full
    size: jax.Array  # i32[], stored trajectories, <= C


def count_pairs(state: ReplayState) -> jax.Array:
    """i32[], the stored (trajectory, t) pairs."""
    return jnp.where(state.size > 0, state.total - first_count(state), 0)


def oldest_slot(state: ReplayState) -> jax.Array:
    """i32[], the slot of the oldest stored trajectory."""
    capacity = state.end.shape[0]
    return (state.next_slot - state.size) % capacity


def first_count(state: ReplayState) -> jax.Array:
    """i32[], pairs ever added before the oldest stored trajectory."""
    oldest = oldest_slot(state)
    return state.end[oldest] - state.trajectories.length[oldest]


def find(state: ReplayState, rank: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(slot, t) of the rank-th stored pair, counted from the oldest, 0 <= rank < pairs; of the shape of `rank`."""
    capacity = state.end.shape[0]
    oldest, first = oldest_slot(state), first_count(state)
    slot_of = lambda k: (oldest + k) % capacity

    def halve(_, bounds):
        """Keeps low <= k <= high."""
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
    """array[indices] for indices in bounds. JAX's default would clamp a wrong index, and so hide it."""
    return array.at[indices].get(mode="promise_in_bounds", wrap_negative_indices=False)
