"""The ring against a NumPy model on data that encode their identity, its laws, its refusals, and what it compiles to.

Every number of a trajectory is 1000 * episode + step, plus a fraction that names the field: "same episode, later state"
is one comparison. Whatever must not be read is NaN, or a large negative integer.
"""

import collections
import functools
import math
import re
from collections.abc import Callable
from typing import NamedTuple

import compiles
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hindsight_jax import relabel, replay, types

NUM_DRAWS = 1_000_000
ACHIEVED, DESIRED = 0.25, 0.5  # the fractions of the fields
NEVER = -7777  # integers that are never to be read


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_dtype_promotion("strict"):
        yield


# Data that encode their identity


def trajectories(first_episode, lengths, horizon):
    """Trajectories of episodes first_episode, first_episode + 1, ..; steps that were not taken hold poison."""
    lengths = np.asarray(lengths, np.int32)
    episode = first_episode + np.arange(len(lengths))
    states = np.arange(horizon + 1)
    code = (1000 * episode[:, None] + states).astype(np.float32)
    code[states[None] > lengths[:, None]] = np.nan
    action = 1000 * episode[:, None] + states[:-1]
    action[states[None, :-1] >= lengths[:, None]] = NEVER
    return types.Trajectory(
        observation=np.stack([code, -code], axis=-1),
        achieved_goal=np.repeat(code[..., None] + np.float32(ACHIEVED), 3, axis=-1),
        action=action[..., None].astype(np.int32),
        desired_goal=np.repeat((1000.0 * episode + DESIRED).astype(np.float32)[:, None], 3, axis=-1),
        length=lengths,
        terminal=lengths < horizon,
    )


def example(horizon):
    return jax.tree.map(lambda x: jnp.asarray(x[0]), trajectories(1, [horizon], horizon))


def reward_fn(next_achieved_goal, goal, is_next):
    """A reward that depends on all three arguments, exact in float32."""
    reward = goal[0] - next_achieved_goal[0] + jnp.where(is_next, jnp.float32(0.125), jnp.float32(0.0))
    return reward, jnp.where(is_next, jnp.float32(0.5), jnp.float32(1.0))


class Compiled(NamedTuple):
    """A ring and its jitted functions, shared by all tests of one shape."""

    ring: replay.Replay
    add: Callable
    sample: Callable  # (state, key, law, batch_size, preference=None)
    num_pairs: Callable
    empty: replay.ReplayState  # slots, counts and lengths are all poison


@functools.cache
def compiled(capacity, horizon):
    ring = replay.make_ring(example(horizon), capacity)

    def sample(state, key, law, batch_size, preference=None):
        return ring.sample(state, key, batch_size, law, reward_fn, preference)

    add, num_pairs = jax.jit(ring.add), jax.jit(ring.num_pairs)
    return Compiled(ring, add, jax.jit(sample, static_argnums=3), num_pairs, poisoned(ring))


def poisoned(ring):
    poison = lambda x: jnp.full_like(x, jnp.nan if jnp.issubdtype(x.dtype, jnp.floating) else NEVER)
    state = ring.init()
    return state._replace(
        trajectories=jax.tree.map(lambda x: x if x.dtype == jnp.bool_ else poison(x), state.trajectories),
        end=poison(state.end),
    )


class Model:
    """The contents of a ring of `capacity` trajectories: (episode, length), the oldest first."""

    def __init__(self, capacity, horizon):
        self.stored = collections.deque(maxlen=capacity)
        self.horizon, self.episodes = horizon, 0

    def add(self, lengths):
        """The trajectories to add, remembered."""
        batch = trajectories(self.episodes + 1, lengths, self.horizon)
        self.stored.extend((self.episodes + 1 + i, int(length)) for i, length in enumerate(lengths))
        self.episodes += len(lengths)
        return batch

    def pairs(self):
        return {(episode, t) for episode, length in self.stored for t in range(length)}


def filled(capacity, horizon, batches):
    """(Compiled, state, model) after adding batches of trajectories of these lengths."""
    functions, model = compiled(capacity, horizon), Model(capacity, horizon)
    state = functions.empty
    for lengths in batches:
        state = functions.add(state, model.add(lengths))
    return functions, state, model


