"""Videos of a policy: episodes for several goals side by side, rendered by `hindsight_jax.rendering`, as a GIF.

Dimension key: F frames, N goals, H and W pixels of the whole picture, O observation dims, G goal dims, D action dims.
"""

import io
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, numerics, rendering
from hindsight_jax.envs.base import GoalEnv
from hindsight_jax.envs.host import HostEnv
from hindsight_jax.training import host

VIEWS, COLUMNS = 6, 3
SIZE = 144  # pixels of a tile
REACHED, PENDING = (0.20, 0.65, 0.30), (0.82, 0.82, 0.82)  # border of a tile: the state is a success, or not
MAX_BYTES = 300_000  # of a GIF


def why_no_picture(env: GoalEnv | HostEnv) -> str | None:
    """Why the task cannot be drawn; None if it can.

    A task's class writes `bodies`, or `scene` itself, and `camera`; they are optional. One that is stepped on the host
    `renders`, or does not.
    """
    task = type(env)
    if isinstance(env, HostEnv):
        return None if env.renders else f'{task.__name__} was not made with render_mode="rgb_array"'
    drawn = task.scene is not GoalEnv.scene or task.bodies is not GoalEnv.bodies
    return None if drawn and task.camera is not GoalEnv.camera else f"{task.__name__} has no bodies() and camera()"


