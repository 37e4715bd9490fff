"""Solids and cameras: the pictures against geometry, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import GREEN, RED, UP, WHITE, draw, everything, layers, top_view

from hindsight_jax import rendering

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


def test_degenerate_views_traced_are_finite():
    def view(target, up):
        return rendering.render(layers(0), rendering.pinhole([0, 0, 5], target, up, 60.0), 4, 4)

    view = jax.jit(view)
    for target, up in (((0, 0, 0), (0, 0, 1)), ((0, 0, 5), (0, 1, 0)), ((0, 0, 0), (0, 0, 0))):
        assert np.isfinite(view(jnp.array(target, jnp.float32), jnp.array(up, jnp.float32))).all()


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
