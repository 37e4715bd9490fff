"""From rays to pictures: the nearest opaque surface, light, shadow, and the translucent primitives in front.

    colour = prod_j (1 - a_j) shade rgb + sum_i w_i shade_i rgb_i      rgb of the nearest opaque surface
    w_i = a_i prod_{j nearer than i} (1 - a_j)      i, j: the translucent primitives in front of it, a their alpha
    shade = ambient + sky n_z + sun max(n . l, 0) lit      n the normal, l towards the light, lit = 0 in shadow

Dimension key: N primitives, H height, W width, M images. A vector is a tuple of components, as in `shapes`.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp

from hindsight_jax import checks, numerics
from hindsight_jax.rendering import shapes
from hindsight_jax.rendering.scene import PLANE, Camera, Scene, Vector, as_array, frame, unit

AMBIENT, SKY, SUN = 0.56, 0.08, 0.42  # a surface that faces the default light keeps its colour
LIGHT = (-0.45, -0.35, 1.0)  # points towards the light
BACKGROUND = ((0.80, 0.84, 0.89), (0.96, 0.97, 0.98))  # at the bottom and at the top
_LIGHT_SIZE = 0.12  # width of the light over its distance; a larger one softens shadows
_NEAR = 1e-4  # metres; a primitive nearer than this to a surface does not shade it


@numerics.steady
def render(
    scene: Scene,
    camera: Camera,
    width: int,
    height: int,
    *,
    antialias: int = 2,
    shadows: bool = True,
    light: Vector = LIGHT,
    background: Vector = BACKGROUND,
) -> jax.Array:
    """Renders the picture f32[height, width, 3] in [0, 1]; row 0 is the top. Pixels are square.

    `antialias`² rays meet each pixel, which also softens the shadows; it is static, as are the sizes and `shadows`,
    without which a picture takes less time. `light` [3] points towards the light, `background` [2, 3] holds the colours
    at the bottom and at the top. A solid that contains the camera is not drawn. For image observations `observer` is
    faster. Raises ValueError for wrong shapes, unknown kinds and sizes below 1.

    >>> from hindsight_jax.rendering import orthographic, sphere
    >>> camera = orthographic(position=[0, 0, 2], target=[0, 0, 0], up=[0, 1, 0], height=1.0)
    >>> image = render(sphere([0, 0, 0], 0.25, [1, 0, 0, 1]), camera, width=32, height=24)
    >>> image.shape, bool(image[12, 16, 0] > image[12, 16, 1]), bool(image[0, 0, 0] > image[0, 0, 1])
    ((24, 32, 3), True, False)
    """
    count = lambda name, value: checks.positive_int(name, value, "Use 64 to 256 pixels and antialias=2, for example.")
    width, height, antialias = count("width", width), count("height", height), count("antialias", antialias)
    check_scene("scene", scene)
    check_camera(camera)
    shadows = checks.flag("shadows", shadows, "Pass False for a picture without shadows.")
    light, background = as_array("light", light, (3,)), as_array("background", background, (2, 3))
    return _render(scene, camera, width, height, antialias, shadows, light, background)


@numerics.steady
def to_uint8(image: jax.Array) -> jax.Array:
    """Converts an image or images f32[..., 3] in [0, 1] to bytes, round(255 x); values outside are clipped.

    Raises ValueError if the image is not floating.

    >>> to_uint8(jnp.array([0.0, 0.2, 2.0])).tolist()
    [0, 51, 255]
    """
    checks.floating("image", image)
    return jnp.round(jnp.clip(image, 0.0, 1.0) * 255).astype(jnp.uint8)


@numerics.steady
def contact_sheet(images: jax.Array, columns: int, gap: int = 2) -> jax.Array:
    """Tiles images f32[M, H, W, 3] row by row into one, f32[rows (H + gap) - gap, columns (W + gap) - gap, 3].

    The gap is in pixels; it and missing tiles are white. For an animation, map it over the frames with jax.vmap.
    Raises ValueError for other ranks and for integers, columns < 1 and gap < 0.

    >>> contact_sheet(jnp.zeros((5, 8, 10, 3)), columns=3, gap=1).shape
    (17, 32, 3)
    """
    checks.rank("images", images, 4, "Give it [M, H, W, 3]; map it over frames with jax.vmap.")
    checks.floating("images", images, "Tile floats, and call to_uint8 after.")
    columns = checks.positive_int("columns", columns, "Use 3 to show six images in two rows.")
    gap = checks.whole("gap", gap, 0, math.inf, "Use 0 for tiles that touch.")
    count, height, width, channels = images.shape
    if 0 in images.shape or channels != 3:
        rule = "it must be [M, H, W, 3] with no axis empty"
        checks.fail("images", checks.describe(images), rule, "Give it pictures that render has made.")
    rows = -(-count // columns)
    tiles = jnp.pad(images, ((0, rows * columns - count), (0, gap), (0, gap), (0, 0)), constant_values=1.0)
    tiles = tiles.reshape(rows, columns, height + gap, width + gap, channels).transpose(0, 2, 1, 3, 4)
    sheet = tiles.reshape(rows * (height + gap), columns * (width + gap), channels)
    return sheet[: sheet.shape[0] - gap, : sheet.shape[1] - gap]


def check_scene(name: str, scene: Scene) -> None:
    """Checks that the kinds are known, and that every array has one row per primitive."""
    if not isinstance(scene, Scene):
        remedy = "Make it with rendering.compose(...)."
        checks.fail(name, checks.describe(scene), "it must be a Scene", remedy)
    if not scene.kinds:
        checks.fail(f"{name}.kinds", "none", "a scene needs at least one primitive", "Add a plane for the ground.")
    for kind in scene.kinds:
        if kind not in shapes.FORMULAS:
            rule = f"it must be one of {sorted(shapes.FORMULAS)}"
            checks.fail(f"{name}.kinds", kind, rule, "Use a constant such as rendering.BOX.")
    for field, tail in (("position", (3,)), ("rotation", (3, 3)), ("size", (3,)), ("rgba", (4,))):
        expected = (len(scene.kinds), *tail)
        checks.shape(f"{name}.{field}", getattr(scene, field), expected, "Map over a batch of scenes with jax.vmap.")
        checks.floating(f"{name}.{field}", getattr(scene, field))


def check_camera(camera: Camera) -> None:
    """Checks its type."""
    if not isinstance(camera, Camera):
        got = checks.describe(camera)
        checks.fail("camera", got, "it must be a Camera", "Make it with rendering.pinhole or orthographic.")


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _render(scene, camera, width, height, antialias, shadows, light, background):
    """f32[H, W, 3]; the mean of antialias^2 pictures, each with its own offset of the rays and of the light."""
    groups = by_kind(scene)
    rgba = jnp.concatenate([group.rgba for group in groups])
    axes, behind = axes_of(light), backdrop(background, width, height)

    def sample(offset):
        origin, direction = rays(camera, width, height, offset)
        (depth, ambient, sun, *colour), layers = nearest(groups, origin, direction, axes[:, 2], behind)
        if shadows:
            towards_light = tuple(axes[:, 2] + _LIGHT_SIZE * (axes[:, :2] @ offset))
            sun = sun * _lit(groups, shapes.along(origin, depth, direction), towards_light)
        shade = ambient + sun
        return jnp.stack(_blend(tuple(channel * shade for channel in colour), depth, layers, rgba), axis=-1)

    return jnp.clip(jnp.mean(jax.lax.map(sample, offsets(antialias)), axis=0), 0.0, 1.0)


def axes_of(light: jax.Array) -> jax.Array:
    """A rotation f32[3, 3] whose third column points towards the light."""
    return frame(unit(light))


def backdrop(background: jax.Array, width: int, height: int) -> shapes.Vector:
    """What a ray that meets nothing shows: the colours [2, 3] of bottom and top, and a gradient between them."""
    rise = (jnp.arange(height)[::-1] + 0.5)[:, None] / height
    gradients = (low + rise * (high - low) for low, high in zip(*background, strict=True))
    return tuple(jnp.broadcast_to(channel, (height, width)) for channel in gradients)


def offsets(antialias: int) -> jax.Array:
    """The places of a pixel's rays relative to its centre, f32[antialias², 2] in pixels."""
    grid = (jnp.arange(antialias) + 0.5) / antialias - 0.5
    return jnp.stack(jnp.meshgrid(grid, grid), axis=-1).reshape(-1, 2)


