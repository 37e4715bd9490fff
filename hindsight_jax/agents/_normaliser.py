"""Running mean and variance of what networks are fed, and inputs that are normalised by them.

Dimension key: B batch, O observation dims, G goal dims.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import types

LARGEST_INPUT = 5.0  # normalised inputs are clipped to +-this
SMALLEST_STD = 0.01  # so that a coordinate that hardly changes is not blown up


class Moments(NamedTuple):
    """Mean and variance of all inputs seen so far, coordinate by coordinate."""

    count: jax.Array  # f32[], inputs seen
    mean: jax.Array  # [*O] or [*G]
    variance: jax.Array  # [*O] or [*G], over the count, not the count less one


class Normaliser(NamedTuple):
    """The running statistics of what the networks are fed."""

    observation: Moments | None  # None of images, which are left as they are
    goal: Moments | None


def first(spec: types.EnvSpec) -> Normaliser:
    """Nothing seen: mean 0 and variance 1, which the first batch replaces."""
    first = lambda shape: Moments(jnp.zeros(()), jnp.zeros(shape), jnp.ones(shape))
    if spec.images is None:
        return Normaliser(first(spec.observation_shape), first(spec.goal_shape))
    return Normaliser(None, None if spec.images.goals else first(spec.goal_shape))


def with_batch(normaliser: Normaliser, batch: types.Transition) -> Normaliser:
    """The statistics after this batch [B]."""
    return Normaliser(
        observation=normaliser.observation and merged(normaliser.observation, batch.observation),
        goal=normaliser.goal and merged(normaliser.goal, batch.goal),
    )


def merged(moments: Moments, batch: jax.Array) -> Moments:
    """The moments after a batch [B, ...], by the pairwise rule of Chan et al. (1983) in shares of the count.

    With s = B / (count + B) and d the difference of the means, mean + s d and
    (1 - s) variance + s variance_of_batch + s (1 - s) d^2: no sums that grow, no squares that cancel.

    >>> import jax.numpy as jnp
    >>> moments = merged(Moments(jnp.float32(1), jnp.array([4.0]), jnp.array([0.0])), jnp.array([[0.0], [2.0]]))
    >>> [round(float(x), 4) for x in (moments.count, moments.mean[0], moments.variance[0])]  # of 4, 0, 2
    [3.0, 2.0, 2.6667]
    """
    count = moments.count + batch.shape[0]
    share = batch.shape[0] / count
    difference = jnp.mean(batch, axis=0) - moments.mean
    within = (1 - share) * moments.variance + share * jnp.var(batch, axis=0)
    return Moments(count, moments.mean + share * difference, within + share * (1 - share) * jnp.square(difference))


def normalised(normaliser: Normaliser | None, observation: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What the networks are fed, [B, *O] and [B, *G]; as it is where there are no statistics."""
    if normaliser is None:
        return observation, goal
    return _standardised(normaliser.observation, observation), _standardised(normaliser.goal, goal)


def _standardised(moments: Moments | None, x: jax.Array) -> jax.Array:
    """clip((x - mean) / max(std, SMALLEST_STD), +-LARGEST_INPUT) of inputs [B, ...]; images as they are."""
    if moments is None:
        return x
    std = jnp.maximum(jnp.sqrt(moments.variance), SMALLEST_STD)
    scaled = (x - moments.mean[None]) / std[None]
    return jnp.clip(scaled, -LARGEST_INPUT, LARGEST_INPUT)
