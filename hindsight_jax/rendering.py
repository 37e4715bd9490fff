"""Pictures of simple bodies by ray casting, in pure JAX: GIFs for people, image observations for policies.

A scene is a few primitives (sphere, capsule, cylinder, box, plane) in MuJoCo's conventions; a camera looks at it; `render`
meets every ray with every primitive in closed form. There is no GL and no call back to the host, so a picture may be
made inside of `jax.jit`, `jax.vmap` and `jax.lax.scan`. Lengths are in one unit (metres), the world's z points up, colours
are RGBA in [0, 1]. Many frames: `jax.lax.map(lambda scene: render(scene, camera, 160, 160), scenes)` renders one after
the other and needs the memory of one; `jax.vmap` renders all at once.

Dimension key: N primitives, H height, W width, M images, A rays per pixel. Inside of this module a vector field is a tuple
of three components, each [A, H, W] or a scalar where all rays share it (the origin of a pinhole, the direction of an
orthographic camera): the shared arithmetic is then done once.

    x = o + t d                   a ray; d has length 1, so t is a distance
    w_i = a_i prod_{j nearer} (1 - a_j)                    the share of primitive i in a pixel, a = alpha where it is hit
    colour = sum_i w_i shade_i rgb_i + prod_i (1 - a_i) background
    shade = ambient + sky n_z + sun max(n . l, 0) lit      n the normal, l towards the light, lit = 0 in shadow
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from hindsight_jax import checks

# The kinds have MuJoCo's numbers (mjtGeom), so a model's `geom_type` serves as `Scene.kinds`.
PLANE, SPHERE, CAPSULE, CYLINDER, BOX = 0, 2, 3, 5, 6

_FAR = 1e6  # the distance of a ray that hits nothing: finite, so that no inf meets a 0
_TINY = 1e-9
_NEAR = 1e-4  # a shadow starts this far from the surface, in metres
_AMBIENT, _SKY, _SUN = 0.50, 0.08, 0.50
_LIGHT_SIZE = 0.16  # width of the light over its distance: the softness of shadows

_Vector = tuple[jax.Array, jax.Array, jax.Array]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["position", "rotation", "size", "rgba"], meta_fields=["kinds"]
)
@dataclasses.dataclass(frozen=True)
class Scene:
    """N primitives. A pytree: the arrays are leaves, the kinds are static, so each primitive costs its own formula only.

    >>> scene = compose(plane([0, 0, 0], [1, 1, 1, 1]), sphere([0, 0, 1], 0.5, [1, 0, 0, 1]))
    >>> scene.kinds, scene.size.shape
    ((0, 2), (2, 3))
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
    """Where the picture is taken from. Made by `orthographic` or `pinhole`."""

    perspective: bool  # rays from one point (pinhole), or parallel rays (orthographic); static
    position: jax.Array  # f32[3]; what lies behind it is not drawn
    rotation: jax.Array  # f32[3, 3], columns: right, up and forward of the picture
    extent: jax.Array  # f32[], half of the picture's height: in metres, or as a tangent if perspective


def sphere(position, radius, rgba) -> Scene:
    """A sphere, size (radius, 0, 0). position [3], radius [], rgba [4]; traced values are welcome here and below.

    >>> sphere([0, 0, 0], 0.5, [1, 0, 0, 1]).kinds
    (2,)
    """
    return _primitive(SPHERE, position, (radius, 0.0, 0.0), rgba, None)


def capsule(position, radius, half_length, rgba, rotation=None) -> Scene:
    """A cylinder along local z with round ends, size (radius, half_length, 0); the ends' centres are at z = ±half_length.

    >>> capsule([0, 0, 0], 0.1, 0.5, [1, 0, 0, 1]).size.tolist()
    [[0.10000000149011612, 0.5, 0.0]]
    """
    return _primitive(CAPSULE, position, (radius, half_length, 0.0), rgba, rotation)


def capsule_between(a, b, radius, rgba) -> Scene:
    """A capsule whose round ends are centred at the points a [3] and b [3]; a sphere if they are one point.

    >>> float(capsule_between([0, 0, 0], [0, 2, 0], 0.1, [1, 0, 0, 1]).size[0, 1])
    1.0
    """
    a, b = _array("a", a, (3,)), _array("b", b, (3,))
    return capsule((a + b) / 2, radius, jnp.linalg.norm(b - a) / 2, rgba, _frame(_unit(b - a)))


