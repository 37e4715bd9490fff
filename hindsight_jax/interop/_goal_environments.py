"""One Gymnasium environment with goals, seen as vectors: its observations and its actions, checked and converted.

It runs where the environment runs, which may be a process of its own.

Dimension key: O observation dims, G goal dims, D action dims, K bins per dim.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import gymnasium
import numpy as np
from gymnasium import spaces

from hindsight_jax import checks, types

PARTS = ("observation", "achieved_goal", "desired_goal")
LARGEST_BOUND = 1e6  # a Box that allows more has a limit of the number's type, and not a range


class GoalVectors(gymnasium.Wrapper):
    """An environment with observations f32[O] and goals f32[G], and the actions of a `types.Discrete` or `types.Box`.

    Its infos have "is_success" alone, if `reports`; its rewards are those of the environment. Raises ValueError for an
    environment that is none with goals, from `reset` and `step` for observations that are not finite or have another
    shape than their space, and from `step` for a desired goal that is not the episode's, and an info without
    "is_success", if it `reports`.
    """

    def __init__(self, env: gymnasium.Env, reports: bool = False):
        super().__init__(env)
        self._name = type(env.unwrapped).__name__
        self._reports, self._goal = reports, np.zeros(0, np.float32)
        self._spaces = self._parts(env.observation_space)
        self.ranges = {name: box_range(space) for name, space in self._spaces.items()}
        sizes = {name: int(np.prod(space.shape)) for name, space in self._spaces.items()}
        if sizes["achieved_goal"] != sizes["desired_goal"]:
            got = f"{sizes['achieved_goal']} and {sizes['desired_goal']} numbers"
            self._refuse("achieved_goal and desired_goal", got, "both must be goals, of one shape")
        self.action_set = action_set(env.action_space)
        unbounded = lambda size: spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.observation_space = spaces.Dict({name: unbounded(sizes[name]) for name in PARTS})
        dims = self.action_set.num_dims
        if isinstance(self.action_set, types.Box):
            self.action_space = spaces.Box(-1.0, 1.0, (dims,), np.float32)
        else:
            self.action_space = spaces.MultiDiscrete([self.action_set.num_bins] * dims)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        observation, info = self.env.reset(seed=seed, options=options)
        seen = self._seen(observation)
        self._goal, self.info = seen["desired_goal"], info
        return seen, {}

    def step(self, action: np.ndarray):
        taken = to_space(self.env.action_space, action)
        observation, reward, terminated, truncated, self.info = self.env.step(taken)
        seen = self._seen(observation)
        if not np.array_equal(seen["desired_goal"], self._goal):
            got = f"{seen['desired_goal'].tolist()} after {self._goal.tolist()}"
            rule = "it must stay for an episode: hindsight takes goals from one episode with one goal"
            self._refuse("desired_goal", got, rule)
        info = {}
        if self._reports:
            if "is_success" not in self.info:
                rule = "the info of every step must have it, as that of the first one had"
                self._refuse("info['is_success']", "an info without it", rule)
            info["is_success"] = bool(self.info["is_success"])
        return seen, float(reward), bool(terminated), bool(truncated), info

    def _parts(self, space: Any) -> dict[str, Any]:
        """The three spaces of an observation."""
        parts = space.spaces if isinstance(space, spaces.Dict) else {}
        if set(parts) != set(PARTS):
            got = sorted(parts) if isinstance(space, spaces.Dict) else checks.short(space)
            rule = f"it must be a Dict of {', '.join(PARTS)}, and nothing else, which no policy would see"
            self._refuse("observation_space", got, rule)
        for name, part in parts.items():
            if isinstance(part, spaces.Box) and part.dtype == np.uint8 and len(part.shape) > 1:
                self._refuse(f"observation_space[{name!r}]", part, "it must be a vector: images are not supported")
            if not isinstance(part, spaces.Box | spaces.MultiBinary) or 0 in part.shape:
                rule = "it must be a Box or MultiBinary with at least one number"
                self._refuse(f"observation_space[{name!r}]", part, rule)
        return parts

    def _seen(self, observation: Any) -> dict[str, np.ndarray]:
        """The parts of an observation as vectors of float32."""
        if not isinstance(observation, Mapping) or set(observation) != set(PARTS):
            got = sorted(observation) if isinstance(observation, Mapping) else checks.describe(observation)
            self._refuse("observation", got, f"it must have {', '.join(PARTS)}, as its space says")
        seen = {}
        for name in PARTS:
            value = np.asarray(observation[name])
            if value.shape != self._spaces[name].shape:
                got = f"shape {list(value.shape)}"
                self._refuse(name, got, f"its space says {list(self._spaces[name].shape)}")
            with np.errstate(over="ignore"):  # of a number beyond float32, which is refused
                seen[name] = value.astype(np.float32).ravel()
            if not np.isfinite(seen[name]).all():
                self._refuse(name, seen[name].tolist(), "every number must be finite in float32")
        return seen

    def _refuse(self, what: str, got: Any, rule: str) -> NoReturn:
        checks.fail(f"{what} of {self._name}", got, rule, "Wrap the environment by one that mends it.")


def action_set(space: spaces.Space) -> types.Discrete | types.Box:
    """The action set of a Gymnasium space.

    >>> action_set(spaces.Discrete(5, start=1)), action_set(spaces.MultiDiscrete([3, 3]))
    (Discrete(num_dims=1, num_bins=5), Discrete(num_dims=2, num_bins=3))
    >>> action_set(spaces.Box(-2.0, 2.0, (4,)))
    Box(num_dims=4)
    """
    if isinstance(space, spaces.Discrete):
        return types.Discrete(1, int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        bins = set(space.nvec.ravel().tolist())
        if len(bins) != 1:
            rule = "every dimension must have as many bins, since a network has one head of that width for each"
            remedy = "Wrap it by one that takes the largest number of bins in all."
            checks.fail("action_space", space, rule, remedy)
        return types.Discrete(space.nvec.size, bins.pop())
    if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating) or 0 in space.shape:
        rule = "it must be a Discrete, a MultiDiscrete or a Box of floats"
        checks.fail("action_space", space, rule, "Wrap the environment by one that has such actions.")
    if not np.isfinite(space.low).all() or not np.isfinite(space.high).all():
        rule = "it must be bounded, since a policy's actions in [-1, 1] are scaled to it"
        checks.fail("action_space", space, rule, "Wrap it in gymnasium.wrappers.ClipAction, with bounds, for example.")
    return types.Box(int(np.prod(space.shape)))


def to_space(space: Any, action: np.ndarray) -> Any:
    """The space's action for one of the action set: numbers in [-1, 1] are scaled, and clipped to it; NaN is 0.

    >>> to_space(spaces.Box(0.0, 10.0, (2,)), np.array([0.0, 1.0]))
    array([ 5., 10.], dtype=float32)
    >>> int(to_space(spaces.Discrete(5, start=1), np.array([4])))
    5
    """
    if isinstance(space, spaces.Discrete):
        return space.start + space.dtype.type(action[0])
    if isinstance(space, spaces.MultiDiscrete):
        return (space.start + action.reshape(space.nvec.shape)).astype(space.dtype)
    share = (np.clip(np.nan_to_num(action.astype(np.float64)), -1.0, 1.0).reshape(space.shape) + 1.0) / 2.0
    scaled = (1.0 - share) * space.low.astype(np.float64) + share * space.high.astype(np.float64)
    return np.clip(scaled.astype(space.dtype), space.low, space.high)


def box_range(space: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(low, high) of each number; -1 and 1 where the space has no range within a million.

    >>> box_range(spaces.Box(np.array([0.0, -np.inf]), np.array([5.0, np.inf]), dtype=np.float64))
    ((0.0, -1.0), (5.0, 1.0))
    """
    if isinstance(space, spaces.MultiBinary):
        return tuple(np.zeros(space.shape).ravel().tolist()), tuple(np.ones(space.shape).ravel().tolist())
    low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    has = (np.abs(low) <= LARGEST_BOUND) & (np.abs(high) <= LARGEST_BOUND) & (low < high)
    return tuple(np.where(has, low, -1.0).tolist()), tuple(np.where(has, high, 1.0).tolist())


