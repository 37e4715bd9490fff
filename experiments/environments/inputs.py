"""What a policy sees: the image observations of some tasks at two sizes, each pixel as a square.

Dimension key: P pixels of an image's side.
"""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.environments.gallery import halfway_state
from hindsight_jax import envs, plotting
from hindsight_jax.plotting import INK

TASKS = ("point_mass", "reacher", "fetch_reach", "sawyer_reach", "push", "four_rooms")
SIZES = (48, 84)  # P
SIDE, DPI = 168, 100  # of a tile


def draw(tasks: Sequence[str] = TASKS) -> bytes:
    """A PNG with a column for each task and a row for each size; the states are halfway to their goals."""
    across, gap, left = len(tasks), 12, 44
    width, height = left + across * (SIDE + gap), len(SIZES) * (SIDE + gap) + 30
    figure = plotting.new_figure(width / DPI, height / DPI, padding=None)
    for column, task in enumerate(tasks):
        state = halfway_state(envs.make(task))
        for row, pixels in enumerate(SIZES):
            x, y = left + column * (SIDE + gap), height - 30 - (row + 1) * SIDE - row * gap
            axis = figure.add_axes((x / width, y / height, SIDE / width, SIDE / height))
            axis.imshow(observation(task, state, pixels), interpolation="nearest")
            axis.set_axis_off()
            if not row:
                axis.set_title(task, fontsize=10, color=INK)
            if not column:
                axis.text(-0.06, 0.5, f"{pixels}", transform=axis.transAxes, ha="right", va="center", color=INK)
    return plotting.png(figure, DPI)


def observation(task: str, state: envs.State, pixels: int) -> np.ndarray:
    """The frame u8[P, P, 3] that a policy sees of a state of the task."""
    env = envs.make(task, pixels=pixels)
    assert isinstance(env, envs.ImageEnv)
    return np.asarray(jax.jit(lambda state: env.frame(state))(state))
