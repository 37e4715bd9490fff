"""A goal task that code other than JAX steps, on the host: a simulator of another package.

Runs of one differ from those of a GoalEnv in collecting and evaluating alone (`training.host`); goal laws, ring, agents
and records are the same. `interop.gymnasium_task` makes one of a Gymnasium environment.

Dimension key: W episodes side by side, T horizon, O observation dims, G goal dims, D action dims.
"""

import abc
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from hindsight_jax import types

# (t, observation f32[W, O], goal f32[W, G]) -> actions [W, D] of the spec's action set
HostPolicy = Callable[[int, np.ndarray, np.ndarray], np.ndarray]
Watch = Callable[[Sequence[np.ndarray]], None]  # of W pictures u8[H, W, 3]


class Episodes(NamedTuple):
    """W whole episodes, padded to the horizon by zeros, which hold no data."""

    observation: np.ndarray  # f32[W, T+1, O], s_0 .. s_length, the terminal one included
    achieved_goal: np.ndarray  # f32[W, T+1, G]
    action: np.ndarray  # i32[W, T, D], or f32[W, T, D] in [-1, 1]
    desired_goal: np.ndarray  # f32[W, G]
    length: np.ndarray  # i32[W], actions taken
    terminal: np.ndarray  # bool[W], ended by the environment, and not by a limit of time
    success: np.ndarray | None  # bool[W, T], what the environment says after each action taken; None: it does not


class HostEnv(abc.ABC):
    """A goal task whose episodes are played on the host. Distances of goals are JAX's, since relabelling needs them.

    To write one, define `spec`, `width`, `distance` and `play`. Observations and goals are vectors, and no images.
    """

    @property
    @abc.abstractmethod
    def spec(self) -> types.EnvSpec:
        """Shapes, action set, horizon and threshold. `ends_at_success` is not read: `play` says how episodes ended."""

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """W, the most episodes that play side by side."""

    @property
    def renders(self) -> bool:
        """Whether `play` has pictures for `watch`. False unless a task says otherwise."""
        return False

    @abc.abstractmethod
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """f32[], in the environment's units, as `GoalEnv.distance`: in JAX; leading axes stay."""

    def success(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """bool[]: distance(achieved, desired) < threshold, strictly. Leading axes stay."""
        return self.distance(achieved, desired) < self.spec.threshold

    @abc.abstractmethod
    def play(self, policy: HostPolicy, seeds: np.ndarray, watch: Watch | None = None) -> Episodes:
        """Whole episodes, one for each of the seeds i64[W], each a function of its seed and its actions alone.

        `watch`, where `renders`, is called with the pictures of s_0, and after each step with those of the next states;
        those of an episode that is over are of no meaning.
        """
