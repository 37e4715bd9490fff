"""Colours, scenes of every kind of solid, and their pictures from above."""

import jax.numpy as jnp
import numpy as np

from hindsight_jax import rendering

RED, GREEN, BLUE, WHITE = (1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)
BLACK = np.zeros((2, 3))
UP = (0.0, 0.0, 1.0)  # a light from straight above: a surface that faces it has shade 0.56 + 0.08 + 0.42 = 1.06


def top_view(height=1.0):
    return rendering.orthographic([0, 0, 5], [0, 0, 0], [0, 1, 0], height)


def draw(scene, camera, width=8, height=8, antialias=1, light=UP, background=BLACK):
    image = rendering.render(scene, camera, width, height, antialias=antialias, light=light, background=background)
    assert image.shape == (height, width, 3)
    assert image.dtype == jnp.float32
    assert bool(jnp.all((image >= 0) & (image <= 1)))  # refuses NaN too
    return np.asarray(image)


def layers(*order):
    """Planes at heights 0, 1 and 2: opaque 0.4, alpha 0.5 of 0.8, alpha 0.25 of 0.2; composed in this order."""
    rows = ((0.4, 1.0), (0.8, 0.5), (0.2, 0.25))
    plane = lambda i: rendering.plane([0, 0, i], [*[rows[i][0]] * 3, rows[i][1]])
    return rendering.compose(*(plane(i) for i in order))


def everything(x):
    """One of each kind, moved by x; one is translucent."""
    return rendering.compose(
        rendering.plane([0, 0, 0], WHITE),
        rendering.sphere(jnp.stack([x, 0.0, 0.3]), 0.2, RED),
        rendering.box([0.3, 0.3, 0.1], [0.1, 0.2, 0.1], GREEN, rendering.yaw(x)),
        rendering.cylinder([-0.3, 0.3, 0.1], 0.1, 0.1, (0.0, 0.0, 1.0, 0.5)),
        rendering.capsule_between([0, 0, 0], jnp.stack([x, 0.4, 0.2]), 0.05, BLUE),
    )