def cylinder(position, radius, half_height, rgba, rotation=None) -> Scene:
    """A cylinder along local z with flat ends, size (radius, half_height, 0).

    >>> cylinder([0, 0, 0], 0.04, 0.015, [1, 0, 0, 1]).kinds
    (5,)
    """
    return _primitive(CYLINDER, position, (radius, half_height, 0.0), rgba, rotation)


def box(position, half_extents, rgba, rotation=None) -> Scene:
    """A box; half_extents [3] along its local axes.

    >>> box([0, 0, 0], [0.1, 0.2, 0.3], [1, 0, 0, 1], rotation=yaw(0.5)).kinds
    (6,)
    """
    return _primitive(BOX, position, tuple(_array("half_extents", half_extents, (3,))), rgba, rotation)


def plane(position, rgba, half_extents=(0.0, 0.0), rotation=None) -> Scene:
    """The plane z = 0 of its local frame, seen from both sides; half_extents [2] along local x and y, 0 is unlimited.

    >>> plane([0, 0, 0], [1, 1, 1, 1], half_extents=[0.5, 0.5]).kinds
    (0,)
    """
    return _primitive(PLANE, position, (*_array("half_extents", half_extents, (2,)), 0.0), rgba, rotation)


def compose(*scenes: Scene) -> Scene:
    """One scene of all primitives, in order. A constructor's primitive is a scene of one, so compositions nest.

    >>> ball = sphere([0, 0, 1], 0.5, [1, 0, 0, 1])
    >>> compose(ball, compose(ball, ball)).kinds
    (2, 2, 2)
    """
    if not scenes:
        checks.fail("scenes", "none", "a scene needs at least one primitive", "Add a plane for the ground.")
    kinds = tuple(kind for scene in scenes for kind in scene.kinds)
    join = lambda name: jnp.concatenate([getattr(scene, name) for scene in scenes])
    return Scene(kinds, join("position"), join("rotation"), join("size"), join("rgba"))


def yaw(angle) -> jax.Array:
    """The rotation f32[3, 3] by `angle` (radians, counter-clockwise seen from above) about the world's z.

    >>> jnp.round(yaw(jnp.pi / 2) @ jnp.array([1.0, 0.0, 0.0])).tolist()
    [0.0, 1.0, 0.0]
    """
    angle = _array("angle", angle, ())
    c, s, zero, one = jnp.cos(angle), jnp.sin(angle), jnp.zeros(()), jnp.ones(())
    return jnp.stack([jnp.stack([c, -s, zero]), jnp.stack([s, c, zero]), jnp.stack([zero, zero, one])])


def orthographic(position, target, up, height) -> Camera:
    """A camera of parallel rays: looks from position [3] at target [3]; the picture shows `height` metres from top to bottom.

    `up` [3] points to the top of the picture; if it is parallel to the view, any perpendicular direction does instead.

    >>> orthographic(position=[0, 0, 2], target=[0, 0, 0], up=[0, 1, 0], height=1.0).perspective
    False
    """
    return Camera(False, *_look_at(position, target, up), _array("height", height, ()) / 2)


def pinhole(position, target, up, fov_degrees) -> Camera:
    """A camera of rays from one point: looks from position [3] at target [3], with this vertical field of view in degrees.

    `up` is as for `orthographic`. Raises ValueError if fov_degrees is not within [1, 179].

    >>> pinhole(position=[0, -2, 2], target=[0, 0, 0], up=[0, 0, 1], fov_degrees=45).perspective
    True
    """
    checks.in_range("fov_degrees", fov_degrees, 1.0, 179.0, "Use 45 for an ordinary view.")
    angle = jnp.radians(_array("fov_degrees", fov_degrees, ()))
    return Camera(True, *_look_at(position, target, up), jnp.tan(angle / 2))


def render(
    scene: Scene,
    camera: Camera,
    width: int,
    height: int,
    *,
    antialias: int = 2,
    light=(-0.45, -0.35, 1.0),
    background=((0.80, 0.84, 0.89), (0.96, 0.97, 0.98)),
) -> jax.Array:
    """The picture f32[height, width, 3] in [0, 1]; row 0 is the top. Pixels are square.

    A solid that contains the camera is not drawn. Static: width, height, antialias (antialias² rays per pixel, which also
    soften the shadows). `light` [3] points towards the light; `background` [2, 3] is the colour at the bottom and the top.

    Raises ValueError for wrong shapes, unknown kinds and sizes below 1.

    >>> camera = orthographic(position=[0, 0, 2], target=[0, 0, 0], up=[0, 1, 0], height=1.0)
    >>> image = render(sphere([0, 0, 0], 0.25, [1, 0, 0, 1]), camera, width=32, height=24)
    >>> image.shape, bool(image[12, 16, 0] > image[12, 16, 1]), bool(image[0, 0, 0] > image[0, 0, 1])
    ((24, 32, 3), True, False)
    """
    for name, value in (("width", width), ("height", height), ("antialias", antialias)):
        checks.positive_int(name, value, "Pictures of 64 to 256 pixels with antialias=2 look well.")
    _check_scene(scene)
    light, background = _array("light", light, (3,)), _array("background", background, (2, 3))
    return _render(scene, camera, width, height, antialias, light, background)


