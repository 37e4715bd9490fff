"""Rays against a brute-force search, pictures against geometry, colours against arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import rendering
from hindsight_jax.rendering import picture, shapes

RED, GREEN, BLUE, WHITE = (1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)
BLACK = np.zeros((2, 3))
UP = (0.0, 0.0, 1.0)  # a light from straight above: a surface that faces it has shade 0.56 + 0.08 + 0.42 = 1.06
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


def top_view(height=1.0):
    return rendering.orthographic([0, 0, 5], [0, 0, 0], [0, 1, 0], height)


def draw(scene, camera, width=8, height=8, antialias=1, light=UP, background=BLACK):
    image = rendering.render(scene, camera, width, height, antialias=antialias, light=light, background=background)
    assert image.shape == (height, width, 3)
    assert image.dtype == jnp.float32
    assert bool(jnp.all((image >= 0) & (image <= 1)))  # refuses NaN too
    return np.asarray(image)


# --- rays ---


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


# --- silhouettes ---


def test_orthographic_silhouettes():
    """Each body alone in a cell of 1 m, 50 pixels: its area and its extent, in pixels."""
    tilt = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # local z lies along the world's x
    scene = rendering.compose(
        rendering.sphere([-1, 0.5, 0], 0.4, WHITE),
        rendering.capsule([0, 0.5, 0], 0.15, 0.25, WHITE, tilt),
        rendering.cylinder([1, 0.5, 0], 0.3, 0.1, WHITE),
        rendering.cylinder([-1, -0.5, 0], 0.2, 0.4, WHITE, tilt),
        rendering.box([0, -0.5, 0], [0.4, 0.1, 0.2], WHITE, rendering.yaw(np.pi / 6)),
        rendering.plane([1, -0.5, 0], WHITE, [0.24, 0.34]),
    )
    drawn = draw(scene, top_view(height=2.0), width=150, height=100)[..., 0] > 0
    cells = drawn.reshape(2, 50, 3, 50).transpose(0, 2, 1, 3).reshape(6, 50, 50)
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    expected = (  # area, width, height in metres
        (np.pi * 0.4**2, 0.8, 0.8),
        (np.pi * 0.15**2 + 0.3 * 0.5, 0.8, 0.3),
        (np.pi * 0.3**2, 0.6, 0.6),
        (0.8 * 0.4, 0.8, 0.4),
        (0.8 * 0.2, 0.8 * c + 0.2 * s, 0.8 * s + 0.2 * c),
        (0.48 * 0.68, 0.48, 0.68),
    )
    for cell, (area, across, high) in zip(cells, expected, strict=True):
        np.testing.assert_allclose(cell.sum(), area * 50**2, rtol=0.03)
        assert abs(cell.any(axis=0).sum() - 50 * across) <= 1.5
        assert abs(cell.any(axis=1).sum() - 50 * high) <= 1.5


def test_pinhole_silhouettes():
    """A ball of radius r at distance D has tangent r / sqrt(D² - r²), a face of half-width a at distance F: a / F."""
    scene = rendering.compose(
        rendering.sphere([-1.0, 0, 0], 0.5, RED), rendering.box([1.0, 0, -0.5], [0.3, 0.3, 0.5], GREEN)
    )
    camera = rendering.pinhole([-1, 0, 3], [-1, 0, 0], [0, 1, 0], fov_degrees=90.0)  # 200 rows: 100 pixels per tangent
    image = draw(scene, camera, width=280, height=200)
    ball, face = image[..., 0] > 0, image[..., 1] > 0.9  # the top of the box is bright, its side dim
    np.testing.assert_allclose(ball.sum(), np.pi * (100 * 0.5 / np.sqrt(9 - 0.25)) ** 2, rtol=0.02)
    rows, columns = np.nonzero(face)
    np.testing.assert_allclose([rows.min(), rows.max() + 1], [100 - 10, 100 + 10], atol=1)
    np.testing.assert_allclose([columns.min(), columns.max() + 1], [140 + 100 * 1.7 / 3, 140 + 100 * 2.3 / 3], atol=1)


def test_right_up_and_top_row():
    scene = rendering.compose(rendering.sphere([0.75, 0, 0], 0.2, RED), rendering.sphere([0, 0.75, 0], 0.2, GREEN))
    gradient = np.array([[0.0, 0, 0.2], [0, 0, 1.0]])
    image = draw(scene, top_view(height=2.0), background=gradient)
    assert image[3:5, 6:].min(axis=(0, 1))[0] > 0.5  # x is right
    assert image[:2, 3:5].min(axis=(0, 1))[1] > 0.5  # y is up
    np.testing.assert_allclose(image[[0, -1], 0, 2], [0.95, 0.25], atol=1e-5)  # 0.2 + 0.8 (1 - 1/16), and 1/16


def test_capsule_between_ends_where_told():
    a, b = np.array([0.1, -0.3, 0.2]), np.array([0.4, 0.5, -0.6])
    solid = rendering.capsule_between(a, b, 0.1, WHITE)
    np.testing.assert_allclose(solid.rotation[0] @ solid.rotation[0].T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(jnp.linalg.det(solid.rotation[0]), 1.0, atol=1e-6)
    ends = [solid.position[0] + sign * solid.size[0, 1] * solid.rotation[0, :, 2] for sign in (-1, 1)]
    np.testing.assert_allclose(ends, [a, b], atol=1e-6)
    assert np.isfinite(rendering.capsule_between(a, a, 0.1, WHITE).rotation).all()


# --- colours ---


def layers(*order):
    """Planes at heights 0, 1 and 2: opaque 0.4, alpha 0.5 of 0.8, alpha 0.25 of 0.2; composed in this order."""
    rows = ((0.4, 1.0), (0.8, 0.5), (0.2, 0.25))
    plane = lambda i: rendering.plane([0, 0, i], [*[rows[i][0]] * 3, rows[i][1]])
    return rendering.compose(*(plane(i) for i in order))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_translucent_golden(order):
    """1.06 (0.25 0.2 + 0.75 (0.5 0.8 + 0.5 0.4)) = 1.06 * 0.5 = 0.53, in whichever order they are listed."""
    np.testing.assert_allclose(draw(layers(*order), top_view()), 0.53, rtol=1e-5)


def test_translucent_below_the_surface_is_hidden():
    view = rendering.orthographic([0, 0, -5], [0, 0, 0], [0, 1, 0], 1.0)
    np.testing.assert_allclose(draw(layers(0, 1, 2), view), (0.56 - 0.08) * 0.4, rtol=1e-5)  # from below: no sun


def test_translucent_at_one_depth_blend_in_order():
    """1.06 (0.5 0.4 + 0.5 0.5 0.8) = 0.424: the shares never exceed 1."""
    grey = lambda x: rendering.plane([0, 0, 0], [x, x, x, 0.5])
    image = draw(rendering.compose(grey(0.4), grey(0.8), layers(0)), top_view(), background=BLACK)
    np.testing.assert_allclose(image, 1.06 * 0.4, rtol=1e-5)  # the opaque plane ties too, and the surface is in front


def test_nearer_hides_farther_in_any_order():
    low, high = rendering.sphere([0, 0, 0], 0.5, RED), rendering.sphere([0, 0, 2], 0.4, GREEN)
    for scene in (rendering.compose(low, high), rendering.compose(high, low)):
        image = draw(scene, top_view())
        assert image[4, 4, 1] > 0.9
        assert image[4, 4, 0] == 0.0


def test_behind_and_around_the_camera_is_not_drawn():
    around = rendering.compose(rendering.sphere([0, 0, 7], 0.5, RED), rendering.sphere([0, 0, 5], 0.5, GREEN))
    for camera in (top_view(), rendering.pinhole([0, 0, 5], [0, 0, 0], [0, 1, 0], 60.0)):
        assert not draw(around, camera).any()


def test_shadow_golden():
    """A ball over a plane, light at 45 degrees: the shadow's centre lies a height away and keeps ambient and sky."""
    lit = 0.56 + 0.08 + 0.42 / np.sqrt(2)
    scene = lambda alpha: rendering.compose(
        rendering.plane([0, 0, 0], [0.5, 0.5, 0.5, 1]), rendering.sphere([0, 0, 1], 0.3, [1, 0, 0, alpha])
    )
    pixel = lambda alpha, x: draw(
        scene(alpha), rendering.orthographic([x, 0, 5], [x, 0, 0], [0, 1, 0], 0.01), light=(-1, 0, 1)
    )[4, 4]
    np.testing.assert_allclose(pixel(1.0, 1.0), 0.5 * (0.56 + 0.08), rtol=1e-5)
    np.testing.assert_allclose(pixel(1.0, -1.0), 0.5 * lit, rtol=1e-5)
    np.testing.assert_allclose(pixel(0.5, 1.0), 0.5 * lit, rtol=1e-5)  # the translucent ball casts none


