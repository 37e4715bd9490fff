"""What policy gradients read from trajectories: goals, first successes, and how likely the actions were.

Dimension key: N trajectories, T horizon, M goals, O observation dims, G goal dims, D action dims.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hindsight_jax import types


class Hits(NamedTuple):
    """What each trajectory did for one goal."""

    alive: jax.Array  # bool[N, T], a_t was taken, and the goal had not been reached before
    hit: jax.Array  # bool[N, T], a_t reached the goal, for the first time


def exploring_log_prob(spec: types.EnvSpec, log_prob: jax.Array, epsilon: jax.Array) -> jax.Array:
    """log((1 - epsilon) pi + epsilon uniform), of the actions whose log pi is given: how they were chosen.

    >>> spec = types.EnvSpec((2,), (2,), types.Discrete(2, 2), 3, 0.5, True, *[types.Range((0.0,) * 2, (1.0,) * 2)] * 2)
    >>> print(f"{jnp.exp(exploring_log_prob(spec, jnp.log(0.5), jnp.array(0.2))):.4f}")  # 0.8 / 2 + 0.2 / 4
    0.4500
    """
    num_dims, choices = spec.action.num_dims, spec.action.num_bins if isinstance(spec.action, types.Discrete) else 2
    return jnp.logaddexp(jnp.log1p(-epsilon) + log_prob, jnp.log(epsilon) - num_dims * jnp.log(float(choices)))


def without_padding(batch: types.Trajectory) -> types.Trajectory:
    """The batch with zeros for whatever no step was taken in: NaN there would spoil the gradient of a network."""
    states = jnp.arange(batch.observation.shape[1])[None] <= batch.length[:, None]
    taken = states[:, 1:]
    zeroed = lambda kept, x: jnp.where(kept.reshape(*kept.shape, *(1,) * (x.ndim - 2)), x, jnp.zeros_like(x))
    return batch._replace(
        observation=zeroed(states, batch.observation),
        achieved_goal=zeroed(states, batch.achieved_goal),
        action=zeroed(taken, batch.action),
    )


def visited_goals(batch: types.Trajectory, key: jax.Array, num_goals: int) -> jax.Array:
    """Goals [num_goals, *G] drawn, with replacement, from phi(s_1) .. phi(s_length) of all trajectories alike."""
    achieved = batch.achieved_goal[:, 1:]
    count, horizon = achieved.shape[:2]
    visited = jnp.arange(horizon)[None] < batch.length[:, None]
    weights = visited.ravel().astype(jnp.float32)  # 0 and 1: their running sums are exact
    chosen = jax.random.choice(key, count * horizon, (num_goals,), p=weights)
    return achieved.reshape(count * horizon, *achieved.shape[2:])[chosen]


def unique_goals(batch: types.Trajectory) -> tuple[jax.Array, jax.Array]:
    """phi(s_1) .. phi(s_T) of all trajectories [N T, *G], and which of them are visits, the first of their value each.

    >>> achieved = jnp.array([[[9.0], [1.0], [2.0]], [[9.0], [2.0], [0.0]]])  # the second trajectory has one step
    >>> batch = types.Trajectory(*[jnp.zeros(2)] * 6)._replace(achieved_goal=achieved, length=jnp.array([2, 1]))
    >>> goals, is_first = unique_goals(batch)
    >>> goals.ravel().tolist(), is_first.tolist()
    ([1.0, 2.0, 2.0, 0.0], [True, True, False, False])
    """
    achieved = batch.achieved_goal[:, 1:]
    count, horizon = achieved.shape[:2]
    visited = (jnp.arange(horizon)[None] < batch.length[:, None]).ravel()
    goals = achieved.reshape(count * horizon, *achieved.shape[2:])
    equal = jnp.all(goals[:, None] == goals[None], axis=tuple(range(2, goals.ndim + 1)))
    return goals, visited & ~jnp.any(jnp.tril(equal, -1) & visited[None], axis=1)


def hits(success: Callable[[jax.Array, jax.Array], jax.Array], batch: types.Trajectory, goal: jax.Array) -> Hits:
    """The steps of each trajectory up to its first success for its goal, [N, *G], and that success."""
    reached = jax.vmap(jax.vmap(success, (0, None)))(batch.achieved_goal[:, 1:], goal)
    taken = jnp.arange(reached.shape[1])[None] < batch.length[:, None]
    before = jnp.cumsum(reached, axis=1) - reached
    alive = taken & (before == 0)
    return Hits(alive, alive & reached)


def effective_sample_share(log_ratio: jax.Array, alive: jax.Array) -> jax.Array:
    """1 / (N sum_i W_it^2), the mean over the t at which some trajectory is alive; f32[] (0 if there is none).

    W_it is proportional to exp sum_{u<=t} of the log ratio [N, T], which is 0 after the end.

    >>> ratio = jnp.array([[3.0, 1.0], [1.0, 1.0]])  # W = (3/4, 1/4), and nothing alive afterwards: 1 / (2 * 10/16)
    >>> print(f"{effective_sample_share(jnp.log(ratio), jnp.array([[True, False], [True, False]])):.4f}")
    0.8000
    """
    log_weight = jax.nn.log_softmax(jnp.cumsum(log_ratio, axis=1), axis=0)
    share = jnp.exp(-jax.nn.logsumexp(2 * log_weight, axis=0)) / log_ratio.shape[0]
    some = jnp.any(alive, axis=0)
    return jnp.sum(jnp.where(some, share, 0.0)) / jnp.maximum(jnp.sum(some), 1)