def to_uint8(image) -> jax.Array:
    """Bytes round(255 x) of an image or images f32[..., 3] in [0, 1], as files want them; values outside are clipped.

    >>> to_uint8(jnp.array([0.0, 0.5, 2.0])).tolist()
    [0, 128, 255]
    """
    checks.floating("image", image)
    return jnp.round(jnp.clip(image, 0.0, 1.0) * 255).astype(jnp.uint8)


def contact_sheet(images, columns: int, gap: int = 2) -> jax.Array:
    """Tiles images f32[M, H, W, 3] row by row into one, [rows (H + gap) - gap, columns (W + gap) - gap, 3], on white.

    The columns and the gap (pixels) are static. For an animation, map it over the frames with jax.vmap.

    >>> contact_sheet(jnp.zeros((5, 8, 10, 3)), columns=3, gap=1).shape
    (17, 32, 3)
    """
    checks.rank("images", images, 4, "Give it [M, H, W, 3]; map it over frames with jax.vmap.")
    checks.floating("images", images, "Tile first, call to_uint8 after.")
    checks.positive_int("columns", columns, "Use 3 for six episodes.")
    if gap < 0:
        checks.fail("gap", gap, "it must be >= 0", "Use 0 for tiles that touch.")
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    tiles = jnp.pad(images, ((0, rows * columns - count), (0, gap), (0, gap), (0, 0)), constant_values=1.0)
    tiles = tiles.reshape(rows, columns, height + gap, width + gap, channels).transpose(0, 2, 1, 3, 4)
    sheet = tiles.reshape(rows * (height + gap), columns * (width + gap), channels)
    return sheet[: sheet.shape[0] - gap, : sheet.shape[1] - gap]


def _array(name: str, value, expected: tuple[int, ...]) -> jax.Array:
    """The value as f32, of exactly this shape."""
    value = jnp.asarray(value, jnp.float32)
    checks.shape(name, value, expected, "Give one primitive or camera; map over many with jax.vmap.")
    return value


def _primitive(kind: int, position, size, rgba, rotation) -> Scene:
    """A scene of one."""
    rotation = jnp.eye(3) if rotation is None else _array("rotation", rotation, (3, 3))
    size = jnp.stack([_array("size", length, ()) for length in size])
    position, rgba = _array("position", position, (3,)), _array("rgba", rgba, (4,))
    return Scene((kind,), position[None], rotation[None], size[None], rgba[None])


def _check_scene(scene: Scene) -> None:
    count = len(scene.kinds)
    for kind in scene.kinds:
        if kind not in _INTERSECT:
            checks.fail("scene.kinds", kind, f"it must be one of {sorted(_INTERSECT)}", "Use the module's constants.")
    for name, tail in (("position", (3,)), ("rotation", (3, 3)), ("size", (3,)), ("rgba", (4,))):
        checks.shape(f"scene.{name}", getattr(scene, name), (count, *tail), "Map over many scenes with jax.vmap.")


def _unit(vector: jax.Array) -> jax.Array:
    """v / |v|, or z where v = 0."""
    norm = jnp.linalg.norm(vector)
    return jnp.where(norm > _TINY, vector / jnp.maximum(norm, _TINY), jnp.array([0.0, 0.0, 1.0]))


def _frame(z: jax.Array) -> jax.Array:
    """A rotation f32[3, 3] whose third column is the unit vector z."""
    helper = jnp.where(jnp.abs(z[0]) < 0.7, jnp.array([1.0, 0.0, 0.0]), jnp.array([0.0, 1.0, 0.0]))
    y = _unit(jnp.cross(z, helper))
    return jnp.stack([jnp.cross(y, z), y, z], axis=1)