def test_antialias_averages_the_edge():
    """A plane that covers 3/4 of the middle pixels' width, with 4 x 4 rays: 3/4 of its colour."""
    scene = rendering.plane([0, 0, 0], [0.5, 0.5, 0.5, 1], half_extents=[0.0, 0.25 * 1.75])
    image = draw(scene, top_view(height=2.0), antialias=4)
    np.testing.assert_allclose(image[:, 0, 0], 0.53 * np.array([0, 0, 0.75, 1, 1, 0.75, 0, 0]), atol=1e-5)


# --- transformations ---


def everything(x):
    """One of each kind, moved by x; one is translucent."""
    return rendering.compose(
        rendering.plane([0, 0, 0], WHITE),
        rendering.sphere(jnp.stack([x, 0.0, 0.3]), 0.2, RED),
        rendering.box([0.3, 0.3, 0.1], [0.1, 0.2, 0.1], GREEN, rendering.yaw(x)),
        rendering.cylinder([-0.3, 0.3, 0.1], 0.1, 0.1, (0.0, 0.0, 1.0, 0.5)),
        rendering.capsule_between([0, 0, 0], jnp.stack([x, 0.4, 0.2]), 0.05, BLUE),
    )


def photo(x):
    camera = rendering.pinhole([0, -2, 2], [0, 0, 0], UP, 40.0)
    return rendering.render(everything(x), camera, width=6, height=5)


