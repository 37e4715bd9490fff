"""The ring against a NumPy model on data that encode their identity (`ring_model`), and its compiled code."""

import math
import re

import compiles
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ring_model import HISTORIES, Model, assert_equal, big_ring, compiled, decode, filled, law, preference, reward_fn

from hindsight_jax import relabel, replay, types

# Against the model

SHAPES = ((1, 3), (3, 1), (4, 5), (7, 2))  # capacity, horizon


@st.composite
def histories(draw):
    """capacity, horizon, and the lengths of each batch that is added: none at all up to many times around."""
    capacity, horizon = draw(st.sampled_from(SHAPES))
    sizes = st.sampled_from(sorted({1, min(2, capacity), capacity}))
    length = st.one_of(st.just(horizon), st.integers(0, horizon))
    batch = sizes.flatmap(lambda size: st.lists(length, min_size=size, max_size=size))
    return capacity, horizon, draw(st.lists(batch, max_size=8))


def check_history(history, seed):
    """Every stored pair and every goal of it is reachable, and nothing else; poison is never read."""
    capacity, horizon, batches = history
    functions, model = compiled(capacity, horizon), Model(capacity, horizon)
    state = functions.empty
    for lengths in batches:
        state = functions.add(state, model.add(lengths))
        assert int(state.size) == len(model.stored)
        assert int(functions.num_pairs(state)) == len(model.pairs())
    batch = functions.sample(state, jax.random.key(seed), law(), 4096)
    if not model.pairs():
        assert np.all(np.isnan(batch.observation))
        return
    episode, t, index = decode(batch, model)
    drawn = np.unique(10_000 * episode + 100 * t + index)
    lengths = dict(model.stored)
    expected = {10_000 * e + 100 * t + i for e, t in model.pairs() for i in (-1, *range(t + 1, lengths[e] + 1))}
    assert set(drawn.tolist()) == expected


@pytest.mark.parametrize("examples", [100, pytest.param(500, marks=pytest.mark.seldom)])
def test_ring_equals_the_model(examples):
    settings = hypothesis.settings(max_examples=examples, deadline=None, derandomize=True)
    settings(hypothesis.given(histories(), st.integers(0, 2**31 - 1))(check_history))()


def test_what_is_not_kept_changes_no_bit_and_members_keep_their_own():
    """Half full, exactly full, and wrapped; what is kept is what an add without the argument stores."""
    for batches in ([[5, 3]], [[5, 3], [4, 1]], [[5, 3], [4, 1], [2]]):
        functions, state, model = filled(4, 5, batches)
        batch = model.add([3, 5])
        both = jax.tree.map(lambda x: jnp.stack([x, x]), state)
        add = jax.jit(jax.vmap(functions.ring.add, (0, None, 0)))
        kept = add(both, batch, jnp.array([False, True]))
        assert_equal(jax.tree.map(lambda x: x[0], kept), state)
        assert_equal(jax.tree.map(lambda x: x[1], kept), functions.add(state, batch))


# Keys, jit, vmap


@pytest.mark.parametrize("with_preference", [False, pytest.param(True, marks=pytest.mark.seldom)])
def test_jit_equals_eager(with_preference):
    functions, state, model = filled(4, 5, HISTORIES["wrap_around"])
    chosen = preference() if with_preference else None
    eager = functions.ring.sample(state, jax.random.key(3), 64, law(), reward_fn, chosen)
    assert_equal(eager, functions.sample(state, jax.random.key(3), law(), 64, chosen))
    batch = model.add([3, 0])
    assert_equal(functions.ring.add(state, jax.tree.map(jnp.asarray, batch)), functions.add(state, batch))


def test_vmap_over_members_equals_a_loop():
    """Members differ in contents, fill, key, and the law's weights."""
    functions = compiled(4, 5)
    members = [filled(4, 5, HISTORIES[name])[1] for name in ("partly_filled", "early_ends", "wrap_around")]
    added = [Model(4, 5).add(lengths) for lengths in ([5, 1], [0, 2], [3, 3])]
    laws = [relabel.hindsight(0.15, ratio) for ratio in (0.0, 0.5, 1.0)]
    keys = list(jax.random.split(jax.random.key(2), 3))
    stack = lambda trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    def add_and_sample(state, batch, key, law):
        state = functions.add(state, batch)
        return state, functions.sample(state, key, law, 4096)

    together = jax.jit(jax.vmap(add_and_sample))(*map(stack, (members, added, keys, laws)))
    alone = [add_and_sample(*member) for member in zip(members, added, keys, laws, strict=True)]
    assert_equal(together, stack(alone))


# Faults


def test_a_traced_length_out_of_range_is_stored_as_zero():
    functions, state, model = filled(4, 5, [[5, 3]])
    batch = Model(4, 5).add([4, 4])
    state = functions.add(state, batch._replace(length=np.array([6, -1], np.int32)))
    np.testing.assert_array_equal(state.trajectories.length, [5, 3, 0, 0])
    assert int(functions.ring.num_pairs(state)) == 8
    decode(functions.sample(state, jax.random.key(0), law(), 4096), model)


