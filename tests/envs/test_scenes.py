"""Pictures of every physics task against C MuJoCo: its rays (`mj_ray`), and its own renderer where there is GL.

The camera is the task's. Our picture is drawn with one colour a geom, which survives any shade, so that the picture
itself says which geom each pixel shows; mj_ray says the same of the same ray, and MuJoCo's renderer of the same pixel.

Dimension key: W pixels of a picture's side, N geoms shown, V degrees of freedom.
"""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import physics_contract
import pytest

from hindsight_jax import envs, rendering
from hindsight_jax.envs import registry
from hindsight_jax.rendering import picture

IN_PLAIN_JAX = {"flip_bit", "grid_four_rooms", "navigation"}
TASKS = sorted(set(registry.OF_PAPERS) - IN_PLAIN_JAX)
QUICK = {"four_rooms", "door"}  # parallel rays and a pinhole; plane, sphere, capsules and boxes
SIDE, POSES = 128, 3
GL_SIDE = 256  # rasterisers and rays disagree on edges: these must be few pixels beside those of a thin link
UP = (0.0, 0.0, 1.0)
FEW = 40  # pixels; a smaller silhouette is not compared by its overlap


def parameters():
    return [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.seldom]) for name in TASKS]


class View:
    """A task in a few poses: what we draw, and what C MuJoCo says of the same."""

    def __init__(self, name):
        self.env = envs.make(name)
        self.model, self.camera = self.env.engine.model, self.env.camera()
        self.shown = np.flatnonzero(self.model.geom_rgba[:, 3] > 0)  # the geoms of Engine.scene, in its order
        self.state = jax.jit(self.env.reset)(jax.random.key(0))
        self.poses = self.draw_poses()
        scene = jax.jit(self.env.engine.scene)
        self.scenes = [scene(jnp.asarray(qpos, jnp.float32)) for qpos in self.poses]

    def draw_poses(self):
        """f64[POSES, V]: limited joints anywhere, the others up to 0.1 m or rad from the start."""
        start = np.asarray(physics_contract.engine_state(self.state).qpos, np.float64)
        limited, (low, high) = self.model.jnt_limited.astype(bool), self.model.jnt_range.T
        rng = np.random.default_rng(0)
        low, high = np.where(limited, low, start - 0.1), np.where(limited, high, start + 0.1)
        return rng.uniform(low, high, (POSES, self.model.nv))

    def moving(self):
        """Indices into `shown` of the geoms that no weld ties to the world."""
        return np.flatnonzero(self.model.body_weldid[self.model.geom_bodyid[self.shown]] != 0)

    def drawn(self, scene, side=SIDE):
        """i32[side, side]: which of the N geoms our picture shows, -1 for the background."""
        angle = jnp.linspace(0.0, jnp.pi / 2, len(self.shown))
        code = jnp.stack([jnp.cos(angle) / 2, jnp.sin(angle) / 2, 0 * angle, 0 * angle + 1], axis=1)
        coded = rendering.Scene(scene.kinds, scene.position, scene.rotation, scene.size, code)
        image = rendering.render(coded, self.camera, side, side, antialias=1, background=np.zeros((2, 3)))
        red, green = np.asarray(image[..., 0]), np.asarray(image[..., 1])
        index = np.round(np.arctan2(green, red) / (np.pi / 2) * (len(self.shown) - 1)).astype(int)
        return np.where(red + green > 0, index, -1)

    def rays(self):
        """The picture's rays, f64[W, W, 3] twice: origin and direction."""
        full = lambda x: np.stack([np.broadcast_to(np.asarray(k, np.float64), (SIDE, SIDE)) for k in x], axis=-1)
        origin, direction = picture.rays(self.camera, SIDE, SIDE, jnp.zeros(2))
        return full(origin), full(direction)

    @functools.cached_property
    def nearest(self):
        """A scene -> f32[W, W]: how far our rays go to the nearest geom, `shapes.FAR` for none."""

        def nearest(scene):
            rays, light, nothing = picture.rays(self.camera, SIDE, SIDE, jnp.zeros(2)), jnp.array(UP), jnp.zeros(3)
            backdrop = tuple(jnp.zeros((SIDE, SIDE)) + k for k in nothing)
            return picture.nearest(picture.by_kind(scene), *rays, light, backdrop)[0][0]

        return jax.jit(nearest)

    def in_c(self, qpos):
        """What mj_ray says of the same rays: (i32[W, W] geom or -1, f64[W, W] distance)."""
        data = mujoco.MjData(self.model)
        data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, data)
        index, distance = np.full(SIDE * SIDE, -1), np.zeros(SIDE * SIDE)
        found = np.zeros(1, np.int32)
        for i, (origin, direction) in enumerate(zip(*(x.reshape(-1, 3) for x in self.rays()), strict=True)):
            distance[i] = mujoco.mj_ray(self.model, data, origin, direction, None, True, -1, found)
            index[i] = found[0]
        return self.as_shown(index).reshape(SIDE, SIDE), distance.reshape(SIDE, SIDE)

    def as_shown(self, geoms):
        """Ids of the model as indices into `shown`; -1 stays."""
        place = np.full(self.model.ngeom + 1, -2)  # a geom that is hidden would be an error, and matches nothing
        place[self.shown], place[-1] = np.arange(len(self.shown)), -1
        return place[geoms]


