"""Plays the policies of a run anew: on new starts and goals, or on goals of your choice.

Evaluations during training choose the best of many noisy numbers; a fresh one does not flatter.

Dimension key: M members, G goal dims, V chosen goals.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, numerics
from hindsight_jax.envs.host import HostEnv
from hindsight_jax.runs.load import Saved
from hindsight_jax.training import host, rollout

EPISODES = 1000
_KEY = 0x66726573  # separates these keys from a run's own
_AT_ONCE = 250  # episodes of one call, which bounds the memory


class Evaluation(NamedTuple):
    """Means over the episodes of each member, [M] each."""

    success_end: np.ndarray
    success_any: np.ndarray
    distance_end: np.ndarray  # in the task's units


@numerics.steady
def evaluate(saved: Saved, *, episodes: int = EPISODES, seed: int = 0, goal: Any = None) -> Evaluation:
    """Plays the greedy policy of every member; all members are given the same starts and goals.

    Args:
      saved: what `load` returned, with the best policies or the last.
      episodes: of each member.
      seed: of the starts and goals, which no training evaluation has, whatever the seed.
      goal: [*G], the goal of all episodes; None for goals as the task draws them.

    Raises:
      ValueError: no episode, a seed that is no integer, or a goal that does not fit the task.
    """
    episodes = checks.positive_int("episodes", episodes, "Leave it out for 1000.")
    seed = checks.whole("seed", seed, 0, checks.INT32_MAX, "Leave it out for 0.")
    env, agent = saved.setup.env, saved.setup.agent
    key = jax.random.fold_in(numerics.key(seed), _KEY)
    goal = None if goal is None else checked_goals(saved, [goal])[0]
    if isinstance(env, HostEnv):
        return _on_host(saved, key, episodes)

    def play(state: Any, key: jax.Array, count: int) -> tuple[jax.Array, ...]:
        policy = lambda observation, goal, key: agent.act(state, observation, goal, key, False)
        played = rollout(env, policy, key, count, goal)
        ended = played.success_end, played.success_any, played.distance_end
        return tuple(jnp.sum(x, dtype=jnp.float32) for x in ended)

    played_by_all = jax.jit(jax.vmap(play, (0, None, None)), static_argnums=2)
    sizes = [min(_AT_ONCE, episodes - first) for first in range(0, episodes, _AT_ONCE)]
    parts = [played_by_all(saved.agents, jax.random.fold_in(key, i), size) for i, size in enumerate(sizes)]
    means = [np.sum([np.asarray(x, np.float64) for x in each], axis=0) / episodes for each in zip(*parts, strict=True)]
    return Evaluation(*means)


def _on_host(saved: Saved, key: jax.Array, episodes: int) -> Evaluation:
    """As `evaluate`, of a task that is stepped on the host: one member after another, from the same seeds."""
    ended = []
    for member in range(len(saved.members.seeds)):
        played = host.rollout(saved.setup.env, host.act_of(saved.policy(member)), key, episodes)
        ended.append([x.mean(dtype=np.float64) for x in (played.success_end, played.success_any, played.distance_end)])
    return Evaluation(*np.transpose(ended))


def checked_goals(saved: Saved, goals: Any) -> jax.Array:
    """Goals [V, *G] as f32. Raises ValueError if one does not fit the task, or is not finite."""
    env = saved.setup.env
    if isinstance(env, HostEnv):
        rule = f"{type(env).__name__} is stepped on the host, and draws its goals itself"
        checks.fail("goal", checks.short(goals), rule, "Leave it out.")
    shape, found = env.spec.goal_shape, []
    for goal in goals:
        values = np.asarray(goal, np.float32)
        if values.shape != shape:
            size = int(np.prod(shape))
            remedy = f"Write {size} numbers, such as {','.join(['0'] * size)}."
            checks.fail("goal", checks.short(goal), f"the task's goals have shape {shape}", remedy)
        if not np.isfinite(values).all():
            checks.fail("goal", checks.short(goal), "it must be finite", "Look for a NaN in its source.")
        found.append(values)
    return jnp.asarray(np.stack(found))
