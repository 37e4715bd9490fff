"""Frames of image observations: stored once, numbered when a batch is drawn, stacked and looked up when it is read.

An epoch's batches hold frames by number, so that drawing them moves no picture; each update looks up its own.

Dimension key: C capacity in trajectories, T horizon, P pixels of a side, F frames of an observation, B batch,
M members.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax.replay.state import ReplayState, RingSpec, read
from hindsight_jax.types import Transition

_NOTHING = np.uint8(255)  # each byte of a picture that nobody drew: -1, as in every integer of such a batch


class Pictures(NamedTuple):
    """What numbers stand for: n >= 0 is frame n, -1 is none, and -2 - k is the picture of trajectory k's own goal."""

    frames: jax.Array  # u8[.., P, P, 3], M C (T+1) of them
    goals: jax.Array | None  # u8[.., P, P, 3], M C of them, where goals are images


def of_rings(state: ReplayState) -> Pictures:
    """The stored pictures of one ring, or of the rings of M members [M, ...], one behind the other."""
    stored = state.trajectories
    flat = lambda x: x.reshape(-1, *x.shape[-3:])
    return Pictures(flat(stored.observation), None if stored.goal_image is None else flat(stored.goal_image))


def numbered(
    ring: RingSpec, member: jax.Array, slot: jax.Array, t: jax.Array, index: jax.Array
) -> dict[str, jax.Array]:
    """The fields of a `Transition` that are pictures, as numbers: i32[B, F] each, and i32[B] for the goal.

    Args:
      member: i32[], how many rings lie before this one in `Pictures`.
      slot: i32[B], the trajectories' slots.
      t: i32[B], the transitions' times.
      index: i32[B], the goals' times; -1 for the trajectory's own goal.
    """
    row = member * ring.capacity + slot
    back = jnp.arange(1 - ring.frames, 1, dtype=jnp.int32)  # before the start there is the first frame
    of = lambda time: row[:, None] * (ring.horizon + 1) + jnp.maximum(time[:, None] + back[None], 0)
    fields = {"observation": of(t), "next_observation": of(t + 1)}
    if ring.example.goal_image is not None:
        fields["goal_image"] = jnp.where(index >= 0, row * (ring.horizon + 1) + jnp.maximum(index, 0), -2 - row)
    return fields


def look_up(pictures: Pictures, batch: Transition) -> Transition:
    """The batch with its pictures in place of their numbers: u8[B, P, P, 3 F], and u8[B, P, P, 3] for the goal."""
    frame = lambda number: _shown(number >= 0, read(pictures.frames, jnp.maximum(number, 0)), _NOTHING)
    stacked = lambda numbers: jnp.concatenate([frame(column) for column in numbers.T], axis=-1)
    goal = batch.goal_image
    if goal is not None:
        assert pictures.goals is not None
        goal = _shown(goal <= -2, read(pictures.goals, jnp.maximum(-2 - goal, 0)), frame(goal))
    return batch._replace(
        observation=stacked(batch.observation), next_observation=stacked(batch.next_observation), goal_image=goal
    )


def _shown(condition: jax.Array, yes: jax.Array, no: jax.typing.ArrayLike) -> jax.Array:
    """jnp.where, row by row: bool[B] and u8[B, P, P, 3]."""
    return jnp.where(condition[:, None, None, None], yes, no)