# Draws, in a process of its own: GL is chosen once, on import, and this one has none.
GL_SCRIPT = """
import sys
import mujoco, numpy as np

given = np.load(sys.argv[1])
model = mujoco.MjModel.from_binary_path(sys.argv[2])
data, side, pictures = mujoco.MjData(model), int(given["side"]), []
with mujoco.Renderer(model, side, side) as renderer:
    renderer.enable_segmentation_rendering()
    for qpos in given["poses"]:
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        renderer.update_scene(data)
        near = 0.01
        half = float(given["extent"]) * (near if given["perspective"] else 1.0)
        for eye in renderer.scene.camera:
            eye.pos, eye.forward, eye.up = given["position"], given["rotation"][:, 2], given["rotation"][:, 1]
            eye.frustum_near, eye.frustum_far, eye.orthographic = near, 100.0, int(not given["perspective"])
            eye.frustum_bottom, eye.frustum_top, eye.frustum_center, eye.frustum_width = -half, half, 0.0, 0.0
        identity, kind = np.moveaxis(renderer.render(), -1, 0)
        pictures.append(np.where(kind == int(mujoco.mjtObj.mjOBJ_GEOM), identity, -1))
np.save(sys.argv[3], np.stack(pictures))
"""


def python(script, backend, *arguments):
    """That script with that MUJOCO_GL."""
    environment = os.environ | {"MUJOCO_GL": backend}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)


@pytest.fixture(scope="module")
def gl():
    """A value of MUJOCO_GL with which MuJoCo draws here without a display."""
    reasons = []
    for backend in ("egl", "osmesa"):
        done = python("import mujoco; mujoco.GLContext(8, 8).make_current()", backend)
        if done.returncode == 0:
            return backend
        reasons.append(f"{backend}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    pytest.skip("no GL: " + "; ".join(reasons))


@pytest.fixture(scope="module")
def view():
    """name -> View, made once each."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = View(name)
        return made[name]

    return get


def overlap(one, other):
    """Intersection over union of two silhouettes, bool[W, W]."""
    return (one & other).sum() / (one | other).sum()


def compare_moving(view, ours, theirs):
    """The silhouette of all moving geoms together, which is seen."""
    ours, theirs = (np.isin(image, view.moving()) for image in (ours, theirs))
    assert theirs.sum() >= FEW
    assert overlap(ours, theirs) >= 0.97


@pytest.mark.seldom
@pytest.mark.parametrize("name", parameters())
def test_every_ray_meets_what_it_meets_in_c_mujoco(name, view):
    view = view(name)
    for qpos, scene in zip(view.poses, view.scenes, strict=True):
        ours, (theirs, distance) = view.drawn(scene), view.in_c(qpos)
        compare_moving(view, ours, theirs)
        for geom in view.moving():
            if (theirs == geom).sum() >= FEW:
                assert overlap(ours == geom, theirs == geom) >= 0.97, view.model.geom(view.shown[geom]).name
        agree = ours == theirs
        assert agree.mean() > 0.995
        hit = agree & (theirs >= 0)
        np.testing.assert_allclose(np.asarray(view.nearest(scene))[hit], distance[hit], atol=1e-3)


@pytest.mark.seldom
@pytest.mark.parametrize("name", parameters())
def test_another_goal_is_another_picture(name, view):
    """The translucent marker is in view: where the goal changes, and nothing else, some pixels do."""
    view = view(name)
    goals = jax.jit(jax.vmap(view.env.sample_goal))(jax.random.split(jax.random.key(1), 8))

    @jax.jit
    def photo(goal):
        now = view.state.pipeline_state.replace(goal=goal)
        state = view.state.replace(pipeline_state=now, obs={**view.state.obs, "desired_goal": goal})
        scene = view.env.scene(state)
        return rendering.render(scene, view.camera, SIDE, SIDE, antialias=1), scene.rgba

    pictures, colours = zip(*map(photo, goals), strict=True)
    assert all(np.any(np.asarray(rgba)[:, 3] < 1.0) for rgba in colours)
    changed = [np.abs(np.asarray(one) - np.asarray(pictures[0])).max(axis=-1) > 0.02 for one in pictures[1:]]
    assert np.median([pixels.sum() for pixels in changed]) >= FEW


@pytest.mark.seldom  # a process of its own for each task
@pytest.mark.parametrize("name", TASKS)
def test_every_silhouette_is_that_of_mujocos_own_picture(name, view, gl, tmp_path):
    view = view(name)
    mujoco.mj_saveModel(view.model, str(tmp_path / "model.mjb"))
    looks = {key: np.asarray(getattr(view.camera, key)) for key in ("perspective", "position", "rotation", "extent")}
    np.savez(tmp_path / "given.npz", side=GL_SIDE, poses=view.poses, **looks)
    done = python(GL_SCRIPT, gl, *(tmp_path / file for file in ("given.npz", "model.mjb", "pictures.npy")))
    assert done.returncode == 0, done.stderr
    for scene, theirs in zip(view.scenes, np.load(tmp_path / "pictures.npy"), strict=True):
        ours, theirs = view.drawn(scene, GL_SIDE), view.as_shown(theirs)
        compare_moving(view, ours, theirs)
        assert (ours == theirs).mean() > 0.97  # links that lie in one another show either