def decode(batch, model, looks_back=False):
    """episode, t and goal index (-1: behaviour) of every transition, after checking that all fields agree on them."""
    batch = jax.tree.map(np.asarray, batch)
    code = batch.observation[:, 0]
    assert np.all(np.isfinite(code))
    episode, t = np.divmod(code.astype(np.int64), 1000)
    lengths = np.zeros(model.episodes + 1, np.int64)
    for stored, length in model.stored:
        lengths[stored] = length
    assert np.all(lengths[episode] > t)
    repeat = lambda x: np.repeat(x[:, None], 3, axis=1)
    np.testing.assert_array_equal(batch.observation, np.stack([code, -code], axis=1))
    np.testing.assert_array_equal(batch.next_observation, np.stack([code + 1, -code - 1], axis=1))
    np.testing.assert_array_equal(batch.achieved_goal, repeat(code + ACHIEVED))
    np.testing.assert_array_equal(batch.next_achieved_goal, repeat(code + 1 + ACHIEVED))
    np.testing.assert_array_equal(batch.action, code.astype(np.int32)[:, None])
    np.testing.assert_array_equal(batch.goal, repeat(batch.goal[:, 0]))
    index = np.where(batch.relabelled, batch.goal[:, 0] - ACHIEVED - 1000 * episode, -1)
    assert np.array_equal(index, index.astype(np.int64)), "a hindsight goal is a state of the same episode"
    index = index.astype(np.int64)
    first = np.ones_like(t) if looks_back else t + 1
    assert np.all(~batch.relabelled | ((index >= first) & (index <= lengths[episode])))
    np.testing.assert_array_equal(batch.goal[~batch.relabelled, 0], (1000 * episode + DESIRED)[~batch.relabelled])
    np.testing.assert_array_equal(batch.is_next, index == t + 1)
    np.testing.assert_array_equal(batch.offset, np.where(batch.relabelled, index - t, 0))
    np.testing.assert_array_equal(batch.reward, batch.goal[:, 0] - (code + 1 + ACHIEVED) + 0.125 * batch.is_next)
    np.testing.assert_array_equal(batch.discount, np.where(batch.is_next, 0.5, 1.0))
    return episode, t, index


def counts_of(batch, model, looks_back=False):
    """How often each (stored pair, goal index) was drawn, [pairs, T+2] with index -1 in column 0; and the pairs."""
    episode, t, index = decode(batch, model, looks_back)
    pairs = sorted(model.pairs())
    number = np.full((model.episodes + 1, model.horizon), len(pairs))
    for i, pair in enumerate(pairs):
        number[pair] = i
    width = model.horizon + 2
    cells = number[episode, t] * width + index + 1
    return np.bincount(cells, minlength=len(pairs) * width).reshape(len(pairs), width), pairs


def p_value(counts, probabilities):
    """Chi-square of counts against probabilities; 0 if something of probability 0 was drawn."""
    counts, probabilities = np.ravel(counts), np.ravel(np.asarray(probabilities, np.float64))
    support = probabilities > 0
    if counts[~support].any():
        return 0.0
    expected = probabilities[support] / probabilities.sum() * counts.sum()
    assert expected.min() > 5, "too few draws for the test"
    return scipy.stats.chi2.sf(np.sum((counts[support] - expected) ** 2 / expected), support.sum() - 1)


def exact_joint(law, model, pairs):
    """P(pair, goal index), [pairs, T+2]: uniform over the stored pairs times the law's pmf."""
    lengths = dict(model.stored)
    pmf = [np.asarray(law.pmf(t, lengths[episode], model.horizon), np.float64) for episode, t in pairs]
    return np.stack(pmf) / len(pairs)


def assert_equal(left, right):
    """The same bits, leaf by leaf."""
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True), left, right)


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


@functools.cache
def law():
    """The default kind of law, made once."""
    return relabel.hindsight(0.3, 0.2)


