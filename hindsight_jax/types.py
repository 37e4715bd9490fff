"""Shared data types: trajectories, transitions and the description of an environment.

Dimension key: T horizon, N trajectories, B batch, O observation dims, G goal dims, D action dims, K bins per dim;
P pixels of a picture's side, F frames of an observation.
Every type describes *one* example; a leading axis comes from `jax.vmap` or from a batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Trajectory(NamedTuple):
    """One episode, padded to the horizon T. Steps from `length` on hold no data and are never read.

    `observation[i]` is state s_i, so an episode of `length` actions has the states s_0 .. s_length. Where states are
    seen as images it is the one frame of s_i, stored once; `replay` stacks frames when it draws.
    """

    observation: jax.Array  # [T+1, *O]; of images u8[T+1, P, P, 3]
    achieved_goal: jax.Array  # [T+1, *G], phi(s_i)
    action: jax.Array  # i32[T, D] (discrete) or f32[T, D] in [-1, 1]
    desired_goal: jax.Array  # [*G], the behaviour goal
    length: jax.Array  # i32[], actions taken, 0 <= length <= T
    terminal: (
        jax.Array
    )  # bool[], ended before the horizon, in our tasks by success; reward functions see it at the last step
    goal_image: jax.Array | None = None  # u8[P, P, 3], a state at the behaviour goal; where goals are images, else None


class Transition(NamedTuple):
    """One relabelled step (s_t, a_t, s_{t+1}, g), made by `Replay.sample`."""

    observation: jax.Array  # [*O], s_t
    action: jax.Array  # [D], a_t
    next_observation: jax.Array  # [*O], s_{t+1}
    goal: jax.Array  # [*G], the behaviour goal, or phi(s_i), with i > t but for the law `episode`
    achieved_goal: jax.Array  # [*G], phi(s_t)
    next_achieved_goal: jax.Array  # [*G], phi(s_{t+1})
    reward: jax.Array  # f32[]
    discount: (
        jax.Array
    )  # f32[], of the reward function: 0 keeps what comes after out of a target; agents multiply it by gamma
    is_next: jax.Array  # bool[], relabelled with the index t + 1: the goal is phi(s_{t+1})
    relabelled: jax.Array  # bool[], the goal is a hindsight goal
    offset: jax.Array  # i32[], i - t, the number of actions from s_t to the goal's state; 0 for a behaviour goal
    start_reward: jax.Array  # f32[], for this goal, of a step that would have ended in s_t: is it there already?
    goal_image: jax.Array | None = None  # u8[P, P, 3], the frame of the goal's state; where goals are images, else None

    @property
    def seen_goal(self) -> jax.Array:
        """The goal as a policy is shown it: its image, or else its coordinates."""
        return self.goal if self.goal_image is None else self.goal_image

    @property
    def seen_next_goal(self) -> jax.Array:
        """phi(s_{t+1}) as a policy would be shown it as a goal: the newest frame of s_{t+1}, or its coordinates."""
        return self.next_achieved_goal if self.goal_image is None else self.next_observation[..., -3:]


class Discrete(NamedTuple):
    """Actions of `num_dims` integers, each in 0..num_bins-1. A flat set of 9 actions is `Discrete(1, 9)`."""

    num_dims: int
    num_bins: int

    def sample(self, key: jax.Array) -> jax.Array:
        """Draws a uniform action, i32[num_dims]."""
        return jax.random.randint(key, (self.num_dims,), 0, self.num_bins, dtype=jnp.int32)


class Box(NamedTuple):
    """Actions of `num_dims` floats in [-1, 1]; the environment scales them to its own units."""

    num_dims: int

    def sample(self, key: jax.Array) -> jax.Array:
        """Draws a uniform action, f32[num_dims]."""
        return jax.random.uniform(key, (self.num_dims,), jnp.float32, -1.0, 1.0)


class Range(NamedTuple):
    """The usual range of each coordinate of an observation or a goal, in the environment's units; not enforced.

    A network that scales its inputs maps `low` to -1 and `high` to 1.
    """

    low: tuple[float, ...]  # one per coordinate
    high: tuple[float, ...]


LEAST_PIXELS = 36  # of an image's side: what the encoder's layers can take
MOST_PIXELS = 512  # a limit to typing errors


class Images(NamedTuple):
    """States that are seen as images, u8[P, P, 3 F]: the F newest frames, the newest last, s_0's before the start."""

    pixels: int  # P
    frames: int = 1  # F
    goals: bool = False  # a policy is shown the image u8[P, P, 3] of a state that has the goal, not the goal itself


class EnvSpec(NamedTuple):
    """The properties of an environment that agents and the replay ring use. Static: Python numbers only."""

    observation_shape: tuple[int, ...]
    goal_shape: tuple[int, ...]
    action: Discrete | Box
    horizon: int  # T, steps per episode
    threshold: float  # success is distance(achieved, desired) < threshold, strictly
    ends_at_success: bool  # the episode ends at the first success, rather than at the horizon
    observation_range: Range | None  # None where states are seen as images
    goal_range: Range
    images: Images | None = None  # observations are u8[*O]; None: f32[*O]

    @property
    def seen_goal_shape(self) -> tuple[int, ...]:
        """The shape of a goal as a policy is shown it: `goal_shape`, or that of an image."""
        if self.images is None or not self.images.goals:
            return self.goal_shape
        return (self.images.pixels, self.images.pixels, 3)
