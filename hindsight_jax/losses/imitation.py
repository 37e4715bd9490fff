"""Imitation: the log-probability of an action under a policy, and the loss that raises it.

Log-probabilities are natural logarithms, in nats, and never positive for a discrete action.

Dimension key: K actions of a flat set, or bins per action dim; A dims of a continuous action.
"""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax.losses import _validation

WHOLE_ACTION = "One example is a whole action, whose dims are summed: map with jax.vmap over a batch, not factorised."


def log_prob(logits: ArrayLike, a: ArrayLike) -> jax.Array:
    """The log-probability of an action under the softmax policy, log softmax(logits)[a].

    With a Q head as the logits it is Q(s, a, g) - logsumexp_k Q(s, k, g), for the policy pi ~ exp Q: the imitation term
    of HDM ([D 32], without its indicator).

    Args:
      logits: float[K], one number per action; adding a constant to all changes nothing. -inf bars an action.
      a: int[], the action, 0 <= a < K.

    Returns:
      float[] <= 0 in the dtype of the logits. NaN (with a gradient of zero) if `a` is traced and out of range, negative
      included.

    Raises:
      ValueError: wrong rank or dtype, or an `a` that is known and out of range.

    >>> import jax.numpy as jnp
    >>> print(f"{log_prob(jnp.array([0.0, 0.0, 0.0, 0.0]), jnp.array(2)):.4f}")  # -log 4
    -1.3863
    """
    return _validation.entry(jax.nn.log_softmax(_validation.head("logits", logits)), a)


def gaussian_log_prob(mean: ArrayLike, log_std: ArrayLike, a: ArrayLike) -> jax.Array:
    """The log-density of a continuous action under a Gaussian policy with independent dims, log N(a; mean, std^2).

    sum_i -((a_i - mean_i) / std_i)^2 / 2 - log std_i - log(2 pi) / 2, with std = exp(log_std). hEM's policy [M 10] has
    one std for all states and dims: pass it as a vector all the same.

    Args:
      mean: float[A], in units of the action.
      log_std: float[A], the logarithm of the standard deviation, in nats. Below the logarithm of the dtype's smallest
        normal number (-87 in float32) the quadratic term uses that number as the std.
      a: float[A], the action.

    Returns:
      float[], of either sign: a density may exceed 1. A deviation of so many stds that its square overflows gives
      -inf, never NaN. The gradient flows through all three.

    Raises:
      ValueError: wrong rank or dtype, no entries, or different A. Inside `factorised` each row of [D, A] is a whole
        action; scalars are refused there, for this function sums over the dims itself.

    >>> import jax.numpy as jnp
    >>> # z = 2 and 0, log std = 0 and log 2: -2 - log 2 - log(2 pi)
    >>> print(f"{gaussian_log_prob(jnp.zeros(2), jnp.log(jnp.array([1.0, 2.0])), jnp.array([2.0, 0.0])):.4f}")
    -4.5310
    """
    mean, log_std, a = _validation.arrays(1, WHOLE_ACTION, mean=mean, log_std=log_std, a=a)
    # exp(-log_std) must not overflow: a deviation of zero times infinity is NaN
    smallest = math.log(float(jnp.finfo(mean.dtype).tiny))
    deviation = (a - mean) * jnp.exp(-jnp.where(log_std < smallest, smallest, log_std))
    return jnp.sum(-0.5 * jnp.square(deviation) - log_std - 0.5 * math.log(2 * math.pi))


def behaviour_cloning(log_prob_tm1: ArrayLike) -> jax.Array:
    """The loss of imitation, -log pi(a | s, g)  [D 12].

    On hindsight goals it is hindsight behaviour cloning, also called GCSL: a fit of pi to the data in KL [D 11]. The
    log-probability may come from any policy: `log_prob`, `factorised(log_prob)`, or `gaussian_log_prob`.

    Args:
      log_prob_tm1: float[], the log-probability of the action taken at s, in nats.

    Returns:
      float[], >= 0 for discrete actions; to be minimised.

    Raises:
      ValueError: wrong rank or dtype.

    >>> float(behaviour_cloning(-1.5))
    1.5
    """
    (log_prob_tm1,) = _validation.scalars(log_prob_tm1=log_prob_tm1)
    return -log_prob_tm1
