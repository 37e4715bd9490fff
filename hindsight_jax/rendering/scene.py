"""Scenes of primitives, and cameras. Every argument but a kind may be traced.

Dimension key: N primitives. A vector may be an array or a sequence of numbers; it becomes f32.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, numerics

# The kinds have MuJoCo's numbers (mjtGeom), so a model's `geom_type` serves as `Scene.kinds`.
PLANE, SPHERE, CAPSULE, CYLINDER, BOX = 0, 2, 3, 5, 6

MARKER = (0.20, 0.65, 0.30, 0.4)  # the colour of a goal's marker
_TINY = 1e-9

Scalar = jax.typing.ArrayLike  # []
Vector = jax.typing.ArrayLike | Sequence  # [2], [3] or [4]; a rotation is [3, 3]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["position", "rotation", "size", "rgba"], meta_fields=["kinds"]
)
@dataclasses.dataclass(frozen=True)
class Scene:
    """N primitives. A pytree: the arrays are leaves, the kinds are static, so each runs the formula of its kind only.

    >>> scene = compose(plane([0, 0, 0], [1, 1, 1, 1]), sphere([0, 0, 1], 0.5, [1, 0, 0, 1]))
    >>> scene.kinds == (PLANE, SPHERE), scene.size.shape
    (True, (2, 3))
    """

    kinds: tuple[int, ...]  # N of PLANE, SPHERE, CAPSULE, CYLINDER, BOX
    position: jax.Array  # f32[N, 3], centre
    rotation: jax.Array  # f32[N, 3, 3], its columns are the local axes in the world
    size: jax.Array  # f32[N, 3], by kind: see the constructors
    rgba: jax.Array  # f32[N, 4], in [0, 1]; alpha < 1 is translucent and casts no shadow


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["position", "rotation", "extent"], meta_fields=["perspective"]
)
@dataclasses.dataclass(frozen=True)
class Camera:
    """A point of view, made by `orthographic` or `pinhole`."""

    perspective: bool  # rays from one point (pinhole) rather than parallel rays (orthographic); static
    position: jax.Array  # f32[3]; a primitive behind it is not drawn
    rotation: jax.Array  # f32[3, 3], columns: right, up and forward of the picture
    extent: jax.Array  # f32[], half of the picture's height: in metres, or as a tangent if perspective


def sphere(position: Vector, radius: Scalar, rgba: Vector) -> Scene:
    """A sphere of size (radius, 0, 0) at position [3], coloured rgba [4].

    This and every constructor raises ValueError for wrong shapes, negative sizes and colours outside [0, 1].

    >>> sphere([0, 0, 0], 0.5, [1, 0, 0, 1]).size.tolist()
    [[0.5, 0.0, 0.0]]
    """
    return _primitive(SPHERE, position, (radius, 0.0, 0.0), rgba, None)


def capsule(
    position: Vector, radius: Scalar, half_length: Scalar, rgba: Vector, rotation: Vector | None = None
) -> Scene:
    """A cylinder along local z with round ends centred at z = ±half_length, size (radius, half_length, 0).

    >>> capsule([0, 0, 0], 0.25, 0.5, [1, 0, 0, 1]).size.tolist()
    [[0.25, 0.5, 0.0]]
    """
    return _primitive(CAPSULE, position, (radius, half_length, 0.0), rgba, rotation)


def capsule_between(a: Vector, b: Vector, radius: Scalar, rgba: Vector) -> Scene:
    """A capsule whose round ends are centred at the points a [3] and b [3]; a ball if they are one point.

    >>> capsule_between([0, 0, 0], [0, 2, 0], 0.25, [1, 0, 0, 1]).size.tolist()
    [[0.25, 1.0, 0.0]]
    """
    a, b = as_array("a", a, (3,)), as_array("b", b, (3,))
    return capsule((a + b) / 2, radius, jnp.linalg.norm(b - a) / 2, rgba, frame(unit(b - a)))


def cylinder(
    position: Vector, radius: Scalar, half_height: Scalar, rgba: Vector, rotation: Vector | None = None
) -> Scene:
    """A cylinder along local z with flat ends, size (radius, half_height, 0).

    >>> cylinder([0, 0, 0], 0.5, 0.25, [1, 0, 0, 1]).size.tolist()
    [[0.5, 0.25, 0.0]]
    """
    return _primitive(CYLINDER, position, (radius, half_height, 0.0), rgba, rotation)


def box(position: Vector, half_extents: Vector, rgba: Vector, rotation: Vector | None = None) -> Scene:
    """A box, size half_extents [3] along its local axes.

    >>> box([0, 0, 0], [1, 2, 3], [1, 0, 0, 1], rotation=yaw(0.5)).size.tolist()
    [[1.0, 2.0, 3.0]]
    """
    return _primitive(BOX, position, tuple(as_array("half_extents", half_extents, (3,))), rgba, rotation)


def plane(position: Vector, rgba: Vector, half_extents: Vector = (0.0, 0.0), rotation: Vector | None = None) -> Scene:
    """The plane z = 0 of its local frame, seen from both sides; half_extents [2] along local x and y, 0 for endless.

    >>> plane([0, 0, 0], [1, 1, 1, 1], half_extents=[2, 1]).size.tolist()
    [[2.0, 1.0, 0.0]]
    """
    return _primitive(PLANE, position, (*as_array("half_extents", half_extents, (2,)), 0.0), rgba, rotation)


@numerics.steady
def compose(*scenes: Scene) -> Scene:
    """Joins scenes into one. A constructor's primitive is a scene of one, so compositions nest.

    >>> ball = sphere([0, 0, 1], 0.5, [1, 0, 0, 1])
    >>> compose(ball, compose(ball, ball)).kinds
    (2, 2, 2)
    """
    if not scenes:
        checks.fail("scenes", "none", "a scene needs at least one primitive", "Add a plane for the ground.")
    for i, scene in enumerate(scenes):
        if not isinstance(scene, Scene):
            remedy = "Make it with a constructor such as rendering.sphere; unpack a list with *."
            checks.fail(f"scenes[{i}]", checks.describe(scene), "it must be a Scene", remedy)
    kinds = tuple(kind for scene in scenes for kind in scene.kinds)
    arrays = ("position", "rotation", "size", "rgba")
    return Scene(kinds, **{name: jnp.concatenate([getattr(scene, name) for scene in scenes]) for name in arrays})


@numerics.steady
def yaw(angle: Scalar) -> jax.Array:
    """The rotation f32[3, 3] by `angle` (radians, counter-clockwise seen from above) about the world's z.

    >>> jnp.round(yaw(jnp.pi / 2) @ jnp.array([1.0, 2.0, 3.0])).tolist()
    [-2.0, 1.0, 3.0]
    """
    angle = as_array("angle", angle, ())
    c, s = jnp.cos(angle), jnp.sin(angle)
    return jnp.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


@numerics.steady
def orthographic(position: Vector, target: Vector, up: Vector, height: Scalar) -> Camera:
    """A camera of parallel rays, from position [3] towards target [3]; the picture is `height` metres high.

    `up` [3] points to the top of the picture. Raises ValueError if target - position is 0 or parallel to `up`.

    >>> camera = orthographic(position=[0, 0, 2], target=[0, 0, 0], up=[0, 1, 0], height=1.0)
    >>> camera.perspective, float(camera.extent)
    (False, 0.5)
    """
    half = as_array("height", height, ()) / 2
    checks.in_range("height", height, _TINY, np.inf, "Give the metres from the bottom to the top of the picture.")
    position, rotation = _look_at(position, target, up)
    return Camera(perspective=False, position=position, rotation=rotation, extent=half)


@numerics.steady
def pinhole(position: Vector, target: Vector, up: Vector, fov_degrees: Scalar) -> Camera:
    """A camera of rays from one point, position [3], towards target [3]; the vertical field of view is in degrees.

    `up` is as for `orthographic`. Raises ValueError if fov_degrees is not within [1, 179].

    >>> camera = pinhole(position=[0, -2, 2], target=[0, 0, 0], up=[0, 0, 1], fov_degrees=90)
    >>> camera.perspective, round(float(camera.extent), 5)
    (True, 1.0)
    """
    angle = jnp.radians(as_array("fov_degrees", fov_degrees, ()))
    checks.in_range("fov_degrees", fov_degrees, 1.0, 179.0, "Use 45 for an ordinary view.")
    position, rotation = _look_at(position, target, up)
    return Camera(perspective=True, position=position, rotation=rotation, extent=jnp.tan(angle / 2))


def as_array(name: str, value: Vector, expected: tuple[int, ...]) -> jax.Array:
    """Converts the value to f32 of exactly this shape; known values must be finite."""
    entries, remedy = jax.tree.leaves(value, is_leaf=lambda x: x is None), "Give numbers, or arrays of them."
    for entry in entries:
        checks.real(name, entry, remedy)
    try:
        array = jnp.asarray(value, jnp.float32)
    except (TypeError, ValueError):  # a ragged list, or no sequence at all
        checks.fail(name, checks.describe(value), f"its shape must be {list(expected)}", remedy)
    checks.in_range(name, array, -checks.FLOAT32_MAX, checks.FLOAT32_MAX, "Replace its NaN or infinity.")
    checks.shape(name, array, expected, "Give one primitive or camera; map over many with jax.vmap.")
    return array


def unit(vector: jax.Array) -> jax.Array:
    """v / |v|, or z where v = 0."""
    norm = jnp.linalg.norm(vector)
    return jnp.where(norm > _TINY, vector / jnp.maximum(norm, _TINY), jnp.array([0.0, 0.0, 1.0]))


def frame(z: jax.Array) -> jax.Array:
    """A rotation f32[3, 3] whose third column is the unit vector z."""
    helper = jnp.where(jnp.abs(z[0]) < 0.7, jnp.array([1.0, 0.0, 0.0]), jnp.array([0.0, 1.0, 0.0]))
    y = unit(jnp.cross(z, helper))
    return jnp.stack([jnp.cross(y, z), y, z], axis=1)


@numerics.steady
def _primitive(kind: int, position, size, rgba, rotation) -> Scene:
    """Checks the arguments of a constructor, and makes a scene of one primitive."""
    rotation = jnp.eye(3) if rotation is None else as_array("rotation", rotation, (3, 3))
    size = jnp.stack([as_array("size", length, ()) for length in size])
    position, rgba = as_array("position", position, (3,)), as_array("rgba", rgba, (4,))
    checks.in_range("size", size, 0.0, np.inf, "Give radii and half lengths in metres, >= 0.")
    checks.in_range("rgba", rgba, 0.0, 1.0, "Divide bytes by 255.")
    return Scene(kinds=(kind,), position=position[None], rotation=rotation[None], size=size[None], rgba=rgba[None])


def _look_at(position, target, up) -> tuple[jax.Array, jax.Array]:
    """A camera's position and rotation (right, up, forward); `right` is arbitrary for a traced view along up."""
    position, target, up = (as_array(*pair, (3,)) for pair in (("position", position), ("target", target), ("up", up)))
    forward = unit(target - position)
    right = jnp.cross(forward, unit(up))
    across = jnp.linalg.norm(right)
    remedy = "It is the sine of the angle between up and the view: use up=[0, 1, 0] to look straight down."
    checks.in_range("up", across, 1e-4, 1.0 + 1e-4, remedy)
    right = unit(jnp.where(across > 1e-4, right, frame(forward)[:, 0]))
    return position, jnp.stack([right, jnp.cross(right, forward), forward], axis=1)
