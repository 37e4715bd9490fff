"""Bounds on values that rewards of -1 and 0, and a trajectory itself, give.

All but `raised` are for one transition; map them over a batch with `jax.vmap`.

Dimension key: B batch.
"""

import jax
import jax.numpy as jnp


def highest_return(gamma: jax.Array, beta: jax.Array | float) -> jax.Array:
    """An upper bound on the return of rewards -1 and beta - 1: 0, or (beta - 1) / (1 - gamma) where beta > 1. f32[]

    >>> [round(float(highest_return(jnp.float32(0.5), beta)), 6) for beta in (0.5, 1.0, 3.0)]
    [0.0, 0.0, 4.0]
    """
    return jnp.where(beta > 1.0, (beta - 1.0) / (1.0 - gamma), 0.0)


def reached_value(offset: jax.Array, gamma: jax.Array, beta: jax.Array | float = 1.0) -> jax.Array:
    """A lower bound on V(s', g) from hindsight: the trajectory went from s' to g in n = offset - 1 more actions.

    Each of the first n - 1 earned -1, the last and every one after it beta - 1, for an agent that can stay:
    (-(1 - gamma^m) + gamma^m (beta - 1)) / (1 - gamma) with m = max(n - 1, 0). It is a true bound on the optimal value
    if the dynamics are deterministic and the goal can be kept, or (at beta = 1) ends the episode; a behaviour goal
    (offset 0) and a goal of the past have none, -inf. Ours, in the spirit of optimality tightening (He et al. 2016):
    values travel a whole trajectory in one update, not one step.

    >>> [round(float(reached_value(jnp.int32(k), jnp.float32(0.5))), 6) for k in (1, 2, 3, 4)]
    [0.0, 0.0, -1.0, -1.5]
    >>> float(reached_value(jnp.int32(3), jnp.float32(0.5), 0.5))  # -1, then -0.5 for ever: -1 - 0.5 * 1
    -1.5
    """
    steps = jnp.maximum(offset - 2, 0).astype(jnp.float32)
    flat = gamma >= 1.0  # the limit is -steps
    rest = jnp.where(flat, 1.0, 1.0 - gamma)
    # by expm1 and log1p: gamma^steps would round away what is left of it near 1; where steps is 0, 0 log 0 is 0
    value = jnp.where(flat, -steps, jnp.expm1(jax.scipy.special.xlog1py(steps, -rest)) / rest)
    kept = jnp.where(flat, -jnp.inf, gamma**steps * (beta - 1.0) / rest)  # 0^0 is 1; at gamma 1 the sum has no end
    value = value + jnp.where(jnp.asarray(beta) == 1.0, 0.0, kept)
    return jnp.where(offset >= 1, value, -jnp.inf)


def raised(value: jax.Array, offset: jax.Array, gamma: jax.Array) -> jax.Array:
    """V(s', g) f32[B], at least `reached_value` of the offsets i32[B].

    >>> raised(jnp.array([-9.0, -9.0]), jnp.array([1, 0]), jnp.float32(0.5)).tolist()  # a behaviour goal has no bound
    [0.0, -9.0]
    """
    return jnp.maximum(value, jax.vmap(reached_value, (0, None))(offset, gamma))
