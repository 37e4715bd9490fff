"""Programs of a population: pieces of a run change no bit, everything compiles once, evaluation changes nothing."""

import functools

import compiles
import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
from chain_runs import assert_same_bits, begun, make_run, on_policy, plain, started, stub, tiny

from hindsight_jax import replay, training

# Pieces


@pytest.mark.parametrize("piece", [100, 10, 1])
def test_pieces_of_a_run_change_no_bit(piece):
    """100 epochs in 1, 10 and 100 calls; evaluations in between change nothing either."""
    state, keys = started()
    for i in range(100 // piece):
        state = tiny().advance(state, piece)
        if i % 3 == 0:
            tiny().evaluate(state, keys)
    assert int(state.epochs) == 100
    assert_same_bits(state, whole_run())


@functools.cache
def whole_run():
    """100 epochs in calls of 1, 2, 3, 90 and 4."""
    state, _ = started()
    for num_epochs in (1, 2, 3, 90, 4):
        state = tiny().advance(state, num_epochs)
    return plain(state)


def test_collecting_metrics_changes_nothing_else():
    state, _ = started()
    for _ in range(4):
        state, _ = training.pop_metrics(tiny().advance(state, 25))
    assert_same_bits((state.members, state.epochs), (whole_run().members, whole_run().epochs))


def test_any_number_of_epochs_and_any_evaluation_compile_once():
    population = tiny()
    state, keys = started()
    sizes = []
    for num_epochs in (1, 3, 2, 0):
        state = population.advance(state, num_epochs)
        population.evaluate(state, keys)
        state, _ = training.pop_metrics(state)
        sizes.append((population.advance._cache_size(), population.evaluate._cache_size()))
    assert len(set(sizes)) == 1
    assert max(sizes[0]) <= 2  # populations of 4 and of 1, if that was used before


# Metrics and evaluation


def test_collected_metrics_are_means_over_epochs():
    state, _ = started()
    _, none = training.pop_metrics(state)
    assert all(np.all(np.isnan(value)) for value in none.values())
    each = []
    for _ in range(3):
        state, metrics = training.pop_metrics(tiny().advance(state, 1))
        each.append(metrics)
    again, _ = started()
    again, together = training.pop_metrics(tiny().advance(again, 3))
    assert set(together) >= {"loss", "td_loss", "q_mean", "reward_mean", "imitated_fraction", "collect_success_end"}
    for name, value in together.items():
        np.testing.assert_allclose(value, np.mean([metrics[name] for metrics in each], axis=0), rtol=1e-5, atol=1e-6)
    assert int(again.summed_epochs) == 0
    assert not any(np.any(value) for value in again.metric_sums.values())


def test_evaluation_changes_no_state_and_depends_on_keys_and_epoch():
    state, keys = started()
    before = plain(state)
    first, same = tiny().evaluate(state, keys), tiny().evaluate(state, keys)
    assert_same_bits(state, before)
    assert_same_bits(first, same)
    assert {name: value.shape for name, value in first.items()} == dict.fromkeys(first, (4,))
    other_keys = tiny().evaluate(state, training.member_keys(100, 4))
    other_epoch = tiny().evaluate(state._replace(epochs=state.epochs + 1), keys)
    for other in (other_keys, other_epoch):
        assert not np.array_equal(first["distance_end"], other["distance_end"])


# Memory


def test_an_advance_writes_the_ring_in_place():
    """Nothing of the size of the ring is copied or held beside it."""
    env = probes.Disguised(horizon=4)
    run = make_run(env, stub(env, num_updates=2, batch_size=8), capacity=20_000)
    population = training.make_population(run)
    state = jax.eval_shape(population.init, training.member_keys(0, 2))
    with compiles.optimised():
        memory = population.advance.lower(state, 3).compile().memory_analysis()
    num_bytes = 2 * replay.make_ring(training.example_trajectory(env), 20_000).num_bytes
    assert memory.alias_size_in_bytes >= num_bytes
    assert memory.temp_size_in_bytes < 0.05 * num_bytes


# On policy


def test_pieces_of_an_on_policy_run_change_no_bit_and_compile_once():
    """Cut anywhere, carried through host memory as a checkpoint carries it, with evaluations in between."""
    whole, cut, keys = on_policy().advance(begun(), 12), begun(), training.member_keys(0, 3)
    sizes = set()
    for num_epochs in (1, 0, 4, 2, 5):
        cut = on_policy().advance(carried(cut), num_epochs)
        on_policy().evaluate(cut, keys)
        sizes.add((on_policy().advance._cache_size(), on_policy().evaluate._cache_size()))
    assert_same_bits(cut, whole)
    assert len(sizes) == 1


def carried(state):
    """The state after a trip through NumPy, typed keys and all."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    back = lambda old, new: jax.random.wrap_key_data(jnp.array(new)) if is_key(old) else jnp.array(new)
    return jax.tree.map(back, state, plain(state))
