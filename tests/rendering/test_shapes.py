"""Where a ray enters each solid, against a brute-force search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import WHITE

from hindsight_jax import rendering
from hindsight_jax.rendering import shapes

SIZE = {
    rendering.SPHERE: (0.7, 0.0, 0.0),
    rendering.CAPSULE: (0.3, 0.6, 0.0),
    rendering.CYLINDER: (0.6, 0.4, 0.0),
    rendering.BOX: (0.3, 0.5, 0.8),
}
KINDS = sorted(SIZE)


def level(kind, size, p):
    """Negative inside, zero on the surface: of f64[..., 3], an independent description of each solid."""
    radius = np.linalg.norm(p[..., :2], axis=-1)
    if kind == rendering.SPHERE:
        return np.linalg.norm(p, axis=-1) - size[0]
    if kind == rendering.CAPSULE:
        return np.hypot(radius, np.maximum(np.abs(p[..., 2]) - size[1], 0.0)) - size[0]
    if kind == rendering.CYLINDER:
        return np.maximum(radius - size[0], np.abs(p[..., 2]) - size[1])
    return np.max(np.abs(p) - np.array(size), axis=-1)


def primitive(kind, size=None, position=(0.0, 0.0, 0.0), rotation=None):
    """One primitive whose arrays have no axis N, as `shapes.enter` wants it."""
    size = SIZE[kind] if size is None else size
    rotation = np.eye(3) if rotation is None else rotation
    return rendering.Scene((kind,), *(jnp.asarray(x, jnp.float32) for x in (position, rotation, size, WHITE)))


def enter(solid, origin, direction, near=0.0):
    """`shapes.enter` for rays f[R, 3]: distance [R], unit normal in the world [R, 3]."""
    columns = lambda x: tuple(jnp.asarray(x, jnp.float32).T)
    t, normal = jax.jit(shapes.enter)(solid, columns(origin), columns(direction), near)
    normal = np.stack([np.broadcast_to(k, t.shape) for k in normal], axis=-1) @ np.asarray(solid.rotation).T
    return np.asarray(t), normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)


def turn(seed):
    """Any rotation."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


@pytest.mark.parametrize("kind", KINDS)
def test_entry_is_the_first_point_inside(kind):
    rng, rotation, position = np.random.default_rng(kind), turn(kind), np.array([0.3, -0.2, 0.1])
    direction = rng.normal(size=(400, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    origin = position + rng.uniform(-0.9, 0.9, size=(400, 3)) - 3.0 * direction
    t, normal = enter(primitive(kind, None, position, rotation), origin, direction)

    step = 1e-3
    grid = np.arange(0.0, 6.0, step)
    inside = lambda x: level(kind, SIZE[kind], (x - position) @ rotation)
    values = inside(origin[:, None] + grid[None, :, None] * direction[:, None])
    first = np.where((values < 0).any(axis=1), grid[np.argmax(values < 0, axis=1)], shapes.FAR)
    sure = np.abs(values.min(axis=1)) > 2e-3  # a ray that only grazes may slip between the steps
    assert 50 < (first[sure] < shapes.FAR).sum() < sure.sum() - 50
    np.testing.assert_allclose(t[sure], first[sure], atol=1.5 * step)

    hit = sure & (first < shapes.FAR)
    point = origin + t[:, None] * direction
    gradient = np.stack([inside(point + e) - inside(point - e) for e in 1e-4 * np.eye(3)], axis=-1)
    gradient /= np.linalg.norm(gradient, axis=-1, keepdims=True)
    aligned = np.sum(gradient * normal, axis=-1)[hit] > 0.999
    assert aligned.mean() > 0.97  # the rest has a difference across an edge


def test_axis_parallel_entries():
    down, x = [[0.0, 0.0, -1.0]], [[1.0, 0.0, 0.0]]
    above, left = [[0.1, 0.0, 2.0]], [[-2.0, 0.0, 0.1]]
    for kind, t_down, t_x in (
        (rendering.SPHERE, 2 - np.sqrt(0.7**2 - 0.01), 2 - np.sqrt(0.7**2 - 0.01)),
        (rendering.CAPSULE, 2 - 0.6 - np.sqrt(0.3**2 - 0.01), 2 - 0.3),
        (rendering.CYLINDER, 2 - 0.4, 2 - 0.6),
        (rendering.BOX, 2 - 0.8, 2 - 0.3),
    ):
        for origin, direction, expected in ((above, down, t_down), (left, x, t_x)):
            np.testing.assert_allclose(enter(primitive(kind), origin, direction)[0], [expected], rtol=1e-5)


@pytest.mark.parametrize("kind", [rendering.PLANE, *KINDS])
def test_no_ray_gives_nan(kind):
    """Along axes, within faces, from the centre, along edges; for sizes down to nothing; from far away."""
    values = (0.0, -0.0, 0.3, 0.5, -0.6, 1e-10, 1e4)
    origin = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(-1, 3)
    for direction in ((0, 0, 1), (0, -1, 0), (1, 0, 0), (0.6, 0.8, 0), (1e-10, 0, 1), (1e-6, -1e-8, 1), (0, 0, 0)):
        for size in ((0.3, 0.5, 0.8), (0.5, 0.3, 0.3), (0.0, 0.0, 0.0)):
            t, normal = enter(primitive(kind, size), origin, np.broadcast_to(np.float32(direction), origin.shape))
            assert np.all((t > 0) & (t <= shapes.FAR))
            assert np.isfinite(normal).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rays_from_inside_or_leaving_miss(kind):
    rays = np.array([[0.0, 0, 0], [0, 0, 2]]), np.array([[0.0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(enter(primitive(kind), *rays)[0], [shapes.FAR] * 2)


def test_plane_is_seen_from_both_sides_within_its_limits():
    origin = np.array([[0.0, 0, 1], [0, 0, -1], [0.9, 0, 1], [1.1, 0, 1], [0, 0.4, 1], [0, 0.6, 1]])
    direction = np.where(origin[:, 2:] > 0, [[0.0, 0, -1]], [[0.0, 0, 1]])
    t, normal = enter(primitive(rendering.PLANE, (1.0, 0.5, 0.0)), origin, direction)
    np.testing.assert_allclose(t, [1, 1, 1, shapes.FAR, 1, shapes.FAR])
    np.testing.assert_allclose(normal[:2], [[0, 0, 1], [0, 0, -1]])
    endless, _ = enter(primitive(rendering.PLANE, (0.0, 0.5, 0.0)), origin, direction)  # x has no limit
    np.testing.assert_allclose(endless, [1, 1, 1, 1, 1, shapes.FAR])
