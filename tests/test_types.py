"""Action sets: shapes, dtypes and laws of their samples; and that a spec is static."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hindsight_jax import types

NUM = 20_000


def draws(action):
    """[NUM, D]"""
    return np.asarray(jax.vmap(action.sample)(jax.random.split(jax.random.key(7), NUM)))


@pytest.mark.parametrize(
    ("action", "dtype"),
    [(types.Discrete(1, 9), jnp.int32), (types.Discrete(9, 3), jnp.int32), (types.Box(2), jnp.float32)],
)
def test_shapes_and_dtypes(action, dtype):
    sample = jax.eval_shape(action.sample, jax.random.key(0))
    assert (sample.shape, sample.dtype) == ((action.num_dims,), dtype)


@pytest.mark.parametrize("action", [types.Discrete(1, 9), types.Discrete(2, 3)])
def test_discrete_samples_are_uniform_and_their_dimensions_independent(action):
    digits = draws(action)
    assert digits.min() == 0
    assert digits.max() == action.num_bins - 1
    joint = digits @ action.num_bins ** np.arange(action.num_dims)
    counts = np.bincount(joint, minlength=action.num_bins**action.num_dims)
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


def test_box_samples_are_uniform_on_the_whole_range_and_their_dimensions_independent():
    samples = draws(types.Box(2))
    assert np.all(np.abs(samples) <= 1.0)
    for column in samples.T:
        assert scipy.stats.kstest(column, "uniform", (-1.0, 2.0)).pvalue > 1e-4
    cells = np.histogram2d(*samples.T, bins=4, range=[(-1, 1), (-1, 1)])[0]
    assert scipy.stats.chisquare(cells.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("action", [types.Discrete(3, 5), types.Box(3)])
def test_a_sample_is_a_function_of_its_key(action):
    first, again, other = (np.asarray(action.sample(jax.random.key(seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_one_bin_is_no_choice():
    assert types.Discrete(2, 1).sample(jax.random.key(0)).tolist() == [0, 0]


def test_specs_are_static_and_equal_by_value():
    """They may be static arguments of jax.jit: hashable, and the same spec does not compile anew."""

    def spec(action):
        box = types.Range((-1.0,), (1.0,))
        return types.EnvSpec((1,), (1,), action, 50, 0.05, False, box, box)

    assert hash(spec(types.Discrete(1, 9))) == hash(spec(types.Discrete(1, 9)))
    assert spec(types.Discrete(1, 9)) == spec(types.Discrete(1, 9)) != spec(types.Box(1))


def test_fields_stand_in_the_order_of_the_contract():
    """Tuples by position would otherwise change their meaning silently."""
    assert types.Trajectory._fields == (
        "observation", "achieved_goal", "action", "desired_goal", "length", "terminal", "goal_image",
    )  # fmt: skip
    assert types.Transition._fields == (
        "observation", "action", "next_observation", "goal", "achieved_goal", "next_achieved_goal", "reward",
        "discount", "is_next", "relabelled", "offset", "start_reward", "goal_image",
    )  # fmt: skip
