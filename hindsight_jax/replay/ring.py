"""A ring of trajectories of unequal length, on the device, from which relabelled transitions are drawn.

Dimension key: C capacity in trajectories, T horizon, N trajectories added at once, B batch, P pixels of a side,
F frames of an image observation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, numerics, relabel
from hindsight_jax.relabel import RewardFn
from hindsight_jax.replay import _validation, pictures
from hindsight_jax.replay.sampling import draw_batch
from hindsight_jax.replay.state import ReplayState, RingSpec, count_pairs
from hindsight_jax.types import Trajectory, Transition


class Replay(NamedTuple):
    """A ring's pure functions and sizes; `help(ring.sample)` describes one of them."""

    init: Callable[[], ReplayState]
    add: Callable[..., ReplayState]
    sample: Callable[..., Transition]
    draw: Callable[..., Transition]
    look_up: Callable[..., Transition]
    num_pairs: Callable[[ReplayState], jax.Array]
    num_bytes: int  # of one state on the device
    capacity: int  # C, in trajectories


@numerics.steady
def make_ring(example: Trajectory, capacity: int, frames: int = 1) -> Replay:
    """A ring for trajectories like `example`.

    Args:
      example: one trajectory, without a leading axis; its shapes and dtypes count, its values do not. Where its
        observations are images, u8[T+1, P, P, 3], each frame is stored once, and stacked when it is drawn.
      capacity: C, the number of trajectories that the ring holds.
      frames: F, the newest frames that are stacked to an image observation, u8[P, P, 3 F].

    Returns:
      a `Replay`: the functions of this module, bound to these sizes.

    Raises:
      ValueError: if capacity is not a positive integer, if capacity * T (of images, capacity * (T + 1)) reaches 2^31,
        if the example's fields do not fit together, or if frames is not 1 where observations are no images.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import relabel, replay, types
    >>> zeros = types.Trajectory(
    ...     observation=jnp.zeros((4, 2)),
    ...     achieved_goal=jnp.zeros((4, 2)),
    ...     action=jnp.zeros((3, 1), jnp.int32),
    ...     desired_goal=jnp.zeros(2),
    ...     length=jnp.int32(0),
    ...     terminal=jnp.bool_(False),
    ... )
    >>> ring = replay.make_ring(zeros, capacity=10)
    >>> batch_of_two = jax.tree.map(lambda x: jnp.stack([x, x]), zeros._replace(length=jnp.int32(3)))
    >>> state = ring.add(ring.init(), batch_of_two)
    >>> int(ring.num_pairs(state))
    6
    >>> batch = ring.sample(state, jax.random.key(0), 5, relabel.future(), relabel.reward_by_index())
    >>> batch.goal.shape
    (5, 2)
    """
    horizon = _validation.check_example(example)
    capacity = checks.positive_int("capacity", capacity, "It counts trajectories.")
    has_images = _validation.has_images(example)
    rows = horizon + 1 if has_images else horizon  # what is numbered: frames, or pairs
    if capacity * rows >= 2**31:
        rule = f"capacity * {'frames' if has_images else 'horizon'} ({rows}) must stay below 2^31"
        checks.fail("capacity", capacity, rule, f"Use at most {(2**31 - 1) // rows:,} trajectories.")
    frames = checks.positive_int("frames", frames, "It counts the frames of an image observation.")
    if frames > 1 and not has_images:
        rule = "observations that are no images are not stacked"
        checks.fail("frames", frames, rule, "Leave it out, or store frames uint8[T+1, P, P, 3].")
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), example)
    storage = jax.tree.map(lambda x: jax.ShapeDtypeStruct((capacity, *x.shape), x.dtype), one)
    ring = RingSpec(one, storage, capacity=capacity, horizon=horizon, frames=frames if has_images else 0)
    return Replay(
        init=checks.bind(init, ring),
        add=checks.bind(add, ring),
        sample=checks.bind(sample, ring),
        draw=checks.bind(draw, ring),
        look_up=checks.bind(look_up, ring),
        num_pairs=checks.bind(num_pairs, ring),
        num_bytes=_num_bytes(jax.eval_shape(checks.bind(init, ring))),
        capacity=int(capacity),
    )


def init(ring: RingSpec) -> ReplayState:
    """An empty ring."""
    zero = lambda: jnp.zeros((), jnp.int32)
    return ReplayState(
        trajectories=jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), ring.storage),
        end=jnp.zeros((ring.capacity,), jnp.int32),
        total=zero(),
        next_slot=zero(),
        size=zero(),
    )


