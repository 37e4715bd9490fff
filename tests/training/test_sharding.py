"""The placement of members on devices and processes."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import training
from hindsight_jax.training import sharding as member_sharding


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


def test_without_jit_operations_are_not_mapped_over_devices():
    """Each operation of an eager shard_map would be compiled at every call."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), (member_sharding.AXIS,))
    double = lambda x: 2 * x
    mapped = lambda: member_sharding.shard(mesh, double, member_sharding.EACH, member_sharding.EACH)
    assert mapped() is not double
    with jax.disable_jit():
        assert mapped() is double
