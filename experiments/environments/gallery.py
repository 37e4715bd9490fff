"""One picture of all tasks: a tile each, in a state halfway to a goal, with the task's name and what it asks.

Dimension key: N episodes, T horizon, D action dims, P pixels of a tile's side.
"""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import plotting, rendering
from hindsight_jax.envs.base import GoalEnv, State
from hindsight_jax.plotting import INK

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
EPISODES, HELD = 128, 5  # N of the search; steps for which a random action is held, since single ones lead nowhere
SIDE = 272  # P


def draw(envs: Mapping[str, GoalEnv]) -> bytes:
    """A PNG of the tasks in the given order, row by row. Each needs `scene`, `camera` and an entry in ASKED."""
    columns = min(COLUMNS, len(envs))
    rows = math.ceil(len(envs) / columns)
    width, height, dpi = SIDE + 24, SIDE + 84, 100
    figure = plotting.new_figure(columns * width / dpi, rows * height / dpi, padding=None)
    for i, (name, env) in enumerate(envs.items()):
        row, column = divmod(i, columns)
        left, bottom = (column * width + 12) / (columns * width), ((rows - 1 - row) * height + 72) / (rows * height)
        axis = figure.add_axes((left, bottom, SIDE / (columns * width), SIDE / (rows * height)))
        axis.imshow(tile(env), interpolation="none")
        axis.set_axis_off()
        axis.text(0.0, -0.02, name, transform=axis.transAxes, va="top", fontsize=11, weight="bold", color=INK)
        axis.text(0.0, -0.105, ASKED[name], transform=axis.transAxes, va="top", fontsize=8.5, color=INK)
    return plotting.png(figure, dpi)


def tile(env: GoalEnv) -> np.ndarray:
    """The picture u8[P, P, 3] of a state halfway to its goal."""
    picture = lambda state: rendering.render(env.scene(state), env.camera(), SIDE, SIDE, antialias=3)
    return np.asarray(rendering.to_uint8(jax.jit(picture)(halfway_state(env))))


def halfway_state(env: GoalEnv) -> State:
    """Of N random episodes whose goal is at least as far as the median at the start, the state nearest to halfway.

    Such a state shows what has been done and what is left to do.
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
    distance = lambda state: env.distance(state.obs["achieved_goal"], state.obs["desired_goal"])
    at_start = np.asarray(jax.vmap(distance)(first))
    share_left = np.asarray(jax.vmap(jax.vmap(distance))(states)) / np.maximum(at_start, 1e-9)[None]
    cost = np.where(at_start[None] >= np.median(at_start), np.abs(share_left - 0.5), np.inf)
    step, episode = np.unravel_index(np.argmin(cost), cost.shape)
    return jax.tree.map(lambda leaf: leaf[step, episode], states)


def held_actions(env: GoalEnv, key: jax.Array) -> jax.Array:
    """Random actions [T, N, D], each held for a few steps."""
    keys = jax.random.split(key, (math.ceil(env.spec.horizon / HELD), EPISODES))
    actions = jax.vmap(jax.vmap(env.spec.action.sample))(keys)
    return jnp.repeat(actions, HELD, axis=0)[: env.spec.horizon]
