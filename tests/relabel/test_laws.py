"""Goal laws: exact values, draws against `pmf`, support, mixtures, populations, refusals."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hindsight_jax import relabel

HORIZON = 8
NUM_DRAWS = 250_000  # by one call
LAWS = {
    "behaviour": lambda: relabel.behaviour(),
    "next_state": lambda: relabel.next_state(),
    "future": lambda: relabel.future(),
    "final": lambda: relabel.final(),
    "episode": lambda: relabel.episode(),
    "geometric_0": lambda: relabel.geometric(0.0),
    "geometric_half": lambda: relabel.geometric(0.5),
    "geometric_0.98": lambda: relabel.geometric(0.98),
    "geometric_1": lambda: relabel.geometric(1.0),
    "hindsight": lambda: relabel.hindsight(0.15, 0.2),
    "hindsight_geometric": lambda: relabel.hindsight(0.15, 0.2, relabel.geometric(0.9)),
    "zero_weights": lambda: relabel.mixture(
        (0.0, relabel.final()), (0.3, relabel.next_state()), (0.0, relabel.episode()), (0.7, relabel.geometric(0.8)),
        (0.0, relabel.behaviour()),
    ),
    "nested": lambda: relabel.mixture(
        (0.25, relabel.mixture((0.5, relabel.behaviour()), (0.5, relabel.episode()))),
        (0.75, relabel.hindsight(0.4, 0.3, relabel.mixture((0.5, relabel.final()), (0.5, relabel.geometric(0.7))))),
    ),
}  # fmt: skip
STEPS = {  # (t, length): the start and the end of an exactly full trajectory, an early end
    "full": (0, HORIZON),
    "last": (HORIZON - 1, HORIZON),
    "early_end": (2, 6),
}


@jax.jit
def draw(law, key, t, length):
    """NUM_DRAWS indices, i32[NUM_DRAWS]."""
    return jax.vmap(law.sample, (0, None, None))(jax.random.split(key, NUM_DRAWS), t, length)


def p_value(indices, pmf):
    """Chi-square of the draws' counts against pmf; 0 if an index of probability 0 was drawn."""
    indices, pmf = np.asarray(indices), np.asarray(pmf, np.float64)
    counts = np.bincount(indices + 1, minlength=len(pmf))  # an index below -1 raises
    support = pmf > 0
    if len(counts) > len(pmf) or counts[~support].any():
        return 0.0
    expected = pmf[support] / pmf.sum() * len(indices)
    statistic = np.sum((counts[support] - expected) ** 2 / expected)
    return scipy.stats.chi2.sf(statistic, support.sum() - 1) if support.sum() > 1 else 1.0


# Exact values


