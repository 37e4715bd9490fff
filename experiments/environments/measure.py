"""What a random policy does on a task, which goals are within reach, and how fast the task steps and is drawn.

Dimension key: N episodes, T horizon, G goal dims, P pixels of an image's side.
"""

from typing import Any

import jax

from experiments.bench.timing import ROUNDS, best_of
from experiments.environments import speed as env_speed
from hindsight_jax import envs, rendering
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.runs.chance import chance

BATCHES = (1, 64, 256, 1024)
IMAGES, SIDE = 64, 48  # a batch of image observations, and P


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


def images_per_second(env: GoalEnv, rounds: int) -> float:
    """Image observations per second, of P x P pixels, one after the other on the device."""
    states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), IMAGES))
    picture = lambda state: rendering.render(env.scene(state), env.camera(), SIDE, SIDE)
    draw = jax.jit(lambda states: jax.lax.map(picture, states))
    return IMAGES / best_of(lambda: draw(states), rounds=rounds)[0]