@numerics.steady
def record_video(
    env: GoalEnv | HostEnv, policy: Callable[..., jax.Array], key: jax.Array, goals: jax.Array | None = None
) -> np.ndarray:
    """Episodes of random starts, and of random goals or of these [N, *G], a tile each: u8[F, H, W, 3], F = horizon + 1.

    `policy(observation [*O], goal [*G], key) -> action [D]`. A tile's border is green while its state is a success.
    Random goals are six. Where states are seen as images they are half as many, or a third, and each tile has what the
    policy sees to the right of it, the newest frame and then an image goal.
    """
    if isinstance(env, HostEnv):
        return _record_on_host(env, policy, key)
    images = env.spec.images
    columns, num_goals = (COLUMNS, VIEWS) if images is None else (1, VIEWS // (3 if images.goals else 2))
    num_goals, columns = (num_goals, columns) if goals is None else (len(goals), min(columns, len(goals)))
    key_reset, key_steps = jax.random.split(key)
    keys = jax.random.split(key_reset, num_goals)
    if goals is None:
        first = jax.jit(jax.vmap(env.reset))(keys)
    else:
        first = jax.jit(jax.vmap(lambda key, goal: env.reset_to(key, goal=goal)))(keys, goals)

    def step(states: Any, key: jax.Array) -> tuple[Any, Any]:
        goal = states.obs.get("goal_image", states.obs["desired_goal"])
        action = jax.vmap(policy)(states.obs["observation"], goal, jax.random.split(key, num_goals))
        return jax.vmap(env.step)(states, action), states

    def picture(state: Any) -> jax.Array:
        image = rendering.render(env.scene(state), env.camera(), SIZE, SIZE)
        reached = env.success(state.obs["achieved_goal"], state.obs["desired_goal"])
        border = jnp.ones((SIZE, SIZE), bool).at[3:-3, 3:-3].set(False)[:, :, None]
        colour = jnp.where(reached, jnp.array(REACHED), jnp.array(PENDING))
        tile = jnp.where(border, colour[None, None, :], image)
        return tile if images is None else jnp.concatenate([tile, *_seen(state.obs)], axis=1)

    @jax.jit
    def frames(first: Any) -> jax.Array:
        last, states = jax.lax.scan(step, first, jax.random.split(key_steps, env.spec.horizon))
        states = jax.tree.map(lambda rest, end: jnp.concatenate([rest, end[None]]), states, last)
        tiled = lambda states: rendering.contact_sheet(jax.lax.map(picture, states), columns)
        return rendering.to_uint8(jax.lax.map(tiled, states))

    return np.asarray(frames(first))


def _record_on_host(env: HostEnv, policy: Callable[..., jax.Array], key: jax.Array) -> np.ndarray:
    """The video of a task that is stepped on the host: its own pictures; an episode that is over stands still."""
    seen: list[list[np.ndarray]] = []
    watch = lambda pictures: seen.append([_resized(np.asarray(picture)) for picture in pictures])
    played = host.play(env, host.act_of(policy), jax.random.split(key, VIEWS), watch)
    success: Any = played.success  # `host.play` fills it in
    edge = np.ones((SIZE, SIZE), bool)
    edge[3:-3, 3:-3] = False
    sheet = jax.jit(lambda tiles: rendering.to_uint8(rendering.contact_sheet(tiles, COLUMNS)))
    frames = []
    for t in range(env.spec.horizon + 1):
        now = np.minimum(played.length, t)
        tiles = np.stack([seen[i][n] for n, i in enumerate(now)])
        reached = (now > 0) & success[np.arange(VIEWS), now - 1]
        tiles[:, edge] = np.where(reached[:, None], REACHED, PENDING)[:, None]
        frames.append(np.asarray(sheet(tiles)))
    return np.stack(frames)


def _resized(picture: np.ndarray) -> np.ndarray:
    """A picture u8[H, W, 3] as f32[SIZE, SIZE, 3], by the nearest pixels."""
    rows, columns = (np.arange(SIZE) * size // SIZE for size in picture.shape[:2])
    return picture[rows][:, columns].astype(np.float32) / 255


def _seen(obs: dict[str, jax.Array]) -> list[jax.Array]:
    """What a policy sees, f32[SIZE, SIZE, 3] each: the newest frame and, if there is one, the image of the goal."""
    images = [obs["observation"][..., -3:], *([obs["goal_image"]] if "goal_image" in obs else [])]
    nearest = np.arange(SIZE) * images[0].shape[0] // SIZE
    return [image[nearest][:, nearest].astype(jnp.float32) / 255 for image in images]


def encode_gif(frames: Any, frames_per_second: float) -> bytes:
    """A GIF that loops for ever. Fewer colours, then half the size, keep it under 300 kB where they can.

    Consecutive equal frames are stored as one that stays longer.

    Args:
      frames: u8[F, H, W, 3].
      frames_per_second: in [0.01, 50]; a GIF counts hundredths of a second, and players ignore delays below two.

    Raises:
      ValueError: `frames` has another shape or dtype or is empty, or `frames_per_second` is out of range.

    >>> encode_gif(np.zeros((2, 8, 8, 3), np.uint8), 10.0)[:6]
    b'GIF89a'
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
        remedy = "Render at least one frame, and convert it by rendering.to_uint8."
        checks.fail("frames", checks.describe(frames), "it must be uint8[F, H, W, 3]", remedy)
    checks.in_range("frames_per_second", frames_per_second, 1e-2, 50.0, "Pass 20 for 20 frames per second.")
    data = b""
    for colours, shrink in ((128, 1), (64, 1), (32, 1), (64, 2), (16, 2)):
        data = _gif(frames, frames_per_second, colours, shrink)
        if len(data) < MAX_BYTES:
            break
    return data


def _gif(frames: np.ndarray, frames_per_second: float, colours: int, shrink: int) -> bytes:
    """A GIF with one palette for all frames, so that pixels that do not change take no bytes.

    The palette covers what colours there are, however few pixels have them: a median cut would lose the green of a
    border or of a small marker to the shades of the background.
    """
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    if shrink > 1:
        size = (max(images[0].width // shrink, 1), max(images[0].height // shrink, 1))
        images = [image.resize(size, Image.Resampling.LANCZOS) for image in images]
    sample = np.concatenate([np.asarray(images[i]) for i in np.linspace(0, len(images) - 1, 8).astype(int)])
    palette = Image.fromarray(sample).quantize(colours, method=Image.Quantize.MAXCOVERAGE)
    indexed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    buffer = io.BytesIO()
    duration = 10 * max(round(100 / frames_per_second), 2)  # milliseconds
    indexed[0].save(buffer, "GIF", save_all=True, append_images=indexed[1:], duration=duration, loop=0, optimize=False)
    return buffer.getvalue()