# Shapes


@pytest.mark.parametrize("goal_shape", [(), (2, 2)])
def test_images_and_goals_of_any_rank(goal_shape):
    """uint8 observations keep their dtype; a goal may be one number or a matrix, an action may be continuous."""
    horizon, lengths = 4, np.array([4, 2, 3], np.int32)
    code = 10 * np.arange(3)[:, None] + np.arange(horizon + 1)  # [N, T+1]
    ones = lambda shape: (1,) * len(shape)
    spread = lambda x, shape, dtype: np.broadcast_to(x.reshape(x.shape + ones(shape)), x.shape + shape).astype(dtype)
    batch = types.Trajectory(
        observation=spread(code, (8, 8, 3), np.uint8),
        achieved_goal=spread(code, goal_shape, np.float32),
        action=spread(code[:, :-1], (2,), np.float32),
        desired_goal=spread(100 + np.arange(3), goal_shape, np.float32),
        length=lengths,
        terminal=np.zeros(3, np.bool_),
    )
    ring = replay.make_ring(jax.tree.map(lambda x: x[0], batch), 3)

    @jax.jit
    def add_and_sample(batch, key):
        state = ring.add(ring.init(), batch)
        return ring.sample(state, key, 256, relabel.hindsight(0.3, 0.2), relabel.reward_by_index())

    drawn = jax.tree.map(np.asarray, add_and_sample(batch, jax.random.key(0)))
    assert drawn.observation.dtype == np.uint8
    assert drawn.observation.shape == (256, 8, 8, 3)
    assert drawn.goal.shape == (256, *goal_shape)
    state = drawn.observation[:, 0, 0, 0].astype(int)
    for field in ("observation", "achieved_goal", "action"):
        value = getattr(drawn, field)
        np.testing.assert_array_equal(value, spread(state, value.shape[1:], value.dtype))
    np.testing.assert_array_equal(drawn.next_observation, drawn.observation + 1)
    goal = drawn.goal.reshape(256, -1)[:, 0]
    np.testing.assert_array_equal(goal, np.where(drawn.relabelled, state + drawn.offset, 100 + state // 10))
    poison = add_and_sample(batch._replace(length=np.zeros(3, np.int32)), jax.random.key(0))
    assert np.all(np.asarray(poison.observation) == 255)  # -1


# What it compiles to


def instructions_as_large_as(text, num_elements):
    """Opcodes of the HLO whose result has that many elements or more."""
    found = []
    for dims, opcode in re.findall(r"= \w+\[([\d,]+)\]\S* ([\w\-]+)\(", text):
        if math.prod(map(int, dims.split(","))) >= num_elements:
            found.append(opcode)
    return found


def test_num_bytes_is_what_a_state_takes():
    ring, shapes, _ = big_ring()
    assert ring.num_bytes == sum(math.prod(s.shape) * s.dtype.itemsize for s in jax.tree.leaves(shapes))


def test_a_donated_ring_is_written_in_place():
    ring, _, batch = big_ring()
    add = jax.jit(ring.add, donate_argnums=0)
    state = ring.init()
    before = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(state.trajectories)]
    after = add(state, batch)
    assert [x.unsafe_buffer_pointer() for x in jax.tree.leaves(after.trajectories)] == before
    assert all(x.is_deleted() for x in jax.tree.leaves(state))


@pytest.mark.parametrize("num_members", [None, 3])
def test_add_and_sample_never_copy_the_ring(num_members):
    """Donated, alone and over members: all of the ring is aliased, and nothing as large as a field is a copy."""
    ring, state, batch = big_ring()

    def step(state, batch, key):
        state = ring.add(state, batch)
        return state, ring.sample(state, key, 32, relabel.hindsight(0.15, 0.2), relabel.reward_by_index())

    key = jax.eval_shape(lambda: jax.random.key(0))
    arguments = (state, jax.eval_shape(lambda: batch), key)
    if num_members:
        step = jax.vmap(step)
        arguments = jax.tree.map(lambda s: jax.ShapeDtypeStruct((num_members, *s.shape), s.dtype), arguments)
    with compiles.optimised():
        executable = jax.jit(step, donate_argnums=0).lower(*arguments).compile()
    memory = executable.memory_analysis()
    num_bytes = ring.num_bytes * (num_members or 1)
    assert memory.alias_size_in_bytes >= num_bytes
    assert memory.temp_size_in_bytes < 0.05 * num_bytes
    large = instructions_as_large_as(executable.as_text(), 4096 * 8)  # an action field, the smallest with a time axis
    assert large, "the ring's own fields"
    assert not {"copy", "copy-start", "concatenate", "select", "pad", "slice", "transpose"} & set(large)
