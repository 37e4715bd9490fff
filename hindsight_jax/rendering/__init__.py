"""Pictures of simple bodies by ray casting, in pure JAX: GIFs for people, image observations for policies.

A scene is a few primitives (sphere, capsule, cylinder, box, plane) in MuJoCo's conventions; a camera looks at it;
`render` intersects every ray with every primitive in closed form. It needs no GL and no call back to the host, so it
works inside `jax.jit`, `jax.vmap` and `jax.lax.scan`. Lengths are in one unit (metres), the world's z points
up, colours are RGBA in [0, 1].

>>> def frame(x):
...     scene = compose(plane([0, 0, 0], [0.9, 0.8, 0.7, 1]), sphere(jnp.stack([x, 0.0, 0.1]), 0.1, [1, 0, 0, 1]))
...     return render(scene, pinhole([0, -1, 1], target=[0, 0, 0], up=[0, 0, 1], fov_degrees=45), width=32, height=24)
>>> import jax, jax.numpy as jnp
>>> to_uint8(jax.lax.map(frame, jnp.linspace(-0.2, 0.2, 3))).shape
(3, 24, 32, 3)

`jax.lax.map` renders frame after frame: the fastest on a CPU, in the memory of one; `jax.vmap` renders all at once.
"""

from hindsight_jax.rendering.observer import observer
from hindsight_jax.rendering.picture import contact_sheet, render, to_uint8
from hindsight_jax.rendering.scene import (
    BOX,
    CAPSULE,
    CYLINDER,
    MARKER,
    PLANE,
    SPHERE,
    Camera,
    Scene,
    box,
    capsule,
    capsule_between,
    compose,
    cylinder,
    orthographic,
    pinhole,
    plane,
    sphere,
    yaw,
)

__all__ = [
    "BOX",
    "CAPSULE",
    "CYLINDER",
    "MARKER",
    "PLANE",
    "SPHERE",
    "Camera",
    "Scene",
    "box",
    "capsule",
    "capsule_between",
    "compose",
    "contact_sheet",
    "cylinder",
    "observer",
    "orthographic",
    "pinhole",
    "plane",
    "render",
    "sphere",
    "to_uint8",
    "yaw",
]
