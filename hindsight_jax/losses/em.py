"""Hindsight as expectation maximisation: the E-step makes the target of imitation, the M-step fits the policy to it.

In hEM the E-step is the goal law, which relabels trajectories with goals that they reached; `e_step` is MPO's, which
re-weights actions by their value. `hindsight_jax.losses` names the paper of the equations [M n].

Dimension key: K actions of a flat set; T steps of a trajectory.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax.losses import _validation


def m_step(log_prob: ArrayLike, mask: ArrayLike) -> jax.Array:
    """The negative log-likelihood of one trajectory for its goal, -sum_t mask_t log pi(a_t | s_t, g)  [M 10].

    The mean of `behaviour_cloning` over transitions is the same objective, up to the factor T.

    Args:
      log_prob: float[T], log pi(a_t | s_t, g) in nats: `log_prob`, `factorised(log_prob)` or `gaussian_log_prob`.
      mask: bool[T], or numbers 0 and 1: the steps that were taken. Other entries may hold anything, NaN included.

    Returns:
      float[], to be minimised; >= 0 for discrete actions, and 0 for a trajectory without steps.

    Raises:
      ValueError: wrong rank or dtype, different T, no entries, or a mask that is known and not of 0 and 1.

    >>> import jax.numpy as jnp
    >>> float(m_step(jnp.array([-0.5, -1.5, -9.0]), jnp.array([True, True, False])))
    2.0
    """
    (log_prob,) = _validation.arrays(
        1, "One example is a trajectory: map with jax.vmap over a batch.", log_prob=log_prob
    )
    # a select, not a product: a masked entry may hold NaN or infinity
    return -jnp.sum(jnp.where(_validation.mask("mask", mask, log_prob.shape), log_prob, 0.0))


def e_step(log_prob: ArrayLike, q: ArrayLike, *, temperature: ArrayLike) -> jax.Array:
    """The actions to imitate, q(a) ~ pi(a | s, g) exp(Q(s, a, g) / eta), as log-probabilities.

    MPO's E-step (Abdolmaleki et al., 2018), with which hEM contrasts its own in section 3: with sparse rewards Q is
    nearly the same for every action, the result is nearly pi itself, and the M-step -sum_a q(a) log pi(a) learns
    nothing. To first order in 1 / eta that M-step's gradient is the policy gradient's.

    Args:
      log_prob: float[K], log pi(a | s, g) of every action; logits do as well. -inf bars an action.
      q: float[K], Q(s, a, g) of every action; anything for a barred one. Adding a constant to all changes nothing.
      temperature: eta > 0, in units of value; towards 0 the result is the best action, towards infinity pi. May be
        traced.

    Returns:
      float[K], normalised log-probabilities; the gradient is stopped, for they are constants of the M-step.

    Raises:
      ValueError: wrong rank or dtype, different K, no entries, or a temperature that is known and not a finite
        number > 0.

    >>> import jax.numpy as jnp
    >>> even, q = jnp.log(jnp.array([0.5, 0.5])), jnp.array([0.0, jnp.log(3.0)])
    >>> [f"{p:.2f}" for p in jnp.exp(e_step(even, q, temperature=1.0)).tolist()]  # 1 to 3
    ['0.25', '0.75']
    """
    remedy = "One example is one state's actions: map with jax.vmap over a batch."
    log_prob, q = _validation.arrays(1, remedy, log_prob=log_prob, q=q)
    limits = jnp.finfo(q.dtype)
    eta = _validation.hyper_parameter(
        "temperature",
        temperature,
        q.dtype,
        low=float(limits.tiny),
        high=float(limits.max),
        remedy="For the limits use the greedy action (temperature 0) or pi itself (infinity).",
    )
    # relative to the best action that is not barred, so that q / eta cannot overflow
    barred = log_prob == -jnp.inf
    best = jnp.max(jnp.where(barred, -jnp.inf, q))
    advantage = jnp.where(barred, 0.0, q - best)
    return jax.lax.stop_gradient(jax.nn.log_softmax(log_prob + advantage / eta))
