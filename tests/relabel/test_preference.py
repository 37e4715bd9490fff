"""The preference among candidates: which one it chooses, and how often."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import relabel


def _differs(achieved, goal):
    return jnp.any(achieved != goal)


@jax.jit
def _choices(flags, probabilities):
    """20,000 choices for each probability."""

    def choose(probability, key):
        return relabel.prefer(_differs, num_candidates=3, probability=probability).choose(key, flags)

    keys = jax.random.split(jax.random.key(10), 20_000)
    return jax.vmap(lambda p: jax.vmap(lambda key: choose(p, key))(keys))(probabilities)


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=3)))
def test_choose_takes_the_first_changed_candidate_with_its_probability(flags):
    first = flags.index(True) if any(flags) else 0
    choices = np.asarray(_choices(jnp.asarray(flags), jnp.asarray([0.0, 0.7, 1.0])))
    assert (choices[0] == 0).all()
    assert (choices[2] == first).all()
    assert set(choices[1].tolist()) == {0, first}
    if first > 0:
        assert (choices[1] == first).mean() == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / 20_000))


def test_a_preference_is_a_pytree_with_one_leaf():
    preference = relabel.prefer(_differs)
    assert (preference.num_candidates, preference.changed) == (8, _differs)
    assert [float(leaf) for leaf in jax.tree.leaves(preference)] == [pytest.approx(0.7)]
    choice = jax.jit(lambda p, key: p.choose(key, jnp.arange(8) == 5))(preference, jax.random.key(2))
    assert choice.dtype == jnp.int32
    assert int(choice) in (0, 5)
