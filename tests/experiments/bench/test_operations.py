"""The operations of an update: every one is timed once, and products are told from the rest."""

import jax
import jax.numpy as jnp
import pytest
from bench_values import positive

from experiments.bench import hlo, operations, timing
from hindsight_jax import presets


@pytest.mark.seldom
def test_the_operations_of_a_loop_are_watched_by_their_names():
    """Four rounds of one product and one other operation; the loop itself is not counted again."""

    def rounds(x):
        return jax.lax.fori_loop(0, 4, lambda _, x: jnp.tanh(x @ x), x)

    program = jax.jit(rounds).lower(jnp.eye(128)).compile()
    spent = operations.watched(lambda: program(jnp.eye(128)))
    found = [hlo.products(program.as_text()).get(name) for name in spent]
    assert [shape for shape in found if shape] == ["f32[128,128]"]
    assert None in found
    assert not any(name.startswith("while") for name in spent)


@pytest.mark.seldom
def test_the_costliest_operations_are_parts_of_the_whole(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(timing, "SIDE", 64)
    monkeypatch.setattr(operations, "CALLS", 1)
    values = presets.config("gcsl_flip_bit") | {"agent.hidden_sizes": (8,)}
    figures = operations.measure("gcsl_flip_bit", presets.build("gcsl_flip_bit", values), values, 2)
    positive(figures)
    costliest = [value for name, value in figures.items() if name[0].isdigit()]
    assert len(costliest) == operations.SHOWN
    assert costliest == sorted(costliest, reverse=True)
    others = [value for name, value in figures.items() if name[0].isdigit() and "product" not in name]
    assert sum(others) <= figures["all_but_products"]
