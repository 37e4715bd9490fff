"""The engine on a model whose law is known; its scenes; action sets and straight lines."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from hindsight_jax import rendering, types
from hindsight_jax.envs import action_sets, physics

# A cart of 2 kg that is pushed in newtons, and a free pointer on a hinge; no gravity. Two geoms, one of them hidden.
CART = """
<mujoco>
  <option timestep="0.1" gravity="0 0 0"/>
  <default><geom contype="0" conaffinity="0"/></default>
  <worldbody>
    <body pos="0 0 1">
      <joint name="x" type="slide" axis="1 0 0"/>
      <geom type="box" size="0.2 0.1 0.05" mass="2" rgba="0.1 0.2 0.3 1"/>
      <geom type="sphere" size="0.1" mass="0" rgba="1 0 0 0"/>
    </body>
    <body pos="0 1 0">
      <joint name="turn" type="hinge" axis="0 0 1"/>
      <geom type="capsule" fromto="0 0 0 0.4 0 0" size="0.02" mass="1" rgba="0.9 0.8 0.7 0.5"/>
    </body>
  </worldbody>
  <actuator><motor joint="x"/></actuator>
</mujoco>
"""


@pytest.fixture(scope="module")
def engine():
    return physics.Engine(CART)


def test_a_state_starts_at_rest_or_with_given_velocities(engine):
    qpos, qvel = np.array([0.5, -1.0]), np.array([2.0, 3.0])
    rest, moving = engine.start(qpos), engine.start(qpos, qvel)
    for state, speed in ((rest, np.zeros(2)), (moving, qvel)):
        for part, expected in zip(state, (qpos, speed, np.zeros(2)), strict=True):
            np.testing.assert_array_equal(part, expected)
            assert part.dtype == jnp.float32


def test_substeps_follow_the_closed_form_with_a_control_for_each(engine):
    """v <- v + h u / m, then x <- x + h v, with h = 0.1 s and m = 2 kg: forces 2, 0, -4 from rest give v 0.1, 0.1, -0.1
    and x 0.01, 0.02, 0.01. The pointer turns on at 3 rad/s: 0.9 rad. And the engine alone may promote ranks."""
    after = jax.jit(engine.substeps)(
        engine.start(jnp.array([0.0, 0.0]), jnp.array([0.0, 3.0])), np.array([[2.0], [0.0], [-4.0]])
    )
    np.testing.assert_allclose(after.qpos, [0.01, 0.9], atol=1e-7)
    np.testing.assert_allclose(after.qvel, [-0.1, 3.0], atol=1e-6)
    np.testing.assert_allclose(after.warmstart, [-2.0, 0.0], atol=1e-6)  # the last acceleration, u / m
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.zeros((2, 2)) + jnp.zeros(2)


def test_a_model_is_a_text_a_path_or_an_asset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cart.xml", "push.xml"):
        (tmp_path / name).write_text(CART)
    assert mujoco.mj_id2name(physics.load(f"\n{CART}"), mujoco.mjtObj.mjOBJ_JOINT, 0) == "x"
    for path in (tmp_path / "cart.xml", str(tmp_path / "cart.xml"), "cart.xml", "./push.xml"):
        assert physics.load(path).ngeom == 3
    assert physics.load("push.xml").nu == 2  # the package's, which has two actuators: a bare name is an asset first


# What a model must not be -> what the message says, besides the model itself.
STATEFUL = '<general joint="x" dyntype="filter" dynprm="1"/>', '<position joint="x" timeconst="0.1"/>'
DELAYED = '<motor joint="x" delay="0.1" nsample="2"/>'
REFUSED = {
    "no such file": ("no_such_model.xml", "'no_such_model.xml', but .* a path, or one of claw.xml, .*has no such file"),
    "a directory": (".", "a path, or one of"),
    "no name": ("", "a path, or one of"),
    "a text that is not XML": ("mujoco " * 1000, "it must be XML that starts with '<'"),
    "no string": (3, "must be a string or a path"),
    "broken XML": ("<mujoco>", "MuJoCo must be able to read it. Correct the XML: XML parse error"),
    "wrong XML": (CART.replace('mass="2"', 'mass="-2"'), "Correct the XML: .*mass"),
    "what MJX lacks": (CART.replace("<option", '<option integrator="implicit"'), "MJX must support it.*IMPLICIT"),
} | {
    f"an actuator with a state, {i}": (CART.replace('<motor joint="x"/>', actuator), "must be stateless.*Remove")
    for i, actuator in enumerate((*STATEFUL, DELAYED))
}


@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_another_model_is_refused_with_the_reason(model, message):
    with pytest.raises(ValueError, match=f"^model: got .*{message}") as error:
        physics.Engine(model)
    assert len(str(error.value)) < 500


def test_wrong_shapes_are_refused_before_mjx_broadcasts_them(engine):
    start = engine.start(jnp.zeros(2))
    for bad in (jnp.zeros(1), jnp.zeros(3), jnp.zeros((1, 2)), jnp.zeros(())):
        with pytest.raises(ValueError, match=r"^qpos: got float32.*its shape must be \[2\]"):
            engine.start(bad)
        with pytest.raises(ValueError, match=r"^qvel: got float32.*its shape must be \[2\]"):
            engine.start(jnp.zeros(2), bad)
    for bad in (jnp.zeros(1), jnp.zeros((4, 2)), jnp.zeros((4, 0)), jnp.zeros((4, 1, 1))):
        with pytest.raises(ValueError, match=r"^controls: got float32"):
            engine.substeps(start, bad)


# A box that tumbles in the air, and a ball joint: 7 + 4 positions, 6 + 3 velocities.
FREE = """
<mujoco>
  <option timestep="0.002"/>
  <default><geom contype="0" conaffinity="0"/></default>
  <worldbody>
    <geom type="plane" size="0 0 1"/>
    <body pos="0 0 2"><freejoint/><geom type="box" size="0.2 0.1 0.05"/></body>
    <body pos="3 0 2"><joint type="ball"/><geom type="capsule" fromto="0 0 0 0.4 0 0" size="0.02"/></body>
    <body pos="6 0 2"><geom type="ellipsoid" size="0.2 0.1 0.3"/></body>
  </worldbody>
