"""Actor-critic: the loss of a deterministic actor. The critic's loss is `td`.

Dimension key: A dims of a continuous action.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax.losses import _validation


def dpg_actor(q: ArrayLike, action: ArrayLike, *, l2: ArrayLike) -> jax.Array:
    """The loss of a deterministic actor, -Q(s, a, g) + l2 mean_i a_i^2 at its own action a = pi(s, g).

    Its gradient in the actor's parameters is -dQ/da da/dtheta (Silver et al., 2014; DDPG, Lillicrap et al., 2016). The
    penalty, as in OpenAI's baselines' DDPG + HER, keeps actions off the bounds, where a tanh has no slope.

    Args:
      q: float[], the critic's value of that action. The gradient must flow through it to the action; update the
        actor's parameters alone with it, not the critic's.
      action: float[A], the actor's action in units of the normalised action, [-1, 1] when within bounds.
      l2: >= 0, the weight of the penalty, in units of value. May be traced.

    Returns:
      float[], in units of reward; to be minimised.

    Raises:
      ValueError: wrong rank or dtype, no entries, or an l2 that is known and not a finite number >= 0.

    >>> import jax.numpy as jnp
    >>> float(dpg_actor(-3.0, jnp.array([1.0, 0.0]), l2=0.5))  # 3 + 0.5 * (1 + 0) / 2
    3.25
    """
    remedy = "One example is one action: map with jax.vmap over a batch."
    _validation.scalars(q=q)
    (action,) = _validation.arrays(1, remedy, action=action)
    q, action = _validation.promoted(q, action)
    l2 = _validation.hyper_parameter(
        "l2", l2, q.dtype, low=0.0, high=_validation.largest(q.dtype), remedy="Use 0 to switch the penalty off."
    )
    return -q + l2 * jnp.mean(jnp.square(action))
