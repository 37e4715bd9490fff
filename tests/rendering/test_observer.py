"""Image observations against `render` without shadows.

Dimension key: P = 24 pixels.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scenes import GREEN, RED, UP, WHITE, everything, top_view

from hindsight_jax import rendering

P = 24
PINHOLE = rendering.pinhole([0, -2, 2], [0, 0, 0], UP, 40.0)
FLOOR = rendering.compose(
    rendering.plane([0, 0, 0], WHITE, (0.6, 0.5)), rendering.box([0.2, 0.3, 0.1], [0.3, 0.1, 0.2], GREEN)
)


def rendered(scene, camera, antialias=2, shadows=False):
    image = rendering.render(scene, camera, P, P, antialias=antialias, shadows=shadows)
    return np.asarray(rendering.to_uint8(image)).astype(int)


def opaque(x):
    """One body of each kind, moved by x, but no plane."""
    scene = everything(jnp.float32(x))
    rgba = scene.rgba.at[:, 3].set(1.0)
    return rendering.Scene(scene.kinds[1:], scene.position[1:], scene.rotation[1:], scene.size[1:], rgba[1:])


@pytest.mark.parametrize("antialias", [pytest.param(1, marks=pytest.mark.seldom), 2])
@pytest.mark.parametrize("camera", [PINHOLE, top_view(1.4)], ids=["pinhole", "orthographic"])
def test_it_is_the_picture_without_shadows(camera, antialias):
    observe = jax.jit(rendering.observer(FLOOR, camera, P, antialias))
    for x in (-0.2, 0.13):
        image = observe(opaque(x))
        assert image.shape == (P, P, 3)
        assert image.dtype == jnp.uint8
        expected = rendered(rendering.compose(FLOOR, opaque(x)), camera, antialias)
        assert np.abs(np.asarray(image) - expected).max() <= 1
    assert np.abs(expected - rendered(FLOOR, camera, antialias)).max() > 50  # the bodies show


def test_without_a_scenery_the_background_is_behind():
    ball = rendering.sphere([0, 0, 0], 0.3, RED)
    image = rendering.observer(None, PINHOLE, P)(ball)
    assert np.abs(np.asarray(image) - rendered(ball, PINHOLE)).max() <= 1


@pytest.mark.seldom
def test_it_works_in_nested_maps_and_scans():
    observe = rendering.observer(FLOOR, PINHOLE, P)
    xs = jnp.linspace(-0.3, 0.3, 6).reshape(2, 3)
    draw = lambda x: observe(opaque(x))
    single = np.stack([[jax.jit(draw)(x) for x in row] for row in xs])
    assert (single[0, 0] != single[1, 2]).any()
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.vmap(draw)))(xs), single)
    _, scanned = jax.jit(lambda xs: jax.lax.scan(lambda carry, x: (carry, jax.vmap(draw)(x)), 0, xs))(xs)
    np.testing.assert_array_equal(scanned, single)


def test_translucent_bodies_are_opaque_and_those_of_alpha_0_are_not_drawn():
    ball = lambda alpha: rendering.sphere([0, 0, 0.2], 0.2, (1.0, 0.0, 0.0, alpha))
    observe = rendering.observer(FLOOR, PINHOLE, P)
    solid, faint, absent = (np.asarray(observe(ball(alpha))) for alpha in (1.0, 0.25, 0.0))
    np.testing.assert_array_equal(faint, solid)
    assert np.abs(absent - rendered(FLOOR, PINHOLE)).max() <= 1
    assert (solid != absent).any()
    hidden = rendering.observer(rendering.compose(FLOOR, ball(0.0)), PINHOLE, P)
    np.testing.assert_array_equal(hidden(ball(0.0)), absent)


def test_a_traced_scenery_or_camera_is_refused():
    def draw(x):
        return rendering.observer(rendering.sphere(x, 0.1, RED), PINHOLE, P)(FLOOR)

    with pytest.raises(ValueError, match=r"^scenery: got traced arrays, .*outside of jax.jit"):
        jax.jit(draw)(jnp.zeros(3))
    moved = lambda x: rendering.pinhole(x, [0, 0, 0], UP, 40.0)
    with pytest.raises(ValueError, match=r"^camera: got traced arrays"):
        jax.jit(lambda x: rendering.observer(FLOOR, moved(x), P)(FLOOR))(jnp.array([0.0, -2.0, 2.0]))
