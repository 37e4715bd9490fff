"""Between replay rings on the device and trajectories of NumPy.

Dimension key: M members, N trajectories, C capacity.
"""

import jax
import numpy as np

from hindsight_jax import checks, numerics, types
from hindsight_jax.datasets.episodes import Source, check, flattened
from hindsight_jax.replay import Replay, ReplayState, make_ring


def from_ring(state: ReplayState) -> types.Trajectory:
    """What a ring holds, as NumPy trajectories [N, ...], the oldest first.

    Of all members' rings [M, ...], such as `population_state.members.replay`, the trajectories of member 0 stand first,
    then those of member 1, and so on. What an episode's padding holds is copied as it is.

    Raises ValueError for anything but a ring's state, and for empty rings.
    """
    checks.instance("state", state, ReplayState, "Pass what a ring's add returned, or state.members.replay.")
    arrays = jax.tree.map(np.asarray, jax.device_get(state))
    if arrays.size.ndim == 0:
        arrays = jax.tree.map(lambda x: x[None], arrays)
    checks.rank("state.size", arrays.size, 1, "Pass one ring's state, or all members' [M, ...].")
    capacity, parts = arrays.end.shape[1], []
    for member, (size, next_slot) in enumerate(zip(arrays.size, arrays.next_slot, strict=True)):
        slots = (next_slot - size + np.arange(size)) % capacity  # the oldest first
        parts.append(jax.tree.map(lambda x, member=member, slots=slots: x[member][slots], arrays.trajectories))
    if not arrays.size.sum():
        checks.fail("state", "an empty ring", "there must be a trajectory to take", "Train first, or use collect.")
    return jax.tree.map(lambda *members: np.concatenate(members), *parts)


@numerics.steady
def to_ring(trajectories: types.Trajectory) -> tuple[Replay, ReplayState]:
    """A ring that is full of these trajectories [N, ...], and its state, on the device.

    Raises ValueError if the arrays do not fit together, a number that counts is not finite, or an action is out of
    range.

    >>> states, action = np.zeros((1, 3, 2), np.float32), np.zeros((1, 2, 1), np.int32)
    >>> goal, length, terminal = np.zeros((1, 2), np.float32), np.array([2], np.int32), np.array([False])
    >>> ring, state = to_ring(types.Trajectory(states, states, action, goal, length, terminal))
    >>> ring.capacity, int(ring.num_pairs(state))
    (1, 2)
    """
    episodes = flattened(trajectories)
    check(Source("trajectories"), episodes, int(np.shape(trajectories.action)[1]))
    ring = make_ring(
        jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), trajectories), len(episodes.length)
    )
    return ring, jax.jit(ring.add, donate_argnums=0)(ring.init(), trajectories)