def by_kind(scene: Scene) -> list[Scene]:
    """Splits the scene by kind, so that one loop per kind is compiled, however many primitives it has."""

    def of_kind(kind: int) -> Scene:
        rows = jnp.array([i for i, k in enumerate(scene.kinds) if k == kind])
        return jax.tree.map(lambda x: x[rows], dataclasses.replace(scene, kinds=(kind,)))

    return [of_kind(kind) for kind in sorted(set(scene.kinds))]


def rays(camera: Camera, width: int, height: int, offset: jax.Array):
    """The rays' origin and direction, through the points `offset` [2] (in pixels) from the pixels' centres."""
    scale = 2.0 * camera.extent / height
    u = scale * (jnp.arange(width)[None, :] - (width - 1) / 2 + offset[0])
    v = scale * ((height - 1) / 2 - jnp.arange(height)[:, None] - offset[1])
    right, up, forward = (tuple(camera.rotation[:, k]) for k in range(3))
    across = tuple(u * right[k] + v * up[k] for k in range(3))
    if not camera.perspective:
        return shapes.along(tuple(camera.position), 1.0, across), forward
    length = jnp.sqrt(1.0 + u**2 + v**2)
    return tuple(camera.position), tuple((across[k] + forward[k]) / length for k in range(3))


def nearest(groups: list[Scene], origin, direction, light: jax.Array, backdrop: shapes.Vector):
    """The nearest opaque surface, (depth, ambient, sun, *colours), and translucent layers, (depth, shade) [N, H, W]."""

    def step(surface, primitive):
        t, normal = shapes.enter(primitive, origin, direction, 0.0)
        ambient, sun = _light(primitive, normal, light)
        opaque = primitive.rgba[3] >= 1.0
        closer = opaque & (t < surface[0])
        here = (t, ambient, sun, *primitive.rgba[:3])
        layer = jnp.where(opaque, shapes.FAR, t), jnp.broadcast_to(ambient + sun, t.shape)
        return tuple(jnp.where(closer, new, old) for new, old in zip(here, surface, strict=True)), layer

    one = jnp.ones_like(backdrop[0])
    surface, layers = (shapes.FAR * one, one, 0.0 * one, *backdrop), []
    for group in groups:
        surface, layer = jax.lax.scan(step, surface, group)
        layers.append(layer)
    return surface, tuple(jnp.concatenate(stack) for stack in zip(*layers, strict=True))


