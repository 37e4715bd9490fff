"""Imitation: how likely a policy holds an action, and the loss that makes it likelier.

Log-probabilities are natural logarithms, in nats, and never positive for a discrete action.

Dimension key: K actions of a flat set, or bins per action dim.
"""

import jax

from hindsight_jax.losses import _arguments


def log_prob(logits: jax.Array, a: jax.Array) -> jax.Array:
    """The log-probability of an action under the softmax policy, log softmax(logits)[a].

    With a Q head as the logits it is Q(s, a, g) - logsumexp_k Q(s, k, g): the policy pi ~ exp Q, which HDM imitates
    with ([D 32], up to its indicator).

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
    return _arguments.entry(jax.nn.log_softmax(_arguments.head("logits", logits)), a)


def behaviour_cloning(log_prob_tm1: jax.Array) -> jax.Array:
    """The loss of imitation, -log pi(a | s, g)  [D 12].

    On hindsight goals it is hindsight behaviour cloning, also called GCSL. The log-probability may come from any
    policy: `log_prob`, `factorised(log_prob)`, or a density over continuous actions.

    Args:
      log_prob_tm1: float[], the log-probability of the action taken at s, in nats.

    Returns:
      float[], >= 0 for discrete actions; to be minimised.

    Raises:
      ValueError: wrong rank or dtype.

    >>> float(behaviour_cloning(-1.5))
    1.5
    """
    (log_prob_tm1,) = _arguments.scalars(log_prob_tm1=log_prob_tm1)
    return -log_prob_tm1
