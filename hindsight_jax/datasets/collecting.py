"""Makes a data set: plays a policy, or random actions, on a task.

Dimension key: N episodes.
"""

from typing import Any

import jax
import numpy as np

from hindsight_jax import checks, numerics, types
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.training.rollout import Policy, rollout


@numerics.steady
def collect(env: GoalEnv, policy: Policy | None, key: jax.Array, episodes: int) -> types.Trajectory:
    """N episodes as NumPy trajectories [N, ...], each with a fresh start and goal. The same key plays the same ones.

    Args:
      env: the task.
      policy: a function of (observation [*O], goal [*G], key) that returns an action [D], such as
        `hindsight_jax.load(workdir).policy(member=0, explore=True)`; None for uniform random actions.
      key: one typed key.
      episodes: N. All are played at once.

    Raises:
      ValueError: no task, no typed key, no positive number, or a policy whose actions are not the task's.

    >>> from hindsight_jax import envs
    >>> data = collect(envs.make("flip_bit", size=3), None, jax.random.key(0), episodes=4)
    >>> data.observation.shape, data.action.dtype
    ((4, 4, 3), dtype('int32'))
    """
    episodes = checks.positive_int("episodes", episodes, "Play at least one episode.")
    checks.typed_key("key", key)

    def uniform(observation: Any, goal: Any, key: jax.Array) -> jax.Array:
        return env.spec.action.sample(key)

    played = jax.jit(lambda key: rollout(env, policy or uniform, key, episodes).trajectories)(key)
    return jax.tree.map(np.asarray, jax.device_get(played))