@hypothesis.settings(max_examples=500, deadline=None, derandomize=True)
@hypothesis.given(histories(), st.integers(0, 2**31 - 1))
def test_ring_equals_the_model(history, seed):
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


HISTORIES = {
    "partly_filled": [[5, 3]],
    "exactly_full": [[5, 5], [5, 5]],
    "exactly_full_at_once": [[5, 4, 5, 2]],
    "early_ends": [[1, 0, 4], [0], [2]],
    "wrap_around": [[5, 5, 5, 5], [5, 2, 3], [4, 5, 1]],
}
LAWS = {
    "hindsight": lambda: relabel.hindsight(0.15, 0.2),
    "geometric": lambda: relabel.mixture((0.4, relabel.behaviour()), (0.6, relabel.geometric(0.8))),
    "final": lambda: relabel.final(),
    "episode": lambda: relabel.episode(),
}


@pytest.mark.parametrize(
    ("history", "name"),
    [
        *((history, "hindsight") for history in HISTORIES),
        ("early_ends", "geometric"),
        ("wrap_around", "geometric"),
        ("wrap_around", "final"),
        ("wrap_around", "episode"),
    ],
)
def test_a_million_draws_have_the_exact_joint_law(history, name):
    """Pairs are uniform, and (pair, goal) is uniform times `pmf`; an inexact t, length or goal would show."""
    functions, state, model = filled(4, 5, HISTORIES[history])
    law = LAWS[name]()
    batch = functions.sample(state, jax.random.key(7), law, NUM_DRAWS)
    counts, pairs = counts_of(batch, model, looks_back=name == "episode")
    assert p_value(counts.sum(axis=1), np.ones(len(pairs))) > 1e-3
    assert p_value(counts, exact_joint(law, model, pairs)) > 1e-3


def test_a_trajectory_of_length_zero_is_never_drawn():
    functions, state, model = filled(4, 5, [[0, 0], [1, 0]])
    assert int(functions.ring.num_pairs(state)) == 1
    episode, t, _ = decode(functions.sample(state, jax.random.key(0), law(), 4096), model)
    assert set(episode.tolist()) == {3}
    assert set(t.tolist()) == {0}


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


# Keys, jit, vmap


def test_the_key_alone_decides():
    functions, state, _ = filled(4, 5, HISTORIES["wrap_around"])
    first, same, other = (functions.sample(state, jax.random.key(k), law(), 4096) for k in (0, 0, 1))
    assert_equal(first, same)
    assert not np.array_equal(first.observation, other.observation)


@pytest.mark.parametrize("with_preference", [False, True])
def test_no_key_is_used_twice(with_preference):
    functions = compiled(4, 5)
    chosen = preference() if with_preference else None
    sample = lambda state, key: functions.ring.sample(state, key, 8, law(), reward_fn, chosen)
    with jax.debug_key_reuse(True):
        jax.jit(sample).trace(functions.empty, jax.random.key(0))


def test_rows_of_one_batch_are_independent():
    """(t, goal) of a transition is independent of the next one's."""
    functions, state, model = filled(4, 5, [[2, 1]])
    batch = functions.sample(state, jax.random.key(5), LAWS["hindsight"](), NUM_DRAWS)
    episode, t, index = decode(batch, model)
    value = np.unique(1000 * episode + 10 * t + index, return_inverse=True)[1]
    assert value.max() + 1 == 7  # 3 pairs with behaviour, and 2 + 1 + 1 goals
    table = np.bincount(value[0::2] * 7 + value[1::2], minlength=49).reshape(7, 7)
    assert scipy.stats.chi2_contingency(table).pvalue > 1e-3


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


# Preference


def far_goal(achieved, goal):
    """Three steps ahead or more."""
    return goal[0] - achieved[0] > 2.5


def preference(num_candidates=4, probability=0.7):
    return relabel.prefer(far_goal, num_candidates=num_candidates, probability=probability)


