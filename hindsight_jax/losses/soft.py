"""Soft actor-critic: the log-probability of a squashed Gaussian, and the losses of an actor and of its temperature.

An action is a = tanh(u) with u drawn from a Gaussian. The critic's loss is `td`, towards a `soft_value` at s'. The
source of all is Haarnoja et al., Soft Actor-Critic Algorithms and Applications, 2018, arXiv:1812.05905.

Dimension key: A dims of a continuous action.
"""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax.losses import _validation
from hindsight_jax.losses.imitation import WHOLE_ACTION, gaussian_log_prob

_NUMBER = "It is one finite number."


def tanh_gaussian_log_prob(mean: ArrayLike, log_std: ArrayLike, u: ArrayLike) -> jax.Array:
    """The log-density of the action a = tanh(u), u ~ N(mean, std^2) with independent dims.

    log N(u; mean, std^2) - sum_i log(1 - tanh(u_i)^2), the last by 2 (log 2 - u - softplus(-2 u)), which holds its
    digits where tanh(u) has rounded to 1. It is a function of u, since no a near 1 gives its u back.

    Args:
      mean: float[A], of u.
      log_std: float[A], the logarithm of u's standard deviation, in nats.
      u: float[A], the action before it is squashed.

    Returns:
      float[], the density of a in (-1, 1)^A, of either sign: a uniform action has -A log 2, and no policy a lower mean.
      The gradient flows through all three, and through u to whatever it was computed from.

    Raises:
      ValueError: wrong rank or dtype, no entries, or different A.

    >>> import jax.numpy as jnp
    >>> # at 0 nothing is squashed: -log(2 pi) / 2; at 20 the slope of tanh is 4 e^-40
    >>> one = jnp.zeros(1)
    >>> print(f"{tanh_gaussian_log_prob(one, one, one):.4f}, {tanh_gaussian_log_prob(one + 20, one, one + 20):.4f}")
    -0.9189, 37.6948
    """
    mean, log_std, u = _validation.arrays(1, WHOLE_ACTION, mean=mean, log_std=log_std, u=u)
    return gaussian_log_prob(mean, log_std, u) - jnp.sum(2.0 * (math.log(2.0) - u - jax.nn.softplus(-2.0 * u)))


def soft_value(q: ArrayLike, log_prob: ArrayLike, *, temperature: ArrayLike) -> jax.Array:
    """One action's share of the soft value of a state, Q(s, a, g) - temperature log pi(a | s, g).

    The mean over a ~ pi is V(s, g) = E Q + temperature H(pi), with H the entropy. The critic's loss is
    td(q_tm1, r_t, discount_t, soft_value(...)), with the smaller of two target critics as q and an action drawn at s'.

    Args:
      q: float[], the value of an action that the policy draws, in units of reward.
      log_prob: float[], its log-density, in nats.
      temperature: >= 0, the price of a nat in units of reward. May be traced.

    Returns:
      float[], in units of reward. No gradient is stopped.

    Raises:
      ValueError: wrong rank or dtype, or a temperature that is known and not a finite number >= 0.

    >>> float(soft_value(-3.0, -2.0, temperature=0.5))  # -3 + 0.5 * 2
    -2.0
    """
    q, log_prob = _validation.scalars(q=q, log_prob=log_prob)
    largest = _validation.largest(q.dtype)
    remedy = "At 0 entropy is worth nothing."
    temperature = _validation.hyper_parameter("temperature", temperature, q.dtype, low=0.0, high=largest, remedy=remedy)
    return q - temperature * log_prob


def soft_actor(q: ArrayLike, log_prob: ArrayLike, *, temperature: ArrayLike) -> jax.Array:
    """The loss of a stochastic actor, temperature log pi(a | s, g) - Q(s, a, g) at an action that it draws.

    Minus `soft_value`. Its mean is least at pi proportional to exp(Q / temperature).

    Args:
      q: float[], the critic's value of that action. The gradient must flow through it to the action, and through the
        action to the actor (a = tanh(mean + std noise)); update the actor's parameters alone with it.
      log_prob: float[], the log-density of that action, in nats.
      temperature: >= 0, the price of a nat in units of value. May be traced.

    Returns:
      float[], in units of reward; to be minimised.

    Raises:
      ValueError: as `soft_value`.

    >>> float(soft_actor(-3.0, -2.0, temperature=0.5))
    2.0
    """
    return -soft_value(q, log_prob, temperature=temperature)


def temperature_loss(log_temperature: ArrayLike, log_prob: ArrayLike, *, target_entropy: ArrayLike) -> jax.Array:
    """The loss that holds the entropy at a target, -log_temperature sg(log pi(a | s, g) + target_entropy).

    Its gradient goes to log_temperature alone: the mean over actions is H(pi) - target_entropy, so descent lowers the
    temperature of a policy that is more random than the target.

    Args:
      log_temperature: float[], the logarithm of the temperature.
      log_prob: float[], the log-density of an action that the policy draws, in nats.
      target_entropy: finite, of the whole action, in nats; a uniform one in (-1, 1)^A has A log 2. May be traced.

    Returns:
      float[], of either sign; to be minimised.

    Raises:
      ValueError: wrong rank or dtype, or a target that is known and not finite.

    >>> float(temperature_loss(0.5, -3.0, target_entropy=-1.0))  # the entropy is 4 nats above its target
    2.0
    """
    log_temperature, log_prob = _validation.scalars(log_temperature=log_temperature, log_prob=log_prob)
    largest = _validation.largest(log_prob.dtype)
    target_entropy = _validation.hyper_parameter(
        "target_entropy", target_entropy, log_prob.dtype, low=-largest, high=largest, remedy=_NUMBER
    )
    return -log_temperature * jax.lax.stop_gradient(log_prob + target_entropy)
