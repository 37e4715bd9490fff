"""Image observations: small pictures without shadows, many a second, of a few bodies before a scenery that stays.

    pixel = mean_s shade_s rgb_s      s: the antialias² rays of a pixel, rgb and shade of the nearest surface

What the scenery shows is known before the first picture: each ray's distance to it, and its colour. So a picture costs
the intersections with the moving bodies alone.

Dimension key: N bodies, P pixels, S = antialias² rays of a pixel. A vector is a tuple of components, as in `shapes`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from hindsight_jax.rendering import picture, shapes
from hindsight_jax.rendering.scene import Camera, Scene, frame, unit

LIGHT = (-0.45, -0.35, 1.0)
BACKGROUND = ((0.80, 0.84, 0.89), (0.96, 0.97, 0.98))


def observer(scenery: Scene | None, camera: Camera, pixels: int, antialias: int = 2) -> Callable[[Scene], jax.Array]:
    one = jnp.ones((pixels, pixels), jnp.float32)
    axes = frame(unit(jnp.array(LIGHT)))
    sun = axes[:, 2]

    @jax.jit
    def still(offset):
        rise = (jnp.arange(pixels)[::-1] + 0.5)[:, None] / pixels
        backdrop = tuple(
            jnp.broadcast_to(low + rise * (high - low), (pixels, pixels)) for low, high in zip(*BACKGROUND)
        )
        origin, direction = picture._rays(camera, pixels, pixels, offset)
        if scenery is None:
            return (shapes.FAR * one, *backdrop), origin, direction
        groups = picture._by_kind(scenery)
        (depth, ambient, light, *colour), layers = picture._nearest(groups, origin, direction, sun, backdrop)
        return (depth, *(channel * (ambient + light) for channel in colour)), origin, direction

    grid = (jnp.arange(antialias) + 0.5) / antialias - 0.5
    offsets = jnp.stack(jnp.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    import numpy as np

    samples = jax.tree.map(np.asarray, [still(offset) for offset in offsets])
    sun_ = np.asarray(sun)

    def observe(bodies):
        total = None
        for (depth, *colour), origin, direction in samples:
            for i, kind in enumerate(bodies.kinds):
                primitive = Scene((kind,), bodies.position[i], bodies.rotation[i], bodies.size[i], bodies.rgba[i])
                t, normal = shapes.enter(primitive, origin, direction, 0.0)
                ambient, light = picture._light(primitive, normal, sun_)
                closer = t < depth
                depth = jnp.where(closer, t, depth)
                shade = ambient + light
                colour = [jnp.where(closer, shade * bodies.rgba[i, k], c) for k, c in enumerate(colour)]
            total = colour if total is None else [a + b for a, b in zip(total, colour)]
        bytes_ = [jnp.round(jnp.clip(c / len(samples), 0.0, 1.0) * 255).astype(jnp.uint32) for c in total]
        word = bytes_[0] | bytes_[1] << 8 | bytes_[2] << 16
        return jax.lax.bitcast_convert_type(word, jnp.uint8)[..., :3]

    return observe