</mujoco>
"""


def test_free_and_ball_joints_follow_c_mujoco():
    """0.4 s of a throw, which falls 0.8 m; the quaternions stay of unit length."""
    engine = physics.Engine(FREE)
    model, num_substeps = engine.model, 200
    assert (model.nq, model.nv, model.nu) == (11, 9, 0)
    speed = np.array([1.0, -0.5, 0.0, 3.0, 2.0, 1.0, 0.5, 1.0, 2.0])
    data = mujoco.MjData(model)
    data.qvel[:] = speed
    mujoco.mj_step(model, data, num_substeps)
    mujoco.mj_kinematics(model, data)
    start = engine.start(model.qpos0, speed)
    after = jax.jit(engine.substeps)(start, jnp.zeros((num_substeps, 0)))
    np.testing.assert_allclose(after.qpos, data.qpos, atol=2e-3)
    assert after.qpos[2] < 1.3
    for quaternion in (after.qpos[3:7], after.qpos[7:]):
        np.testing.assert_allclose(jnp.linalg.norm(quaternion), 1.0, atol=1e-5)
    scene = jax.jit(engine.scene)(after.qpos)
    assert scene.kinds == (rendering.PLANE, rendering.BOX, rendering.CAPSULE)  # an ellipsoid is not drawn
    np.testing.assert_allclose(scene.position[1], data.geom_xpos[1], atol=2e-3)


def test_the_scene_has_the_visible_geoms_where_c_mujoco_has_them(engine):
    draw = jax.jit(jax.vmap(engine.scene))
    qpos = np.random.default_rng(0).uniform(-2.0, 2.0, (8, 2))
    scenes = draw(qpos.astype(np.float32))
    assert scenes.kinds == (rendering.BOX, rendering.CAPSULE)  # the sphere of alpha 0 is left out
    np.testing.assert_allclose(scenes.rgba[3], [(0.1, 0.2, 0.3, 1.0), (0.9, 0.8, 0.7, 0.5)])
    np.testing.assert_allclose(scenes.size[3], [(0.2, 0.1, 0.05), (0.02, 0.2, 0.0)], atol=1e-7)
    data = mujoco.MjData(engine.model)
    for i, position in enumerate(qpos):
        data.qpos[:] = position
        mujoco.mj_kinematics(engine.model, data)
        np.testing.assert_allclose(scenes.position[i], data.geom_xpos[[0, 2]], atol=1e-6)
        np.testing.assert_allclose(scenes.rotation[i], data.geom_xmat[[0, 2]].reshape(2, 3, 3), atol=1e-6)


@pytest.mark.parametrize("bins", [2, 3, 5])
@pytest.mark.parametrize("num_moves", [1, 2, 3])
def test_action_sets_count_their_actions(bins, num_moves):
    assert action_sets.action_set("discrete", bins, num_moves) == types.Discrete(1, bins**num_moves)
    assert action_sets.action_set("discrete", bins, num_moves, factorised=True) == types.Discrete(num_moves, bins)
    assert action_sets.action_set("continuous", bins, num_moves) == types.Box(num_moves)


@pytest.mark.parametrize("bins", [0, 1, -3, 102, 2.0, True, None, "3", float("nan")])
@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_bins_must_be_a_count_of_two_or_more(bins, actions):
    with pytest.raises(ValueError, match=r"^bins: got .*, but it must be an integer in \[2, 101\]\. "):
        action_sets.action_set(actions, bins, 2)


@pytest.mark.parametrize("actions", ["Discrete", "", None, 3, ["continuous"]])
def test_action_sets_have_two_names(actions):
    with pytest.raises(ValueError, match=r"^actions: got .*, but it must be one of 'discrete', 'continuous'\. "):
        action_sets.action_set(actions, 3, 2)


@pytest.mark.parametrize("num_substeps", [1, 2, 7])
def test_a_straight_line_ends_at_its_end_at_a_constant_speed(num_substeps):
    start, end = np.array([0.1, -0.5, 2.0], np.float32), np.array([0.4, -0.5, -1.0], np.float32)
    path = physics.straight(jnp.array(start), jnp.array(end), num_substeps)
    assert path.shape == (num_substeps, 3)
    np.testing.assert_allclose(path[-1], end, atol=1e-6)
    strides = np.diff(np.concatenate([start[None], path]), axis=0)
    np.testing.assert_allclose(strides, np.tile((end - start) / num_substeps, (num_substeps, 1)), atol=1e-6)
