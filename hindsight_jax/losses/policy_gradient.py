"""Hindsight policy gradients: trajectories collected for one goal, importance-weighted for another.

Dimension key: N trajectories of a batch; T steps of a trajectory.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from hindsight_jax.losses import _validation

_REMEDY = "One example is the batch of trajectories for one goal, [N, T]: map with jax.vmap over goals."


def hindsight_policy_gradient(
    log_prob: ArrayLike, log_prob_behaviour_goal: ArrayLike, reward: ArrayLike, mask: ArrayLike
) -> jax.Array:
    """The surrogate -sum_{i,t} mask_it r_it W_it sum_{u<=t} mask_iu log pi_iu, to be minimised for its gradient.

    Weighted per-decision importance sampling of the policy gradient (Rauber et al., 2019). Trajectory i was collected
    by the policy for its behaviour goal g_i. For another goal g', step t counts in proportion to how much likelier the
    actions up to t are under g':

        rho_it = exp sum_{u<=t} mask_iu (log pi(a_iu | s_iu, g') - log pi(a_iu | s_iu, g_i)),
        W_it = rho_it / sum_j mask_jt rho_jt, without a gradient.

    At each t the weights of the trajectories still alive sum to 1: a step's reward is averaged over those that last so
    long. To average over all N instead, give mask 1, both log-probabilities 0 and reward 0 after the end. On the
    behaviour goal itself (both log-probabilities equal) W_it = 1 / number alive at t: the plain policy gradient.

    Args:
      log_prob: float[N, T], log pi(a_it | s_it, g'), in nats. -inf gives the trajectory weight 0 from there on.
      log_prob_behaviour_goal: float[N, T], log pi(a_it | s_it, g_i) of the same policy for the behaviour goal; finite,
        for these actions were taken.
      reward: float[N, T], the reward of step t for g', of any sign. A baseline enters here, as r - b. With all alive,
        a b that depends on t and g' alone keeps the expected gradient, up to the bias of normalised weights. A state
        value V does not, for it depends on earlier actions: it enters as r_t - V(s_t) + V(s_{t+1}), with V = 0 after
        the end.
      mask: bool[N, T], or numbers 0 and 1: the steps that were taken. Other entries may hold anything, NaN included.

    Returns:
      float[], whose gradient estimates that of minus the return; the value itself means little. The gradient flows
      through log_prob alone. Each rho is divided by the largest at its t, so that none overflows; at a t where no
      trajectory is alive, or possible, the weights are 0.

    Raises:
      ValueError: wrong rank or dtype, different shapes, no entries, or a mask that is known and not of 0 and 1.

    >>> import jax.numpy as jnp
    >>> likely, unlikely = jnp.log(jnp.array([[0.75], [0.25]])), jnp.log(jnp.array([[0.5], [0.5]]))
    >>> # rho = 1.5 and 0.5, W = 0.75 and 0.25, and the first has reward 1: -0.75 log 0.75
    >>> print(f"{hindsight_policy_gradient(likely, unlikely, jnp.array([[1.0], [0.0]]), jnp.ones((2, 1))):.4f}")
    0.2158
    """
    log_prob, log_prob_behaviour_goal, reward = _validation.arrays(
        2, _REMEDY, log_prob=log_prob, log_prob_behaviour_goal=log_prob_behaviour_goal, reward=reward
    )
    alive = _validation.mask("mask", mask, log_prob.shape)
    # selects, not products: a masked entry may hold NaN or infinity
    log_ratio = jnp.where(alive, log_prob - log_prob_behaviour_goal, 0.0)
    weight = jax.lax.stop_gradient(_weights(jnp.cumsum(log_ratio, axis=1), alive))
    log_prob = jnp.cumsum(jnp.where(alive, log_prob, 0.0), axis=1)
    credit = weight * jax.lax.stop_gradient(jnp.where(alive, reward, 0.0))
    # an impossible action has weight 0 and log-probability -inf, whose product must be 0
    return -jnp.sum(credit * jnp.where(weight == 0, 0.0, log_prob))


def _weights(log_rho: jax.Array, alive: jax.Array) -> jax.Array:
    """rho_it / sum_j alive_jt rho_jt where alive, else 0; float[N, T]."""
    log_rho = jnp.where(alive, log_rho, -jnp.inf)
    best = jnp.max(log_rho, axis=0, keepdims=True)
    rho = jnp.exp(log_rho - jnp.where(best == -jnp.inf, 0.0, best))
    total = jnp.sum(rho, axis=0, keepdims=True)
    return rho / jnp.where(total == 0, 1.0, total)
