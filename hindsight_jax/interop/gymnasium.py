"""Our tasks as Gymnasium's goal environments, for other people's loops: needs the package `gymnasium` (extra `gym`).

    env = GymnasiumEnv("push")      or, after register(), gymnasium.make("hindsight_jax/Push-v0")
    observation, info = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

Dimension key: O observation dims, G goal dims, D action dims, K bins per dim; * is any batch, or none.

A step is one compiled call and one array from the device; a task is compiled once in a process, however many
environments there are of it.
"""

import functools
import itertools
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, envs, rendering, types
from hindsight_jax.envs.base import GoalEnv, State

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    remedy = "pip install gymnasium, or hindsight-jax with the extra gym."
    raise ImportError(f"hindsight_jax.interop.gymnasium needs gymnasium: {remedy}") from error

NAMESPACE, VERSION = "hindsight_jax", 0  # of the ids that `register` makes
PARTS = ("observation", "achieved_goal", "desired_goal")


class GymnasiumEnv(gymnasium.Env):
    """One of our tasks behind Gymnasium's API, as goal environments are there and as stable-baselines3's HER wants it.

    * observation_space: Dict of "observation" f32[O], "achieved_goal" and "desired_goal" f32[G]. The Boxes hold every
      finite float32, since the ranges of `task.spec` are usual and nothing enforces them.
    * action_space: Discrete(K) for a flat set, MultiDiscrete([K] * D) for D > 1, Box(-1, 1) f32[D] for continuous ones.
    * reward: `reward_reached` where the new state is a success, else `reward_otherwise`.
    * terminated: a success of a task that ends there. truncated: the horizon's last step, if it does not terminate.
    * info: "is_success" (bool), and "episode_step" (int), the actions taken.
    * `reset(seed=...)` makes all that follows reproducible; it takes no options.

    Args:
      task: a name of `envs.names()`, or a GoalEnv of your own.
      reward_reached: reward of a success.
      reward_otherwise: reward of any other step.
      render_mode: None, or "rgb_array": `render()` gives u8[render_size, render_size, 3], by our own ray casting.
      render_size: pixels.
      **overrides: arguments of the task, where it is a name.

    Raises ValueError for an unknown task or override, for render modes and sizes that are none, and for options of
    `reset`; from `step` for an action that is not of the set (a Box's must be finite, and is clipped to [-1, 1]),
    before a reset and after an episode's end; from `render` before a reset or without a render mode.

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
        checks.positive_int("render_size", render_size, "256 looks well.")
        known = isinstance(render_mode, str) and render_mode in self.metadata["render_modes"]
        if render_mode is not None and not known:
            checks.fail(
                "render_mode", checks.describe(render_mode), "it must be None or 'rgb_array'", "Use 'rgb_array'."
            )
        for name, value in (("reward_reached", reward_reached), ("reward_otherwise", reward_otherwise)):
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
                got = checks.describe(value)
                checks.fail(name, got, "it must be a finite number", "The default is 0 at a success and -1 elsewhere.")
        self.task = _task(task, overrides)
        self.render_mode = render_mode
        self.action_space = action_space(self.task.spec.action)
        self.observation_space = observation_space(self.task.spec)
        self._rewards = np.array([reward_otherwise, reward_reached], np.float32)
        self._places = _places(self.task.spec)
        self._render_size = int(render_size)
        self._compiled = _compile(self.task)
        self._state: State | None = None
        self._steps, self._ended = 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """(observation, info) of a fresh start and goal, drawn from the environment's own generator."""
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            checks.fail("seed", checks.describe(seed), "it must be an integer >= 0", "Leave it out to draw on.")
        super().reset(seed=seed)
        if options:
            checks.fail("options", options, "a reset takes none", "Make the task with other overrides instead.")
        self._state, packed = self._compiled.reset(self.np_random.integers(2**32, dtype=np.uint32))
        self._steps, self._ended = 0, False
        observation, success, _ = self._unpack(packed)
        return observation, self._info(success)

    def step(self, action: Any):
        """(observation, reward, terminated, truncated, info) after one action."""
        if self._state is None or self._ended:
            got = "no episode" if self._state is None else "an episode that has ended"
            checks.fail("step", got, "it needs one that runs", "Call reset() first.")
        action = _checked(action, self.task.spec.action)
        self._state, packed = self._compiled.step(self._state, action)
        self._steps += 1
        observation, success, terminated = self._unpack(packed)
        truncated = self._steps >= self.task.spec.horizon and not terminated
        self._ended = terminated or truncated
        return observation, float(self._rewards[int(success)]), terminated, truncated, self._info(success)

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        """The reward of each pair, f32[*] for goals [*, G], a float for goals [G]; `info` is not read.

        Raises ValueError if the two differ in shape, or do not end in the shape of a goal.
        """
        del info
        reward = self._rewards[self._success(achieved_goal, desired_goal).astype(np.int8)]
        return reward if np.ndim(reward) else float(reward)

    def compute_terminated(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        """Whether a step to such a pair ends the episode, bool[*] for goals [*, G], a bool for goals [G]."""
        del info
        ends = self._success(achieved_goal, desired_goal) & self.task.spec.ends_at_success
        return ends if np.ndim(ends) else bool(ends)

    def compute_truncated(self, achieved_goal: Any, desired_goal: Any, info: Mapping[str, Any]) -> bool:
        """Whether the horizon ends the episode of a step with this info (one step's: it counts the actions)."""
        if not isinstance(info, Mapping) or "episode_step" not in info:
            checks.fail("info", checks.describe(info), "it must hold 'episode_step'", "Pass the info that step() gave.")
        terminated = self.compute_terminated(achieved_goal, desired_goal, info)
        return info["episode_step"] >= self.task.spec.horizon and not terminated

    def render(self) -> np.ndarray:
        """The picture of this state, u8[render_size, render_size, 3]."""
        if self.render_mode is None or self._state is None:
            got = "no render mode" if self.render_mode is None else "no episode"
            checks.fail("render", got, "it draws the state of an episode", "Use render_mode='rgb_array', and reset().")
        return np.array(self._compiled.picture(self._state, self._render_size))

    def _unpack(self, packed: jax.Array) -> tuple[dict[str, np.ndarray], bool, bool]:
        """The observation, success and done, in arrays of their own: Gymnasium's callers keep and change them."""
        flat = np.asarray(packed)
        observation = {name: flat[place].reshape(shape).copy() for name, place, shape in self._places}
        return observation, bool(flat[-2]), bool(flat[-1])

    def _info(self, success: bool) -> dict[str, Any]:
        return {"is_success": success, "episode_step": self._steps}

    def _success(self, achieved: Any, desired: Any) -> np.ndarray:
        """bool[*] of goals [*, G]; batches are filled up to a power of two, so that few lengths are compiled."""
        achieved, desired = _numbers("achieved_goal", achieved), _numbers("desired_goal", desired)
        goal_shape = self.task.spec.goal_shape
        batch = achieved.shape[: achieved.ndim - len(goal_shape)]
        if achieved.shape != (*batch, *goal_shape) or desired.shape != achieved.shape:
            got = f"{checks.describe(achieved)} and {checks.describe(desired)}"
            rule = f"both must have the same shape, which ends in {list(goal_shape)}"
            checks.fail("achieved_goal and desired_goal", got, rule, "Give each row of a batch its own goal.")
        count = math.prod(batch)
        room = 1 << max(count - 1, 0).bit_length()
        rows = np.zeros((2, room, *goal_shape), np.float32)
        rows[0, :count], rows[1, :count] = achieved.reshape(-1, *goal_shape), desired.reshape(-1, *goal_shape)
        return np.asarray(self._compiled.success(rows))[:count].reshape(batch)


def register() -> tuple[str, ...]:
    """Makes every task known to Gymnasium, and returns the ids: 'hindsight_jax/FetchReach-v0' for fetch_reach.

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
    """Gymnasium's space of the actions.

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
    """Gymnasium's space of the observations: every finite float32.

    >>> space = observation_space(envs.make("flip_bit", size=3).spec)
    >>> {name: part.shape for name, part in space.items()}
    {'achieved_goal': (3,), 'desired_goal': (3,), 'observation': (3,)}
    """
    if not isinstance(spec, types.EnvSpec):
        checks.fail("spec", checks.describe(spec), "it must be an EnvSpec", "Pass env.spec.")
    limits = np.finfo(np.float32)
    box = lambda shape: spaces.Box(float(limits.min), float(limits.max), shape, np.float32)
    return spaces.Dict({name: box(shape) for name, _, shape in _places(spec)})


def _places(spec: types.EnvSpec) -> list[tuple[str, slice, tuple[int, ...]]]:
    """Name, place in `packed` and shape of the observation's parts."""
    shapes = (spec.observation_shape, spec.goal_shape, spec.goal_shape)
    ends = itertools.accumulate(map(math.prod, shapes), initial=0)
    slices = itertools.starmap(slice, itertools.pairwise(ends))
    return list(zip(PARTS, slices, shapes, strict=True))


class _Compiled(NamedTuple):
    """A task's functions. `packed` is f32[O + 2 G + 2]: the observation's parts, success, done: one transfer a step."""

    reset: Callable[[np.uint32], tuple[State, jax.Array]]  # seed -> (state, packed)
    step: Callable[[State, np.ndarray], tuple[State, jax.Array]]
    success: Callable[[np.ndarray], jax.Array]  # f32[2, B, *G], achieved and desired -> bool[B]
    picture: Callable[[State, int], jax.Array]  # (state, pixels) -> u8[pixels, pixels, 3]


@functools.lru_cache(maxsize=64)
def _compile(task: GoalEnv) -> _Compiled:
    """The functions of a task, compiled at their first call; the same ones for every environment of it."""

    def packed(state: State) -> tuple[State, jax.Array]:
        parts = [state.obs[name].ravel() for name in PARTS]
        success = task.success(state.obs["achieved_goal"], state.obs["desired_goal"])
        flags = jnp.stack([success, state.done > 0]).astype(jnp.float32)
        return state, jnp.concatenate([*parts, flags])

    def picture(state: State, pixels: int) -> jax.Array:
        return rendering.to_uint8(rendering.render(task.scene(state), task.camera(), pixels, pixels))

    return _Compiled(
        reset=jax.jit(lambda seed: packed(task.reset(jax.random.key(seed)))),
        step=jax.jit(lambda state, action: packed(task.step(state, action))),
        success=jax.jit(lambda goals: jax.vmap(task.success)(*goals)),
        picture=jax.jit(picture, static_argnums=1),
    )


def _task(task: str | GoalEnv, overrides: Mapping[str, Any]) -> GoalEnv:
    """The task itself, or the one of that name, made once for the same overrides."""
    if isinstance(task, str):
        values = ((name, _frozen(value)) for name, value in sorted(overrides.items()))
        frozen = tuple((name, type(value), value) for name, value in values)
        try:
            hash(frozen)
        except TypeError:
            return envs.make(task, **overrides)  # which refuses what no cache can hold
        return _make(task, frozen)
    if not isinstance(task, GoalEnv):
        checks.fail(
            "task", checks.describe(task), "it must be a name or a GoalEnv", f"Pick one of {', '.join(envs.names())}."
        )
    if overrides:
        checks.fail("overrides", sorted(overrides), "a task that is made takes none", "Pass its name instead.")
    return task


@functools.lru_cache(maxsize=64)
def _make(name: str, overrides: tuple[tuple[str, type, Any], ...]) -> GoalEnv:
    return envs.make(name, **{override: value for override, _, value in overrides})  # the type tells True from 1


def _frozen(value: Any) -> Any:
    """Sequences as tuples, which the cache can compare."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _array(name: str, value: Any) -> np.ndarray:
    """The value as NumPy sees it; a ragged list is refused."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        checks.fail(name, checks.describe(value), "it must be an array", "Give every row the same length.")


def _numbers(name: str, value: Any) -> np.ndarray:
    """f32[...] of real numbers: no text becomes a number, and no imaginary part is lost."""
    array = _array(name, value)
    if array.dtype.kind not in "fiub":
        checks.fail(name, checks.describe(value), "it must be an array of numbers", "Pass goals of this task.")
    return array.astype(np.float32)


def _checked(action: Any, kind: types.Discrete | types.Box) -> np.ndarray:
    """i32[D] or f32[D], or a ValueError: an action that is not of the set is never stepped with."""
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
