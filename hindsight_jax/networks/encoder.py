"""A convolutional encoder of images, which heads put before their MLP.

Dimension key: B batch (any leading axes), P pixels of a side, C channels, k side of a kernel, M maps, H and W places of
a map.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from hindsight_jax import by_device, checks, types
from hindsight_jax.networks._product import transposed_product


class Layer(NamedTuple):
    """A convolution without padding."""

    maps: int
    side: int  # of the kernel, in places of the layer before
    stride: int


class ImageEncoder(nn.Module):
    """Three convolutions with ReLU, u8[B, P, P, C] -> f32[B, features]: the network of hEM [M, appendix C.2].

    Their maps, kernels and strides are 32 of 8 x 8 by 4, 64 of 4 x 4 by 2, 64 of 3 x 3 by `last_stride`, without
    padding, on pixels / 255 - 1/2. The paper's last stride is 2: at 48 pixels it leaves one place, and 1 leaves 2 x 2,
    for 8 % more work. Features are the flattened maps; with `spatial_softmax` each map's mean place, a pair (row,
    column) in [-1, 1], under the softmax over its places of the last convolution, before the ReLU: behind it a map that
    is 0 everywhere would get no gradient.

    Parameters: kernel_i [k, k, C, M], which begin as He et al. (2015) have them, normal with variance 2 / fan-in, and
    bias_i [M], which begin as 0. What moves is a small part of an image: first weights as small as `uniform_fan_in`'s
    pass less of it on than their biases, and a network learns to do without the image.

    On a CPU a convolution is computed as a matrix product of patches: XLA's own is slow inside of `jax.lax.scan`,
    where training runs. Elsewhere it is XLA's.

    Raises ValueError for another dtype than uint8, less than 36 pixels, or too few of them for a mean place.

    >>> import jax, jax.numpy as jnp
    >>> image = jnp.zeros((5, 48, 48, 3), jnp.uint8)
    >>> params = ImageEncoder().init(jax.random.key(0), image)
    >>> ImageEncoder().apply(params, image).shape, ImageEncoder(spatial_softmax=True).apply(params, image).shape
    ((5, 256), (5, 128))
    """

    last_stride: int = 1
    spatial_softmax: bool = False

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """The features, [B, features]."""
        stack = self.layers()
        checks.flag("spatial_softmax", self.spatial_softmax, "It is static, and so cannot be traced.")
        check_image("image", image)
        weights, channels = [], jnp.shape(image)[-1]
        for i, (maps, side, _) in enumerate(stack):
            kernel = self.param(f"kernel_{i}", nn.initializers.he_normal(), (side, side, channels, maps))
            weights.append((kernel, self.param(f"bias_{i}", nn.initializers.zeros, (maps,))))
            channels = maps
        leading = jnp.shape(image)[:-3]
        rows = jnp.reshape(image, (math.prod(leading), *jnp.shape(image)[-3:]))
        ways = {"cpu": partial(by_products, stack), "elsewhere": partial(by_convolutions, stack)}
        maps = by_device.choose(rows, weights, **ways)
        features = mean_places(maps) if self.spatial_softmax else _flat(nn.relu(maps))
        return features.reshape(*leading, features.shape[-1])

    def layers(self) -> tuple[Layer, ...]:
        """The three convolutions."""
        stride = checks.whole("last_stride", self.last_stride, 1, 2, "The paper's is 2.", "it must be 1 or 2")
        return Layer(32, 8, 4), Layer(64, 4, 2), Layer(64, 3, stride)

    def sides(self, pixels: int) -> tuple[int, ...]:
        """The places along a side of each layer's maps, for an image of `pixels` x `pixels`.

        >>> ImageEncoder().sides(48), ImageEncoder(last_stride=2).sides(84)
        ((11, 4, 2), (20, 9, 4))
        """
        found = []
        for layer in self.layers():
            pixels = (pixels - layer.side) // layer.stride + 1
            found.append(pixels)
        return tuple(found)

    def num_features(self, pixels: int) -> int:
        """The numbers that an image becomes."""
        per_map = 2 if self.spatial_softmax else self.sides(pixels)[-1] ** 2
        return per_map * self.layers()[-1].maps


def check_image(name: str, value: Any) -> None:
    """u8[B.., P, P, C] with P >= 36, which leave 8, 3 and 1 places a side, and C >= 1."""
    checks.pixels(name, value)
    shape = jnp.shape(value)
    if len(shape) < 3 or shape[-3] != shape[-2] or shape[-1] < 1:
        checks.fail(name, checks.describe(value), "its last axes must be [P, P, C]", "Put the channels last.")
    least = types.LEAST_PIXELS
    if shape[-2] < least:
        rule = f"it must have at least {least} x {least} pixels"
        checks.fail(name, checks.describe(value), rule, "Three convolutions without padding leave nothing of less.")


def mean_places(maps: jax.Array) -> jax.Array:
    """[B, H, W, M] -> [B, 2 M]: the mean row of each map, then the mean columns, in [-1, 1], by a softmax over places.

    >>> import jax.numpy as jnp
    >>> corner = jnp.zeros((1, 3, 3, 1)).at[0, 0, 2, 0].set(100.0)  # the first row, the last column
    >>> mean_places(corner).tolist()
    [[-1.0, 1.0]]
    """
    height, width = maps.shape[-3:-1]
    if min(height, width) < 2:
        rule = "a mean place needs at least 2 x 2 of them"
        checks.fail("image", f"maps of {height} x {width} places", rule, "Take more pixels, or a last stride of 1.")
    share = jax.nn.softmax(maps, axis=(-3, -2))
    row, column = (jnp.linspace(-1.0, 1.0, count, dtype=share.dtype) for count in (height, width))
    mean = lambda axis, place: jnp.einsum("...pm,p->...m", jnp.sum(share, axis=axis), place)
    return jnp.concatenate([mean(-2, row), mean(-3, column)], axis=-1)


def _flat(maps: jax.Array) -> jax.Array:
    """[B, H, W, M] -> [B, H W M]."""
    return maps.reshape(maps.shape[0], math.prod(maps.shape[1:]))


def _scaled(image: jax.Array) -> jax.Array:
    """0 .. 255 -> -1/2 .. 1/2."""
    return image.astype(jnp.float32) / 255 - 0.5


def by_convolutions(stack: tuple[Layer, ...], image: jax.Array, weights: Any) -> jax.Array:
    """The last layer's maps [B, H, W, M] before their ReLU, by XLA's convolutions."""
    x = _scaled(image)
    for i, (layer, (kernel, bias)) in enumerate(zip(stack, weights, strict=True)):
        x = nn.relu(x) if i else x
        strides, names = (layer.stride, layer.stride), ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, kernel, strides, "VALID", dimension_numbers=names)
        x = x + bias[None, None, None]
    return x


def by_products(stack: tuple[Layer, ...], image: jax.Array, weights: Any) -> jax.Array:
    """The same, by products of patches. Pixels are scaled behind the copy, which then moves a quarter of the bytes."""
    x = image
    for i, (layer, (kernel, bias)) in enumerate(zip(stack, weights, strict=True)):
        x = _patches(nn.relu(x), layer) if i else _scaled(_patches(x, layer))
        x = transposed_product(x, kernel.reshape(-1, kernel.shape[-1])) + bias[None, None, None]
    return x


def _patches(x: jax.Array, layer: Layer) -> jax.Array:
    """[B, H, W, C] -> [B, H', W', k k C]: what the kernel covers at each place, in the kernel's order.

    A large kernel takes columns first and then rows, 2 k slices, since k k take long to compile.
    """
    if layer.side > 4:
        columns = jnp.concatenate(_slices(x, 2, layer), axis=-1)
        return jnp.concatenate(_slices(columns, 1, layer), axis=-1)
    return jnp.concatenate([part for row in _slices(x, 1, layer) for part in _slices(row, 2, layer)], axis=-1)


def _slices(x: jax.Array, axis: int, layer: Layer) -> list[jax.Array]:
    """What each of the k entries of the kernel along an axis meets, place by place."""
    span = (x.shape[axis] - layer.side) // layer.stride * layer.stride + 1
    return [jax.lax.slice_in_dim(x, i, i + span, layer.stride, axis) for i in range(layer.side)]
