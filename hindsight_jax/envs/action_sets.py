"""Action sets of tasks, and the moves that an action stands for.

Dimension key: D action dims, M moving dimensions of an action."""

import jax
import jax.numpy as jnp

from hindsight_jax import checks, types
from hindsight_jax.envs import _validation


def choice(num_actions: int, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(i32[] index, bool[] valid): which action of a flat Discrete(1, num_actions) is asked for.

    An index out of the set comes back as it is, and not valid: the task leaves its state alone. A wrong shape or dtype
    raises ValueError.

    >>> [value.tolist() for value in choice(4, jnp.array([4]))]
    [4, False]
    """
    checks.shape("action", action, (1,), "Pass one action of env.spec.action; map step with jax.vmap.")
    checks.integer("action", action)
    action = jnp.asarray(action)
    index = action[0].astype(jnp.int32)
    return index, (index >= 0) & (index < num_actions)


def moves(kind: types.Discrete | types.Box, action: jax.Array, num_moves: int) -> tuple[jax.Array, jax.Array]:
    """(f32[num_moves] in [-1, 1], bool[] valid): what an action asks of each moving dimension.

    A Discrete(n, bins) has one integer a dimension, a flat Discrete(1, bins**n) is read in base `bins`, the first
    dimension most significant; bin i is the move 2 i / (bins - 1) - 1, so 0, 1, 2 of three mean -1, 0, +1. A Box is
    clipped to [-1, 1]. An action that is not finite or not in the set is no motion, and not valid. A wrong shape or
    dtype raises ValueError.

    >>> moves(types.Discrete(1, 9), jnp.array([2]), 2)[0].tolist()
    [-1.0, 1.0]
    """
    checks.shape("action", action, (kind.num_dims,), "Pass one action of env.spec.action; map step with jax.vmap.")
    (checks.floating if isinstance(kind, types.Box) else checks.integer)("action", action)
    action = jnp.asarray(action)
    if isinstance(kind, types.Box):
        valid = jnp.all(jnp.isfinite(action))
        return jnp.where(valid, jnp.clip(action, -1.0, 1.0), 0.0).astype(jnp.float32), valid
    valid = jnp.all((action >= 0) & (action < kind.num_bins))
    digits, bins = action.astype(jnp.int32), kind.num_bins
    if kind.num_dims != num_moves:
        bins = round(kind.num_bins ** (1 / num_moves))
        digits = digits // jnp.array([bins**i for i in reversed(range(num_moves))]) % bins
    return jnp.where(valid, 2.0 * digits / (bins - 1) - 1.0, 0.0).astype(jnp.float32), valid


def action_set(actions: str, bins: int, num_moves: int, *, factorised: bool = False) -> types.Discrete | types.Box:
    """The action set of M moves: 'discrete', `bins` values of each move, evenly from -1 to 1; or 'continuous'.

    A discrete action is one integer in 0..bins^M - 1, the first move most significant; `factorised`, it is M integers
    in 0..bins - 1. Raises ValueError for other names, and for fewer than 2 bins.

    >>> action_set("discrete", 3, 2)
    Discrete(num_dims=1, num_bins=9)
    >>> action_set("continuous", 3, 2)
    Box(num_dims=2)
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or not 2 <= bins <= 101:
        checks.fail("bins", repr(bins), "it must be an integer in [2, 101]", "The papers' is 3: -1, 0 and +1.")
    flat = types.Discrete(num_moves, bins) if factorised else types.Discrete(1, bins**num_moves)
    return _validation.choose("actions", actions, {"discrete": flat, "continuous": types.Box(num_moves)})
