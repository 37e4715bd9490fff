"""The multilayer perceptron that all heads share, its initialiser and its inputs.

Dimension key: B batch (any leading axes), O observation dims, G goal dims."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hindsight_jax import checks, types
from hindsight_jax.networks._product import few_outputs


def uniform_fan_in(fan_in: int) -> Any:
    """An initialiser: uniform in +-1/sqrt(fan_in), for weights and biases alike (HDM's released networks)."""
    bound = checks.positive_int("fan_in", fan_in, "It is the number of a layer's inputs.") ** -0.5

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def small_normal(std: float) -> Any:
    """An initialiser: normal with this deviation, cut at two of them: Rauber et al. (2019) take 0.01, and biases of 0.

    >>> weights = small_normal(0.01)(jax.random.key(0), (1000, 1000))
    >>> print(f"{weights.std():.4f} {abs(weights).max():.3f}")  # the cut leaves 0.88 of the deviation
    0.0088 0.020
    """
    above = math.nextafter(0.0, 1.0)
    std = checks.number("std", std, above, sys.float_info.max, "Take 0.01.", "it must be a finite number > 0")

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        return std * jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)

    return init


def scale_to_range(x: jax.Array, bounds: types.Range) -> jax.Array:
    """Maps [low, high] to [-1, 1], coordinate by coordinate: 2 (x - low) / (high - low) - 1, [..., O] -> [..., O].

    Raises ValueError if x has no floating dtype or no axis, or if the range has not one low < high for each coordinate.

    >>> import jax.numpy as jnp
    >>> scale_to_range(jnp.array([0.5, 0.2]), types.Range(low=(0.5, 0.0), high=(0.7, 0.2))).tolist()
    [-1.0, 1.0]
    """
    check_features("x", x)
    if not isinstance(bounds, types.Range):
        checks.fail("bounds", checks.describe(bounds), "it must be a Range", "Pass spec.observation_range, say.")
    for name, values in bounds._asdict().items():
        if not isinstance(values, (tuple, list)) or len(values) != jnp.shape(x)[-1]:
            rule = f"it must hold one number for each coordinate of x {checks.describe(x)}"
            checks.fail(f"bounds.{name}", values, rule, "Correct the range of the spec.")
        for i, value in enumerate(values):
            checks.real(f"bounds.{name}[{i}]", value)
    if not all(low < high for low, high in zip(bounds.low, bounds.high, strict=True)):
        checks.fail("bounds", bounds, "each low must be below its high", "Widen it where a coordinate never changes.")
    low, high = jnp.asarray(bounds.low, x.dtype), jnp.asarray(bounds.high, x.dtype)
    shape = (1,) * (x.ndim - 1) + low.shape
    low, high = low.reshape(shape), high.reshape(shape)
    return 2 * ((x - low) / (high - low)) - 1  # exact at both ends


def check_hidden_sizes(sizes: Any) -> tuple[int, ...]:
    """The widths of hidden layers as Python ints; ValueError unless they are a tuple or a list of integers >= 1.

    >>> check_hidden_sizes((256, 0))
    Traceback (most recent call last):
    ValueError: hidden_sizes[1]: got 0, but it must be an integer >= 1. It is the width of a layer.
    """
    if not isinstance(sizes, (tuple, list)):
        rule = "it must be a tuple of widths"
        checks.fail("hidden_sizes", checks.describe(sizes), rule, "Write (256, 256), or () for none.")
    width = lambda i, size: checks.positive_int(f"hidden_sizes[{i}]", size, "It is the width of a layer.")
    return tuple(width(i, size) for i, size in enumerate(sizes))


ACTIVATIONS = {"relu": nn.relu, "tanh": jnp.tanh}


class MLP(nn.Module):
    """Dense layers with ReLU or tanh between them, [B, in] -> [B, num_outputs].

    `layer_norm` normalises before each of these. Weights and biases begin as `uniform_fan_in` has them; with an
    `initial_std` the weights as `small_normal` has them, and the biases as 0.
    """

    hidden_sizes: Sequence[int]
    num_outputs: int
    layer_norm: bool = False
    activation: str = "relu"
    initial_std: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The outputs, [B, num_outputs]."""
        check_features("x", x)
        sizes = check_hidden_sizes(self.hidden_sizes)
        num_outputs = checks.positive_int("num_outputs", self.num_outputs, "It is the width of the last layer.")
        layer_norm = checks.flag("layer_norm", self.layer_norm, "It is static, and so cannot be traced.")
        if not isinstance(self.activation, str) or self.activation not in ACTIVATIONS:
            rule = f"it must be one of {', '.join(ACTIVATIONS)}"
            checks.fail("activation", checks.describe(self.activation), rule, "Leave it out for ReLU.")
        for size in sizes:
            x = self._dense(x, size)
            if layer_norm:
                x = nn.LayerNorm()(x)
            x = ACTIVATIONS[self.activation](x)
        return self._dense(x, num_outputs, dot_general=few_outputs)

    def _dense(self, x: jax.Array, size: int, **options: Any) -> jax.Array:
        if self.initial_std is not None:
            return nn.Dense(size, kernel_init=small_normal(self.initial_std), **options)(x)
        init = uniform_fan_in(x.shape[-1])
        return nn.Dense(size, kernel_init=init, bias_init=init, **options)(x)


def joined(
    observation: jax.Array,
    goal: jax.Array,
    observation_range: types.Range | None = None,
    goal_range: types.Range | None = None,
) -> jax.Array:
    """[B, O] and [B, G], each scaled if its range is given, side by side: [B, O + G].

    Raises ValueError if their leading axes differ, or for one that has no floating dtype or no axis.
    """
    check_features("observation", observation)
    check_features("goal", goal)
    check_leading("goal", goal, jnp.shape(observation)[:-1])
    if observation_range is not None:
        observation = scale_to_range(observation, observation_range)
    if goal_range is not None:
        goal = scale_to_range(goal, goal_range)
    return jnp.concatenate([observation, goal], axis=-1)


def check_features(name: str, value: Any) -> None:
    """float[..., n] with n >= 1."""
    checks.floating(name, value)
    if jnp.ndim(value) == 0 or jnp.shape(value)[-1] == 0:
        rule = "its last axis must hold at least one number"
        checks.fail(name, checks.describe(value), rule, "A network takes vectors, and images where it has an encoder.")


def check_leading(name: str, value: jax.Array, leading: tuple[int, ...]) -> None:
    """The leading axes are those of the observation, `leading`."""
    if jnp.shape(value)[:-1] != leading:
        rule = f"its leading axes must be those of the observation, {list(leading)}"
        checks.fail(name, checks.describe(value), rule, f"Map over one {name} with jax.vmap(in_axes=(0, None)).")
