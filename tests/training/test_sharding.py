"""The members of a population, and their placement on devices and processes."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import training
from hindsight_jax.training import sharding as member_sharding


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


def test_one_process_holds_every_member():
    own, columns = training.local_members({"a": jnp.arange(3.0), "b": jnp.arange(3) + 10})
    assert own == [(0, 0), (1, 1), (2, 2)]
    assert columns["b"].tolist() == [10, 11, 12]
    tree = {"weights": jnp.arange(6.0).reshape(3, 2), "key": jax.random.split(jax.random.key(0), 3)}
    third = training.local_member(tree, 2)
    assert third["weights"].tolist() == [4.0, 5.0]
    np.testing.assert_array_equal(jax.random.key_data(third["key"]), jax.random.key_data(tree["key"][2]))


def test_a_member_that_another_process_holds_is_none():
    shard = SimpleNamespace(index=(slice(0, 2),), data=jnp.arange(2.0))
    array = SimpleNamespace(shape=(4,), ndim=1, addressable_shards=[shard])
    assert training.local_member([array], 1) == [1.0]
    assert training.local_member([array], 3) is None


def test_arrays_and_typed_keys_go_where_they_are_put():
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    keys = jax.random.split(jax.random.key(0), 2)
    np.testing.assert_array_equal(jax.random.key_data(member_sharding.put(keys, sharding)), jax.random.key_data(keys))
    assert member_sharding.put(np.arange(3), sharding).sharding == sharding
