"""Frames of a policy at play: several goals side by side, by our own ray casting, so no GL is needed.

Dimension key: F frames, N goals, H and W pixels of the whole sheet.
"""

import io
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, rendering
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


MAX_BYTES = 300_000


def animation(frames: Any, frames_per_second: float) -> bytes:
    """A GIF that loops for ever, kept under 300 kB where fewer colours or half the size allow it.

    Equal frames in a row are stored as one that stays longer.

    Args:
      frames: u8[F, H, W, 3].
      frames_per_second: in (0, 50]; GIFs count hundredths of a second, and players distrust less than two of them.

    Raises:
      ValueError: another shape or dtype, no frames, or a speed outside of its range.

    >>> animation(np.zeros((2, 8, 8, 3), np.uint8), 10.0)[:6]
    b'GIF89a'
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
        checks.fail("frames", checks.describe(frames), "it must be uint8[F, H, W, 3]", "Render at least one frame.")
    checks.in_range("frames_per_second", frames_per_second, 1e-2, 50.0, "Choose 20.")
    data = b""
    for colours, shrink in ((128, 1), (64, 1), (32, 1), (64, 2), (16, 2)):
        data = _gif(frames, frames_per_second, colours, shrink)
        if len(data) < MAX_BYTES:
            break
    return data


def _gif(frames: np.ndarray, frames_per_second: float, colours: int, shrink: int) -> bytes:
    """One GIF with one palette for all frames, so that what stands still compresses away."""
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    if shrink > 1:
        size = (max(images[0].width // shrink, 1), max(images[0].height // shrink, 1))
        images = [image.resize(size, Image.Resampling.LANCZOS) for image in images]
    sample = np.concatenate([np.asarray(images[i]) for i in np.linspace(0, len(images) - 1, 8).astype(int)])
    palette = Image.fromarray(sample).quantize(colours, method=Image.Quantize.MEDIANCUT)
    indexed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    buffer = io.BytesIO()
    duration = 10 * max(round(100 / frames_per_second), 2)  # milliseconds
    indexed[0].save(buffer, "GIF", save_all=True, append_images=indexed[1:], duration=duration, loop=0, optimize=False)
    return buffer.getvalue()
