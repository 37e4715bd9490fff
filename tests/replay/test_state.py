"""Counts of the ring beyond int32, and the cost of finding a step in it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ring_model import assert_equal, big_ring, filled, law, preference, reward_fn


def test_counts_may_wrap_beyond_int32():
    """A ring whose counts start just below 2^31 gives what one with small counts gives, before and after the wrap."""
    functions, state, model = filled(4, 5, [[5, 3, 4], [2, 5]])
    to_int32 = lambda x, shift: jnp.asarray((np.asarray(x, np.int64) + shift).astype(np.uint32).view(np.int32))
    shift = 2**31 - 1 - int(state.total) - 7
    far = state._replace(end=to_int32(state.end, shift), total=to_int32(state.total, shift))
    wrapped = []
    for step, lengths in enumerate([[1], [5, 0], [5, 5], [3], [2, 2], [5, 5, 5, 5]]):
        batch = model.add(lengths)
        state, far = functions.add(state, batch), functions.add(far, batch)
        assert int(functions.ring.num_pairs(far)) == int(functions.ring.num_pairs(state)) == len(model.pairs())
        assert_equal(*(functions.sample(s, jax.random.key(step), law(), 4096) for s in (state, far)))
        wrapped.append((int(far.total) < 0, bool((far.end < 0).any() and (far.end > 0).any())))
    assert wrapped[0] == (False, False)
    assert (True, True) in wrapped  # the wrap was inside of the ring
    assert wrapped[-1] == (True, False)


def inner_jaxprs(equation):
    """Of calls, loops and branches."""
    for value in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
        value = getattr(value, "jaxpr", value)
        if hasattr(value, "eqns"):
            yield value


def equations(jaxpr):
    """Every equation, those of inner jaxprs included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in inner_jaxprs(equation):
            yield from equations(inner)


def sample_jaxpr(capacity, preference):
    ring, state, _ = big_ring(capacity)
    sample = lambda s, k: ring.sample(s, k, 2, law(), reward_fn, preference)
    return jax.make_jaxpr(sample)(state, jax.random.key(0)).jaxpr


@pytest.mark.parametrize("with_preference", [False, True])
def test_a_draw_takes_log2_of_the_capacity_steps(with_preference):
    """Each doubling of the ring adds one step to the only loop."""
    for capacity in (1, 2, 3, 4, 5, 1024, 1025, 2**20):
        found = list(equations(sample_jaxpr(capacity, preference() if with_preference else None)))
        assert not [e for e in found if e.primitive.name == "while"], "a loop of unknown length"
        assert [e.params["length"] for e in found if e.primitive.name == "scan"] == [math.ceil(math.log2(capacity))]


@pytest.mark.parametrize("with_preference", [False, True])
def test_sample_only_gathers_from_the_ring(with_preference):
    """No sum, comparison or copy runs over the slots, so the time of a draw does not grow with them."""
    capacity = 10_007
    is_large = lambda variable: math.prod(getattr(variable.aval, "shape", ())) >= capacity
    touching = set()
    for equation in equations(sample_jaxpr(capacity, preference() if with_preference else None)):
        if not list(inner_jaxprs(equation)):
            assert not any(map(is_large, equation.outvars)), equation
            if any(map(is_large, equation.invars)):
                touching.add(equation.primitive.name)
    assert touching == {"gather", "dynamic_slice"}  # the latter reads one slot, the oldest
