"""Batches drawn from the ring: their exact joint law, keys, the preference, and poison where nothing can be drawn."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from ring_model import HISTORIES, assert_equal, compiled, decode, filled, law, preference, reward_fn

from hindsight_jax import relabel

NUM_DRAWS = 1_000_000
DEFAULT = ("wrap_around", "early_ends")  # histories of a ring; the others are seldom run


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


# Laws

LAWS = {
    "hindsight": lambda: relabel.hindsight(0.15, 0.2),
    "geometric": lambda: relabel.mixture((0.4, relabel.behaviour()), (0.6, relabel.geometric(0.8))),
    "final": lambda: relabel.final(),
    "episode": lambda: relabel.episode(),
}


@pytest.mark.parametrize(
    ("history", "name"),
    [
        *(
            pytest.param(history, "hindsight", marks=[] if history in DEFAULT else pytest.mark.seldom)
            for history in HISTORIES
        ),
        pytest.param("early_ends", "geometric", marks=pytest.mark.seldom),
        *(
            pytest.param("wrap_around", name, marks=pytest.mark.seldom)  # tests/relabel has their laws
            for name in ("geometric", "final", "episode")
        ),
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


# Preference


@pytest.mark.parametrize(
    ("m", "p"), [(4, 0.7), *(pytest.param(*pair, marks=pytest.mark.seldom) for pair in ((4, 0.0), (4, 1.0), (1, 1.0)))]
)
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


# Rewards


def test_reward_and_discount_are_computed_once_for_each_end_of_the_step():
    ring, calls = compiled(4, 5).ring, []

    def counted(step):
        calls.append(tuple((x.shape, x.dtype) for x in step))
        return reward_fn(step)

    sample = lambda state, key: ring.sample(state, key, 8, law(), counted)
    jax.eval_shape(sample, compiled(4, 5).empty, jax.random.key(0))
    assert calls == [(*[((3,), jnp.float32)] * 2, *[((), jnp.bool_)] * 3)] * 2
