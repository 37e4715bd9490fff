"""Action sets of tasks, and the moves that an action stands for.

Dimension key: D action dims, M moves of an action.
"""

import jax
import jax.numpy as jnp

from hindsight_jax import checks, numerics, types
from hindsight_jax.envs import _validation


@numerics.steady
def choice(num_actions: int, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The index i32[] that an action of a flat Discrete(1, num_actions) holds, and whether it is valid, bool[].

    An index out of range comes back as it is; the task must then leave its state alone. A wrong shape or dtype raises
    ValueError.

    >>> [value.tolist() for value in choice(4, jnp.array([4]))]
    [4, False]
    """
    checks.shape("action", action, (1,), "Pass one action of env.spec.action; map step with jax.vmap.")
    checks.integer("action", action)
    action = jnp.asarray(action)
    index = action[0].astype(jnp.int32)
    return index, (index >= 0) & (index < num_actions)


@numerics.steady
def moves(kind: types.Discrete | types.Box, action: jax.Array, num_moves: int) -> tuple[jax.Array, jax.Array]:
    """Decodes an action: its moves f32[num_moves] in [-1, 1], and whether it is valid, bool[].

    A Discrete(n, bins) has one integer a dimension, a flat Discrete(1, bins**n) is read in base `bins`, the first
    dimension most significant; bin i is the move 2 i / (bins - 1) - 1, so 0, 1, 2 of three mean -1, 0, +1. A Box is
    clipped to [-1, 1]. An action that is not finite or not in the set gives moves of 0. A wrong shape or dtype, and an
    action set that does not hold `num_moves` moves, raise ValueError.

    >>> moves(types.Discrete(1, 9), jnp.array([2]), 2)[0].tolist()
    [-1.0, 1.0]
    """
    bins = _bins(kind, num_moves)
    checks.shape("action", action, (kind.num_dims,), "Pass one action of env.spec.action; map step with jax.vmap.")
    (checks.floating if isinstance(kind, types.Box) else checks.integer)("action", action)
    action = jnp.asarray(action)
    if isinstance(kind, types.Box):
        valid = jnp.all(jnp.isfinite(action))
        return jnp.where(valid, jnp.clip(action, -1.0, 1.0), 0.0).astype(jnp.float32), valid
    valid = jnp.all((action >= 0) & (action < kind.num_bins))
    digits = action.astype(jnp.int32)
    if kind.num_dims != num_moves:
        digits = digits // jnp.array([bins**i for i in reversed(range(num_moves))]) % bins
    return jnp.where(valid, 2.0 * digits / (bins - 1) - 1.0, 0.0).astype(jnp.float32), valid


def _bins(kind: types.Discrete | types.Box, num_moves: int) -> int:
    """The values of each move, 0 for a Box; ValueError if an action of the set does not hold so many moves."""
    checks.positive_int("num_moves", num_moves, "It is how many moves an action of the set holds.")
    remedy = "Make the set with envs.action_set(actions, bins, num_moves)."
    if isinstance(kind, types.Box):
        if kind.num_dims != num_moves:
            checks.fail("num_moves", num_moves, f"{kind} holds {kind.num_dims}", remedy)
        return 0
    bins = kind.num_bins if kind.num_dims == num_moves else round(kind.num_bins ** (1 / num_moves))
    powers = 1 if kind.num_dims == num_moves else num_moves
    if bins < 2 or kind.num_dims not in (1, num_moves) or bins**powers != kind.num_bins:
        rule = f"{kind} must have one integer for each move, or bins ** num_moves actions, with bins >= 2"
        checks.fail("num_moves", num_moves, rule, remedy)
    return bins


def action_set(actions: str, bins: int, num_moves: int, *, factorised: bool = False) -> types.Discrete | types.Box:
    """The action set of M moves: 'discrete', `bins` values of each move, evenly from -1 to 1; or 'continuous'.

    A discrete action is one integer in 0..bins^M - 1, the first move most significant; `factorised`, it is M integers
    in 0..bins - 1. Raises ValueError for another name, and for bins outside [2, 101].

    >>> action_set("discrete", 3, 2)
    Discrete(num_dims=1, num_bins=9)
    >>> action_set("continuous", 3, 2)
    Box(num_dims=2)
    """
    bins = checks.whole("bins", bins, 2, 101, "GCSL's code has 3: -1, 0 and +1.")
    num_moves = checks.positive_int("num_moves", num_moves, "It is how many moves an action of the set holds.")
    flat = types.Discrete(num_moves, bins) if factorised else types.Discrete(1, bins**num_moves)
    return _validation.choose("actions", actions, {"discrete": flat, "continuous": types.Box(num_moves)})
