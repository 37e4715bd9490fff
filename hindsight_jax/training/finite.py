"""Checks whether a member's numbers are finite, and finds the first tensor that is not.

Arrays may hold neither NaN nor infinities. Scalars may be infinite (gamma_hdm = inf imitates all transitions), but not
NaN.

Dimension key: U updates of an epoch.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import types


class NonFinite(NamedTuple):
    """The first tensor that is not finite, and the update, counted from 0, that made it so."""

    tensor: str | None  # None: the replayed epoch was finite, although the device saw something that was not
    update: int

    def __str__(self) -> str:
        if self.tensor is None:
            return f"a number was not finite after update {self.update:,}, but replaying the epoch did not reproduce it"
        return f"{self.tensor} was not finite at update {self.update:,}"


def is_finite(tree: Any) -> jax.Array:
    """bool[], no array of a pytree holds NaN or infinities, and no scalar NaN. Padding of trajectories does not count.

    >>> bool(is_finite({"gamma_hdm": jnp.inf, "weights": jnp.ones(2)})), bool(is_finite([jnp.array([0.0, jnp.inf])]))
    (True, False)
    """
    found = jnp.ones((), jnp.bool_)
    for _, leaf in _floats(tree):
        found &= _is_good(leaf)
    return found


def are_finite(metrics: Any) -> jax.Array:
    """bool[], no metric, f32[] each, is NaN or infinite."""
    return is_finite(jax.tree.map(jnp.atleast_1d, metrics))


def first_bad(tree: Any) -> str | None:
    """The path of the first leaf, in the order of the tree, that is not finite; None if all are. Runs outside of jit.

    >>> first_bad({"actor": {"bias": jnp.zeros(2), "kernel": jnp.array([[jnp.nan]])}})
    'actor.kernel'
    """
    for path, leaf in _floats(tree):
        if not bool(_is_good(leaf)):
            return jax.tree_util.keystr(path, simple=True, separator=".")
    return None


def replay_epoch(
    update: Callable[..., tuple[Any, Any]], agent_state: Any, batches: Any, key: jax.Array, updates: int
) -> NonFinite:
    """Replays an epoch's learning update by update, and returns the first tensor that is not finite.

    Args:
      update: of the agent, (state, batch, key) -> (state, metrics).
      agent_state: the agent's state before the epoch.
      batches: the batches that the epoch learnt from, [U, ...].
      key: the key of the epoch's learning.
      updates: the number of updates before the epoch.
    """
    count = jax.tree.leaves(batches)[0].shape[0]
    for done, one in enumerate(jax.random.split(key, count)):
        batch = jax.tree.map(operator.itemgetter(done), batches)
        agent_state, metrics = update(agent_state, batch, one)
        measured = jax.tree.map(jnp.atleast_1d, metrics)
        bad = first_bad({"batch": batch}) or first_bad({"metrics": measured}) or first_bad({"agent": agent_state})
        if bad:
            return NonFinite(bad, updates + done)
    return NonFinite(None, updates)


def _is_good(leaf: jax.Array) -> jax.Array:
    """bool[], of an array: all is finite; of a scalar: it is not NaN."""
    return jnp.all(jnp.isfinite(leaf)) if jnp.ndim(leaf) else ~jnp.isnan(leaf)


def _floats(tree: Any) -> list[tuple[Any, jax.Array]]:
    """(path, leaf) of every floating-point leaf, the padding of trajectories zeroed."""
    masked = jax.tree.map(_zero_padding, tree, is_leaf=lambda node: isinstance(node, types.Trajectory))
    flat = jax.tree_util.tree_flatten_with_path(masked)[0]
    return [(path, leaf) for path, leaf in flat if jnp.issubdtype(getattr(leaf, "dtype", type(leaf)), jnp.inexact)]


def _zero_padding(node: Any) -> Any:
    """Zeroes the padding of trajectories (any leading axes), so that only steps before `length` are examined."""
    if not isinstance(node, types.Trajectory):
        return node
    axis = node.length.ndim  # of time
    states = jnp.where(node.length > 0, node.length + 1, 0)  # a trajectory without actions is never read

    def first(x: jax.Array, count: jax.Array) -> jax.Array:
        """x with zeros from step `count` on."""
        held = jnp.expand_dims(jnp.arange(x.shape[axis]), range(axis)) < count[..., None]
        return jnp.where(jnp.expand_dims(held, range(axis + 1, x.ndim)), x, 0)

    goals = first(jnp.expand_dims(node.desired_goal, axis), jnp.minimum(states, 1))
    return node._replace(
        observation=first(node.observation, states),
        achieved_goal=first(node.achieved_goal, states),
        action=first(node.action, node.length),
        desired_goal=jnp.squeeze(goals, axis),
    )