@pytest.mark.parametrize(
    ("name", "t", "length", "expected"),  # horizon 4; entries: behaviour, s_0, s_1, .., s_4
    [
        ("behaviour", 1, 3, [1, 0, 0, 0, 0, 0]),
        ("next_state", 1, 3, [0, 0, 0, 1, 0, 0]),
        ("next_state", 3, 4, [0, 0, 0, 0, 0, 1]),
        ("final", 1, 3, [0, 0, 0, 0, 1, 0]),
        ("future", 0, 4, [0, 0, 1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        ("future", 1, 3, [0, 0, 0, 1 / 2, 1 / 2, 0]),
        ("future", 3, 4, [0, 0, 0, 0, 0, 1]),
        ("episode", 1, 3, [0, 0, 1 / 3, 1 / 3, 1 / 3, 0]),
        ("episode", 2, 3, [0, 0, 1 / 3, 1 / 3, 1 / 3, 0]),
        ("geometric_0", 1, 4, [0, 0, 0, 1, 0, 0]),
        ("geometric_1", 1, 4, [0, 0, 0, 1 / 3, 1 / 3, 1 / 3]),
        ("geometric_half", 1, 4, [0, 0, 0, 4 / 7, 2 / 7, 1 / 7]),  # 1, 1/2, 1/4 over their sum 7/4
        ("geometric_half", 0, 2, [0, 0, 2 / 3, 1 / 3, 0, 0]),
        # 0.15; next 0.85 * 0.2 = 0.17; future 0.85 * 0.8 = 0.68, in halves of 0.34; s_2: 0.17 + 0.34
        ("hindsight", 1, 3, [0.15, 0, 0, 0.51, 0.34, 0]),
        ("zero_weights", 0, 2, [0, 0, 0.3 + 0.7 / 1.8, 0.7 * 0.8 / 1.8, 0, 0]),
        # behaviour 0.25 * 0.5 + 0.75 * 0.4 = 0.425; episode 0.125 over s_1, s_2; the rest 0.45: next 0.135 on s_2,
        # and 0.315 on s_2 as well, since final and geometric from t = 1 of 2 have nowhere else to go
        ("nested", 1, 2, [0.425, 0, 0.0625, 0.0625 + 0.45, 0, 0]),
    ],
)
def test_pmf_has_the_value_of_the_formula(name, t, length, expected):
    pmf = LAWS[name]().pmf(t, length, 4)
    assert pmf.dtype == jnp.float32
    np.testing.assert_allclose(pmf, expected, atol=1e-7)


@pytest.mark.parametrize("discount", [0.0, 1e-6, 0.3, 0.98, 0.9999, 1 - 2.0**-24, 1.0])
@pytest.mark.parametrize("length", [1, 7, 1000])
def test_geometric_pmf_equals_float64(discount, length):
    """[D 4], cut at the end of the trajectory."""
    t = 3
    weight = np.float64(np.float32(discount)) ** np.arange(length)
    pmf = relabel.geometric(discount).pmf(t, t + length, t + length + 2)
    np.testing.assert_allclose(pmf[t + 2 : t + 2 + length], weight / weight.sum(), rtol=1e-6, atol=1e-37)
    assert float(jnp.sum(pmf)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("discount", [0.0, 0.3, 0.98, 0.9999, 1 - 2.0**-24, 1.0])
@pytest.mark.parametrize("length", [50, pytest.param(1000, marks=pytest.mark.seldom)])
def test_geometric_draws_have_the_pmf_for_all_uniforms_of_float32(monkeypatch, discount, length):
    """Not a sample: each of the 2^23 values of `jax.random.uniform` once, so the frequencies are what is drawn."""
    monkeypatch.setattr(jax.random, "uniform", lambda key, *_: key)
    uniforms = jnp.arange(2**23, dtype=jnp.int32).astype(jnp.float32) * 2.0**-23
    law, t = relabel.geometric(discount), 3
    draw_all = jax.jit(jax.vmap(law._draw, (0, None, None)))
    indices = np.asarray(draw_all(uniforms, jnp.int32(t), jnp.int32(t + length)))
    weight = np.float64(np.float32(discount)) ** np.arange(length)
    assert indices.min() >= t + 1
    assert indices.max() <= t + length
    frequency = np.bincount(indices - t - 1, minlength=length) / 2**23
    np.testing.assert_allclose(frequency, weight / weight.sum(), atol=2.4e-7)  # two steps of the uniform: its two ends


@pytest.mark.parametrize("name", LAWS)
def test_for_every_step_of_every_length_the_pmf_sums_to_one_on_its_support(name):
    law = LAWS[name]()
    steps = [(t, length) for length in range(1, HORIZON + 1) for t in range(length)]
    t, length = jnp.asarray(steps, jnp.int32).T
    pmfs = np.asarray(jax.jit(jax.vmap(lambda a, b: law.pmf(a, b, HORIZON)))(t, length))
    np.testing.assert_allclose(pmfs.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(pmfs[:, 0], law.behaviour_probability(), atol=1e-7)
    assert (pmfs >= 0).all()
    looks_back = name in ("episode", "nested")
    for (t, length), pmf in zip(steps, pmfs, strict=True):
        first = 1 if looks_back else t + 1
        outside = [1 + i for i in range(HORIZON + 1) if not first <= i <= length]
        assert not pmf[outside].any()


# Draws


@pytest.mark.parametrize("num_calls", [1, pytest.param(4, marks=pytest.mark.seldom)])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", LAWS)
def test_draws_follow_the_pmf(name, step, num_calls):
    """A million where it is slow; those of the ring are a million always (test_replay)."""
    law, (t, length) = LAWS[name](), STEPS[step]
    key = jax.random.key(100 * list(LAWS).index(name) + list(STEPS).index(step))
    keys = jax.random.split(key, num_calls)
    indices = np.concatenate([draw(law, key, np.int32(t), np.int32(length)) for key in keys])
    assert indices.dtype == np.int32
    assert p_value(indices, law.pmf(t, length, HORIZON)) > 1e-4


@pytest.mark.parametrize(
    ("drawn", "claimed"),
    [
        (relabel.future, lambda: relabel.geometric(0.9)),
        (lambda: relabel.geometric(0.98), lambda: relabel.geometric(0.97)),
        (relabel.episode, relabel.future),
        (relabel.future, relabel.episode),
        (relabel.next_state, relabel.final),
        (lambda: relabel.hindsight(0.15, 0.2), lambda: relabel.hindsight(0.16, 0.2)),
        (lambda: relabel.hindsight(0.15, 0.2), lambda: relabel.hindsight(0.15, 0.21)),
    ],
)
def test_the_chi_square_catches_another_law(drawn, claimed):
    indices = draw(drawn(), jax.random.key(0), jnp.int32(2), jnp.int32(7))
    assert p_value(indices, claimed().pmf(2, 7, HORIZON)) < 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        lambda u, t, length: t + (u * (length - t)).astype(int),  # s_t for s_{t+1}: one too early
        lambda u, t, length: t + 2 + (u * (length - t)).astype(int),  # past the end
        lambda u, t, length: t + 1 + (u * (length - t - 1)).astype(int),  # never the final state
        lambda u, t, length: t + 1 + np.round(u * (length - t - 1)).astype(int),  # half weight at the ends
        lambda u, t, length: t + 1 + (u * (HORIZON - t)).astype(int),  # the horizon for the length
    ],
)
def test_the_chi_square_catches_the_fields_index_errors(wrong):
    t, length = 2, 6
    pmf = relabel.future().pmf(t, length, HORIZON)
    uniforms = np.random.default_rng(0).random(NUM_DRAWS)
    right = t + 1 + (uniforms * (length - t)).astype(int)
    assert p_value(right, pmf) > 1e-4
    assert p_value(wrong(uniforms, t, length), pmf) < 1e-12


def test_the_default_row_is_the_source_s_sampler():
    """The goal law in NumPy: offset = floor(U (T - t)), 0 with probability p; 0.85 of the goals are relabelled."""
    rng, t, length = np.random.default_rng(1), 2, 7
    offset = np.floor(rng.random(NUM_DRAWS) * (length - t)).astype(int)
    offset = np.where(rng.random(NUM_DRAWS) < 0.2, 0, offset)
    index = np.where(rng.random(NUM_DRAWS) < 0.85, t + 1 + offset, -1)
    assert p_value(index, relabel.hindsight(0.15, 0.2).pmf(t, length, HORIZON)) > 1e-4


@pytest.mark.parametrize("name", ["future", "episode", "geometric_half", "geometric_1"])
def test_every_index_of_the_support_is_drawn_and_no_other(name):
    law, keys = LAWS[name](), jax.random.split(jax.random.key(3), 4000)
    sample = jax.jit(jax.vmap(law.sample, (0, None, None)))
    for t, length in [(0, 1), (0, HORIZON), (2, 6), (5, 6)]:
        first = 1 if name == "episode" else t + 1
        assert set(np.asarray(sample(keys, t, length)).tolist()) == set(range(first, length + 1))


@pytest.mark.parametrize(("t", "length"), [(0, 1_000_000), (999_999, 1_000_000), (123, 100_123)])
@pytest.mark.parametrize("law", [relabel.future, lambda: relabel.geometric(0.999999)])
def test_long_trajectories_are_never_left(law, t, length):
    law = law()
    indices = draw(law, jax.random.key(4), np.int32(t), np.int32(length))
    assert int(indices.min()) > t
    assert int(indices.max()) <= length


# Mixtures


@pytest.mark.parametrize("weights", [(0.0, 0.1, 0.0, 0.2, 0.7, 0.0), (0.0, 1 / 3, 1 / 3, 1 / 3, 0.0, 0.0)])
def test_a_component_of_weight_zero_is_never_drawn(monkeypatch, weights):
    """At both ends of the uniform and just around each cumulative weight, where rounding could pick a neighbour."""
    monkeypatch.setattr(jax.random, "uniform", lambda key, *_: key)
    monkeypatch.setattr(jax.random, "split", lambda key, num: [key] * num)
    edges = np.concatenate([[0.0, 1.0], np.cumsum(weights)]) * 2**23
    steps = (np.round(edges)[:, None] + np.arange(-200, 200)).ravel()
    uniforms = jnp.asarray(steps[(steps >= 0) & (steps < 2**23)] * 2.0**-23, jnp.float32)
    laws = [_Constant(i) for i in range(6)]
    law = relabel.Mixture(jnp.asarray(weights, jnp.float32), tuple(laws))
    drawn = np.asarray(jax.vmap(law._draw, (0, None, None))(uniforms, jnp.int32(0), jnp.int32(9)))
    assert set(drawn.tolist()) == {i for i, weight in enumerate(weights) if weight > 0}
    assert (np.diff(drawn[np.argsort(uniforms)]) >= 0).all()


class _Constant(relabel.Law):
    """Always index i: tells which component of a mixture was drawn."""

    def __init__(self, index):
        self.index = index

    def _draw(self, key, t, length):
        return jnp.int32(self.index)

    def _mass(self, index, t, length):
        return (index == self.index).astype(jnp.float32)


def test_the_last_positive_component_takes_what_rounding_leaves(monkeypatch):
    """Weights whose float32 sums may end below 1: u = 1 - 2^-23 still draws the last positive one, never the zeros."""
    monkeypatch.setattr(jax.random, "split", lambda key, num: [key] * num)
    monkeypatch.setattr(jax.random, "uniform", lambda key, *_: jnp.float32(1 - 2.0**-23))
    weights = np.random.default_rng(0).random((500, 30)).astype(np.float32)
    weights[:, -2:] = 0.0

    @jax.jit
    @jax.vmap
    def last(w):
        law = relabel.Mixture(w, tuple(_Constant(i) for i in range(30)))
        return law._draw(None, jnp.int32(0), jnp.int32(99)), jnp.cumsum(law.probabilities())[-1]

    drawn, sums = last(jnp.asarray(weights))
    assert (drawn == 27).all()
    assert float(sums.min()) <= 1 - 2.0**-23  # so that the guard was at work


def test_a_component_has_a_key_of_its_own():
    """A component never draws with the mixture's own key."""
    law = relabel.mixture((0.5, relabel.future()), (0.5, relabel.future()))
    single = draw(relabel.future(), jax.random.key(5), np.int32(0), np.int32(100))
    mixed = draw(law, jax.random.key(5), np.int32(0), np.int32(100))
    assert float(jnp.mean(single == mixed)) < 0.02


def test_a_population_differs_in_traced_weights():
    behaviours, ratios = jnp.asarray([0.0, 0.15, 0.5, 1.0]), jnp.asarray([0.2, 0.5, 0.6, 1.0])
    laws = jax.jit(jax.vmap(relabel.hindsight))(behaviours, ratios)
    keys = jax.random.split(jax.random.key(6), 64)
    look = lambda law: (law.pmf(1, 5, HORIZON), jax.vmap(law.sample, (0, None, None))(keys, 1, 5))
    look_alone = jax.jit(look)
    pmfs, samples = jax.jit(jax.vmap(look))(laws)
    for member, (b, p) in enumerate(zip(behaviours.tolist(), ratios.tolist(), strict=True)):
        pmf, alone = look_alone(relabel.hindsight(b, p))
        np.testing.assert_allclose(pmfs[member], pmf, atol=1e-7)
        np.testing.assert_array_equal(samples[member], alone)
    assert (samples[3] == relabel.BEHAVIOUR).all()
    assert not (samples[0] == relabel.BEHAVIOUR).any()


def test_a_population_differs_in_the_discount():
    discounts = jnp.asarray([0.0, 0.5, 0.98, 1.0])
    pmfs = jax.vmap(lambda d: relabel.geometric(d).pmf(1, 5, HORIZON))(discounts)
    for pmf, discount in zip(pmfs, discounts.tolist(), strict=True):
        np.testing.assert_allclose(pmf, relabel.geometric(discount).pmf(1, 5, HORIZON), atol=1e-7)


def test_weights_are_divided_by_their_sum_and_change_without_a_new_trace():
    traces = []

    @jax.jit
    def pmf(law):
        traces.append(1)
        return law.pmf(0, 2, 2)

    laws = (relabel.behaviour(), relabel.future())
    for weights in ([1.0, 3.0], [0.25, 0.75], [2.0, 6.0]):
        law = relabel.Mixture(jnp.asarray(weights), laws)
        np.testing.assert_allclose(pmf(law), [0.25, 0.0, 0.375, 0.375], atol=1e-7)
    assert len(traces) == 1


def test_only_numbers_are_leaves():
    assert len(jax.tree.leaves(LAWS["nested"]())) == 5  # four mixtures' weights and a discount
    assert jax.tree.leaves(relabel.future()) == []
    assert jax.tree.structure(relabel.future()) != jax.tree.structure(relabel.final())
    assert jax.tree.structure(relabel.hindsight(0.1, 0.2)) == jax.tree.structure(relabel.hindsight(0.3, 0.4))


# The condition on hindsight


@pytest.mark.parametrize("name", [name for name in LAWS if name != "behaviour"])
@pytest.mark.parametrize("step", STEPS)
def test_given_hindsight_is_the_conditional_law(name, step):
    law, (t, length) = LAWS[name](), STEPS[step]
    pmf = np.asarray(law.pmf(t, length, HORIZON), np.float64)
    given = law.given_hindsight()
    expected = np.where(np.arange(HORIZON + 2) == 0, 0.0, pmf / (1.0 - pmf[0]))
    np.testing.assert_allclose(given.pmf(t, length, HORIZON), expected, atol=3e-7)
    assert float(given.behaviour_probability()) == 0.0
    assert float(law.behaviour_probability()) == pytest.approx(pmf[0], abs=1e-7)


def test_a_traced_law_without_hindsight_is_invalid_once_conditioned():
    def both(b):
        given = relabel.hindsight(b, 0.2).given_hindsight()
        return given.sample(jax.random.key(0), 0, 3), given.pmf(0, 3, 3)

    samples, pmfs = jax.jit(jax.vmap(both))(jnp.asarray([0.5, 1.0]))
    assert int(samples[0]) >= 1
    assert int(samples[1]) == relabel.INVALID
    assert not np.isnan(pmfs[0]).any()
    assert np.isnan(pmfs[1]).all()


def test_a_part_that_is_all_behaviour_does_not_spoil_the_condition():
    inner = relabel.mixture((1.0, relabel.behaviour()), (0.0, relabel.next_state()))
    law = relabel.mixture((0.5, inner), (0.5, relabel.final()))
    for given in (law.given_hindsight(), jax.jit(lambda law: law.given_hindsight())(law)):
        np.testing.assert_array_equal(given.pmf(0, 3, 3), [0, 0, 0, 0, 1])
        assert int(given.sample(jax.random.key(0), 0, 3)) == 3


# Properties

LONGEST = 60


def _kitchen_sink(weights, discount):
    """Every kind at once; weights [8], of which zeros leave any of them out."""
    kinds = [relabel.behaviour(), relabel.next_state(), relabel.future(), relabel.final(), relabel.episode()]
    inner = relabel.Mixture(weights[:3], (*kinds[:2], relabel.geometric(discount)))
    return relabel.Mixture(weights[3:], (*kinds[:4], inner))


def _model(weights, discount, t, length):
    """The same law in NumPy and float64: f64[LONGEST + 2], entry 0 is the behaviour goal, entry 1 + i is state i."""

    def each(entries):
        """Relative weights of (index, weight), to a law."""
        law = np.zeros(LONGEST + 2)
        for index, weight in entries:
            law[1 + index] += weight
        return law / law.sum()

    later = range(t + 1, length + 1)
    kinds = [each([(-1, 1)]), each([(t + 1, 1)]), each([(i, 1) for i in later]), each([(length, 1)])]
    geometric = each([(i, np.float64(discount) ** (i - t - 1)) for i in later])
    inner, outer = weights[:3] / weights[:3].sum(), weights[3:] / weights[3:].sum()
    mixed = inner[0] * kinds[0] + inner[1] * kinds[1] + inner[2] * geometric
    return sum(p * law for p, law in zip(outer, (*kinds, mixed), strict=True))


@jax.jit
def _look(weights, discount, seed, t, length):
    law = _kitchen_sink(weights, discount)
    indices = jax.vmap(law.sample, (0, None, None))(jax.random.split(jax.random.key(seed), 500), t, length)
    return (
        law.pmf(t, length, LONGEST),
        indices,
        law.behaviour_probability(),
        law.given_hindsight().pmf(t, length, LONGEST),
    )


@hypothesis.settings(max_examples=500, deadline=None, derandomize=True)
@hypothesis.given(data=st.data())
def test_any_mixture_at_any_step_is_the_models_and_draws_from_it(data):
    length = data.draw(st.integers(1, LONGEST))
    t = data.draw(st.integers(0, length - 1))
    weight = st.one_of(st.just(0.0), st.floats(0.001, 10.0))
    weights = [data.draw(st.lists(weight, min_size=n, max_size=n).filter(any)) for n in (3, 5)]
    weights, discount = np.array([*weights[0], *weights[1]], np.float32), np.float32(data.draw(st.floats(0.0, 1.0)))
    seed = data.draw(st.integers(0, 2**31 - 1))
    looked = _look(weights, discount, *map(np.int32, (seed, t, length)))
    pmf, indices, behaviour, given = (np.asarray(x, np.float64) for x in looked)
    expected = _model(weights.astype(np.float64), discount, t, length)
    np.testing.assert_allclose(pmf, expected, atol=1e-6)
    assert pmf[0] == pytest.approx(float(behaviour), abs=1e-6)
    assert not pmf[expected == 0.0].any()
    assert (expected[indices.astype(int) + 1] > 0).all()
    if pmf[0] < 0.999:
        np.testing.assert_allclose(given[1:], expected[1:] / (1.0 - expected[0]), atol=1e-6 / (1.0 - pmf[0]))


@pytest.mark.parametrize("name", ["final", "future", "geometric_0.98", "hindsight"])
def test_jit_equals_eager_and_vmap_equals_a_loop(name):
    law = LAWS[name]()
    keys = jax.random.split(jax.random.key(7), 6)
    t, length = jnp.asarray([0, 0, 2, 5, 7, 3]), jnp.asarray([1, 8, 6, 6, 8, 8])
    together = jax.jit(jax.vmap(law.sample))(keys, t, length)
    pmfs = jax.jit(jax.vmap(lambda a, b: law.pmf(a, b, HORIZON)))(t, length)
    for i in range(6):
        assert int(law.sample(keys[i], int(t[i]), int(length[i]))) == int(together[i])
        np.testing.assert_allclose(law.pmf(t[i], length[i], HORIZON), pmfs[i], atol=1e-7)


# Refusals

KEY = jax.random.key(0)


def _by_success(success):
    """A reward of two steps at the same place, by a test that is no test."""
    no = jnp.asarray(False)
    step = relabel.Step(jnp.zeros(2), jnp.zeros(2), is_next=no, relabelled=no, terminal=no)
    return relabel.reward_by_success(success)(step)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: relabel.future().sample(KEY, 0, 0), "length: got 0.*later state"),
        (lambda: relabel.mixture(), "components: got none"),
        (lambda: relabel.mixture((0.5, relabel.future()), (0.4, relabel.final())), "they must sum to 1, not 0.9"),
        (lambda: relabel.mixture((0.5, relabel.future()), (0.50001, relabel.final())), "Divide them by their sum"),
        (lambda: relabel.behaviour().given_hindsight(), r"law: got behaviour\(\)"),
        (lambda: relabel.mixture((1.0, relabel.behaviour())).given_hindsight(), "law: got a mixture of behaviour"),
        (lambda: relabel.hindsight(1.0, 0.2).given_hindsight(), "law: got hindsight weights"),
        (lambda: relabel.reward_by_success(None), "success: got None.*env.success"),
        (lambda: _by_success(lambda achieved, goal: achieved[0]), "bool"),
        (lambda: _by_success(lambda achieved, goal: achieved == goal), "jax.vmap"),
    ],
)
def test_a_refusal_names_the_way_out(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_stacked_law_must_be_mapped():
    laws = jax.vmap(relabel.hindsight, (0, None))(jnp.asarray([0.1, 0.2]), 0.2)
    for law in (laws, relabel.Geometric(jnp.asarray([0.5, 0.9]))):
        for call in (lambda law=law: law.sample(KEY, 0, 3), lambda law=law: law.pmf(0, 3, 3)):
            with pytest.raises(ValueError, match=r"jax\.vmap"):
                call()


@pytest.mark.parametrize("name", ["behaviour", "next_state", "episode", "geometric_half", "nested"])
def test_a_traced_step_that_does_not_exist_is_invalid(name):
    law = LAWS[name]()
    t, length = jnp.asarray([3, 5, -1, 0, 0]), jnp.asarray([3, 3, 3, 0, -2])
    look = jax.jit(jax.vmap(lambda a, b: (law.sample(KEY, a, b), law.pmf(a, b, HORIZON))))
    indices, pmfs = look(t, length)
    assert (indices == relabel.INVALID).all()
    assert np.isnan(pmfs).all()
    assert np.isnan(jax.jit(lambda b: law.pmf(0, b, HORIZON))(HORIZON + 1)).all()  # states beyond the table


def test_traced_numbers_that_make_no_law_are_invalid():
    def look(law):
        return law.sample(KEY, 0, 3), law.pmf(0, 3, 3)

    def mixture(weights):
        return look(relabel.mixture((weights[0], relabel.future()), (weights[1], relabel.final())))

    bad_weights = jnp.asarray([[0.0, 0.0], [1.5, -0.5], [jnp.nan, 0.5], [jnp.inf, 0.5]])
    bad_discounts = jnp.asarray([-0.1, 1.1, jnp.nan])
    nested = lambda d: look(relabel.mixture((0.5, relabel.geometric(d)), (0.5, relabel.final())))
    for samples, pmfs in (
        jax.jit(jax.vmap(mixture))(bad_weights),
        jax.jit(jax.vmap(lambda d: look(relabel.geometric(d))))(bad_discounts),
        jax.jit(jax.vmap(nested))(bad_discounts),
    ):
        assert (samples == relabel.INVALID).all()
        assert np.isnan(pmfs).all()