def test_jit_vmap_and_map_agree_with_eager():
    xs = jnp.array([-0.2, 0.1, 0.4])
    with jax.disable_jit():
        eager = photo(xs[0])
    pictures = jax.jit(jax.vmap(photo))(xs)
    assert float(jnp.std(pictures[0] - pictures[1])) > 0.01  # the pictures differ
    np.testing.assert_allclose(pictures[0], eager, atol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda xs: jax.lax.map(photo, xs))(xs), pictures, atol=1e-5)
    scenes = jax.jit(jax.vmap(everything))(xs)
    assert scenes.kinds == everything(xs[0]).kinds
    assert scenes.position.shape == (3, 5, 3)


def test_scenes_of_the_same_kinds_compile_once():
    before = picture._render._cache_size()
    for colour in (RED, BLUE, WHITE):
        draw(rendering.sphere([0, 0, 0], 0.3, colour), top_view(), width=7, height=5)
    assert picture._render._cache_size() == before + 1


def test_degenerate_views_traced_are_finite():
    def view(target, up):
        return rendering.render(layers(0), rendering.pinhole([0, 0, 5], target, up, 60.0), 4, 4)

    view = jax.jit(view)
    for target, up in (((0, 0, 0), (0, 0, 1)), ((0, 0, 5), (0, 1, 0)), ((0, 0, 0), (0, 0, 0))):
        assert np.isfinite(view(jnp.array(target, jnp.float32), jnp.array(up, jnp.float32))).all()


# --- files ---


def test_contact_sheet_tiles_row_by_row():
    images = jnp.broadcast_to(jnp.arange(3.0)[:, None, None, None] / 10, (3, 2, 4, 3))
    sheet = rendering.contact_sheet(images, columns=2, gap=1)[..., 0]
    a, b, c, gap = 0.0, 0.1, 0.2, 1.0
    rows = [[a] * 4 + [gap] + [b] * 4] * 2 + [[gap] * 9] + [[c] * 4 + [gap] * 5] * 2
    np.testing.assert_allclose(sheet, rows)
    assert rendering.contact_sheet(images, columns=5, gap=0).shape == (2, 20, 3)


def test_to_uint8_rounds_and_clips():
    got = rendering.to_uint8(jnp.array([-1.0, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 7.0]))
    assert got.dtype == jnp.uint8
    assert got.tolist() == [0, 0, 0, 1, 255, 255]


# --- errors ---


def batched_scene():
    return jax.vmap(everything)(jnp.zeros(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rendering.sphere([0, 0, 0], -1.0, RED), "size: .* Give radii"),
        (lambda: rendering.sphere([0, 0, 0], 1.0, [255, 0, 0, 255]), "rgba: .* Divide bytes by 255"),
        (lambda: rendering.compose(), "scenes: got none"),
        (lambda: rendering.orthographic([0, 0, 1], [0, 0, 0], UP, 1.0), "up: .* to look straight down"),
        (lambda: rendering.orthographic([0, 0, 1], [0, 0, 1], UP, 1.0), "up: "),
        (lambda: rendering.render(batched_scene(), top_view(), 8, 8), r"scene.position: .*jax.vmap"),
        (lambda: rendering.render(rendering.Scene((4,), *[jnp.zeros(1)] * 4), top_view(), 8, 8), "scene.kinds: got 4"),
        (lambda: rendering.contact_sheet(jnp.zeros((2, 8, 8, 3), jnp.uint8), 1), "images: .* to_uint8 after"),
    ],
)
def test_a_refusal_names_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()
