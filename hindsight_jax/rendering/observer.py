"""Image observations: small pictures, many a second, of a few bodies that move in front of a scenery that does not.

    pixel = mean_s shade_s rgb_s      s: the S rays of a pixel; rgb and shade of the nearest surface, without shadows

What the rays meet of the scenery is computed once. So a picture costs the rays' ways to the moving bodies alone, and
the shade of one surface a ray.

Dimension key: N bodies, P pixels, S = antialias² rays of a pixel. A vector is a tuple of components, as in `shapes`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import by_device, checks, numerics
from hindsight_jax.rendering import picture, shapes
from hindsight_jax.rendering.scene import Camera, Scene


class _Surface(NamedTuple):
    """What rays have met so far, each [P, P]; n is the surface's normal, of any length."""

    depth: Any  # metres
    square: Any  # n . n
    upwards: Any  # n . z
    sunwards: Any  # n . l
    red: Any
    green: Any
    blue: Any


@numerics.steady
def observer(scenery: Scene | None, camera: Camera, pixels: int, antialias: int = 2) -> Callable[[Scene], jax.Array]:
    """A function of the moving bodies, `observe(bodies) -> u8[pixels, pixels, 3]`: the picture that a policy sees.

    It is `render` of scenery and bodies with `shadows=False`, up to a step of the 255, and faster.
    It works inside `jax.jit`, `jax.vmap` and `jax.lax.scan`. On a CPU `jax.vmap` draws picture after picture, which
    keeps a picture's arrays in the processor's cache, and each on one core.

    Args:
      scenery: what never moves or changes; None for nothing but the background.
      camera: the point of view. Both are fixed, so make the observer outside of `jax.jit`.
      pixels: width and height of the picture.
      antialias: `antialias`² rays meet each pixel. With 1, edges have steps, and what moves by less than a pixel may
        not show.

    Translucent bodies are drawn opaque, and those of alpha 0 not at all. Raises ValueError for wrong types and shapes,
    unknown kinds, sizes below 1, and for a scenery or a camera that is traced.

    >>> from hindsight_jax.rendering import orthographic, plane, sphere
    >>> camera = orthographic(position=[0, 0, 2], target=[0, 0, 0], up=[0, 1, 0], height=1.0)
    >>> observe = observer(plane([0, 0, 0], [0.9, 0.8, 0.7, 1]), camera, pixels=48)
    >>> ball = lambda x: sphere(jnp.stack([x, 0.0, 0.1]), 0.1, [1, 0, 0, 1])
    >>> images = jax.vmap(lambda x: observe(ball(x)))(jnp.array([-0.2, 0.2]))
    >>> images.shape, images.dtype.name, images[0, 24, 14].tolist()
    ((2, 48, 48, 3), 'uint8', [255, 0, 0])
    """
    remedy = "Use 48 to 84 pixels and antialias=2, for example."
    pixels, antialias = (
        checks.positive_int("pixels", pixels, remedy),
        checks.positive_int("antialias", antialias, remedy),
    )
    picture.check_camera(camera)
    if scenery is not None:
        picture.check_scene("scenery", scenery)
    for name, value in (("scenery", scenery), ("camera", camera)):
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value)):
            checks.fail(name, "traced arrays", "it must be known", "Make the observer outside of jax.jit.")
    with numerics.made_once():
        rays = jax.tree.map(np.asarray, _rays(scenery, camera, pixels, antialias))

    @numerics.steady
    def observe(bodies: Scene) -> jax.Array:
        picture.check_scene("bodies", bodies)
        draw = lambda bodies: _draw(bodies, camera.perspective, rays, pixels)
        return by_device.choose(bodies, cpu=jax.custom_batching.sequential_vmap(draw), elsewhere=draw)

    return observe


def _rays(scenery: Scene | None, camera: Camera, pixels: int, antialias: int):
    """The S rays of each pixel, (origin, direction), and the surface of the scenery that they meet, each [S, ...]."""
    sun = picture.axes_of(jnp.array(picture.LIGHT))[:, 2]
    backdrop = picture.backdrop(jnp.array(picture.BACKGROUND), pixels, pixels)
    one = jnp.ones((pixels, pixels), jnp.float32)
    as_it_is = (1.0 - picture.AMBIENT) / picture.SKY * one  # n . z that gives a shade of 1

    @jax.jit
    def sample(offset):
        origin, direction = picture.rays(camera, pixels, pixels, offset)
        depth, shade, colour = shapes.FAR * one, one, backdrop
        if scenery is not None:
            alpha = jnp.where(scenery.rgba[:, 3:] > 0, 1.0, 0.0)
            opaque = dataclasses.replace(scenery, rgba=jnp.concatenate([scenery.rgba[:, :3], alpha], axis=1))
            nearest, _ = picture.nearest(picture.by_kind(opaque), origin, direction, sun, backdrop)
            depth, shade, colour = nearest[0], nearest[1] + nearest[2], nearest[3:]
        lit = tuple(channel * shade for channel in colour)
        return (origin, direction), _Surface(depth, one, as_it_is, 0.0 * one, *lit)

    return jax.lax.map(sample, picture.offsets(antialias))


def _draw(bodies: Scene, perspective: bool, rays, pixels: int) -> jax.Array:
    """u8[P, P, 3]: the mean over the S rays, one at a time, so that what is in use stays small."""
    light = jnp.asarray(picture.axes_of(jnp.array(picture.LIGHT))[:, 2])
    one_by_one = [jax.tree.map(lambda x, i=i: x[i], bodies) for i in range(len(bodies.kinds))]
    primitives = [dataclasses.replace(row, kinds=(kind,)) for row, kind in zip(one_by_one, bodies.kinds, strict=True)]

    (origins, directions), surfaces = rays
    # All rays of a pinhole share their origin, and parallel rays their direction; XLA then computes some of it once.
    origin, direction = (tuple(x[0] for x in vector) for vector in (origins, directions))

    def add(total, sample):
        varying, surface = sample
        line = (origin, varying) if perspective else (varying, direction)
        for primitive in primitives:
            surface = _nearer(surface, primitive, *line, light)
        length = jax.lax.rsqrt(jnp.maximum(surface.square, shapes.TINY**2))
        sun = jnp.maximum(length * surface.sunwards, 0.0)
        shade = picture.AMBIENT + picture.SKY * (length * surface.upwards) + picture.SUN * sun
        return tuple(channel + shade * new for channel, new in zip(total, surface[4:], strict=True)), None

    total, _ = jax.lax.scan(
        add, (jnp.zeros((pixels, pixels), jnp.float32),) * 3, (directions if perspective else origins, surfaces)
    )
    num_rays = surfaces.depth.shape[0]
    red, green, blue = (picture.to_uint8(channel / num_rays).astype(jnp.uint32) for channel in total)
    # One word a pixel: as three channels of one array, each would compute the picture anew.
    return jax.lax.bitcast_convert_type(red | (green << 8) | (blue << 16), jnp.uint8)[..., :3]


def _nearer(surface: _Surface, primitive: Scene, origin, direction, light) -> _Surface:
    """The surface that rays meet when this primitive is added."""
    t, normal = shapes.enter(primitive, origin, direction, 0.0)
    upwards = shapes.dot(normal, tuple(primitive.rotation[2]))
    sunwards = shapes.dot(normal, shapes.to_local(primitive.rotation, light))
    here = _Surface(t, shapes.dot(normal, normal), upwards, sunwards, *primitive.rgba[:3])
    closer = (primitive.rgba[3] > 0.0) & (t < surface.depth)
    return _Surface(*(jnp.where(closer, new, old) for new, old in zip(here, surface, strict=True)))
