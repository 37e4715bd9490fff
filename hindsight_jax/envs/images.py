"""`ImageEnv`: a task whose states, and perhaps goals, are seen as images. `envs.make(name, pixels=48)` makes one.

Dimension key: P pixels of an image's side, F frames of an observation, G goal dims.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from hindsight_jax import checks, numerics, rendering, types
from hindsight_jax.envs import _validation, base


@struct.dataclass
class Seen:
    """What `step` carries: the task's own state, its goal, and what was seen of the episode."""

    task: Any  # the task's PipelineState
    observation: jax.Array  # the task's own
    goal: jax.Array  # [*G]
    stack: jax.Array  # u8[P, P, 3 F]
    goal_image: jax.Array | None  # u8[P, P, 3], where goals are images


class ImageEnv(base.GoalEnv):
    """A task seen through its own camera: observations are u8[P, P, 3 F], the newest frame last.

    An image holds the bodies, without shadows and without the goal's marker (`rendering.observer`). At the start the
    first frame fills the stack. Goals, distances, success and rewards are the task's own; so are action and horizon.

    * goals "state": a policy is shown the goal's coordinates.
    * goals "image": it is shown the image of a state that has the goal, obs["goal_image"] u8[P, P, 3], which is drawn
      from `bodies_at(goal)`. A hindsight goal needs no drawing: it is the stored frame of the state that was reached.

    `achieved_goal` of an image is not known, and raises a ValueError; obs["achieved_goal"] has it.

    Args:
      task: a GoalEnv that draws its bodies.
      pixels: P, 36 or more.
      frames: F; velocities show from two on.
      goals: "state" or "image".

    Raises ValueError for other values, a task that draws no bodies (or, for image goals, no `bodies_at`).

    >>> from hindsight_jax import envs
    >>> env = envs.make("sawyer_reach", pixels=48, frames=2)
    >>> state = jax.jit(env.reset)(jax.random.key(0))
    >>> state.obs["observation"].shape, state.obs["observation"].dtype.name, state.obs["achieved_goal"].shape
    ((48, 48, 6), 'uint8', (3,))
    """

    def __init__(self, task: base.GoalEnv, pixels: int = 48, frames: int = 1, goals: str = "state"):
        _check(task, goals)
        self.task = task
        pixels = checks.whole("pixels", pixels, types.LEAST_PIXELS, types.MOST_PIXELS, "48 and 84 are hEM's.")
        frames = checks.positive_int("frames", frames, "One frame hides velocities, two show them.")
        self._images = images = types.Images(pixels, frames, goals == "image")
        shape = (images.pixels, images.pixels, 3 * images.frames)
        self._spec = task.spec._replace(observation_shape=shape, observation_range=None, images=images)

    @functools.cached_property
    def _draw(self) -> Callable[[rendering.Scene], jax.Array]:
        """Draws the bodies: made late, so that making a task starts no JAX."""
        with numerics.made_once():
            return rendering.observer(self.task.scenery(), self.task.camera(), self._images.pixels)

    @functools.cached_property
    def _traced_frame(self) -> Callable[[base.State], jax.Array]:
        """`frame`, traced once for every rollout of a program."""
        return jax.jit(lambda state: self._draw(self.task.bodies(state)))

    def __getstate__(self) -> dict[str, Any]:
        """All but the functions that draw, which a copy makes anew."""
        return {name: value for name, value in vars(self).items() if name not in ("_draw", "_traced_frame")}

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    @property
    def backend(self) -> str:
        return self.task.backend

    @property
    def observation_size(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the observation's parts."""
        goal_image = {"goal_image": self.spec.seen_goal_shape} if self._images.goals else {}
        return super().observation_size | goal_image

    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """Raises ValueError: an image does not tell."""
        rule = "an image does not tell what it achieves"
        checks.fail("observation", checks.describe(observation), rule, 'Read state.obs["achieved_goal"].')

    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """The task's own, in its units."""
        return self.task.distance(achieved, desired)

    def success(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """The task's own."""
        return self.task.success(achieved, desired)

    def sample_goal(self, key: jax.Array) -> jax.Array:
        """The task's own, [*G]."""
        return self.task.sample_goal(key)

    def reachable(self, goal: jax.Array) -> jax.Array:
        """The task's own."""
        return self.task.reachable(goal)

    def is_start(self, start: jax.Array) -> jax.Array:
        """The task's own."""
        return self.task.is_start(start)

    def _reset_to(self, rng: jax.Array, start: jax.Array | None, goal: jax.Array | None) -> base.State:
        return self._first(self.task._reset_to(rng, start, goal))

    def reset(self, rng: jax.Array) -> base.State:
        return self._first(self.task.reset(rng))

    def _first(self, state: base.State) -> base.State:
        """The first state of an episode as it is seen, from the task's."""
        frame = self.frame(state)
        stack = jnp.concatenate([frame] * self._images.frames, axis=-1)
        goal = state.obs["desired_goal"]
        goal_image = self.image_of(goal) if self._images.goals else None
        return self._state(state, Seen(state.pipeline_state, state.obs["observation"], goal, stack, goal_image))

    @checks.validated(_validation.check_state)
    def step(self, state: base.State, action: jax.Array) -> base.State:
        seen: Any = state.pipeline_state
        after = self.task.step(self._of_task(state), action)
        stack = jnp.concatenate([seen.stack[..., 3:], self.frame(after)], axis=-1)
        return self._state(
            after, seen.replace(task=after.pipeline_state, observation=after.obs["observation"], stack=stack)
        )

    def frame(self, state: base.State) -> jax.Array:
        """u8[P, P, 3], the image of a state of `task`."""
        return self._traced_frame(state)

    def image_of(self, goal: jax.Array) -> jax.Array:
        """u8[P, P, 3], the image of a state whose achieved goal is `goal`."""
        return self._draw(self.task.bodies_at(goal))

    def _state(self, state: base.State, seen: Seen) -> base.State:
        """The task's state with what is seen in place of the observation."""
        goal_image = {} if seen.goal_image is None else {"goal_image": seen.goal_image}
        obs: Any = state.obs
        return state.replace(pipeline_state=seen, obs=obs | {"observation": seen.stack} | goal_image)

    def _of_task(self, state: base.State) -> base.State:
        """The state as the task knows it."""
        seen: Any = state.pipeline_state
        obs = {
            name: seen.observation if name == "observation" else state.obs[name] for name in super().observation_size
        }
        return state.replace(pipeline_state=seen.task, obs=obs)

    def scenery(self) -> rendering.Scene | None:
        """The task's own."""
        return self.task.scenery()

    def bodies(self, state: base.State) -> rendering.Scene:
        """The task's own."""
        return self.task.bodies(self._of_task(state))

    def scene(self, state: base.State) -> rendering.Scene:
        """The task's own, with the goal's marker: what a person sees."""
        return self.task.scene(self._of_task(state))

    def camera(self) -> rendering.Camera:
        """The task's own."""
        return self.task.camera()


def _check(task: Any, goals: Any) -> None:
    """Checks the arguments of ImageEnv that are no numbers."""
    checks.instance("task", task, base.GoalEnv, "Make one with envs.make(name).")
    if isinstance(task, ImageEnv):
        checks.fail("task", "a task of images", "it must be a task of states", "Pass task.task.")
    _validation.choose("goals", goals, {"state": None, "image": None})
    kind = type(task)
    needed = ["bodies", "camera", *(["bodies_at"] if goals == "image" else [])]
    for method in needed:
        if getattr(kind, method) is getattr(base.GoalEnv, method):
            rule = f"images need its method `{method}`"
            checks.fail("task", kind.__name__, rule, "Write it, as docs/add_your_own_task.md has it.")
