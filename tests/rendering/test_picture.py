"""Pictures: colours against arithmetic, transformations of JAX, and images for files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import BLACK, BLUE, GREEN, RED, UP, WHITE, draw, everything, layers, top_view

from hindsight_jax import rendering
from hindsight_jax.rendering import picture

# --- colours ---


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


def photo(x):
    camera = rendering.pinhole([0, -2, 2], [0, 0, 0], UP, 40.0)
    return rendering.render(everything(x), camera, width=6, height=5)


@pytest.mark.seldom
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