def _look_at(position, target, up) -> tuple[jax.Array, jax.Array]:
    """The position and the rotation (right, up, forward) of a camera."""
    position, target, up = _array("position", position, (3,)), _array("target", target, (3,)), _array("up", up, (3,))
    forward = _unit(target - position)
    right = jnp.cross(forward, _unit(up))
    right = _unit(jnp.where(jnp.linalg.norm(right) > 1e-5, right, _frame(forward)[:, 0]))
    return position, jnp.stack([right, jnp.cross(right, forward), forward], axis=1)


def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _along(origin, t, direction) -> _Vector:
    """o + t d."""
    return tuple(o + t * d for o, d in zip(origin, direction, strict=True))


def _to_local(rotation: jax.Array, vector) -> _Vector:
    """R^T v."""
    return tuple(_dot(rotation[:, k], vector) for k in range(3))


def _nonzero(x):
    """x, kept away from 0 without a change of sign."""
    return jnp.where(jnp.abs(x) < _TINY, jnp.where(x < 0, -_TINY, _TINY), x)


def _sphere(size, o, d):
    """The ray's point nearest to the centre lies b = -o.d along it; the entry is sqrt(r² - distance²) before."""
    b = -_dot(o, d)
    nearest = _along(o, b, d)
    inside = size[0] ** 2 - _dot(nearest, nearest)
    t = b - jnp.sqrt(jnp.maximum(inside, 0.0))
    return t, inside > 0, _along(o, t, d)


def _slab(half, o, d):
    """Where the ray enters and leaves -half <= x <= half."""
    inverse = 1.0 / _nonzero(d)
    centre, reach = -o * inverse, half * jnp.abs(inverse)
    return centre - reach, centre + reach


def _box(size, o, d):
    """It is in the box while it is in all three slabs; the last one entered gives the face."""
    (x, x_out), (y, y_out), (z, z_out) = (_slab(size[k], o[k], d[k]) for k in range(3))
    t = jnp.maximum(jnp.maximum(x, y), z)
    hit = t < jnp.minimum(jnp.minimum(x_out, y_out), z_out)
    face = (x >= jnp.maximum(y, z), y >= z)
    last = (face[0], ~face[0] & face[1], ~face[0] & ~face[1])
    return t, hit, tuple(jnp.where(entered, -jnp.sign(k), 0.0) for entered, k in zip(last, d, strict=True))


def _tube(radius, o, d):
    """Where the ray enters and leaves the endless cylinder x² + y² < r², and if it does."""
    a = jnp.maximum(d[0] ** 2 + d[1] ** 2, _TINY**2)
    b = -(o[0] * d[0] + o[1] * d[1]) / a
    inside = radius**2 - (o[0] + b * d[0]) ** 2 - (o[1] + b * d[1]) ** 2
    reach = jnp.sqrt(jnp.maximum(inside, 0.0) / a)
    return b - reach, b + reach, inside > 0


def _cylinder(size, o, d):
    """In the endless cylinder and in the slab of its height; the later entry says side or end."""
    side, side_out, hit = _tube(size[0], o, d)
    end, end_out = _slab(size[1], o[2], d[2])
    t = jnp.maximum(side, end)
    is_end = end > side
    round_ = tuple(jnp.where(is_end, 0.0, k) for k in _along(o, t, d)[:2])
    return t, hit & (t < jnp.minimum(side_out, end_out)), (*round_, jnp.where(is_end, -jnp.sign(d[2]), 0.0))


def _capsule(size, o, d):
    """Where the ray enters the endless cylinder it meets the side; above or below that, the round end on that side."""
    side, _, in_tube = _tube(size[0], o, d)
    z = o[2] + side * d[2]
    end = jnp.clip(z, -size[1], size[1])
    is_side = jnp.abs(z) < size[1]
    o_end = (o[0], o[1], o[2] - end)
    t_end, hit_end, normal_end = _sphere(size, o_end, d)
    x, y, _ = _along(o, side, d)
    normal = tuple(jnp.where(is_side, s, e) for s, e in zip((x, y, 0.0), normal_end, strict=True))
    return jnp.where(is_side, side, t_end), in_tube & (is_side | hit_end), normal


def _plane(size, o, d):
    """t = -o_z / d_z, within the limits, the normal towards the camera."""
    t = -o[2] / _nonzero(d[2])
    x, y, _ = _along(o, t, d)
    within = tuple((half <= 0) | (jnp.abs(k) < half) for half, k in ((size[0], x), (size[1], y)))
    return t, within[0] & within[1], (0.0, 0.0, -jnp.sign(d[2]))


# kind -> f(size [3], local origin, local direction) -> (t of the entry, hit, local normal of any length)
_INTERSECT = {PLANE: _plane, SPHERE: _sphere, CAPSULE: _capsule, CYLINDER: _cylinder, BOX: _box}


