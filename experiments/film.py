"""Frames of a policy at play: several goals side by side, by our own ray casting, so no GL is needed.

Dimension key: F frames, N goals, H and W pixels of the whole sheet.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import rendering
from hindsight_jax.envs.base import GoalEnv

COLUMNS = 3
SIZE = 144  # pixels of a tile
REACHED, PENDING = (0.20, 0.65, 0.30), (0.82, 0.82, 0.82)  # a tile's frame: the state is a success, or not


def film(env: GoalEnv, policy: Callable[..., jax.Array], key: jax.Array, num_goals: int = 6) -> np.ndarray:
    """One greedy episode for each of `num_goals` fresh starts and goals, u8[F, H, W, 3], with F = T + 1 frames.

    `policy(observation [*O], goal [*G], key) -> action [D]`. A tile's frame turns green while the state is a success.
    """
    key_reset, key_steps = jax.random.split(key)
    first = jax.jit(jax.vmap(env.reset))(jax.random.split(key_reset, num_goals))

    def step(states: Any, key: jax.Array) -> tuple[Any, Any]:
        obs = states.obs
        action = jax.vmap(policy)(obs["observation"], obs["desired_goal"], jax.random.split(key, num_goals))
        return jax.vmap(env.step)(states, action), states

    def picture(state: Any) -> jax.Array:
        image = rendering.render(env.scene(state), env.camera(), SIZE, SIZE)
        reached = env.success(state.obs["achieved_goal"], state.obs["desired_goal"])
        border = jnp.ones((SIZE, SIZE), bool).at[3:-3, 3:-3].set(False)[:, :, None]
        colour = jnp.where(reached, jnp.array(REACHED), jnp.array(PENDING))
        return jnp.where(border, colour[None, None, :], image)

    @jax.jit
    def frames(first: Any) -> jax.Array:
        last, states = jax.lax.scan(step, first, jax.random.split(key_steps, env.spec.horizon))
        states = jax.tree.map(lambda rest, end: jnp.concatenate([rest, end[None]]), states, last)
        sheet = lambda states: rendering.contact_sheet(jax.lax.map(picture, states), COLUMNS)
        return rendering.to_uint8(jax.lax.map(sheet, states))

    return np.asarray(frames(first))
