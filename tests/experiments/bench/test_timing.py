"""The bench's timer: the best of several rounds, with a clock of ours; counts of operations and of programs."""

import jax
import jax.numpy as jnp

from experiments.bench import timing


def test_the_best_of_the_rounds_taken_in_turn_without_the_first(clock, monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 3)
    best = timing.best_of(clock.call("a", [0.5, 4.0, 2.0, 3.0]), clock.call("b", [9.0, 8.0, 16.0, 8.5]))
    assert best == [2.0, 8.0]  # a's 0.5 was its warm-up
    assert clock.order == ["a", "b"] * 4


def test_nothing_to_time_is_nothing():
    assert timing.best_of() == []


def test_a_first_call_is_timed_by_name(clock):
    seconds = {"before": 1.0}
    result = timing.timed_first(seconds, "init", clock.call("init", [0.25]))
    assert result.shape == ()
    assert seconds == {"before": 1.0, "init": 0.25}


def test_the_matrix_product_counts_every_device(monkeypatch):
    monkeypatch.setattr(timing, "SIDE", 3)
    product, operations = timing.matrix_product()
    assert operations == 2 * 27 * jax.local_device_count()
    assert product().tolist() == [[[3.0] * 3] * 3] * jax.local_device_count()


def test_programs_are_counted_by_name():
    with timing.compilations("wanted") as found:

        def wanted(x):
            return x + 1

        compiled = jax.jit(wanted)
        compiled(jnp.ones(3)), compiled(jnp.zeros(3)), compiled(jnp.ones(4)), jax.jit(lambda x: x - 1)(jnp.ones(5))
    assert found == ["wanted"] * 2


def test_programs_of_the_compile_cache_are_counted():
    with timing.cache_hits() as found:
        jax.monitoring.record_event("/jax/compilation_cache/cache_hits")
        jax.monitoring.record_event("/jax/compilation_cache/cache_misses")
    jax.monitoring.record_event("/jax/compilation_cache/cache_hits")
    assert len(found) == 1