@checks.validated(_validation.check_add)
def add(ring: RingSpec, state: ReplayState, trajectories: Trajectory, keep: jax.Array | bool = True) -> ReplayState:
    """Stores trajectories in the next slots, over the oldest ones once the ring is full.

    Args:
      state: of this ring. Donate it to `jax.jit`, and it is written in place.
      trajectories: N <= C of them, each field with a leading axis [N].
      keep: bool[]; where it is False nothing is stored and the state stays as it is.

    Returns:
      the next state. A traced length outside 0..T is stored as 0, so that its trajectory is never read.

    Raises:
      ValueError: on another ring's state, trajectories unlike the example, more than C of them, or (outside of jit) a
        length outside 0..T.
    """
    capacity, count = ring.capacity, trajectories.length.shape[0]
    length = jnp.where((trajectories.length >= 0) & (trajectories.length <= ring.horizon), trajectories.length, 0)
    steps = jnp.arange(count, dtype=jnp.int32)
    slots = jnp.where(keep, (state.next_slot + steps) % capacity, capacity + steps)  # beyond the ring: dropped
    write = lambda stored, new: stored.at[slots].set(new, unique_indices=True, mode="drop")
    ends = state.total + jnp.cumsum(length, dtype=jnp.int32)
    return ReplayState(
        trajectories=jax.tree.map(write, state.trajectories, trajectories._replace(length=length)),
        end=write(state.end, ends),
        total=jnp.where(keep, ends[-1], state.total),
        next_slot=jnp.where(keep, (state.next_slot + count) % capacity, state.next_slot),
        size=jnp.where(keep, jnp.minimum(state.size + count, capacity), state.size),
    )


@checks.validated(_validation.check_sample)
def sample(
    ring: RingSpec,
    state: ReplayState,
    key: jax.Array,
    batch_size: int,
    law: relabel.Law,
    reward_fn: RewardFn,
    preference: relabel.Preference | None = None,
) -> Transition:
    """Draws relabelled transitions, with replacement: (trajectory, t) is uniform over the stored pairs.

    Args:
      state: of this ring, not empty.
      key: one typed key.
      batch_size: B, static.
      law: of the goal, given t and the trajectory's length.
      reward_fn: `relabel.Step` -> (reward f32[], discount f32[]); called twice per transition, with the relabelled
        goal: for the step, and for one that would have ended in s_t (`Transition.start_reward`).
      preference: chooses each hindsight transition among several candidates; behaviour goals keep their probability.

    Returns:
      transitions [B, ...]. Under jit an empty ring or invalid weights of the law cannot be refused: then every float of
      the batch is NaN and every integer -1.

    Raises:
      ValueError: on an argument of another type or shape, or (outside of jit) an empty ring.
    """
    batch = draw_batch(ring, state, key, batch_size, law, reward_fn, preference, jnp.int32(0))
    return pictures.look_up(pictures.of_rings(state), batch) if ring.frames else batch


@checks.validated(_validation.check_sample)
def draw(
    ring: RingSpec,
    state: ReplayState,
    key: jax.Array,
    batch_size: int,
    law: relabel.Law,
    reward_fn: RewardFn,
    preference: relabel.Preference | None = None,
    member: jax.Array | int = 0,
) -> Transition:
    """`sample`, but pictures are left where they are: observations are i32[B, F], numbers of frames for `look_up`.

    Drawing all batches of an epoch so moves no picture. Without image observations it is `sample`. With M members'
    rings as one tree [M, ...], `member` is the ring's place among them.
    """
    return draw_batch(ring, state, key, batch_size, law, reward_fn, preference, jnp.asarray(member, jnp.int32))


def look_up(ring: RingSpec, rings: ReplayState | None, batch: Transition) -> Transition:
    """A batch of `draw` with its pictures: observations u8[B, P, P, 3 F], an image goal u8[B, P, P, 3].

    Args:
      rings: the state that `batch` was drawn from, or the states of all members, [M, ...]. Not read, and may be None,
        where observations are no images: the batch is then returned as it is.
      batch: transitions [B, ...]; a number that is -1, as of an empty ring, gives bytes of 255.

    Raises:
      ValueError: on no state of this ring where observations are images.
    """
    if not ring.frames:
        return batch
    _validation.check_rings(ring, rings)
    assert rings is not None
    return pictures.look_up(pictures.of_rings(rings), batch)


@checks.validated(_validation.check_state)
def num_pairs(ring: RingSpec, state: ReplayState) -> jax.Array:
    """i32[], the stored (trajectory, t) pairs: the sum of the stored lengths. ValueError on another ring's state."""
    del ring
    return count_pairs(state)


def _num_bytes(shapes: Any) -> int:
    return sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in jax.tree.leaves(shapes))
