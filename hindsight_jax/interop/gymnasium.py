"""The tasks as Gymnasium environments, for training loops of other packages. Needs `gymnasium` (extra `gym`).

    env = GymnasiumEnv("push")      or, after register(), gymnasium.make("hindsight_jax/Push-v0")
    observation, info = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

Dimension key: O observation dims, G goal dims, D action dims, K bins per dim; * any number of batch axes.

A step is one compiled call and one transfer from the device, and a second for an image; all environments of a task in a
process share its compiled functions.
"""

import functools
import itertools
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import backend, checks, envs, numerics, rendering, types
from hindsight_jax.envs.base import GoalEnv, State

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    remedy = "pip install gymnasium, or hindsight-jax with the extra gym."
    raise ImportError(f"hindsight_jax.interop.gymnasium needs gymnasium: {remedy}") from error

NAMESPACE, VERSION = "hindsight_jax", 0  # parts of the ids that `register` makes
PARTS = ("observation", "achieved_goal", "desired_goal")


class GymnasiumEnv(gymnasium.Env):
    """A task as a goal-conditioned Gymnasium environment, with the interface that stable-baselines3's HER uses.

    * observation_space: Dict of "observation" f32[O], "achieved_goal" and "desired_goal" f32[G]. The Boxes hold every
      finite float32, since nothing enforces the usual ranges of `task.spec`. With `pixels` (`envs.make`) the
      observation is an image, Box(0, 255, (pixels, pixels, 3 frames), uint8); the goals stay vectors.
    * action_space: Discrete(K) for a flat set, MultiDiscrete([K] * D) for D > 1, Box(-1, 1) f32[D] for continuous ones.
    * reward: `reward_reached` if the new state is a success, else `reward_otherwise`.
    * terminated: a success, in a task that ends at success. truncated: the last step of the horizon, unless terminated.
    * info: "is_success" (bool), and "episode_step" (int), the number of actions taken.
    * `reset(seed=...)` makes all later draws reproducible; it takes no options.

    Args:
      task: a name of `envs.names()`, or a GoalEnv of your own.
      reward_reached: reward of a success.
      reward_otherwise: reward of any other step.
      render_mode: None, or "rgb_array": `render()` gives u8[render_size, render_size, 3], by `hindsight_jax.rendering`.
      render_size: pixels.
      **overrides: arguments of the task, if it is given by name.

    Raises ValueError for an unknown task, override or render mode, a bad render size, goals that are images (whoever
    relabels here changes the vectors, and the image would still show the old goal), and options of `reset`; from
    `step` for an action outside the action space (one of a Box must be finite, and is clipped to [-1, 1]), before a
    reset and after an episode's end; from `render` before a reset or without a render mode.

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
        self.task = _task(task, overrides)
        if self.task.spec.images is not None and self.task.spec.images.goals:
            rule = "the goals of this interface are vectors: relabelled elsewhere, an image would show the old goal"
            checks.fail("goals", "'image'", rule, "Use goals='state'.")
        self.render_mode = render_mode
        self.action_space = action_space(self.task.spec.action)
        self.observation_space = observation_space(self.task.spec)
        self._rewards = np.array([reward_otherwise, reward_reached], np.float32)
        self._layout = _layout(self.task.spec)
        self._compiled = _compile(self.task)
        self._state: State | None = None
        self._steps, self._ended = 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Draws a new start and goal from the environment's generator, and returns (observation, info)."""
        if seed is not None:
            seed = checks.whole("seed", seed, 0, math.inf, "Leave it out to draw anew.")
        super().reset(seed=seed)
        if options:
            checks.fail("options", options, "a reset takes none", "Make the task with other overrides instead.")
        if self._state is None:
            backend.start()
        self._state, packed = self._compiled.reset(self.np_random.integers(2**32, dtype=np.uint32))
        self._steps, self._ended = 0, False
        observation, success, _ = self._unpack(packed)
        return observation, self._info(success)

    def step(self, action: Any):
        """Takes one action, and returns (observation, reward, terminated, truncated, info)."""
        if self._state is None or self._ended:
            got = "no episode" if self._state is None else "an episode that has ended"
            checks.fail("step", got, "it needs a running episode", "Call reset() first.")
        action = _valid_action(action, self.task.spec.action)
        self._state, packed = self._compiled.step(self._state, action)
        self._steps += 1
        observation, success, terminated = self._unpack(packed)
        truncated = self._steps >= self.task.spec.horizon and not terminated
        self._ended = terminated or truncated
        return observation, float(self._rewards[int(success)]), terminated, truncated, self._info(success)

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        """The reward of each pair of goals: f32[*] for goals [*, G], a float for goals [G]. `info` is ignored.

        Raises ValueError if the two differ in shape, or do not end in the shape of a goal.
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
        return np.array(self._compiled.picture(self._state, self._render_size))

    def _unpack(self, packed: "_Packed") -> tuple[dict[str, np.ndarray], bool, bool]:
        """The observation, success and done; the arrays are copies, since callers may keep and change them."""
        flat = np.asarray(packed.numbers)
        image = {} if packed.image is None else {"observation": np.array(packed.image)}
        observation = image | {name: flat[part].reshape(shape).copy() for name, part, shape in self._layout}
        return observation, bool(flat[-2]), bool(flat[-1])

    def _info(self, success: bool) -> dict[str, Any]:
        return {"is_success": success, "episode_step": self._steps}

    def _success(self, achieved: Any, desired: Any) -> np.ndarray:
        """bool[*] for goals [*, G]; batches are padded to a power of two, so that few lengths are compiled."""
        achieved, desired = _numbers("achieved_goal", achieved), _numbers("desired_goal", desired)
        goal_shape = self.task.spec.goal_shape
        batch = achieved.shape[: achieved.ndim - len(goal_shape)]
        if achieved.shape != (*batch, *goal_shape) or desired.shape != achieved.shape:
            got = f"{checks.describe(achieved)} and {checks.describe(desired)}"
            rule = f"both must have the same shape, which ends in {list(goal_shape)}"
            checks.fail("achieved_goal and desired_goal", got, rule, "Give each row of a batch its own goal.")
        count = math.prod(batch)
        padded = 1 << max(count - 1, 0).bit_length()
        goals = np.zeros((2, padded, *goal_shape), np.float32)
        goals[0, :count], goals[1, :count] = achieved.reshape(-1, *goal_shape), desired.reshape(-1, *goal_shape)
        return np.asarray(self._compiled.success(goals))[:count].reshape(batch)


def register() -> tuple[str, ...]:
    """Registers every task with Gymnasium, and returns the ids, such as 'hindsight_jax/FetchReach-v0' for fetch_reach.

    `gymnasium.make(id, ...)` takes the arguments of `GymnasiumEnv`. A second call changes nothing.

    >>> "hindsight_jax/Push-v0" in register()
    True
    """
    ids = tuple(f"{NAMESPACE}/{name.title().replace('_', '')}-v{VERSION}" for name in envs.names())
    for id_, name in zip(ids, envs.names(), strict=True):
        if id_ not in gymnasium.registry:
            gymnasium.register(id_, entry_point=f"{__name__}:{GymnasiumEnv.__name__}", kwargs={"task": name})
    return ids


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


def _parts(spec: types.EnvSpec) -> tuple[str, ...]:
    """The parts of the observation that are packed as numbers."""
    return PARTS if spec.images is None else PARTS[1:]


def _layout(spec: types.EnvSpec) -> list[tuple[str, slice, tuple[int, ...]]]:
    """Name, slice of the packed numbers and shape of each part of the observation that is no image."""
    parts = _parts(spec)
    shapes = [spec.observation_shape if part == "observation" else spec.goal_shape for part in parts]
    ends = itertools.accumulate(map(math.prod, shapes), initial=0)
    slices = itertools.starmap(slice, itertools.pairwise(ends))
    return list(zip(parts, slices, shapes, strict=True))


class _Packed(NamedTuple):
    """What a step shows, in one array for one transfer, and an image."""

    numbers: jax.Array  # f32[..], the observation's parts, success and done
    image: jax.Array | None  # u8[P, P, 3 F], where observations are images


class _Compiled(NamedTuple):
    """A task's functions."""

    reset: Callable[[np.uint32], tuple[State, _Packed]]
    step: Callable[[State, np.ndarray], tuple[State, _Packed]]
    success: Callable[[np.ndarray], jax.Array]  # f32[2, B, *G], achieved and desired -> bool[B]
    picture: Callable[[State, int], jax.Array]  # (state, pixels) -> u8[pixels, pixels, 3]