def check_plays(env: GoalVectors, success: Callable[..., Any], steps: int) -> bool:
    """Plays some uniform actions. Returns whether the info of a step says "is_success".

    Raises ValueError as `env` does, and if rewards of the goals on the way part otherwise than `success`; warns if two
    resets with one seed differ.
    """
    twice = [env.reset(seed=0)[0] for _ in range(2)]
    if any(not np.array_equal(twice[0][name], twice[1][name]) for name in PARTS):
        who = type(env.unwrapped).__name__
        message = f"{who}: two reset(seed=0) differ, so runs on it do not repeat, and do not resume bit for bit."
        warnings.warn(message, stacklevel=4)
    draw = np.random.default_rng(0)
    seen, reports = twice[1], True
    goals = [seen["desired_goal"], seen["achieved_goal"]]
    for _ in range(steps):
        if isinstance(env.action_set, types.Box):
            action = draw.uniform(-1.0, 1.0, env.action_set.num_dims)
        else:
            action = draw.integers(env.action_set.num_bins, size=env.action_set.num_dims)
        seen, _, terminated, truncated, _ = env.step(action)
        goals.append(seen["achieved_goal"])
        reports &= "is_success" in env.info
        if terminated or truncated:
            break
    if env.has_wrapper_attr("compute_reward"):
        _check_rewards(env, success, np.stack(goals))
    return reports


def _check_rewards(env: GoalVectors, success: Callable[..., Any], goals: np.ndarray) -> None:
    """ValueError if rewards of pairs of goals f32[N, G] have two values, and the larger is not where `success` is."""
    reward_of, space = env.get_wrapper_attr("compute_reward"), env._spaces["desired_goal"]
    own = goals.reshape(len(goals), *space.shape).astype(space.dtype)
    rewards = np.array([[float(reward_of(a, g, env.info)) for g in own] for a in own])
    pairs = np.broadcast_arrays(goals[:, None], goals[None])
    wrong = np.asarray(success(*pairs)) != (rewards == rewards.max())
    if len(np.unique(rewards)) == 2 and wrong.any():
        i, j = np.argwhere(wrong)[0]
        got = f"reward {rewards[i, j]:g} for achieving {goals[i].tolist()} where {goals[j].tolist()} is desired"
        rule = f"by distance and threshold that is {'no ' * bool(rewards[i, j] == rewards.max())}success"
        remedy = "Give the threshold and the distance by which the environment rewards."
        checks.fail(f"compute_reward of {type(env.unwrapped).__name__}", got, rule, remedy)
