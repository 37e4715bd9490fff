"""The functions of a task that the Gymnasium adapter calls: compiled once, for all environments of a process.

Dimension key: G goal dims, F frames, P pixels.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import xla_bridge  # no public function tells whether JAX has started without starting it

from hindsight_jax import backend, checks, numerics, rendering, types
from hindsight_jax.envs.base import GoalEnv, State

PAIRS = 256  # rows of the one program that compares goals; a longer batch is several calls
PARTS = ("observation", "achieved_goal", "desired_goal")

_fork = {"started": False, "inherited": False}  # JAX at the last fork; whether this process is a fork of such a one


def _before_fork() -> None:
    _fork["started"] = xla_bridge.backends_are_initialized()


def _in_forked_child() -> None:
    _fork["inherited"] |= _fork["started"]


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before_fork, after_in_child=_in_forked_child)


def refuse_dead_backend() -> None:
    """Raises ValueError in a process that was forked from one where JAX ran: its threads are not there, and it hangs.

    A fork of a process where JAX was only imported starts its own.
    """
    if _fork["inherited"]:
        rule = "its parent had used JAX, whose threads no fork has, so that the first computation would never end"
        remedy = (
            'Pass context="forkserver" or "spawn" (AsyncVectorEnv; vector_kwargs of make_vec) or start_method= '
            "(SubprocVecEnv), or make the vector environment before anything computes with JAX."
        )
        checks.fail("start method", "'fork'", rule, remedy)


class Packed(NamedTuple):
    """What a step shows, in one array for one transfer, and an image."""

    numbers: jax.Array  # f32[..], the observation's parts
    image: jax.Array | None  # u8[P, P, 3 F], where observations are images


class Functions(NamedTuple):
    """A task's functions, each compiled at its first call."""

    reset: Callable[[np.uint32, Any, Any], tuple[State, Packed]]  # (seed, start or None, goal or None)
    step: Callable[[State, np.ndarray], tuple[State, Packed]]
    success: Callable[[np.ndarray, np.int32], jax.Array]  # (goals f32[2, PAIRS, *G], count) -> bool[PAIRS]
    picture: Callable[[State, int], jax.Array]  # (state, pixels) -> u8[pixels, pixels, 3]


@functools.lru_cache(maxsize=64)
def functions(task: GoalEnv) -> Functions:
    """The functions of a task, the same for all its environments."""
    backend.start()

    def packed(state: State) -> tuple[State, Packed]:
        numbers = jnp.concatenate([state.obs[name].ravel() for name in number_parts(task.spec)])
        return state, Packed(numbers, None if task.spec.images is None else state.obs["observation"])

    def reset(seed: jax.Array, start: jax.Array | None, goal: jax.Array | None) -> tuple[State, Packed]:
        return packed(task.reset_to(numerics.key(seed), start=start, goal=goal))

    def success(goals: jax.Array, count: jax.Array) -> jax.Array:
        """One pair after another, since what a program for many at once rounds differs with their number."""
        one = lambda i, found: found.at[i].set(task.success(*goals[:, i]))
        return jax.lax.fori_loop(0, count, one, jnp.zeros(goals.shape[1], bool))

    def picture(state: State, pixels: int) -> jax.Array:
        return rendering.to_uint8(rendering.render(task.scene(state), task.camera(), pixels, pixels))

    return Functions(
        reset=jax.jit(reset),
        step=jax.jit(lambda state, action: packed(task.step(state, action))),
        success=jax.jit(success),
        picture=jax.jit(picture, static_argnums=1),
    )


def number_parts(spec: types.EnvSpec) -> tuple[str, ...]:
    """The parts of the observation that are no image."""
    return PARTS if spec.images is None else PARTS[1:]
