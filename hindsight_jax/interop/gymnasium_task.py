"""Gymnasium environments with goals as tasks of this library. Needs `gymnasium` (extra `gym`).

    task = GymnasiumTask(lambda: gymnasium.make("FetchReach-v4"), threshold=0.05)

`presets.register_environment` gives it a name with every algorithm: docs/gymnasium.md. `interop.gymnasium` is the other
direction.

Dimension key: W episodes side by side, T horizon, O observation dims, G goal dims, D action dims, K bins per dim.
"""

import functools
import math
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import checks, types
from hindsight_jax.envs.host import Episodes, HostEnv, HostPolicy, Watch

try:
    import gymnasium
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
except ImportError as error:
    remedy = "pip install gymnasium, or hindsight-jax with the extra gym."
    raise ImportError(f"hindsight_jax.interop.gymnasium_task needs gymnasium: {remedy}") from error

from hindsight_jax.interop import _arguments, _goal_environments

PROBE_STEPS = 16  # that a new task takes, to look at what its environment gives


class GymnasiumTask(HostEnv):
    """A Gymnasium environment with goals, which runs of this library train on, stepped on the host.

    The environment follows the interface of Gymnasium-Robotics:

    * observations are a Dict of `observation`, `achieved_goal` and `desired_goal`, Boxes or MultiBinaries that are
      flattened to vectors f32[O] and f32[G]; they are finite, and the desired goal stays for an episode;
    * actions are a bounded Box, which becomes f32[D] in [-1, 1] (an action that is NaN is the middle of the Box);
      Discrete(K), which becomes i32[1]; or MultiDiscrete([K] * D), which becomes i32[D];
    * `reset(seed=...)` begins an episode that follows from the seed and the actions. A run seeds every reset, so that
      it repeats and resumes bit for bit; a UserWarning says where two such resets differ.

    An episode ends where the environment says `terminated` or `truncated`, or at the horizon. Its last observation is
    kept, and the reset that follows is not: vector environments are used in Gymnasium's next-step mode, in which the
    two come apart. Success is what `info["is_success"]` says, if the info of each step has it, else
    `distance < threshold`. Of goals in hindsight there is no info, so rewards by success are always by the threshold.

    Args:
      make: makes one environment, without arguments.
      threshold: success is a smaller distance, in the environment's units.
      horizon: T; by default the environment's `spec.max_episode_steps`, which `gymnasium.make` sets.
      distance: (achieved f32[*, G], desired f32[*, G]) -> f32[*] in JAX, by default the Euclidean one.
      num_envs: W, how many environments play side by side; more episodes than that are played in rounds.
      vectorization_mode: "sync" steps them in turn; "async" has a process for each, and `make` must pickle.
      observation_range: (low, high), O numbers each, of which networks that scale their inputs make -1 and 1; by
        default those of the Box, and -1 and 1, which change nothing, where it has none within a million.
      goal_range: the same of goals, G numbers each.

    Raises:
      ValueError: for a bad argument; and for an environment without a Dict of these three, with images, unbounded or
        unequal actions, or no horizon, whose `compute_reward` has two values that part otherwise than the threshold, or
        that observes what is not finite or has another shape, here or later, at play.

    >>> import hindsight_jax.interop.gymnasium  # for an environment: one of ours, seen through Gymnasium
    >>> task = GymnasiumTask(lambda: gymnasium.make("hindsight_jax/FlipBit-v0", size=3), threshold=0.5)
    >>> task.spec.observation_shape, task.spec.action, task.spec.horizon
    ((3,), Discrete(num_dims=1, num_bins=3), 3)
    >>> task.play(lambda t, observation, goal: np.array([[t], [0]]), np.array([4, 5])).length
    array([3, 3], dtype=int32)
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env],
        *,
        threshold: float,
        horizon: int | None = None,
        distance: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
        num_envs: int = 16,
        vectorization_mode: Literal["sync", "async"] = "sync",
        observation_range: tuple[Sequence[float], Sequence[float]] | None = None,
        goal_range: tuple[Sequence[float], Sequence[float]] | None = None,
    ):
        checks.function("make", make, 'Pass lambda: gymnasium.make("FetchReach-v4"), for example.')
        above, rule = math.nextafter(0.0, 1.0), "it must be a finite number > 0"
        remedy = "Give the distance below which the environment calls a goal reached."
        threshold = checks.number("threshold", threshold, above, checks.FLOAT32_MAX, remedy, rule)
        if distance is not None:
            checks.function("distance", distance, "Leave it out for the Euclidean distance.")
        self._width = checks.positive_int("num_envs", num_envs, "Leave it out for 16.")
        if vectorization_mode not in ("sync", "async"):
            checks.fail("vectorization_mode", checks.short(vectorization_mode), "it must be 'sync' or 'async'")
        self._make, self._distance, self._mode = make, distance or _euclidean, vectorization_mode
        self._vectors: dict[int, VectorEnv] = {}
        env = _goal_environments.GoalVectors(_made(make))
        try:
            self._spec = _spec(env, threshold, horizon, observation_range, goal_range)
            _check_distance(self._distance, self._spec.goal_shape)
            self._renders = env.render_mode == "rgb_array"
            self._reports = _goal_environments.check_plays(env, self.success, min(PROBE_STEPS, self._spec.horizon))
        finally:
            env.close()

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    @property
    def width(self) -> int:
        return self._width

    @property
    def renders(self) -> bool:
        """Whether the environment was made with render_mode="rgb_array"."""
        return self._renders

    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        return self._distance(achieved, desired)

    def play(self, policy: HostPolicy, seeds: np.ndarray, watch: Watch | None = None) -> Episodes:
        vector, count = self._vector(len(seeds)), len(seeds)
        seen, _ = vector.reset(seed=[int(seed) for seed in seeds])
        if watch:
            watch(vector.render())
        played = self._blank(seen)
        running, t = np.ones(count, bool), 0
        while running.any() and t < self._spec.horizon:
            action = policy(t, seen["observation"], seen["desired_goal"])
            seen, _, terminated, truncated, info = vector.step(action)
            if watch:
                watch(vector.render())
            played.action[running, t] = action[running]
            for name in ("observation", "achieved_goal"):
                getattr(played, name)[running, t + 1] = seen[name][running]
            if played.success is not None:
                played.success[running, t] = info["is_success"][running]
            played.length[running] += 1
            played.terminal[running] = terminated[running]
            running, t = running & ~(terminated | truncated), t + 1
        return played

    def close(self) -> None:
        """Closes the environments; later episodes make new ones."""
        for vector in self._vectors.values():
            vector.close()
        self._vectors.clear()

    def _vector(self, count: int) -> Any:
        """So many environments side by side, a VectorEnv, whose types of seeds and pictures say less than it takes."""
        if count not in self._vectors:
            makers = [functools.partial(_in_place, self._make, self._reports, os.getpid())] * count
            mode = AutoresetMode.NEXT_STEP  # the step after an episode's last resets, and is masked in `play`
            if self._mode == "async":  # spawned: JAX's threads do not survive a fork
                self._vectors[count] = AsyncVectorEnv(makers, context="spawn", autoreset_mode=mode)
            else:
                self._vectors[count] = SyncVectorEnv(makers, autoreset_mode=mode)
        return self._vectors[count]

    def _blank(self, seen: dict[str, np.ndarray]) -> Episodes:
        """Episodes that have begun with these observations."""
        spec, count = self._spec, len(seen["observation"])
        states = {name: np.zeros((count, spec.horizon + 1, seen[name].shape[1]), np.float32) for name in seen}
        for name, array in states.items():
            array[:, 0] = seen[name]
        kind = np.float32 if isinstance(spec.action, types.Box) else np.int32
        return Episodes(
            observation=states["observation"],
            achieved_goal=states["achieved_goal"],
            action=np.zeros((count, spec.horizon, spec.action.num_dims), kind),
            desired_goal=states["desired_goal"][:, 0],
            length=np.zeros(count, np.int32),
            terminal=np.zeros(count, bool),
            success=np.zeros((count, spec.horizon), bool) if self._reports else None,
        )


def _euclidean(achieved: jax.Array, desired: jax.Array) -> jax.Array:
    return jnp.linalg.norm(achieved - desired, axis=-1)


def _made(make: Callable[[], Any]) -> gymnasium.Env:
    """One environment."""
    env = make()
    if isinstance(env, gymnasium.vector.VectorEnv):
        rule = "it must make one environment, of which several are then played side by side"
        checks.fail("make", f"a function that returns {type(env).__name__}", rule, "Use gymnasium.make.")
    checks.instance("make()", env, gymnasium.Env, 'Pass lambda: gymnasium.make("FetchReach-v4"), for example.')
    return env


def _in_place(make: Callable[[], gymnasium.Env], reports: bool, main: int) -> gymnasium.Env:
    """One environment of a vector, in the main process or in one of its own, which leaves Ctrl-C to the main one."""
    if os.getpid() != main:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the main process saves, then stops
    return _goal_environments.GoalVectors(_made(make), reports)


def _spec(env: Any, threshold: float, horizon: int | None, observation_range: Any, goal_range: Any) -> types.EnvSpec:
    """The description of an environment."""
    limit = None if env.spec is None else env.spec.max_episode_steps
    if horizon is None and limit is None:
        rule = "an episode must have a number of steps, and the environment has no spec.max_episode_steps"
        checks.fail("horizon", None, rule, "Pass horizon=50, or make it with gymnasium.make(id, max_episode_steps=50).")
    most = math.inf if limit is None else limit
    rule = f"it must be an integer >= 1{'' if limit is None else f', and at most spec.max_episode_steps, {limit}'}"
    steps = checks.whole("horizon", limit if horizon is None else horizon, 1, most, "Or leave it out.", rule)
    sizes = {name: space.shape[0] for name, space in env.observation_space.items()}
    ranges = {}
    for argument, name, given in (
        ("observation_range", "observation", observation_range),
        ("goal_range", "desired_goal", goal_range),
    ):
        own = env.ranges[name] if given is None else _arguments.given_range(argument, given, sizes[name])
        ranges[argument] = types.Range(*own)
    return types.EnvSpec(
        observation_shape=(sizes["observation"],),
        goal_shape=(sizes["desired_goal"],),
        action=env.action_set,
        horizon=steps,
        threshold=threshold,
        ends_at_success=False,
        **ranges,
    )


def _check_distance(distance: Callable[..., Any], goal_shape: tuple[int, ...]) -> None:
    """ValueError unless `distance` of goals [*, G] is f32[*]."""
    for leading in ((), (2,), (3, 2)):
        goal = jax.ShapeDtypeStruct((*leading, *goal_shape), jnp.float32)
        found = jax.eval_shape(distance, goal, goal)
        if getattr(found, "shape", None) != leading or not jnp.issubdtype(found.dtype, jnp.floating):
            got = f"a function that makes {checks.describe(found)} of two {checks.describe(goal)}"
            rule, remedy = f"it must make float32{list(leading)}", "Reduce over the goal's axis, the last, alone."
            checks.fail("distance", got, rule, remedy)
