"""Tasks are pickled and copied: those of an engine, seen as images, wrapped, used before or not, and a user's own."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest

from hindsight_jax import envs

BALL = """
<mujoco>
  <option timestep="0.02"/>
  <worldbody><body><joint name="x" type="slide" axis="1 0 0"/><geom size="0.1" contype="0" conaffinity="0"/></body>
  </worldbody>
  <actuator><motor joint="x"/></actuator>
</mujoco>
"""
TASKS = {
    "pure": lambda: envs.make("grid_four_rooms", slip=0.1),
    "of images": lambda: envs.make("navigation", size=2, pixels=36, goals="image"),
    "that resets itself": lambda: envs.AutoReset(envs.make("flip_bit", size=3), horizon=2),
    "a user's own": lambda: probes.Disguised(horizon=3),
}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda task: pickle.loads(pickle.dumps(task))])
@pytest.mark.parametrize("kind", TASKS)
def test_a_copy_of_a_task_is_the_task(kind, duplicate):
    """Before it has computed, and after."""
    task = TASKS[kind]()
    for _ in range(2):
        again = duplicate(task)
        one, two = (jax.jit(made.reset)(jax.random.key(4)) for made in (task, again))
        jax.tree.map(np.testing.assert_array_equal, one.obs, two.obs)
        assert jax.tree.structure(one) == jax.tree.structure(two)


@pytest.mark.seldom
def test_a_copy_of_an_engine_moves_as_it_does_without_the_file_of_its_model(tmp_path):
    path = tmp_path / "ball.xml"
    path.write_text(BALL)
    for engine in (envs.Engine(path), envs.Engine(BALL)):
        again = pickle.loads(pickle.dumps(engine))
        path.unlink(missing_ok=True)
        moved = [made.substeps(made.start(jnp.zeros(1)), jnp.ones((3, 1))).qpos.item() for made in (engine, again)]
        assert moved[0] == moved[1] > 0.0


def test_a_physics_task_is_pickled_with_its_overrides():
    task = envs.make("point_mass", horizon=7, start=((0.1, 0.1), (0.2, 0.2)))
    again = pickle.loads(pickle.dumps(envs.ImageEnv(task, 36)))
    assert again.spec.horizon == 7
    seen = jax.jit(again.task.reset)(jax.random.key(0))
    np.testing.assert_array_equal(seen.obs["observation"], jax.jit(task.reset)(jax.random.key(0)).obs["observation"])


@pytest.mark.seldom
def test_what_an_engine_makes_late_may_be_made_on_the_mesh_of_a_population():
    """And then serves everywhere: it does not belong to that mesh."""
    task = pickle.loads(pickle.dumps(envs.make("point_mass")))  # whose engine has made nothing yet
    idle = jnp.zeros(2)
    play = jax.vmap(lambda key: task.step(task.reset(key), idle).obs["observation"])
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("members",))
    each = jax.sharding.PartitionSpec("members")
    keys = jax.device_put(jax.random.split(jax.random.key(0), 2), jax.sharding.NamedSharding(mesh, each))
    mapped = jax.jit(jax.shard_map(play, mesh=mesh, in_specs=each, out_specs=each, check_vma=False))(keys)
    np.testing.assert_array_equal(mapped, jax.jit(play)(keys))
