"""The members of a population: settings times seeds."""

import jax
import numpy as np

from hindsight_jax import training


def test_members_are_settings_times_seeds_and_settings_of_a_seed_share_its_key():
    found = training.members([3, 4], [{"agent.gamma": 0.5}, {"agent.gamma": 0.9}, {"agent.gamma": 1.0}])
    assert found.seeds == (3, 4, 3, 4, 3, 4)
    assert [setting["agent.gamma"] for setting in found.settings] == [0.5, 0.5, 0.9, 0.9, 1.0, 1.0]
    data = np.asarray(jax.random.key_data(found.keys()))
    assert [row.tolist() for row in data[:2]] == [jax.random.key_data(jax.random.key(s)).tolist() for s in (3, 4)]
    np.testing.assert_array_equal(data[:2], data[2:4])
    np.testing.assert_array_equal(
        found.overrides(["agent.gamma"])["agent.gamma"], np.float32([0.5, 0.5, 0.9, 0.9, 1, 1])
    )
    assert training.members([7]).overrides([]) == {}


def test_seeds_alone_have_the_keys_of_member_keys():
    ours, theirs = training.members(range(5, 8)).keys(), training.member_keys(5, 3)
    np.testing.assert_array_equal(jax.random.key_data(ours), jax.random.key_data(theirs))


def test_keys_are_threefry_s_whatever_generator_is_jax_s_default():
    usual = training.members([3, 4]).keys()
    with jax.default_prng_impl("rbg"), jax.enable_x64(True):
        found = training.members([3, 4]).keys()
        below = training.member_keys(-2, 2)
    assert found.dtype == usual.dtype
    np.testing.assert_array_equal(jax.random.key_data(found), jax.random.key_data(usual))
    np.testing.assert_array_equal(jax.random.key_data(below), jax.random.key_data(training.member_keys(-2, 2)))
