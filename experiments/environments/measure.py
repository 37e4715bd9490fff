"""What a random policy does on a task, which goals are within reach, and how fast the task steps and is drawn.

Dimension key: N episodes, T horizon, G goal dims, P pixels of an image's side.
"""

from typing import Any, NamedTuple

import jax

from experiments.bench.timing import ROUNDS, best_of
from experiments.environments import speed as env_speed
from hindsight_jax import envs, rendering, training
from hindsight_jax.envs.base import GoalEnv

BATCHES = (1, 64, 256, 1024)
GOALS = 10_000  # drawn for the share within reach
IMAGES, SIDE = 64, 48  # a batch of image observations, and P


class Chance(NamedTuple):
    """Shares of N episodes of a random policy, and of GOALS goals."""

    success_start: float  # at s_0, where it does not count
    success_end: float
    success_any: float
    change_ratio: float  # [D section 5.3]: the share of episodes whose last achieved goal is not the first one
    reachable: float  # the share of goals that some policy can reach from a random start (env.reachable_from)


def measure(name: str, episodes: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """All figures of one task: `Chance`, images per second, and `Speed` at each of BATCHES.

    Each pair of speeds is timed in turn and the best of `rounds` is kept: compare figures of one run only. 0 rounds
    give `Chance` alone.
    """
    env = envs.make(name)
    figures: dict[str, Any] = chance(env, episodes)._asdict()
    if rounds == 0:
        return figures
    figures["images_per_second"] = images_per_second(env, rounds)
    figures["speed"] = {str(batch): speed._asdict() for batch, speed in env_speed.measure(env, BATCHES, rounds).items()}
    jax.clear_caches()  # the programs of one task are of no use to the next
    return figures


def chance(env: GoalEnv, episodes: int) -> Chance:
    """What N episodes of uniform random actions achieve.

    The initial achieved-goal change ratio of [D section 5.3] is

        P(phi(s_T) is not phi(s_0)) = E[-r_HER(., ., s_0, s_T)]

    where two achieved goals are the same if one would be a success for the other.
    """
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
    return Chance(**{name: round(float(x), 6) for name, x in zip(names, shares(jax.random.key(0)), strict=True)})


def reachable_share(env: GoalEnv, key: jax.Array, num: int) -> jax.Array:
    """f32[]: the share of `num` goals that some policy can reach, each from a random start of its own."""
    goals = jax.vmap(env.sample_goal)(jax.random.split(key, num))
    starts = jax.vmap(env.reset)(jax.random.split(jax.random.fold_in(key, 0), num)).obs["observation"]
    return jax.vmap(env.reachable_from)(starts, goals).mean()


def images_per_second(env: GoalEnv, rounds: int) -> float:
    """Image observations per second, of P x P pixels, one after the other on the device."""
    states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), IMAGES))
    picture = lambda state: rendering.render(env.scene(state), env.camera(), SIDE, SIDE)
    draw = jax.jit(lambda states: jax.lax.map(picture, states))
    return IMAGES / best_of(lambda: draw(states), rounds=rounds)[0]