@pytest.mark.parametrize(("m", "p"), [(4, 0.0), (4, 0.7), (4, 1.0), (1, 1.0)])
def test_preference_has_the_exact_joint_law(m, p):
    """Of m independent hindsight transitions the first that changed is kept with probability p, else the first.

    With q the share of changed ones, a changed row x of law pi is kept with pi(x) (p (1 - (1-q)^m) / q + 1 - p), any
    other with pi(x) (p (1-q)^(m-1) + 1 - p). Behaviour rows are as without a preference: uniform pairs, their own goal.
    """
    functions, state, model = filled(4, 5, HISTORIES["wrap_around"])
    law = relabel.hindsight(0.25, 0.2)
    counts, pairs = counts_of(functions.sample(state, jax.random.key(11), law, 300_000, preference(m, p)), model)

    joint = exact_joint(law, model, pairs)
    assert joint[:, 0].sum() == pytest.approx(0.25)
    index = np.arange(-1, model.horizon + 1)
    changed = (index - np.array([t for _, t in pairs])[:, None] >= 3) & (index >= 0)
    pi = np.where(index >= 0, joint, 0.0) / 0.75
    q = pi[changed].sum()
    assert 0.1 < q < 0.5
    kept = np.where(changed, p * (1 - (1 - q) ** m) / q + 1 - p, p * (1 - q) ** (m - 1) + 1 - p)
    expected = np.where(index >= 0, 0.75 * pi * kept, joint)
    assert expected.sum() == pytest.approx(1.0)
    assert p_value(counts, expected) > 1e-3
    assert p_value(counts[:, 0], np.ones(len(pairs))) > 1e-3  # behaviour rows: uniform pairs
    share = counts[changed].sum() / counts[:, 1:].sum()
    assert share == pytest.approx(p * (1 - (1 - q) ** m) + (1 - p) * q, abs=0.005)


# Faults


def assert_poison(batch):
    for leaf in jax.tree.leaves(batch):
        kind = leaf.dtype.kind
        expected = np.isnan(leaf) if kind == "f" else np.asarray(leaf) == (-1 if kind == "i" else False)
        assert np.all(expected), leaf.dtype


@pytest.mark.parametrize("batches", [[], [[0, 0]]])
@pytest.mark.parametrize("with_preference", [False, True])
def test_an_empty_ring_is_refused_and_poisons_inside_of_jit(batches, with_preference):
    functions, state, _ = filled(4, 5, batches)
    chosen = preference() if with_preference else None
    with pytest.raises(ValueError, match=r"empty ring.*Call add first"):
        functions.ring.sample(state, jax.random.key(0), 6, law(), reward_fn, chosen)
    assert_poison(functions.sample(state, jax.random.key(0), law(), 64, chosen))
    assert int(functions.ring.num_pairs(state)) == 0


@pytest.mark.parametrize("with_preference", [False, True])
@pytest.mark.parametrize("ratio", [1.5, -0.5, math.nan])
def test_traced_weights_that_make_no_law_poison_the_batch(ratio, with_preference):
    """Rather than transitions that could pass for behaviour goals."""
    functions, state, _ = filled(4, 5, HISTORIES["wrap_around"])
    broken = jax.jit(lambda ratio: relabel.hindsight(0.0, ratio))(ratio)
    chosen = preference() if with_preference else None
    assert_poison(functions.sample(state, jax.random.key(0), broken, 64, chosen))


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


def test_reward_and_discount_are_computed_once():
    ring, calls = compiled(4, 5).ring, []

    def counted(next_achieved_goal, goal, is_next):
        calls.append((next_achieved_goal.shape, goal.shape, is_next.shape, is_next.dtype))
        return reward_fn(next_achieved_goal, goal, is_next)

    sample = lambda state, key: ring.sample(state, key, 8, law(), counted)
    jax.eval_shape(sample, compiled(4, 5).empty, jax.random.key(0))
    assert calls == [((3,), (3,), (), jnp.bool_)]


# What it compiles to


def big_ring(capacity=4096):
    ring = replay.make_ring(example(8), capacity)
    return ring, jax.eval_shape(ring.init), jax.tree.map(jnp.asarray, trajectories(1, [8, 3], 8))


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
