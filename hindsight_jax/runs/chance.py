"""What chance does on a task, and which of its goals are within reach: what success can be compared with.

Dimension key: N episodes, G goal dims.
"""

from typing import Any, NamedTuple

import jax

from hindsight_jax import numerics, training
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.envs.host import HostEnv

EPISODES = 200
GOALS = 10_000  # drawn for the share within reach


class Chance(NamedTuple):
    """Shares of N episodes of a random policy, and of GOALS goals."""

    success_start: float  # at s_0, where it does not count
    success_end: float
    success_any: float
    change_ratio: float  # [D section 5.3]: the share of episodes whose last achieved goal is not the first one
    reachable: float  # the share of goals that some policy can reach from a random start (env.reachable_from)


@numerics.steady
def chance(env: GoalEnv, episodes: int = EPISODES) -> Chance:
    """What N episodes of uniform random actions achieve. A task that is seen as images is played as it is.

    The initial achieved-goal change ratio of [D section 5.3] is

        P(phi(s_T) is not phi(s_0)) = E[-r_HER(., ., s_0, s_T)]

    where two achieved goals are the same if one would be a success for the other.
    """
    if env.spec.images is not None:
        seen: Any = env
        env = seen.task
    policy = lambda observation, goal, key: env.spec.action.sample(key)

    @jax.jit
    def shares(key: jax.Array) -> tuple[jax.Array, ...]:
        key_rollout, key_goals = jax.random.split(key)
        played = training.rollout(env, policy, key_rollout, episodes)
        achieved, goal = played.trajectories.achieved_goal, played.trajectories.desired_goal
        first = achieved[:, 0]
        last = jax.vmap(lambda path, end: path[end])(achieved, played.trajectories.length)
        same = jax.vmap(env.success)(last, first)
        at_start = jax.vmap(env.success)(first, goal)
        reachable = reachable_share(env, key_goals, GOALS)
        return at_start.mean(), played.success_end.mean(), played.success_any.mean(), (~same).mean(), reachable

    names = Chance._fields
    return Chance(**{name: round(float(x), 6) for name, x in zip(names, shares(numerics.key(0)), strict=True)})


def reachable_share(env: GoalEnv, key: jax.Array, num: int) -> jax.Array:
    """f32[]: the share of `num` goals that some policy can reach, each from a random start of its own.

    An upper bound where the task knows no more than a necessary condition (`env.reachable_from`).
    """
    goals = jax.vmap(env.sample_goal)(jax.random.split(key, num))
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.fold_in(key, 0), num)).obs["observation"]
    return jax.vmap(env.reachable_from)(starts, goals).mean()


def report(env: GoalEnv | HostEnv) -> list[str]:
    """What --explain prints of chance on a task."""
    if isinstance(env, HostEnv):
        return ["  what chance does is not measured, since the task is stepped on the host"]
    return lines(chance(env))


def lines(found: Chance, episodes: int = EPISODES) -> list[str]:
    """In words, for people.

    >>> print(*lines(Chance(0.0, 0.005, 0.01, 0.25, 0.14)), sep="\\n")
      a random policy, 200 episodes: success 0.005 at the end, 0.010 at any step; it changes what it has in 0.250
      of the goals some policy can reach at most 0.140: no success can be higher
    """
    success = f"success {found.success_end:.3f} at the end, {found.success_any:.3f} at any step"
    ratio = f"it changes what it has in {found.change_ratio:.3f}"
    limit = ": no success can be higher" if found.reachable < 1.0 else ""
    return [
        f"  a random policy, {episodes} episodes: {success}; {ratio}",
        f"  of the goals some policy can reach at most {found.reachable:.3f}{limit}",
    ]
