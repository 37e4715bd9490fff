"""One picture of all tasks: a tile each, halfway to a goal, with its name and what is asked.

Dimension key: N episodes, T horizon, D action dims, P pixels of a tile's side.
"""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import plotting, rendering
from hindsight_jax.envs.base import GoalEnv, State

ASKED = {
    "claw": "turn the valve with three fingers\nuntil its red lobe is in the green",
    "door": "pull the door open by its handle\nto where the green one stands",
    "fetch_reach": "bring the gripper\ninto the green ball",
    "flip_bit": "flip the bits on red plates,\none a step",
    "four_rooms": "push the ball through the doors\nonto the green disc",
    "grid_four_rooms": "walk to the green cell\non ground that slips",
    "lunar_lander": "land on the green mark:\nthree engines, two legs",
    "navigation": "move the ball onto the disc,\nin a cube of K dimensions",
    "point_mass": "steer the ball, which keeps its speed,\nonto the green disc",
    "push": "push the red puck\nonto the green one",
    "reacher": "bring the fingertip of two links\nonto the green disc",
    "sawyer_reach": "bring the hand\ninto the green ball",
}
COLUMNS = 4
EPISODES, HELD = 128, 5  # N of the search; steps for which a random action is held, since fewer lead nowhere
SIDE = 272  # P
_INK = "#333333"


def draw(envs: Mapping[str, GoalEnv]) -> bytes:
    """The PNG: the tasks in the given order, row by row. Each needs `scene` and `camera`, and a line in ASKED."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(envs))
    rows = math.ceil(len(envs) / columns)
    width, height, dpi = SIDE + 24, SIDE + 84, 100
    figure = Figure(figsize=(columns * width / dpi, rows * height / dpi), facecolor="white")
    FigureCanvasAgg(figure)
    for i, (name, env) in enumerate(envs.items()):
        row, column = divmod(i, columns)
        left, bottom = (column * width + 12) / (columns * width), ((rows - 1 - row) * height + 72) / (rows * height)
        axis = figure.add_axes((left, bottom, SIDE / (columns * width), SIDE / (rows * height)))
        axis.imshow(tile(env), interpolation="none")
        axis.set_axis_off()
        axis.text(0.0, -0.02, name, transform=axis.transAxes, va="top", fontsize=11, weight="bold", color=_INK)
        axis.text(0.0, -0.105, ASKED[name], transform=axis.transAxes, va="top", fontsize=8.5, color=_INK)
    return plotting.png(figure, dpi)


def tile(env: GoalEnv) -> np.ndarray:
    """The picture u8[P, P, 3] of a telling state."""
    picture = lambda state: rendering.render(env.scene(state), env.camera(), SIDE, SIDE, antialias=3)
    return np.asarray(rendering.to_uint8(jax.jit(picture)(telling_state(env))))


def telling_state(env: GoalEnv) -> State:
    """The state of N random episodes that is nearest to halfway to its goal, of the goals that are far at the start.

    Halfway shows both what has been done and what is left; far is beyond the median of the N distances at the start.
    """
    key_reset, key_actions = jax.random.split(jax.random.key(0))
    first = jax.jit(jax.vmap(env.reset))(jax.random.split(key_reset, EPISODES))

    @jax.jit
    def run(states: State, actions: jax.Array) -> State:
        def step(states: State, action: jax.Array) -> tuple[State, State]:
            states = jax.vmap(env.step)(states, action)
            return states, states

        return jax.lax.scan(step, states, actions)[1]

    states = run(first, held_actions(env, key_actions))  # [T, N]
    apart = lambda state: env.distance(state.obs["achieved_goal"], state.obs["desired_goal"])
    at_start = np.asarray(jax.vmap(apart)(first))
    left = np.asarray(jax.vmap(jax.vmap(apart))(states)) / np.maximum(at_start, 1e-9)[None]
    cost = np.where(at_start[None] >= np.median(at_start), np.abs(left - 0.5), np.inf)
    step, episode = np.unravel_index(np.argmin(cost), cost.shape)
    return jax.tree.map(lambda leaf: leaf[step, episode], states)


def held_actions(env: GoalEnv, key: jax.Array) -> jax.Array:
    """Random actions [T, N, D], each held for a few steps."""
    keys = jax.random.split(key, (math.ceil(env.spec.horizon / HELD), EPISODES))
    actions = jax.vmap(jax.vmap(env.spec.action.sample))(keys)
    return jnp.repeat(actions, HELD, axis=0)[: env.spec.horizon]
