"""The GoalEnv contract: a brax `Env` whose observation carries the achieved and the desired goal.

Dimension key: O observation dims, G goal dims, D action dims.

The goal lives in `pipeline_state` beside the physics, because brax's wrappers replace `obs` and `info` on reset. Other
people's wrappers run on a GoalEnv; training never auto-resets, it resets a batch and scans `horizon` steps.
"""

import abc
import functools
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from hindsight_jax import checks, types
from hindsight_jax.envs import quiet

with quiet.without_warp_message():
    from brax.envs.base import Env, State
    from brax.envs.base import Wrapper as Wrapper


@struct.dataclass
class PipelineState:
    """What `step` carries: the simulator's state, and the goal of this episode."""

    physics: Any
    goal: jax.Array  # [*G]


def typed(rng: jax.Array) -> jax.Array:
    """One typed key, from a typed or a raw one (brax's wrappers hand out raw uint32[2] keys).

    >>> typed(jax.random.PRNGKey(0)) == jax.random.key(0)
    Array(True, dtype=bool)
    """
    remedy = "Pass one key: jax.random.key(seed), or map reset over keys with jax.vmap."
    dtype: Any = jnp.result_type(rng) if checks.is_array(rng) else None
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        checks.shape("rng", rng, (), remedy)
        return rng
    if dtype != jnp.uint32 or jnp.shape(rng) != (2,):
        checks.fail("rng", checks.describe(rng), "it must be one typed key, or a raw one of uint32[2]", remedy)
    return jax.random.wrap_key_data(rng, impl="threefry2x32")


def choose(name: str, value: Any, options: Mapping[str, Any]) -> Any:
    """The option of that name, or a ValueError that lists them."""
    if not isinstance(value, str) or value not in options:
        checks.fail(name, repr(value), f"it must be one of {', '.join(map(repr, options))}", "Pick one of them.")
    return options[value]


def check_threshold(value: Any, remedy: str) -> None:
    """A real number, positive and finite."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 < float(value) < math.inf:
        checks.fail("threshold", repr(value), "it must be a finite number > 0", remedy)


def check_number(name: str, value: Any, remedy: str, high: float = 1.0) -> None:
    """A real number in [0, high]; by default a probability."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 <= float(value) <= high:
        checks.fail(name, repr(value), f"it must be a number in [0, {high:g}]", remedy)


def box(name: str, value: Any, low: Sequence[float], high: Sequence[float], remedy: str) -> types.Range:
    """A box (low, high), each a sequence of numbers, that lies in the box from `low` to `high`; or a ValueError.

    >>> box("goal", ((0, 0), (1, 1)), (-1, -1), (1, 1), "")
    Range(low=(0.0, 0.0), high=(1.0, 1.0))
    """
    rule = f"it must be (low, high), {len(low)} numbers each, with {tuple(low)} <= low <= high <= {tuple(high)}"
    try:
        first, last = (tuple(_coordinate(x) for x in corner) for corner in value)
    except (TypeError, ValueError, OverflowError):
        checks.fail(name, repr(value), rule, remedy)
    ordered = len(first) == len(last) == len(low) and all(
        a <= x <= y <= b for a, x, y, b in zip(low, first, last, high, strict=True)
    )
    if not ordered:
        checks.fail(name, repr(value), rule, remedy)
    return types.Range(first, last)


def _coordinate(value: Any) -> float:
    """A number; Python would make one of a string or a boolean, too."""
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(value)
    return float(value)


def uniform(key: jax.Array, box: types.Range) -> jax.Array:
    """A point uniform in a box of n dimensions, f32[n].

    >>> uniform(jax.random.key(0), types.Range((1.0, 2.0), (1.0, 2.0))).tolist()
    [1.0, 2.0]
    """
    return jax.random.uniform(key, (len(box.low),), jnp.float32, *map(jnp.array, box))


