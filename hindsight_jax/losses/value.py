"""Primitives of value: a head q, one number per action, becomes the value of an action or of a state.

Values are in units of reward; with a reward of -1 per step, minus a (discounted) number of steps to the goal.

Dimension key: K actions of a flat set, or bins per action dim; D action dims.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax import checks
from hindsight_jax.losses import _validation


def action_value(q: ArrayLike, a: ArrayLike) -> jax.Array:
    """The value of the action taken, q[a].

    Args:
      q: float[K], the value of each action.
      a: int[], the action, 0 <= a < K.

    Returns:
      float[] in q's dtype. NaN (with a gradient of zero) if `a` is traced and out of range, negative included: inside
      jit, vmap or `factorised` its value is not known, and JAX's clamped index would hide the error.

    Raises:
      ValueError: wrong rank or dtype, or an `a` that is known and out of range.

    >>> float(action_value(jnp.array([-3.0, -1.0, -2.0]), jnp.array(1)))
    -1.0
    """
    return _validation.entry(_validation.head("q", q), a)


def greedy_value(q: ArrayLike) -> jax.Array:
    """The value of the best action, max_k q[k]: the backup of Q-learning (Watkins & Dayan, 1992).

    Args:
      q: float[K], the value of each action.

    Returns:
      float[] in q's dtype. Its gradient is shared evenly among tied best actions.

    Raises:
      ValueError: wrong rank or dtype.

    >>> float(greedy_value(jnp.array([-3.0, -1.0, -2.0])))
    -1.0
    """
    return jnp.max(_validation.head("q", q))


def double_value(q: ArrayLike, *, selector: ArrayLike) -> jax.Array:
    """The value, by q, of the action with the highest selector value: q[argmax_k selector[k]].

    The backup of double Q-learning (van Hasselt, Guez & Silver, 2016), with the target network as q and the online
    network as the selector: a maximum of noisy values is too high, and two networks seldom err on the same action.

    Args:
      q: float[K], the values that evaluate the action.
      selector: float[K], the values that choose it, by keyword, since a swap would go unseen. It gets no gradient.

    Returns:
      float[] in q's dtype. The first of tied actions is chosen.

    Raises:
      ValueError: wrong rank or dtype, or two different K.

    >>> float(double_value(jnp.array([-1.0, -2.0]), selector=jnp.array([0.0, 5.0])))
    -2.0
    """
    q, selector = _validation.head("q", q), _validation.head("selector", selector)
    checks.shape("selector", selector, q.shape, "Both heads hold one value per action.")
    return q[jnp.argmax(selector)]


def mellow_value(q: ArrayLike, *, temperature: ArrayLike) -> jax.Array:
    """The soft value tau (logsumexp_k(q[k] / tau) - log K): mellowmax (Asadi & Littman, 2017) with omega = 1 / tau.

    It lies between the mean of q (tau to infinity) and its maximum (tau to 0), and never falls when an entry of q
    rises. The log K makes it an average: without it, the value would grow with the number of actions.

    Args:
      q: float[K], the value of each action.
      temperature: tau > 0, in units of value; may be traced.

    Returns:
      float[] in q's dtype. Its gradient is softmax(q / tau).

    Raises:
      ValueError: wrong rank or dtype, or a temperature that is known and not a finite number > 0.

    >>> print(f"{mellow_value(jnp.array([0.0, 1.0]), temperature=0.2):.4f}")  # 0.2 log((1 + e^5) / 2)
    0.8627
    """
    q = _validation.head("q", q)
    limits = jnp.finfo(q.dtype)
    remedy = "For the limits use greedy_value (temperature 0) or the mean of q (infinity)."
    tau = _validation.hyper_parameter(
        "temperature", temperature, q.dtype, low=float(limits.tiny), high=float(limits.max), remedy=remedy
    )
    # relative to the best action, so that q / tau cannot overflow; the shift cancels, hence needs no gradient
    best = jax.lax.stop_gradient(jnp.max(q))
    return best + tau * (jax.nn.logsumexp((q - best) / tau) - math.log(q.shape[0]))


def factorised(primitive: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The primitive for an action of D dims: mapped over the leading axis D of its arguments, and summed.

    With Q(s, a) = sum_d q[d, a[d]], the maximum, the log-sum-exp and the log-probability of a whole action are the sums
    of those per dim, so that K^D actions cost D K numbers. With D = 1 it is the primitive itself.

    Args:
      primitive: `action_value`, `greedy_value`, `double_value`, `mellow_value` or `log_prob`, or any like function of
        one example. `gaussian_log_prob` needs none: it sums over the dims of its action itself.

    Returns:
      The same function of heads float[D, K] and actions int[D]. It maps all arguments given by position, and keyword
      arguments that have an axis; other keyword arguments, such as a temperature, go to every dim as they are. Actions
      are traced inside, so out of range they give NaN. It raises ValueError if an argument given by position has no
      leading axis, if two lengths differ, or if the primitive raises it.

    Raises:
      ValueError: a primitive that cannot be called.

    >>> heads = jnp.array([[-3.0, -1.0], [-2.0, -5.0]])
    >>> float(factorised(greedy_value)(heads)), float(factorised(action_value)(heads, jnp.array([0, 1])))
    (-3.0, -8.0)
    >>> float(factorised(double_value)(heads, selector=-heads))
    -8.0
    """

    checks.function("primitive", primitive, "Pass a function such as losses.action_value.")

    @functools.wraps(primitive)
    def mapped(*args: Any, **named: Any) -> jax.Array:
        arrays = {name: value for name, value in named.items() if checks.is_array(value) and jnp.ndim(value) > 0}
        whole = {name: value for name, value in named.items() if name not in arrays}
        _check_leading_axes(dict(enumerate(args)) | arrays)
        of_one_dim = lambda args, arrays: primitive(*args, **arrays, **whole)
        return jnp.sum(jax.vmap(of_one_dim)(args, arrays), axis=0)

    return mapped


def _check_leading_axes(mapped: dict[int | str, Any]) -> None:
    """Checks that every argument, by its position or name, has a leading axis, of one common length D >= 1."""
    remedy = "Give heads [D, K] and actions [D]; map with jax.vmap over a batch."
    if not mapped:
        checks.fail("factorised", "no array", "there must be at least one argument with a leading axis D", remedy)
    first, reference = next(iter(mapped.items()))
    for key, value in mapped.items():
        name = f"factorised argument {key}"
        checks.array(name, value)
        if jnp.ndim(value) == 0:
            checks.fail(name, checks.describe(value), "it must have a leading axis D", remedy)
        num_dims, expected = jnp.shape(value)[0], jnp.shape(reference)[0]
        if num_dims != expected or num_dims == 0:
            rule = f"its leading axis D must be that of argument {first}, {expected}, and not empty"
            checks.fail(name, checks.describe(value), rule, remedy)
