"""Hindsight divergence minimisation: Q-learning on hindsight goals, and imitation of the steps that an indicator picks.

All inputs are scalars, for one relabelled transition (s, a, s', g). Values are in units of reward, all losses are to
be minimised. `_tm1` is at s, `_t` at s'. `hindsight_jax.losses` names the paper of the equations [D n].
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax.losses import _validation, imitation

_GAMMA_REMEDY = "0 imitates nothing, infinity everything; between them, -log gamma_hdm is a number of steps."
_BETA_REMEDY = "Use 0 to switch the term off."


def td_error(
    q_tm1: ArrayLike, r_t: ArrayLike, discount_t: ArrayLike, v_t: ArrayLike, *, upper: ArrayLike | None = None
) -> jax.Array:
    """The temporal-difference error, sg(min(r_t + discount_t v_t, upper)) - q_tm1.

    sg stops the gradient: it flows through q_tm1 alone. v_t is the target network's value of s'. `td` is the square;
    make a Huber loss, importance weights or priorities from the error itself.

    Args:
      q_tm1: float[], Q(s, a, g).
      r_t: float[], the reward of the step.
      discount_t: float[], gamma, or 0 after a terminal step.
      v_t: float[], the value of s' for g, such as `double_value`.
      upper: a bound on the target, such as 0 if no reward is positive, so that errors of v_t never pass what is
        possible. None is no bound. May be traced.

    Returns:
      float[], in units of reward; positive where q_tm1 is below its target.

    Raises:
      ValueError: wrong rank or dtype, or an upper bound that is known and NaN.

    >>> float(td_error(-4.0, -1.0, 0.5, -2.0)), float(td_error(-4.0, -1.0, 0.5, 8.0, upper=0.0))  # targets -2, 0
    (2.0, 4.0)
    """
    q_tm1, target = _prediction_and_target(q_tm1, r_t, discount_t, v_t, upper)
    return target - q_tm1


def td(
    q_tm1: ArrayLike, r_t: ArrayLike, discount_t: ArrayLike, v_t: ArrayLike, *, upper: ArrayLike | None = None
) -> jax.Array:
    """The squared temporal-difference error, td_error(...)^2, without a half  [D Algorithm 1, line 1].

    Arguments and errors are those of `td_error`; the gradient flows through q_tm1 alone.

    Returns:
      float[] >= 0, in units of reward squared; to be minimised.

    >>> float(td(-4.0, -1.0, 0.5, -2.0)), float(td(-4.0, -1.0, 0.5, 8.0, upper=0.0))  # targets -2 and min(3, 0)
    (4.0, 16.0)
    """
    q_tm1, target = _prediction_and_target(q_tm1, r_t, discount_t, v_t, upper)
    return jnp.square(q_tm1 - target)  # target - q_tm1 would turn a gradient of 0.0 into -0.0


def hdm_indicator(q_tm1: ArrayLike, v_t_online: ArrayLike, *, gamma_hdm: ArrayLike) -> jax.Array:
    """Whether to imitate: 1[q_tm1 - v_t_online < log gamma_hdm]  [D 31, after a logarithm on both sides].

    It picks samples near the goal, not good actions. With deterministic dynamics, rewards of -1 and a converged Q,
    Q(s, a, g) - V(s', g) = -1 - (1 - gamma) V(s', g) for *every* action that does not reach the goal: it is below
    log gamma_hdm where |V(s', g)| < (1 + log gamma_hdm) / (1 - gamma), nowhere if gamma_hdm <= 1/e, and never for a
    step that arrives. Until Q has converged its errors decide. (The paper reads it as: closer by at least
    -log gamma_hdm steps.) Both values are the online network's; neither gets a gradient. With random dynamics, Q is a
    mean over s' and v_t_online the value of one s': lucky steps are picked as well.

    Args:
      q_tm1: float[], Q(s, a, g).
      v_t_online: float[], max_a' Q(s', a', g), of the same network.
      gamma_hdm: in [0, inf]; exactly 0 never imitates, and infinity always does (for finite values). May be traced.

    Returns:
      float[], 0 or 1, in the dtype of the values. A comparison with NaN is 0.

    Raises:
      ValueError: wrong rank or dtype, or a gamma_hdm that is known and negative or NaN.

    >>> float(hdm_indicator(-3.0, -2.0, gamma_hdm=0.5)), float(hdm_indicator(-3.0, -2.5, gamma_hdm=0.5))  # log: -0.69
    (1.0, 0.0)
    """
    q_tm1, v_t_online = _validation.scalars(q_tm1=q_tm1, v_t_online=v_t_online)
    gamma_hdm = _validation.hyper_parameter("gamma_hdm", gamma_hdm, q_tm1.dtype, low=0.0, remedy=_GAMMA_REMEDY)
    return jax.lax.stop_gradient((q_tm1 - v_t_online < jnp.log(gamma_hdm)).astype(q_tm1.dtype))


def hdm(
    q_tm1: ArrayLike,
    log_prob_tm1: ArrayLike,
    r_t: ArrayLike,
    discount_t: ArrayLike,
    v_t: ArrayLike,
    v_t_online: ArrayLike,
    *,
    gamma_hdm: ArrayLike,
    beta: ArrayLike,
    upper: ArrayLike | None = None,
) -> jax.Array:
    """td + beta * hdm_indicator * behaviour_cloning  [D Algorithm 1, lines 1, 3 and 4].

    `next_state` is its line 2, needed only where the goal law does not relabel with the next state. The limits:
    gamma_hdm = 0 is `td` to the bit, gamma_hdm = infinity adds beta * `behaviour_cloning` to every example.

    Args:
      q_tm1: float[], Q(s, a, g).
      log_prob_tm1: float[], Q(s, a, g) - logsumexp Q(s, ., g), that is `log_prob` of the same head.
      r_t: float[], the reward of the step.
      discount_t: float[], gamma, or 0 after a terminal step.
      v_t: float[], the value of s' for the target, by the target network.
      v_t_online: float[], max_a' Q(s', a', g) by the online network, for the indicator.
      gamma_hdm: in [0, inf], the threshold of the indicator. May be traced.
      beta: >= 0, the weight of imitation. May be traced. The paper's beta [D 14] raises the reward of next-state goals
        as well [D 28]: that is in r_t.
      upper: the bound on the target of `td`, or None.

    Returns:
      float[], in the mixed units of both terms. Gradients flow through q_tm1 (in `td`) and log_prob_tm1. If the
      indicator is 0, log_prob_tm1 is not used: even -inf adds nothing to the value or a gradient.

    Raises:
      ValueError: wrong rank or dtype, or a hyper-parameter that is known and out of range.

    >>> # td (-3 - (-1 + 0.5 * -2))^2 = 1; -3 - -2 < log 0.5, so imitation adds 2 * 0.25
    >>> float(hdm(-3.0, -0.25, -1.0, 0.5, -2.0, -2.0, gamma_hdm=0.5, beta=2.0))
    1.5
    """
    q_tm1, log_prob_tm1, r_t, discount_t, v_t, v_t_online = _validation.scalars(
        q_tm1=q_tm1, log_prob_tm1=log_prob_tm1, r_t=r_t, discount_t=discount_t, v_t=v_t, v_t_online=v_t_online
    )
    beta = _weight(beta, q_tm1.dtype)
    imitated = hdm_indicator(q_tm1, v_t_online, gamma_hdm=gamma_hdm) > 0
    # a select before the product, not the indicator as a factor: 0 * inf is NaN, in the value and in beta's gradient
    log_prob_tm1 = jnp.where(imitated, log_prob_tm1, jnp.zeros_like(log_prob_tm1))
    return td(q_tm1, r_t, discount_t, v_t, upper=upper) + beta * imitation.behaviour_cloning(log_prob_tm1)


def next_state(q_next_goal: ArrayLike, *, gamma_hdm: ArrayLike, beta: ArrayLike) -> jax.Array:
    """The term that raises Q for the state reached, -beta (1 - gamma_hdm) Q(s, a, s')  [D Algorithm 1, line 2; 26].

    Relabelling some goals with the next state, at reward 0, plays the same part [D 27, 28]: use one of the two.

    Args:
      q_next_goal: float[], Q(s, a, phi(s')): the achieved goal of s' as the goal.
      gamma_hdm: >= 0 and finite. Above 1 the sign changes: the value is pushed down. May be traced.
      beta: >= 0, the weight of the term. May be traced.

    Returns:
      float[]. It is linear, hence has no minimum of its own: it needs `td` beside it.

    Raises:
      ValueError: wrong rank or dtype, or a hyper-parameter that is known and out of range.

    >>> float(next_state(-4.0, gamma_hdm=0.75, beta=2.0))  # -2 * 0.25 * -4
    2.0
    """
    (q_next_goal,) = _validation.scalars(q_next_goal=q_next_goal)
    dtype = q_next_goal.dtype
    largest = _validation.largest(dtype)
    gamma_hdm = _validation.hyper_parameter(
        "gamma_hdm", gamma_hdm, dtype, low=0.0, high=largest, remedy="Use a finite number; 1 switches the term off."
    )
    return -_weight(beta, dtype) * (1 - gamma_hdm) * q_next_goal


def _weight(beta: Any, dtype: Any) -> jax.Array:
    """Checks that beta is finite and >= 0."""
    return _validation.hyper_parameter(
        "beta", beta, dtype, low=0.0, high=_validation.largest(dtype), remedy=_BETA_REMEDY
    )


def _prediction_and_target(q_tm1: Any, r_t: Any, discount_t: Any, v_t: Any, upper: Any) -> tuple[jax.Array, jax.Array]:
    """q_tm1 and sg(min(r_t + discount_t v_t, upper)), float[] each."""
    q_tm1, r_t, discount_t, v_t = _validation.scalars(q_tm1=q_tm1, r_t=r_t, discount_t=discount_t, v_t=v_t)
    target = r_t + discount_t * v_t
    if upper is not None:
        bound = _validation.hyper_parameter("upper", upper, target.dtype, remedy="Use None for no bound.")
        target = jnp.minimum(target, bound)
    return q_tm1, jax.lax.stop_gradient(target)
