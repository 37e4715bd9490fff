"""What the tasks draw: scenery that stays, bodies that move, markers of the goal; and bodies of a state at a goal.

Dimension key: P = 24 pixels.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import envs, rendering
from hindsight_jax.envs import door, lunar_lander, registry

P = 24
QUICK = {"four_rooms", "sawyer_reach"}  # parallel rays and a pinhole
MARKS = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.seldom]) for name in registry.OF_PAPERS]


def first_state(env):
    return jax.jit(env.reset)(jax.random.key(1))


def with_goal(state, goal):
    """The state with another goal, in both places."""
    carried = state.pipeline_state.replace(goal=goal)
    return state.replace(pipeline_state=carried, obs={**state.obs, "desired_goal": goal})


@pytest.mark.seldom
@pytest.mark.parametrize("name", registry.OF_PAPERS)
def test_an_image_observation_is_the_picture_without_shadows_and_markers(name):
    """Its colours up to one of 255, and the pixels that a body changes exactly."""
    env = envs.make(name)
    scenery, camera = env.scenery(), env.camera()
    bodies = jax.jit(env.bodies)(first_state(env))
    picture = lambda scene: np.asarray(rendering.to_uint8(rendering.render(scene, camera, P, P, shadows=False)))
    whole, without = picture(rendering.compose(scenery, bodies)), picture(scenery)
    observed = np.asarray(jax.jit(rendering.observer(scenery, camera, P))(bodies))
    unseen = dataclasses.replace(bodies, rgba=jnp.zeros_like(bodies.rgba))
    empty = np.asarray(jax.jit(rendering.observer(scenery, camera, P))(unseen))
    assert np.abs(observed.astype(int) - whole).max() <= 1
    changes = lambda a, b: np.any(np.abs(a.astype(int) - b) > 2, axis=-1)
    np.testing.assert_array_equal(changes(observed, empty), changes(whole, without))
    assert changes(whole, without).any()


@pytest.mark.seldom
@pytest.mark.parametrize("name", MARKS)
def test_bodies_do_not_show_the_goal_and_markers_do(name):
    env = envs.make(name)
    state = first_state(env)
    other = with_goal(state, env.sample_goal(jax.random.key(7)))
    for one, two in zip(jax.tree.leaves(env.bodies(state)), jax.tree.leaves(env.bodies(other)), strict=True):
        np.testing.assert_array_equal(one, two)
    pairs = zip(jax.tree.leaves(env.markers(state)), jax.tree.leaves(env.markers(other)), strict=True)
    assert any(np.any(one != two) for one, two in pairs)
    parts = (env.scenery(), env.bodies(state), *env.markers(state))
    assert env.scene(state).kinds == tuple(kind for part in parts for kind in part.kinds)


@pytest.mark.parametrize(
    "name",
    [
        "four_rooms",
        "flip_bit",
        *(
            pytest.param(name, marks=pytest.mark.seldom)
            for name in ("fetch_reach", "sawyer_reach", "point_mass", "push")
        ),
    ],
)
def test_bodies_at_a_goal_are_those_of_a_state_there(name):
    """A state of these tasks is its achieved goal, but for velocities."""
    env = envs.make(name)
    state = first_state(env)
    got, expected = env.bodies_at(state.obs["achieved_goal"]), env.bodies(state)
    assert got.kinds == expected.kinds
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_reachers_fingertip_is_at_the_goal_or_as_near_as_can_be():
    env = envs.make("reacher")
    tip = jax.jit(lambda goal: env.bodies_at(goal).position[-1, :2])
    for goal in ([0.1, 0.11], [-0.15, 0.05], [0.0, -0.2], [0.21, 0.0]):
        np.testing.assert_allclose(tip(jnp.array(goal)), goal, atol=1e-3)
    np.testing.assert_allclose(tip(jnp.array([0.0, 0.5])), [0.0, 0.21], atol=1e-5)  # stretched


@pytest.mark.seldom
def test_doors_panel_and_claws_valve_turn_to_the_goal():
    env = envs.make("door")
    shut, ajar = (env.bodies_at(jnp.array([angle])) for angle in (0.0, 0.5))
    turned = np.any(np.asarray(shut.rotation) != np.asarray(ajar.rotation), axis=(1, 2))
    assert 0 < turned.sum() < len(turned)  # not the hand, which starts where it starts
    assert any(
        np.allclose(ajar.rotation[i], rendering.yaw(0.5) @ shut.rotation[i], atol=1e-5) for i in turned.nonzero()[0]
    )
    assert door.START[0][2] >= door.CLEAR
    env = envs.make("claw")
    zero, quarter = (env.bodies_at(jnp.array(goal)) for goal in ([1.0, 0.0], [0.0, 1.0]))
    moved = np.any(np.asarray(zero.rotation) != np.asarray(quarter.rotation), axis=(1, 2))
    assert 0 < moved.sum() < len(moved)


@pytest.mark.seldom
def test_the_lander_at_a_goal_has_its_place_and_angle():
    env = envs.make("lunar_lander")
    goal = jnp.array([0.3, 0.2, 0.4, 0.0, 0.0])
    root = jax.jit(env.reset)(jax.random.key(0)).pipeline_state.physics
    for angle in (0.0, 0.4):
        got = env.bodies_at(goal.at[2].set(angle))
        turn = jnp.array([jnp.sin(angle), -jnp.cos(angle)]) * lunar_lander.CENTRE
        centre = jnp.array([3.0, 0.2 * lunar_lander.SCALE[1] + lunar_lander.REST]) - turn
        qpos = jnp.concatenate([centre, jnp.array([angle]), jnp.full(2, lunar_lander.LEGS_OUT)])
        seen = env.observe(root._replace(physics=env.engine.start(qpos)))
        np.testing.assert_allclose(env.achieved_goal(seen)[:3], goal.at[2].set(angle)[:3], atol=1e-6)
        np.testing.assert_allclose(got.position, env.engine.bodies(qpos).position, atol=1e-6)


def test_a_task_that_draws_nothing_says_what_to_write():
    class Undrawn(envs.PureTask):
        achieved_goal = distance = sample_goal = reset = step = lambda self, *_: None

    task = Undrawn()
    with pytest.raises(NotImplementedError, match=r"Undrawn draws no scene\. Write bodies\(state\)"):
        task.bodies(None)
    with pytest.raises(NotImplementedError, match=r"Undrawn draws no state for a goal\. Write bodies_at\(goal\)"):
        task.bodies_at(jnp.zeros(2))
    assert task.scenery() is None
    assert task.markers(None) == ()
