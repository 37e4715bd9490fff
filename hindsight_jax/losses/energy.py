"""Energy-based losses: Q(s, a, g) as the log-density of future goals, learnt by classification against random goals.

With p+(g | s, a) the law of hindsight goals and rho+(g) that of random goals, the optimal logits have
exp Q = p+ / rho+, up to a factor for each (s, a) in `info_nce`. `hindsight_jax.losses` names the paper of the
equations [D n].

Dimension key: B pairs of a (state, action) and its hindsight goal; M negatives; G goals; A actions.
"""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax import checks
from hindsight_jax.losses import _validation


def nce(positive: ArrayLike, negatives: ArrayLike, *, k: ArrayLike) -> jax.Array:
    """Noise-contrastive estimation, softplus(-(p - log k)) + (k / M) sum_m softplus(n_m - log k)  [D 8, 9].

    The cross-entropy of classifying one hindsight goal against k random goals: minus the objective [D 9]. A mean over
    M samples estimates the sum over k, so that k may be any positive number. As k grows, nce - log k tends to
    -p + mean_m exp n_m. With logits Q - log Z, whose exp n has mean 1 over the negatives, this is 1 plus a row of
    `info_nce`, and the noise term has no gradient [D 22, 23].

    Args:
      positive: float[], the logit p of the hindsight goal without -log k: Q(s, a, s+) - log Z.
      negatives: float[M], the logits n of random goals, likewise: Q(s, a, g_m) - log Z.
      k: > 0 and finite, noise samples per data sample. May be traced.

    Returns:
      float[] >= 0, in nats; to be minimised. No gradient is stopped: it flows through a Z that is computed from logits.

    Raises:
      ValueError: wrong rank or dtype, no negatives, or a k that is known and out of range.

    >>> print(f"{nce(0.0, jnp.zeros(3), k=1.0):.4f}")  # 2 log 2: a fair coin, twice
    1.3863
    """
    (negatives,) = _validation.arrays(
        1, "One example is one pair: map with jax.vmap over a batch.", negatives=negatives
    )
    _validation.scalars(positive=positive)
    positive, negatives = _validation.promoted(positive, negatives)
    limits = jnp.finfo(positive.dtype)
    k = _validation.hyper_parameter(
        "k", k, positive.dtype, low=float(limits.tiny), high=float(limits.max), remedy="For the limit use info_nce."
    )
    noise = jnp.mean(jax.nn.softplus(negatives - jnp.log(k)))
    return jax.nn.softplus(jnp.log(k) - positive) + k * noise


def info_nce(logits: ArrayLike) -> jax.Array:
    """InfoNCE, -mean_i (l_ii - log mean_j exp l_ij)  [D 23].

    The limit of `nce` for many negatives: the goal of each (s, a) is classified against the goals of the whole batch
    (van den Oord, Li & Vinyals, 2018). With the mean over j in place of the usual sum, -loss is itself the lower bound
    on the mutual information, at most log B. Both directions, goals against rows too, are
    info_nce(logits) + info_nce(logits.T).

    Args:
      logits: float[B, B], Q(s_i, a_i, g_j): a row per (s, a), a column per goal, pairs on the diagonal. Adding a
        constant to a row changes nothing. -inf leaves a goal out of a row.

    Returns:
      float[] >= -log B, in nats; to be minimised; 0 for constant logits.

    Raises:
      ValueError: wrong rank or dtype, not square, or empty.

    >>> logits = jnp.log(jnp.array([[3.0, 1.0], [1.0, 3.0]]))
    >>> print(f"{info_nce(logits):.4f}, {info_nce(logits[::-1]):.4f}")  # -log(3 / 2); with pairs swapped -log(1 / 2)
    -0.4055, 0.6931
    """
    logits = _pairs(logits)
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(logits, axis=1))) - math.log(logits.shape[0])


def logsumexp_penalty(logits: ArrayLike) -> jax.Array:
    """The mean over rows of (log sum_j exp l_ij)^2, beside `info_nce` (JaxGCRL, Bortkiewicz et al., 2024).

    `info_nce` leaves a constant of each row free; this holds it where the exponentials of a row have the sum 1. The
    sum, not the mean: of an energy that is never above 0, such as minus a distance, the sum can be 1.

    Args:
      logits: float[B, B], as `info_nce` takes them. -inf leaves a goal out of a row, but not all of it.

    Returns:
      float[] >= 0, in nats squared, without a weight (0.1 is usual); to be minimised.

    Raises:
      ValueError: wrong rank or dtype, not square, or empty.

    >>> print(f"{logsumexp_penalty(jnp.zeros((2, 2))):.4f}")  # (log 2)^2
    0.4805
    """
    return jnp.mean(jnp.square(jax.nn.logsumexp(_pairs(logits), axis=1)))


def _pairs(logits: ArrayLike) -> jax.Array:
    """Logits of rows (s, a) and columns goals, checked to be float[B, B]."""
    remedy = "Give the logits of B (state, action) pairs, as rows, for the goals of the same B, as columns."
    (logits,) = _validation.arrays(2, remedy, logits=logits)
    num_pairs = logits.shape[0]
    checks.shape("logits", logits, (num_pairs, num_pairs), remedy)
    return logits


def energy_weight(q: ArrayLike, q_next: ArrayLike, discount: ArrayLike) -> jax.Array:
    """The weight of Q(s, a, g) in the off-policy multi-step loss, for goals drawn uniformly  [D 24, 25].

    w_g = G softmax_g(q) - discount G softmax_g(logsumexp_a q_next). Minimise
    -(1 - discount) Q(s, a, s') + mean_g w_g Q(s, a, g): the first term of w pushes Q down where it is high at s, the
    second pushes it up where it is high at s'.

    Args:
      q: float[G], Q(s, a, g) for every goal. Adding a constant to all changes nothing.
      q_next: float[G, A], Q(s', a', g) for every goal and action. -inf bars an action.
      discount: float[], gamma.

    Returns:
      float[G], whose mean is 1 - discount; the gradient is stopped. Where it is negative, Q is pushed up [D 30].

    Raises:
      ValueError: wrong rank or dtype, different G, or no entries.

    >>> # softmax 1/4 and 3/4 at s, 1/2 and 1/2 at s': 2/4 - 0.5 and 6/4 - 0.5
    >>> [f"{w:.2f}" for w in energy_weight(jnp.log(jnp.array([1.0, 3.0])), jnp.zeros((2, 4)), 0.5).tolist()]
    ['0.00', '1.00']
    """
    remedy = "One example is one (s, a, s') and all goals: map with jax.vmap over a batch."
    (q,), (q_next,) = _validation.arrays(1, remedy, q=q), _validation.arrays(2, remedy, q_next=q_next)
    _validation.scalars(discount=discount)
    q, q_next, discount = _validation.promoted(q, q_next, discount)
    num_goals = q.shape[0]
    checks.shape("q_next", q_next, (num_goals, q_next.shape[1]), "Both hold one row per goal.")
    now, later = jax.nn.softmax(q), jax.nn.softmax(jax.nn.logsumexp(q_next, axis=1))
    return jax.lax.stop_gradient(num_goals * (now - discount * later))