def _light(primitive: Scene, normal, light: jax.Array):
    """The ambient light on a surface, and the sunlight, which a shadow removes."""
    scale = jax.lax.rsqrt(jnp.maximum(shapes.dot(normal, normal), shapes.TINY**2))
    sun = scale * shapes.dot(normal, shapes.to_local(primitive.rotation, light))
    return AMBIENT + SKY * scale * shapes.dot(normal, tuple(primitive.rotation[2])), SUN * jnp.maximum(sun, 0.0)


def _lit(groups: list[Scene], point: shapes.Vector, light: shapes.Vector) -> jax.Array:
    """1 where no opaque solid lies between the point and the light, else 0. Planes cast no shadow."""

    def step(lit, primitive):
        t, _ = shapes.enter(primitive, point, light, _NEAR)
        return jnp.where((t < shapes.FAR) & (primitive.rgba[3] >= 1.0), 0.0, lit), None

    lit = jnp.ones_like(point[0])
    for group in groups:
        lit = lit if group.kinds == (PLANE,) else jax.lax.scan(step, lit, group)[0]
    return lit


def _blend(colour: shapes.Vector, depth: jax.Array, layers, rgba: jax.Array) -> shapes.Vector:
    """Blends the translucent primitives in front of a surface over its colour; opaque ones are skipped at run time."""
    layer_depth, layer_shade = layers
    alpha = jnp.where(layer_depth < depth[None], rgba[:, 3][:, None, None], 0.0)
    index = jnp.arange(rgba.shape[0])

    def add(carry, i):
        image, clear = carry
        tie = (layer_depth == layer_depth[i][None]) & (index < i)[:, None, None]
        nearer = tie | (layer_depth < layer_depth[i][None])
        share = alpha[i] * layer_shade[i] * jnp.prod(jnp.where(nearer, 1.0 - alpha, 1.0), axis=0)
        return tuple(channel + share * rgba[i, k] for k, channel in enumerate(image)), clear * (1.0 - alpha[i])

    def step(carry, i):
        return jax.lax.cond(rgba[i, 3] < 1.0, add, lambda carry, _: carry, carry, i), None

    nothing = tuple(jnp.zeros_like(channel) for channel in colour)
    (image, clear), _ = jax.lax.scan(step, (nothing, jnp.ones_like(depth)), index)
    return tuple(front + clear * behind for front, behind in zip(image, colour, strict=True))
