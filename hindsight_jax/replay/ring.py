"""A ring of trajectories of unequal length, on the device, and the draw of relabelled transitions from it.

Dimension key: C capacity in trajectories, T horizon, N trajectories added at once, B batch, M candidates of a
preference.

Every slot keeps the running count of (trajectory, t) pairs at its end, so a uniform pair is one integer below the
number of stored pairs and a binary search over the slots from the oldest on: O(log C) per draw, nothing rolls, nothing
is summed again. Counts are int32 and wrap at 2^31; they are compared by their differences, which are below 2^31.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, relabel
from hindsight_jax.relabel import RewardFn
from hindsight_jax.replay._validation import check_added, check_example, check_keep, check_parts, check_state
from hindsight_jax.replay.sampling import draw_batch
from hindsight_jax.replay.state import ReplayState, count_pairs
from hindsight_jax.types import Trajectory, Transition


class Replay(NamedTuple):
    """The ring's functions, all pure. `num_bytes` is what one state takes on the device."""

    init: Callable[[], ReplayState]
    add: Callable[..., ReplayState]
    sample: Callable[..., Transition]
    num_pairs: Callable[[ReplayState], jax.Array]
    num_bytes: int
    capacity: int  # in trajectories


def make_ring(example: Trajectory, capacity: int) -> Replay:
    """A ring for trajectories like `example`, which has no leading axis and whose values are ignored.

    * `init()` is an empty ring.
    * `add(state, trajectories, keep=True)` stores N <= capacity trajectories (a leading axis) over the oldest ones;
      donate the state and it is written in place. A length outside of 0..T is refused; inside of jit it is stored as
      0, so that it is never read. Where `keep`, bool[], is False, nothing is stored and the state stays as it is.
    * `sample(state, key, batch_size, law, reward_fn, preference=None)` draws B transitions: (trajectory, t) is uniform
      over the stored pairs, the goal comes from `law`, reward and discount from `reward_fn(next_achieved_goal, goal,
      is_next)`, computed once, after relabelling. With a `relabel.Preference`, behaviour or hindsight is drawn first
      and each hindsight row is chosen among candidates. An empty ring is refused; inside of jit, where that is not
      known, every float of the batch is NaN and every integer -1. So are the rows of traced weights that make no law.
    * `num_pairs(state)` counts the stored pairs, i32[].

    Raises ValueError if capacity is not a positive integer, if capacity * T reaches 2^31, or if the example's fields do
    not fit together.

    >>> import jax, jax.numpy as jnp
    >>> from hindsight_jax import relabel, replay, types
    >>> zeros = types.Trajectory(jnp.zeros((4, 2)), jnp.zeros((4, 2)), jnp.zeros((3, 1), jnp.int32), jnp.zeros(2),
    ...                          jnp.int32(0), jnp.bool_(False))
    >>> ring = replay.make_ring(zeros, capacity=10)
    >>> batch_of_two = jax.tree.map(lambda x: jnp.stack([x, x]), zeros._replace(length=jnp.int32(3)))
    >>> state = ring.add(ring.init(), batch_of_two)
    >>> int(ring.num_pairs(state))
    6
    >>> batch = ring.sample(state, jax.random.key(0), 5, relabel.future(), relabel.reward_by_index())
    >>> batch.goal.shape
    (5, 2)
    """
    horizon = check_example(example)
    checks.positive_int("capacity", capacity, "It counts trajectories.")
    if capacity * horizon >= 2**31:
        checks.fail(
            "capacity", capacity, f"capacity * horizon ({horizon}) must stay below 2^31", "Use fewer trajectories."
        )
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), example)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((capacity, *x.shape), x.dtype), one)

    def init() -> ReplayState:
        zero = lambda: jnp.zeros((), jnp.int32)
        storage = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return ReplayState(storage, jnp.zeros((capacity,), jnp.int32), zero(), zero(), zero())

    def add(state: ReplayState, trajectories: Trajectory, keep: jax.Array | bool = True) -> ReplayState:
        check_state(state, shapes)
        count = check_added(one, trajectories, capacity, horizon)
        check_keep(keep)
        return _stored(state, trajectories, keep, count, horizon)

    def sample(
        state: ReplayState,
        key: jax.Array,
        batch_size: int,
        law: relabel.Law,
        reward_fn: RewardFn,
        preference: relabel.Preference | None = None,
    ) -> Transition:
        check_state(state, shapes)
        checks.positive_int("batch_size", batch_size, "Draw at least one transition.")
        checks.typed_key("key", key)
        check_parts(law, reward_fn, preference)
        pairs = count_pairs(state)
        if checks.is_concrete(pairs) and int(pairs) == 0:
            checks.fail("state", "an empty ring", "at least one pair (trajectory, t) must be stored", "Call add first.")
        return draw_batch(state, key, batch_size, law, reward_fn, preference)

    def num_pairs(state: ReplayState) -> jax.Array:
        check_state(state, shapes)
        return count_pairs(state)

    return Replay(init, add, sample, num_pairs, _num_bytes(shapes) + 4 * (capacity + 3), int(capacity))


def _stored(state: ReplayState, trajectories: Trajectory, keep: Any, count: int, horizon: int) -> ReplayState:
    """The ring with these trajectories over its oldest ones, or as it was."""
    capacity, length = state.end.shape[0], trajectories.length
    length = jnp.where((length >= 0) & (length <= horizon), length, 0)
    steps = jnp.arange(count, dtype=jnp.int32)
    slots = jnp.where(keep, (state.next_slot + steps) % capacity, capacity + steps)  # beyond the ring: dropped
    write = lambda ring, new: ring.at[slots].set(new, unique_indices=True, mode="drop")
    ends = state.total + jnp.cumsum(length, dtype=jnp.int32)
    return ReplayState(
        trajectories=jax.tree.map(write, state.trajectories, trajectories._replace(length=length)),
        end=write(state.end, ends),
        total=jnp.where(keep, ends[-1], state.total),
        next_slot=jnp.where(keep, (state.next_slot + count) % capacity, state.next_slot),
        size=jnp.where(keep, jnp.minimum(state.size + count, capacity), state.size),
    )


def _num_bytes(shapes: Any) -> int:
    return sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in jax.tree.leaves(shapes))
