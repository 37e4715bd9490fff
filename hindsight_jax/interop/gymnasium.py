"""The tasks as Gymnasium environments, for training loops of other packages. Needs `gymnasium` (extra `gym`).

    env = GymnasiumEnv("push")      or gymnasium.make("hindsight_jax/Push-v0"): importing this module registers the ids
    observation, info = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

Dimension key: O observation dims, G goal dims, D action dims, K bins per dim; * any number of batch axes.

A step is one compiled call, and a second that compares two goals: the one program that gives every reward of a task.
Making an environment starts no JAX, so that one may be made before a fork; all environments of a task in a process
share its compiled functions. docs/gymnasium.md has other packages' vector environments and buffers.
"""

import copy
import dataclasses
import functools
import itertools
import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from hindsight_jax import checks, envs, types
from hindsight_jax.envs.base import GoalEnv, State
from hindsight_jax.interop import _arguments, _compiled

try:
    import gymnasium
    from gymnasium import spaces
    from gymnasium.envs.registration import EnvSpec
except ImportError as error:
    remedy = "pip install gymnasium, or hindsight-jax with the extra gym."
    raise ImportError(f"hindsight_jax.interop.gymnasium needs gymnasium: {remedy}") from error

NAMESPACE, VERSION = "hindsight_jax", 0  # parts of the ids that `register` makes
OPTIONS = ("start", "goal")  # of `reset`