def choice(num_actions: int, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(i32[] index, bool[] valid): which action of a flat Discrete(1, num_actions) is asked for.

    An index out of the set comes back as it is, and not valid: the task leaves its state alone. A wrong shape or dtype
    raises ValueError.

    >>> [value.tolist() for value in choice(4, jnp.array([4]))]
    [4, False]
    """
    checks.shape("action", action, (1,), "Pass one action of env.spec.action; map step with jax.vmap.")
    checks.integer("action", action)
    action = jnp.asarray(action)
    index = action[0].astype(jnp.int32)
    return index, (index >= 0) & (index < num_actions)


def draw_other(value: jax.Array, draw: Callable[[jax.Array], jax.Array], key: jax.Array) -> jax.Array:
    """The first draw(key') that differs from `value`, each from a fresh key; one must exist, or this never ends.

    >>> draw_other(jnp.array(0), lambda key: jax.random.randint(key, (), 0, 2), jax.random.key(0)).tolist()
    1
    """

    def again(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        key, use = jax.random.split(carry[0])
        return key, draw(use)

    return jax.lax.while_loop(lambda carry: jnp.all(carry[1] == value), again, (key, value))[1]


def moves(kind: types.Discrete | types.Box, action: jax.Array, num_moves: int) -> tuple[jax.Array, jax.Array]:
    """(f32[num_moves] in [-1, 1], bool[] valid): what an action asks of each moving dimension.

    A Discrete(n, bins) has one integer a dimension, a flat Discrete(1, bins**n) is read in base `bins`, the first
    dimension most significant; bin i is the move 2 i / (bins - 1) - 1, so 0, 1, 2 of three mean -1, 0, +1. A Box is
    clipped to [-1, 1]. An action that is not finite or not in the set is no motion, and not valid. A wrong shape or
    dtype raises ValueError.

    >>> moves(types.Discrete(1, 9), jnp.array([2]), 2)[0].tolist()
    [-1.0, 1.0]
    """
    checks.shape("action", action, (kind.num_dims,), "Pass one action of env.spec.action; map step with jax.vmap.")
    (checks.floating if isinstance(kind, types.Box) else checks.integer)("action", action)
    action = jnp.asarray(action)
    if isinstance(kind, types.Box):
        valid = jnp.all(jnp.isfinite(action))
        return jnp.where(valid, jnp.clip(action, -1.0, 1.0), 0.0).astype(jnp.float32), valid
    valid = jnp.all((action >= 0) & (action < kind.num_bins))
    digits, bins = action.astype(jnp.int32), kind.num_bins
    if kind.num_dims != num_moves:
        bins = round(kind.num_bins ** (1 / num_moves))
        digits = digits // jnp.array([bins**i for i in reversed(range(num_moves))]) % bins
    return jnp.where(valid, 2.0 * digits / (bins - 1) - 1.0, 0.0).astype(jnp.float32), valid


def _check_observation(env: "GoalEnv", observation: Any) -> None:
    checks.floating("observation", observation)
    shape = env.spec.observation_shape
    if jnp.shape(observation)[jnp.ndim(observation) - len(shape) :] != shape:
        rule = f"its shape must end in {list(shape)}"
        checks.fail("observation", checks.describe(observation), rule, "Pass observations of this task.")


def _check_goals(env: "GoalEnv", achieved: Any, desired: Any) -> None:
    """Floating, both of one shape, which ends in that of a goal: neither is broadcast."""
    checks.floating("achieved", achieved)
    checks.floating("desired", desired)
    shape = env.spec.goal_shape
    if jnp.shape(achieved)[jnp.ndim(achieved) - len(shape) :] != shape:
        rule = f"its shape must end in {list(shape)}"
        checks.fail("achieved", checks.describe(achieved), rule, "Pass goals of this task.")
    checks.shape("desired", desired, jnp.shape(achieved), "Give each row of a batch its own goal.")


def _check_goal(env: "GoalEnv", goal: Any) -> None:
    checks.floating("goal", goal)
    checks.shape("goal", goal, env.spec.goal_shape, "Map it over goals with jax.vmap.")


def _check_key(env: "GoalEnv", key: Any) -> None:
    del env
    checks.typed_key("key", key)


def _check_state(env: "GoalEnv", state: Any, action: Any = None) -> None:
    """A state of this task, and one: what it carries has the structure, shapes and dtypes that `reset` gives."""
    del action  # by the task, which knows its actions
    remedy = "Pass what reset or step of this task returned; map step with jax.vmap."
    if not isinstance(state, State):
        checks.fail("state", type(state).__name__, "it must be a State", remedy)
    expected, carried = env._carried, state.pipeline_state
    if jax.tree.structure(carried) != jax.tree.structure(expected):
        rule = f"it must be a {type(expected).__name__} as reset of this task gives it"
        checks.fail("state.pipeline_state", type(carried).__name__, rule, remedy)
    named = jax.tree_util.tree_leaves_with_path(expected)
    for (path, like), leaf in zip(named, jax.tree.leaves(carried), strict=True):
        name = f"state.pipeline_state{jax.tree_util.keystr(path)}"
        checks.shape(name, leaf, like.shape, remedy)
        is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)  # of any kind of generator
        if jnp.result_type(leaf) != like.dtype and not (is_key and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)):
            checks.fail(name, checks.describe(leaf), f"its dtype must be {like.dtype}", remedy)


_DOORS: dict[str, Callable[..., None]] = {
    "achieved_goal": _check_observation,
    "distance": _check_goals,
    "success": _check_goals,
    "sample_goal": _check_key,
    "reachable": _check_goal,
    "step": _check_state,
    "scene": _check_state,
}


def _guarded(check: Callable[..., None], method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, behind a check of its arguments."""

    @functools.wraps(method)
    def door(self: "GoalEnv", *args: Any, **kwargs: Any) -> Any:
        check(self, *args, **kwargs)
        return method(self, *args, **kwargs)

    return door


class GoalEnv(Env):
    """A goal-conditioned task. `State.reward` is 1.0 where the new state is a success and 0.0 elsewhere.

    `State.obs` is {"observation" [*O], "achieved_goal" [*G], "desired_goal" [*G]}. `State.done` is 1.0 only if
    `spec.ends_at_success` and the goal is reached: the horizon is the rollout's business.
    `State.metrics["invalid_action"]` is 1.0 where the action was NaN or out of range and was replaced.

    A task writes the formulas. What their arguments must be is checked before any of them runs, for every subclass:
    ValueError for a wrong rank or dtype, a raw or a batched key, two goals of different shapes, another task's state.
    """

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        for name, check in _DOORS.items():
            if name in vars(cls):
                setattr(cls, name, _guarded(check, vars(cls)[name]))

    @property
    @abc.abstractmethod
    def spec(self) -> types.EnvSpec:
        """Shapes, action set, horizon and threshold."""

    @abc.abstractmethod
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """phi(s): [*O] -> [*G]; leading axes stay."""

    @abc.abstractmethod
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """f32[], in the environment's units: what success is measured by. Leading axes, the same of both, stay."""

    @abc.abstractmethod
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """A behaviour goal, [*G]."""

    @abc.abstractmethod
    def reset(self, rng: jax.Array) -> State:
        """A fresh start and a fresh goal, from separate keys split off `rng` (typed or raw)."""

    @abc.abstractmethod
    def step(self, state: State, action: jax.Array) -> State:
        """One control step with one action of `spec.action`."""

    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether some state is a success for this goal, by geometry alone. True unless a task knows better."""
        _check_goal(self, goal)
        return jnp.array(True)

    def scene(self, state: State) -> Any:
        """The `rendering.Scene` of this state: its bodies, and the goal as a marker; optional."""
        raise NotImplementedError(f"{type(self).__name__} draws no scene. Write scene(state) -> rendering.Scene.")

    def camera(self) -> Any:
        """The `rendering.Camera` that shows all of the task; optional."""
        raise NotImplementedError(f"{type(self).__name__} has no camera. Write camera() -> rendering.Camera.")

    def success(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """bool[]: distance(achieved, desired) < threshold, strictly."""
        return self.distance(achieved, desired) < self.spec.threshold

    @functools.cached_property
    def _carried(self) -> Any:
        """The shapes of what a state carries from step to step; `first_state` sets them, where it is called first."""
        return jax.eval_shape(self.reset, jax.random.key(0)).pipeline_state

    def first_state(self, pipeline_state: Any, observation: jax.Array) -> State:
        """The state that `reset` returns: its arrays have the structure, shapes and dtypes of every later one."""
        like = lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x))
        vars(self).setdefault("_carried", jax.tree.map(like, pipeline_state))  # saves a trace of `reset`
        zero = jnp.zeros((), jnp.float32)
        blank = State(pipeline_state, {}, zero, zero, {})
        first = self.next_state(blank, pipeline_state, observation, jnp.array(True))
        return first.replace(done=zero)

    def next_state(self, state: State, pipeline_state: Any, observation: jax.Array, valid: jax.Array) -> State:
        """The state that `step` returns: goals, reward, done and metrics follow from the observation and the goal."""
        achieved, goal = self.achieved_goal(observation), pipeline_state.goal
        success = self.success(achieved, goal).astype(jnp.float32)
        metrics = {"success": success, "invalid_action": 1.0 - valid.astype(jnp.float32)}
        return state.replace(
            pipeline_state=pipeline_state,
            obs={"observation": observation, "achieved_goal": achieved, "desired_goal": goal},
            reward=success,
            done=success if self.spec.ends_at_success else jnp.zeros_like(success),
            metrics={**state.metrics, **metrics},
        )

    @property
    def observation_size(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the observation's parts, as brax asks for dictionary observations."""
        spec = self.spec
        return {
            "observation": spec.observation_shape,
            "achieved_goal": spec.goal_shape,
            "desired_goal": spec.goal_shape,
        }

    @property
    def action_size(self) -> int:
        """Numbers in one action."""
        return self.spec.action.num_dims

    @property
    def backend(self) -> str:
        """'mjx' where a physics engine steps; pure-JAX tasks override it."""
        return "mjx"


class PureTask(GoalEnv):
    """A task in plain JAX whose goals are states, phi(s) = s; a subclass sets `_spec`."""

    _spec: types.EnvSpec

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    @property
    def backend(self) -> str:
        return "jax"

    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The observation itself."""
        return observation