def _hit(scene: Scene, i: int, origin, direction, near: float):
    """Distance (_FAR for none) and local normal where the rays enter primitive i."""
    relative = tuple(o - scene.position[i, k] for k, o in enumerate(origin))
    local = _to_local(scene.rotation[i], relative), _to_local(scene.rotation[i], direction)
    t, hit, normal = _INTERSECT[scene.kinds[i]](scene.size[i], *local)
    return jnp.where(hit & (t > near) & (t < _FAR), t, _FAR), normal


def _rays(camera: Camera, width: int, height: int, offsets: jax.Array):
    """The rays' origin and direction; offsets [A, 2] within a pixel, in pixels."""
    scale = 2.0 * camera.extent / height
    u = scale * (jnp.arange(width)[None, None, :] - (width - 1) / 2 + offsets[:, 0][:, None, None])
    v = scale * ((height - 1) / 2 - jnp.arange(height)[None, :, None] - offsets[:, 1][:, None, None])
    right, up, forward = (tuple(camera.rotation[:, k]) for k in range(3))
    across = tuple(u * right[k] + v * up[k] for k in range(3))
    if not camera.perspective:
        return _along(tuple(camera.position), 1.0, across), forward
    length = jnp.sqrt(1.0 + u**2 + v**2)
    return tuple(camera.position), tuple((across[k] + forward[k]) / length for k in range(3))


def _lit(scene: Scene, point: _Vector, light: _Vector) -> jax.Array:
    """1 where no opaque solid lies between the point and the light, else 0. Planes cast no shadow."""
    lit = jnp.ones_like(point[0])
    for i, kind in enumerate(scene.kinds):
        if kind != PLANE:
            shaded = (_hit(scene, i, point, light, _NEAR)[0] < _FAR) & (scene.rgba[i, 3] >= 1.0)
            lit = jnp.where(shaded, 0.0, lit)
    return lit


def _shade(scene: Scene, i: int, normal, light: jax.Array):
    """Sun and sky on primitive i: max(n.l, 0) and n_z."""
    length = jnp.sqrt(jnp.maximum(_dot(normal, normal), _TINY**2))
    sun = _dot(normal, _to_local(scene.rotation[i], light)) / length
    return jnp.maximum(sun, 0.0), _dot(normal, tuple(scene.rotation[i, 2])) / length


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _render(scene, camera, width, height, antialias, light, background):
    grid = (jnp.arange(antialias) + 0.5) / antialias - 0.5
    offsets = jnp.stack(jnp.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    origin, direction = _rays(camera, width, height, offsets)
    frame = _frame(_unit(light))
    count = len(scene.kinds)
    hits = [_hit(scene, i, origin, direction, 0.0) for i in range(count)]
    depth = [t for t, _ in hits]
    opaque = [jnp.where(scene.rgba[i, 3] >= 1.0, depth[i], _FAR) for i in range(count)]
    surface = _along(origin, functools.reduce(jnp.minimum, opaque), direction)
    wide = tuple((frame[k, 2] + _LIGHT_SIZE * (offsets @ frame[k, :2]))[:, None, None] for k in range(3))
    lit = _lit(scene, surface, wide)
    alpha = [jnp.where(depth[i] < _FAR, scene.rgba[i, 3], 0.0) for i in range(count)]
    sky = functools.reduce(jnp.multiply, [1.0 - a for a in alpha])
    rise = (jnp.arange(height)[::-1, None] + 0.5) / height
    backdrop = background[0][:, None, None] * (1 - rise)[None] + background[1][:, None, None] * rise[None]
    image = [backdrop[c][None] * sky for c in range(3)]
    for i in range(count):
        nearer = [depth[j] <= depth[i] if j < i else depth[j] < depth[i] for j in range(count)]
        clear = [jnp.where(nearer[j], 1.0 - alpha[j], 1.0) for j in range(count) if j != i]
        sun, up = _shade(scene, i, hits[i][1], frame[:, 2])
        sun = sun * jnp.where(scene.rgba[i, 3] >= 1.0, lit, 1.0)
        share = functools.reduce(jnp.multiply, clear, alpha[i]) * (_AMBIENT + _SKY * up + _SUN * sun)
        image = [image[c] + share * scene.rgba[i, c] for c in range(3)]
    return jnp.clip(jnp.stack([jnp.mean(channel, axis=0) for channel in image], axis=-1), 0.0, 1.0)
