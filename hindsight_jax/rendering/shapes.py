"""Where a ray enters a primitive: one closed form for each kind, elementwise, never NaN.

    x = o + t d        a ray; d has length 1, so t is a distance

A vector here is a tuple of three components, each [H, W], or a scalar where all rays share it (the origin of a pinhole,
the direction of parallel rays): shared arithmetic is then done once.
"""

import jax
import jax.numpy as jnp

from hindsight_jax.rendering.scene import BOX, CAPSULE, CYLINDER, PLANE, SPHERE, Scene

FAR = 1e6  # the distance of a ray that hits nothing: finite, because inf * 0 is NaN
TINY = 1e-9

Vector = tuple[jax.Array, ...]  # three components


def dot(a, b):
    """a . b."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def along(origin, t, direction) -> Vector:
    """o + t d."""
    return tuple(o + t * d for o, d in zip(origin, direction, strict=True))


def to_local(rotation: jax.Array, vector) -> Vector:
    """R^T v."""
    return tuple(dot(rotation[:, k], vector) for k in range(3))


def enter(primitive: Scene, origin, direction, near: float):
    """The distance and the local normal (of any length) where rays enter a primitive; FAR if not within (near, FAR).

    The primitive is a scene whose arrays have no axis N. Solids are seen from outside: a ray that starts in one misses.
    """
    relative = tuple(o - primitive.position[k] for k, o in enumerate(origin))
    local = to_local(primitive.rotation, relative), to_local(primitive.rotation, direction)
    t, hit, normal = FORMULAS[primitive.kinds[0]](primitive.size, *local)
    return jnp.where(hit & (t > near) & (t < FAR), t, FAR), normal


def _nonzero(x):
    """x, kept away from 0 without a change of sign."""
    return jnp.where(jnp.abs(x) < TINY, jnp.where(x < 0, -TINY, TINY), x)


def _slab(half, o, d):
    """The t where the ray enters and leaves -half <= x <= half: (-x ± half) / d."""
    inverse = 1.0 / _nonzero(d)
    centre, reach = -o * inverse, half * jnp.abs(inverse)
    return centre - reach, centre + reach


def _tube(radius, o, d):
    """The t where the ray enters and leaves the endless cylinder x² + y² < r², and whether it does."""
    a = jnp.maximum(d[0] ** 2 + d[1] ** 2, TINY**2)
    b = -(o[0] * d[0] + o[1] * d[1]) / a
    inside = radius**2 - (o[0] + b * d[0]) ** 2 - (o[1] + b * d[1]) ** 2
    reach = jnp.sqrt(jnp.maximum(inside, 0.0) / a)
    return b - reach, b + reach, inside > 0


def _sphere(size, o, d):
    """The ray is nearest to the centre at b = -o.d, and enters sqrt(r² - distance²) before."""
    b = -dot(o, d)
    nearest = along(o, b, d)
    inside = size[0] ** 2 - dot(nearest, nearest)
    t = b - jnp.sqrt(jnp.maximum(inside, 0.0))
    return t, inside > 0, along(o, t, d)


def _box(size, o, d):
    """The ray is in the box while it is in three slabs; the last one that it enters gives the face."""
    (x, x_out), (y, y_out), (z, z_out) = (_slab(size[k], o[k], d[k]) for k in range(3))
    t = jnp.maximum(jnp.maximum(x, y), z)
    hit = t < jnp.minimum(jnp.minimum(x_out, y_out), z_out)
    is_x, is_y = x >= jnp.maximum(y, z), y >= z
    faces = (is_x, ~is_x & is_y, ~is_x & ~is_y)
    return t, hit, tuple(jnp.where(face, -jnp.sign(k), 0.0) for face, k in zip(faces, d, strict=True))


def _cylinder(size, o, d):
    """The ray is in the cylinder while it is in the tube and in the slab; the later entry says side or end."""
    side, side_out, hit = _tube(size[0], o, d)
    end, end_out = _slab(size[1], o[2], d[2])
    t, is_end = jnp.maximum(side, end), end > side
    x, y, _ = along(o, t, d)
    normal = (jnp.where(is_end, 0.0, x), jnp.where(is_end, 0.0, y), jnp.where(is_end, -jnp.sign(d[2]), 0.0))
    return t, hit & (t < jnp.minimum(side_out, end_out)), normal


def _capsule(size, o, d):
    """The ray enters the tube at the side of the capsule, or above or below it, where it may hit that round end."""
    side, _, in_tube = _tube(size[0], o, d)
    x, y, z = along(o, side, d)
    is_side = jnp.abs(z) < size[1]
    end, in_end, at_end = _sphere(size, (o[0], o[1], o[2] - jnp.clip(z, -size[1], size[1])), d)
    normal = tuple(jnp.where(is_side, s, e) for s, e in zip((x, y, 0.0), at_end, strict=True))
    return jnp.where(is_side, side, end), in_tube & (is_side | in_end), normal


def _plane(size, o, d):
    """t = -o_z / d_z, if within the half extents; the normal points towards the origin."""
    t = -o[2] / _nonzero(d[2])
    x, y, _ = along(o, t, d)
    within = ((size[0] <= 0) | (jnp.abs(x) < size[0])) & ((size[1] <= 0) | (jnp.abs(y) < size[1]))
    return t, within, (0.0, 0.0, -jnp.sign(d[2]))


# kind -> f(size [3], local origin, local direction) -> (t of the entry, hit, local normal of any length)
FORMULAS = {PLANE: _plane, SPHERE: _sphere, CAPSULE: _capsule, CYLINDER: _cylinder, BOX: _box}