@functools.lru_cache(maxsize=64)
def _compile(task: GoalEnv) -> _Compiled:
    """The functions of a task, compiled at their first call and shared by all its environments."""

    def packed(state: State) -> tuple[State, _Packed]:
        parts = [state.obs[name].ravel() for name in _parts(task.spec)]
        success = task.success(state.obs["achieved_goal"], state.obs["desired_goal"])
        flags = jnp.stack([success, state.done > 0]).astype(jnp.float32)
        image = None if task.spec.images is None else state.obs["observation"]
        return state, _Packed(jnp.concatenate([*parts, flags]), image)

    def picture(state: State, pixels: int) -> jax.Array:
        return rendering.to_uint8(rendering.render(task.scene(state), task.camera(), pixels, pixels))

    return _Compiled(
        reset=jax.jit(lambda seed: packed(task.reset(numerics.key(seed)))),
        step=jax.jit(lambda state, action: packed(task.step(state, action))),
        success=jax.jit(lambda goals: jax.vmap(task.success)(*goals)),
        picture=jax.jit(picture, static_argnums=1),
    )


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


def _array(name: str, value: Any) -> np.ndarray:
    """Converts the value to a NumPy array; a ragged list raises ValueError."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        checks.fail(name, checks.describe(value), "it must be an array", "Give every row the same length.")


def _numbers(name: str, value: Any) -> np.ndarray:
    """Converts real numbers to f32[...]; texts and complex numbers raise ValueError."""
    array = _array(name, value)
    if array.dtype.kind not in "fiub":
        checks.fail(
            name, checks.describe(value), "it must be an array of numbers", "Pass goals of this task, of a real dtype."
        )
    return array.astype(np.float32)


def _valid_action(action: Any, kind: types.Discrete | types.Box) -> np.ndarray:
    """Checks an action against the action set, and converts it to i32[D] or f32[D]."""
    array, box = _array("action", action), isinstance(kind, types.Box)
    shape = (kind.num_dims,) if box or kind.num_dims > 1 else ()
    if array.shape != shape or array.dtype.kind not in ("f" if box else "iu"):
        rule = f"it must be {'float' if box else 'int'}{list(shape)}"
        checks.fail("action", checks.describe(array), rule, "Pass one action of env.action_space.")
    if box and not np.isfinite(array).all():
        checks.fail("action", action, "it must be finite", "Look for a NaN in the policy.")
    if not box and not ((array >= 0) & (array < kind.num_bins)).all():
        checks.fail("action", action, f"it must lie in 0..{kind.num_bins - 1}", "Draw from env.action_space.")
    return array.reshape(kind.num_dims).astype(np.float32 if box else np.int32)
