"""Rings and trajectories, into one another: oldest first, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ring_model import trajectories

from hindsight_jax import datasets, relabel, replay
from hindsight_jax.datasets import rings


def ring_of(*batches, capacity=4, horizon=5):
    """A ring, and its state after these additions of episodes 0, 1, 2, ... with these lengths."""
    ring = replay.make_ring(jax.tree.map(lambda x: x[0], trajectories(0, [horizon], horizon)), capacity)
    state, first, add = ring.init(), 0, jax.jit(ring.add)
    for lengths in batches:
        state = add(state, trajectories(first, lengths, horizon))
        first += len(lengths)
    return ring, state


@pytest.mark.parametrize(
    ("batches", "episodes"),
    [([[5, 3]], [0, 1]), ([[5, 3], [4, 1]], [0, 1, 2, 3]), ([[5, 3], [4, 0], [2]], [1, 2, 3, 4])],
)
def test_what_a_ring_holds_comes_out_oldest_first(batches, episodes):
    """Half full, full and wrapped."""
    _, state = ring_of(*batches)
    out = rings.from_ring(state)
    lengths = [length for batch in batches for length in batch]
    assert out.observation[:, 0, 0].tolist() == [1000 * episode for episode in episodes]
    assert out.length.tolist() == [lengths[episode] for episode in episodes]
    expected = trajectories(0, lengths, 5)
    for name, array in out._asdict().items():
        if array is not None:
            np.testing.assert_array_equal(array, getattr(expected, name)[episodes], strict=True)


def test_members_rings_come_out_one_after_the_other():
    """Of which each may hold another number."""
    states = [ring_of([5, 3])[1], ring_of([1, 2, 3, 4], [5])[1]]
    out = rings.from_ring(jax.tree.map(lambda *x: jnp.stack(x), *states))
    assert out.length.tolist() == [5, 3, 2, 3, 4, 5]
    assert out.observation[:, 0, 0].tolist() == [0, 1000, 1000, 2000, 3000, 4000]


def test_a_ring_of_trajectories_holds_them_all_and_reads_no_padding():
    """1000 draws of poisoned trajectories: every row is a step that was taken, with a goal of its own episode."""
    given = trajectories(0, [5, 1, 3], 5)
    ring, state = rings.to_ring(given)
    assert (ring.capacity, int(ring.num_pairs(state))) == (3, 9)
    sample = jax.jit(lambda state, key: ring.sample(state, key, 1000, relabel.future(), relabel.reward_by_index()))
    batch = sample(state, jax.random.key(0))
    steps = np.asarray(batch.observation[:, 0])
    assert set(steps.tolist()) == {0, 1, 2, 3, 4, 1000, 2000, 2001, 2002}
    np.testing.assert_array_equal(batch.goal[:, 0] // 1000, steps // 1000)
    again = rings.from_ring(state)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b, strict=True), again, given)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (trajectories(0, [1], 3), "state: got Trajectory, but its type must be ReplayState"),
        (ring_of()[1], "state: got an empty ring"),
        (jax.tree.map(lambda x: x[None, None], ring_of([1])[1]), r"state\.size: .* must have rank 1"),
    ],
)
def test_other_states_are_refused(state, message):
    with pytest.raises(ValueError, match=message):
        datasets.from_ring(state)


def test_a_ring_is_made_of_good_data_alone():
    given = trajectories(0, [2, 2], 3)
    given.observation[1, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"^trajectories: observation: got a number that is not finite in row 3"):
        datasets.to_ring(given)