class GymnasiumEnv(gymnasium.Env):
    """A task as a goal-conditioned Gymnasium environment, with the interface that stable-baselines3's HER uses.

    * observation_space: Dict of "observation" f32[O], "achieved_goal" and "desired_goal" f32[G]. The Boxes hold every
      finite float32, since nothing enforces the usual ranges of `task.spec`. With `pixels` (`envs.make`) the
      observation is an image, Box(0, 255, (pixels, pixels, 3 frames), uint8); the goals stay vectors.
    * action_space: Discrete(K) for a flat set, MultiDiscrete([K] * D) for D > 1, Box(-1, 1) f32[D] for continuous ones.
    * reward: `reward_reached` if the new state is a success, else `reward_otherwise`.
    * terminated: a success, in a task that ends at success. truncated: the last step of the horizon, unless terminated.
    * info: "is_success" (bool), and "episode_step" (int), the number of actions taken.
    * `reset(seed=...)` makes all later draws reproducible. `reset(options={"start": ..., "goal": ...})` takes either or
      both in place of drawn ones, for one episode: a goal [*G] that some state achieves (`task.reachable`), and a start
      as the task's `is_start` has it, such as bits, or the (x, y) of a ball.
    * spec.max_episode_steps: the task's horizon, which truncates without a wrapper's help.

    Pickles and deep copies go on where the environment is in its episode.

    Args:
      task: a name of `envs.names()`, or a GoalEnv of your own.
      reward_reached: reward of a success.
      reward_otherwise: reward of any other step.
      render_mode: None, or "rgb_array": `render()` gives u8[render_size, render_size, 3], by `hindsight_jax.rendering`.
      render_size: pixels.
      **overrides: arguments of the task, if it is given by name.

    Raises ValueError for an unknown task, override or render mode, a bad render size, and goals that are images
    (whoever relabels here changes the vectors, and the image would still show the old goal); from `reset` for other
    options, a start or a goal that no episode can have, and a start where the task draws its own; from `step` for an
    action outside the action space (one of a Box must be finite, and is clipped to [-1, 1]; a flat one may be int[] or,
    as policies of this library give it, int[1]), before a reset and after an episode's end; from `render` before a
    reset or without a render mode; and from all in a process that was forked after JAX had been used.

    >>> env = GymnasiumEnv("flip_bit", size=3)
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(np.int64(1))
    >>> reward == env.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
    True
    >>> env.compute_reward(np.zeros((2, 3)), np.eye(3)[:2] * [[0], [1]], {}).tolist()
    [0.0, -1.0]
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012 - Gymnasium's own type

    def __init__(
        self,
        task: str | GoalEnv,
        *,
        reward_reached: float = 0.0,
        reward_otherwise: float = -1.0,
        render_mode: str | None = None,
        render_size: int = 256,
        **overrides: Any,
    ):
        self._render_size = checks.positive_int("render_size", render_size, "Leave it out for 256.")
        known = isinstance(render_mode, str) and render_mode in self.metadata["render_modes"]
        if render_mode is not None and not known:
            got = checks.describe(render_mode)
            checks.fail("render_mode", got, "it must be None or 'rgb_array'", "Use 'rgb_array' for render().")
        most, rule = sys.float_info.max, "it must be a finite number"
        remedy = "The default is 0 at a success and -1 elsewhere."
        reward_reached = checks.number("reward_reached", reward_reached, -most, most, remedy, rule)
        reward_otherwise = checks.number("reward_otherwise", reward_otherwise, -most, most, remedy, rule)
        self._made_of = task, overrides
        self.task = _task(task, overrides)
        if self.task.spec.images is not None and self.task.spec.images.goals:
            rule = "the goals of this interface are vectors: relabelled elsewhere, an image would show the old goal"
            checks.fail("goals", "'image'", rule, "Use goals='state'.")
        self.render_mode = render_mode
        self.action_space = action_space(self.task.spec.action)
        self.observation_space = observation_space(self.task.spec)
        self._rewards = np.array([reward_otherwise, reward_reached], np.float32)
        self._layout = _layout(self.task.spec)
        self._state: State | None = None
        self._steps, self._ended = 0, False
        rewards = {"reward_reached": reward_reached, "reward_otherwise": reward_otherwise}
        known = {"task": task, **rewards, "render_mode": render_mode, "render_size": self._render_size, **overrides}
        id_ = _id(task) if isinstance(task, str) else f"{type(task).__name__}-v{VERSION}"
        self.spec = EnvSpec(
            id_, f"{__name__}:{GymnasiumEnv.__name__}", order_enforce=False, disable_env_checker=True, kwargs=known
        )

    @property
    def spec(self) -> EnvSpec:
        """Gymnasium's description of this environment; `gymnasium.make(env.spec)` makes another."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec) -> None:
        """`gymnasium.make` sets it. An id stands for one task, whatever arguments it is made with."""
        checks.instance("spec", spec, EnvSpec, "Pass gymnasium.spec(id), for example.")
        name, given = _names().get(spec.id), spec.kwargs.get("task")
        if name is not None and given != name:
            got = repr(given) if isinstance(given, str) else f"a {type(given).__name__}"
            checks.fail("task", got, f"{spec.id} is {name!r}", "Leave it out, or make GymnasiumEnv(task).")
        self._spec = dataclasses.replace(spec, max_episode_steps=self.task.spec.horizon)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begins an episode with a start and a goal drawn or, in `options`, given; returns (observation, info)."""
        if seed is not None:
            seed = checks.whole("seed", seed, 0, math.inf, "Leave it out to draw anew.")
        functions = self._functions
        given = self._given(options)
        super().reset(seed=seed)
        self._state, packed = functions.reset(self.np_random.integers(2**32, dtype=np.uint32), *given)
        self._steps, self._ended = 0, False
        observation = self._unpack(packed)
        return observation, self._info(self._reached(observation))

    def step(self, action: Any):
        """Takes one action, and returns (observation, reward, terminated, truncated, info)."""
        if self._state is None or self._ended:
            got = "no episode" if self._state is None else "an episode that has ended"
            checks.fail("step", got, "it needs a running episode", "Call reset() first.")
        action = _arguments.action(action, self.task.spec.action)
        self._state, packed = self._functions.step(self._state, action)
        self._steps += 1
        observation = self._unpack(packed)
        success = self._reached(observation)
        terminated = success and self.task.spec.ends_at_success
        truncated = self._steps >= self.task.spec.horizon and not terminated
        self._ended = terminated or truncated
        return observation, float(self._rewards[int(success)]), terminated, truncated, self._info(success)

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        """The reward of each pair of goals: f32[*] for goals [*, G], a float for goals [G]. `info` is ignored.

        A pair has one reward, alone, in any batch, and as `step` gave it.
        Raises ValueError if the two differ in shape, or do not end in the shape of a goal, and for masked arrays.
        """
        del info
        reward = self._rewards[self._success(achieved_goal, desired_goal).astype(np.int8)]
        return reward if np.ndim(reward) else float(reward)

    def compute_terminated(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        """Whether a step that ends in this pair of goals terminates: bool[*] for goals [*, G], a bool for goals [G]."""
        del info
        ends = self._success(achieved_goal, desired_goal) & self.task.spec.ends_at_success
        return ends if np.ndim(ends) else bool(ends)

    def compute_truncated(self, achieved_goal: Any, desired_goal: Any, info: Mapping[str, Any]) -> bool:
        """Whether the horizon ends the episode at a step with this info, of one step: "episode_step" counts actions."""
        if not isinstance(info, Mapping) or "episode_step" not in info:
            checks.fail("info", checks.describe(info), "it must hold 'episode_step'", "Pass the info that step() gave.")
        terminated = self.compute_terminated(achieved_goal, desired_goal, info)
        return info["episode_step"] >= self.task.spec.horizon and not terminated

    def render(self) -> np.ndarray:
        """Draws the current state, u8[render_size, render_size, 3]."""
        if self.render_mode is None or self._state is None:
            got = "no render mode" if self.render_mode is None else "no episode"
            checks.fail("render", got, "it needs both", "Use render_mode='rgb_array', and call reset() first.")
        return np.array(self._functions.picture(self._state, self._render_size))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "task"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.task = _task(*self._made_of)

    def __deepcopy__(self, memo: dict[int, Any]) -> "GymnasiumEnv":
        """The copy has the same task, and so what is compiled for it."""
        memo[id(self.task)] = self.task
        memo[id(self)] = other = type(self).__new__(type(self))
        other.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return other

    @property
    def _functions(self) -> _compiled.Functions:
        _compiled.refuse_dead_backend()
        return _compiled.functions(self.task)

    def _given(self, options: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The start and the goal of `reset`, each None if it is to be drawn."""
        if options is None:
            return None, None
        if not isinstance(options, Mapping) or not set(options) <= set(OPTIONS):
            got = sorted(map(str, options)) if isinstance(options, Mapping) else checks.describe(options)
            remedy = 'Pass options={"goal": ...}; other settings are overrides of the task.'
            checks.fail("options", got, f"it may hold {' and '.join(map(repr, OPTIONS))} alone", remedy)
        given: tuple[Any, ...] = tuple(
            _arguments.numbers(name, options[name]) if name in options else None for name in OPTIONS
        )
        start, goal = given
        if goal is not None and (goal.shape != self.task.spec.goal_shape or not np.isfinite(goal).all()):
            rule = f"it must be finite numbers of shape {list(self.task.spec.goal_shape)}"
            checks.fail("goal", goal.tolist(), rule, "Pass one goal of this task.")
        if goal is not None and not self.task.reachable(goal):
            remedy = "Pass one that task.reachable holds of."
            checks.fail("goal", goal.tolist(), "some state of the task must be a success for it", remedy)
        if start is not None:
            self.task.check_start(start)
        return start, goal

    def _unpack(self, packed: _compiled.Packed) -> dict[str, np.ndarray]:
        """The observation; its arrays are copies, since callers may keep and change them."""
        flat = np.asarray(packed.numbers)
        image = {} if packed.image is None else {"observation": np.array(packed.image)}
        return image | {name: flat[part].reshape(shape).copy() for name, part, shape in self._layout}

    def _reached(self, observation: Mapping[str, np.ndarray]) -> bool:
        """Whether its desired goal is achieved."""
        return bool(self._successes(observation["achieved_goal"][None], observation["desired_goal"][None])[0])

    def _info(self, success: bool) -> dict[str, Any]:
        return {"is_success": success, "episode_step": self._steps}

    def _success(self, achieved: Any, desired: Any) -> np.ndarray:
        """bool[*] for goals [*, G] as a caller passes them."""
        achieved, desired = _arguments.numbers("achieved_goal", achieved), _arguments.numbers("desired_goal", desired)
        goal_shape = self.task.spec.goal_shape
        batch = achieved.shape[: achieved.ndim - len(goal_shape)]
        if achieved.shape != (*batch, *goal_shape) or desired.shape != achieved.shape:
            got = f"{checks.describe(achieved)} and {checks.describe(desired)}"
            rule = f"both must have the same shape, which ends in {list(goal_shape)}"
            checks.fail("achieved_goal and desired_goal", got, rule, "Give each row of a batch its own goal.")
        pairs = achieved.reshape(-1, *goal_shape), desired.reshape(-1, *goal_shape)
        return self._successes(*pairs).reshape(batch)

    def _successes(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """bool[B] for goals f32[B, G], by the one program for any number of pairs."""
        found = np.empty(len(achieved), bool)
        for first in range(0, len(achieved), _compiled.PAIRS):
            rows = slice(first, min(first + _compiled.PAIRS, len(achieved)))
            count = rows.stop - first
            goals = np.zeros((2, _compiled.PAIRS, *achieved.shape[1:]), np.float32)
            goals[0, :count], goals[1, :count] = achieved[rows], desired[rows]
            found[rows] = np.asarray(self._functions.success(goals, np.int32(count)))[:count]
        return found


def register() -> tuple[str, ...]:
    """Registers every task with Gymnasium, and returns the ids, such as 'hindsight_jax/FetchReach-v0' for fetch_reach.

    Importing this module calls it; call it again for tasks that `envs.register` has added since. `gymnasium.make(id)`
    takes the arguments of `GymnasiumEnv` but `task`. An id in the form 'hindsight_jax.interop.gymnasium:ID' imports
    this module first, in any process.

    >>> "hindsight_jax/Push-v0" in register()
    True
    """
    for id_, name in _names().items():
        if id_ not in gymnasium.registry:
            gymnasium.register(id_, entry_point=f"{__name__}:{GymnasiumEnv.__name__}", kwargs={"task": name})
    return tuple(_names())


def action_space(action: types.Discrete | types.Box) -> spaces.Space:
    """The Gymnasium space of an action set.

    >>> action_space(types.Discrete(1, 9)), action_space(types.Discrete(2, 3)), action_space(types.Box(2))
    (Discrete(9), MultiDiscrete([3 3]), Box(-1.0, 1.0, (2,), float32))
    """
    if not isinstance(action, (types.Box, types.Discrete)):
        checks.fail("action", checks.describe(action), "it must be a Box or a Discrete", "Pass env.spec.action.")
    if isinstance(action, types.Box):
        return spaces.Box(-1.0, 1.0, (action.num_dims,), np.float32)
    if action.num_dims == 1:
        return spaces.Discrete(action.num_bins)
    return spaces.MultiDiscrete([action.num_bins] * action.num_dims)


def observation_space(spec: types.EnvSpec) -> spaces.Dict:
    """The Gymnasium space of a task's observations: every finite float32.

    >>> space = observation_space(envs.make("flip_bit", size=3).spec)
    >>> {name: part.shape for name, part in space.items()}
    {'achieved_goal': (3,), 'desired_goal': (3,), 'observation': (3,)}
    """
    if not isinstance(spec, types.EnvSpec):
        checks.fail("spec", checks.describe(spec), "it must be an EnvSpec", "Pass env.spec.")

    def box(shape: tuple[int, ...]) -> spaces.Box:
        return spaces.Box(-checks.FLOAT32_MAX, checks.FLOAT32_MAX, shape, np.float32)

    parts: dict[str, spaces.Space] = {name: box(shape) for name, _, shape in _layout(spec)}
    if spec.images is not None:
        parts["observation"] = spaces.Box(0, 255, spec.observation_shape, np.uint8)
    return spaces.Dict(parts)


def _id(name: str) -> str:
    """The id of the task of that name."""
    return f"{NAMESPACE}/{name.title().replace('_', '')}-v{VERSION}"


def _names() -> dict[str, str]:
    """id -> name, of every task."""
    return {_id(name): name for name in envs.names()}


def _layout(spec: types.EnvSpec) -> list[tuple[str, slice, tuple[int, ...]]]:
    """Name, slice of the packed numbers and shape of each part of the observation that is no image."""
    parts = _compiled.number_parts(spec)
    shapes = [spec.observation_shape if part == "observation" else spec.goal_shape for part in parts]
    ends = itertools.accumulate(map(math.prod, shapes), initial=0)
    slices = itertools.starmap(slice, itertools.pairwise(ends))
    return list(zip(parts, slices, shapes, strict=True))


def _task(task: str | GoalEnv, overrides: Mapping[str, Any]) -> GoalEnv:
    """Returns a GoalEnv as it is; makes a task by its name, once for equal overrides."""
    if isinstance(task, str):
        values = ((name, _hashable(value)) for name, value in sorted(overrides.items()))
        key = tuple((name, type(value), value) for name, value in values)
        try:
            hash(key)
        except TypeError:
            return envs.make(task, **overrides)  # no cache holds them; most raise ValueError here
        return _make(task, key)
    if not isinstance(task, GoalEnv):
        remedy = f"Pick one of {', '.join(envs.names())}."
        checks.fail("task", checks.describe(task), "it must be a name or a GoalEnv", remedy)
    if overrides:
        checks.fail("overrides", sorted(overrides), "a GoalEnv takes none", "Pass its name instead.")
    return task


@functools.lru_cache(maxsize=64)
def _make(name: str, overrides: tuple[tuple[str, type, Any], ...]) -> GoalEnv:
    """The cached task; the types of the values are part of the cache's key, because True == 1."""
    return envs.make(name, **{override: value for override, _, value in overrides})


def _hashable(value: Any) -> Any:
    """Converts sequences to tuples."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


register()  # here, for workers that are told an id as module:id or that import the main program
