"""The encoder of images against arithmetic, NumPy and XLA's own convolutions; and the heads that have one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hindsight_jax import networks, types
from hindsight_jax.networks import encoder

LEAST = 36  # the fewest pixels of a side


def images(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 256, shape), jnp.uint8)


def made(shape=(2, LEAST, LEAST, 3), **options):
    network, image = networks.ImageEncoder(**options), images(*shape)
    return network, jax.jit(network.init)(jax.random.key(0), image), image


def same_everywhere(value):
    """Parameters of three layers whose kernels are 1 / fan-in everywhere, and biases `value`."""
    _, params, _ = made()
    fill = lambda p: jnp.full_like(p, value) if p.ndim == 1 else jnp.full_like(p, 1 / np.prod(p.shape[:-1]))
    return jax.tree.map(fill, params)


@pytest.mark.parametrize(("pixel", "bias", "feature"), [(255, 0.0, 0.5), (204, 0.25, 0.3 + 3 * 0.25), (0, 0.0, 0.0)])
def test_golden_features_of_a_grey_image(pixel, bias, feature):
    """pixel / 255 - 1/2; each layer is a mean, plus its bias, but nothing below 0."""
    image = jnp.full((1, LEAST, LEAST, 3), pixel, jnp.uint8)
    features = networks.ImageEncoder().apply(same_everywhere(bias), image)
    np.testing.assert_allclose(features, np.full((1, 64), feature), rtol=1e-5, atol=1e-6)


def convolved(x, kernel, bias, stride):
    """One layer in float64, place by place."""
    side, places = kernel.shape[0], (x.shape[0] - kernel.shape[0]) // stride + 1
    window = lambda i, j: x[stride * i : stride * i + side, stride * j : stride * j + side]
    return np.array([[np.tensordot(window(i, j), kernel, axes=3) + bias for j in range(places)] for i in range(places)])


@pytest.mark.parametrize(
    ("pixels", "last_stride", "side"),
    [(52, 2, 2), *(pytest.param(*size, marks=pytest.mark.seldom) for size in ((40, 1, 1), (47, 2, 1), (52, 1, 3)))],
)
def test_features_equal_numpy(pixels, last_stride, side):
    """Pixels that no kernel reaches are left out; maps are flattened with the map last."""
    network, params, image = made((1, pixels, pixels, 6), last_stride=last_stride)
    x = np.float64(image[0]) / 255 - 0.5
    for i, stride in enumerate((4, 2, last_stride)):
        x = np.maximum(convolved(x, *(np.float64(params["params"][f"{p}_{i}"]) for p in ("kernel", "bias")), stride), 0)
    assert x.shape == (side, side, 64)
    features = network.apply(params, image)
    assert features.dtype == jnp.float32
    assert features.shape == (1, network.num_features(pixels)) == (1, 64 * side * side)
    np.testing.assert_allclose(features[0], x.ravel(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("last_stride", [1, 2])
def test_products_equal_convolutions_and_so_do_their_gradients(last_stride):
    network, params, image = made((2, 53, 53, 3), last_stride=last_stride)
    weights = [(params["params"][f"kernel_{i}"], params["params"][f"bias_{i}"]) for i in range(3)]
    slope = np.random.default_rng(1).normal(size=(2, *[network.sides(53)[-1]] * 2, 64)).astype(np.float32)
    ways = []
    for way in (encoder.by_products, encoder.by_convolutions):
        maps, pull = jax.vjp(lambda weights, way=way: way(network.layers(), image, weights), weights)
        ways.append((maps, pull(slope)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *ways)


def test_a_cpu_compiles_no_convolution():
    network, params, image = made()
    loss = lambda params: jnp.sum(network.apply(params, image))
    inside = lambda params: jax.lax.scan(lambda total, _: (total + 1, jax.grad(loss)(params)), 0, None, length=2)[1]
    text = jax.jit(inside).lower(params).compile().as_text()
    assert " dot(" in text
    assert " convolution(" not in text
    assert " conditional(" not in text  # one branch


@pytest.mark.seldom
@pytest.mark.parametrize("leading", [(), (2, 3)])
def test_any_leading_axes_compiled_mapped_or_not(leading):
    network, params, _ = made()
    image = images(*leading, LEAST, LEAST, 3)
    features = jax.jit(network.apply)(params, image)
    assert features.shape == (*leading, 64)
    np.testing.assert_allclose(network.apply(params, image), features, rtol=1e-5, atol=1e-6)
    rows = image.reshape(-1, LEAST, LEAST, 3)
    one_by_one = jax.vmap(network.apply, (None, 0))(params, rows).reshape(features.shape)
    np.testing.assert_allclose(one_by_one, features, rtol=1e-5, atol=1e-6)


@pytest.mark.seldom
def test_members_equal_a_loop():
    """Values and gradients, each member with parameters of its own."""
    network, _, image = made()
    params = jax.vmap(lambda key: network.init(key, image))(jax.random.split(jax.random.key(1), 2))
    gradient = jax.jit(jax.value_and_grad(lambda params: jnp.sum(jnp.square(network.apply(params, image)))))
    together = jax.vmap(gradient)(params)
    for i in range(2):
        alone = gradient(jax.tree.map(lambda x, i=i: x[i], params))
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5), together, alone)


def test_first_weights_have_a_variance_of_2_over_fan_in_and_biases_are_0():
    _, params, _ = made((1, LEAST, LEAST, 6))
    shapes = {"kernel_0": (8, 8, 6, 32), "kernel_1": (4, 4, 32, 64), "kernel_2": (3, 3, 64, 64)}
    assert {n: p.shape for n, p in params["params"].items() if "kernel" in n} == shapes
    for i, fan_in in enumerate((384, 512, 576)):
        assert abs(np.var(params["params"][f"kernel_{i}"]) * fan_in / 2 - 1) < 0.05
        assert not np.any(params["params"][f"bias_{i}"])


# Mean places


def test_mean_places_by_hand():
    """Two rows of three: half the weight at the end of each row is row 0, column 1; equal weights are the middle."""
    ends = np.full((2, 3), -np.inf, np.float32)
    ends[:, 2] = 0.0
    lower = np.log(np.float32([[1, 1, 1], [3, 3, 3]]))
    maps = jnp.asarray(np.stack([ends, lower, np.zeros((2, 3), np.float32)], axis=-1))[None]
    np.testing.assert_allclose(encoder.mean_places(maps), [[0, 0.5, 0, 1, 0, 0]], atol=1e-6)  # rows, then columns


@pytest.mark.seldom
def test_mean_places_look_at_maps_before_their_relu():
    """Where every map is below 0 everywhere, places still say where it is least so, and get a gradient."""
    network, params, image = made((1, 44, 44, 3), spatial_softmax=True)
    below = params["params"] | {"bias_2": jnp.full(64, -100.0)}
    features, pull = jax.vjp(lambda p: network.apply({"params": p}, image), below)
    assert features.shape == (1, network.num_features(44)) == (1, 128)
    np.testing.assert_allclose(features, network.apply(params, image), atol=1e-4)
    assert np.abs(pull(jnp.ones_like(features))[0]["kernel_0"]).max() > 0


# Refusals


@pytest.mark.parametrize(
    ("options", "image", "message"),
    [
        ({}, jnp.zeros((1, 36, 36, 3)), r"^image: got float32\[1, 36, 36, 3\], but its dtype must be uint8"),
        ({}, images(1, 35, 35, 3), r"^image: got uint8\[1, 35, 35, 3\], but .* at least 36 x 36 pixels"),
        ({}, images(36, 40, 3), r"^image: got uint8\[36, 40, 3\], but its last axes must be \[P, P, C\]"),
        ({"spatial_softmax": True}, images(36, 36, 3), r"^image: got maps of 1 x 1 places, but .* 2 x 2"),
        ({"last_stride": 3}, images(36, 36, 3), "^last_stride: got 3, but it must be 1 or 2"),
    ],
)
def test_refusals(options, image, message):
    with pytest.raises(ValueError, match=message):
        networks.ImageEncoder(**options).init(jax.random.key(0), image)


# Heads

HEADS = {
    "QNetwork": (networks.QNetwork, {"action": types.Discrete(1, 3)}, ()),
    "GaussianPolicy": (networks.GaussianPolicy, {"action": types.Box(2)}, ()),
    "DeterministicPolicy": (networks.DeterministicPolicy, {"action": types.Box(2)}, ()),
    "Critic": (networks.Critic, {}, (jnp.full((2, 2), 0.5),)),
}
GOALS = types.Range(low=(0.0, -2.0), high=(4.0, 2.0))


def head_of(name, goal, frames=1, **options):
    """(head, its parameters, its inputs)."""
    kind, own, more = HEADS[name]
    head = kind(hidden_sizes=(8,), encoder=networks.ImageEncoder(), **own, **options)
    inputs = (images(2, LEAST, LEAST, 3 * frames), goal, *more)
    return head, jax.jit(head.init)(jax.random.key(0), *inputs), inputs


@pytest.mark.parametrize("name", HEADS)
def test_a_head_sees_features_beside_a_goal_of_numbers(name):
    """As the same head without an encoder sees a vector."""
    head, params, (image, goal, *more) = head_of(name, jnp.array([[0.5, 1.0], [-1.0, 0.0]]))
    assert set(params["params"]) - {"log_std"} == {"encoder", "MLP_0"}
    features = networks.ImageEncoder().apply({"params": params["params"]["encoder"]}, image)
    behind = {"params": {part: p for part, p in params["params"].items() if part != "encoder"}}
    expected = head.clone(encoder=None).apply(behind, features, goal, *more)
    got = head.apply(params, image, goal, *more)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, expected)


@pytest.mark.parametrize("name", HEADS)
def test_an_image_of_the_goal_goes_through_the_same_encoder_once_a_frame(name):
    ranges = {} if name == "DeterministicPolicy" else {"goal_range": GOALS}  # images are not scaled by it
    goal = images(2, LEAST, LEAST, 3, seed=1)
    head, params, (image, goal, *more) = head_of(name, goal, frames=2, **ranges)
    encode = lambda image: networks.ImageEncoder().apply({"params": params["params"]["encoder"]}, image)
    behind = {"params": {part: p for part, p in params["params"].items() if part != "encoder"}}
    seen = encode(image), encode(jnp.concatenate([goal, goal], axis=-1))
    bare = head.clone(encoder=None, **dict.fromkeys(ranges))
    expected = bare.apply(behind, *seen, *more)
    got = head.apply(params, image, goal, *more)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, expected)


def test_goals_of_numbers_are_scaled_beside_images():
    head, params, (image, goal) = head_of("QNetwork", jnp.array([[0.0, -2.0], [4.0, 2.0]]), goal_range=GOALS)
    plain = head.clone(goal_range=None)
    expected = plain.apply(params, image, jnp.array([[-1.0, -1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(head.apply(params, image, goal), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.seldom
@pytest.mark.parametrize("goal", [jnp.zeros((2, 2)), images(2, LEAST, LEAST, 3, seed=1)], ids=["numbers", "image"])
def test_gradients_reach_every_parameter(goal):
    head, params, inputs = head_of("QNetwork", goal)
    slopes = jax.grad(lambda params: jnp.sum(head.apply(params, *inputs)))(params)
    assert all(np.abs(slope).max() > 0 for slope in jax.tree.leaves(slopes))


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (
            images(2, 40, 40, 3),
            r"^goal: got uint8\[2, 40, 40, 3\], but it must be one frame of observation uint8\[2, 36",
        ),
        (images(2, LEAST, LEAST, 2), "^goal: got .* must be one frame"),
        (images(1, LEAST, LEAST, 3), "^goal: got .* must be one frame"),
        (jnp.zeros(2), r"^goal: got float32\[2\], but its leading axes must be those of the observation, \[2\]"),
        (jnp.zeros((2, LEAST, LEAST, 3)), "^goal: got .* its leading axes"),
    ],
)
def test_goals_that_do_not_fit_the_observation_are_refused(goal, message):
    with pytest.raises(ValueError, match=message):
        head_of("QNetwork", goal)


def test_an_encoder_of_another_kind_is_refused():
    head = networks.QNetwork(types.Discrete(1, 3), encoder=networks.MLP((4,), 4))
    with pytest.raises(ValueError, match=r"^encoder: got MLP, but its type must be ImageEncoder"):
        head.init(jax.random.key(0), images(1, LEAST, LEAST, 3), jnp.zeros((1, 2)))
