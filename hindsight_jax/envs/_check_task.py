"""`check_task`: does a task of a user's own keep the contract of `GoalEnv`? Shapes and dtypes alone; nothing runs."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hindsight_jax import backend, checks, numerics, types
from hindsight_jax.envs import _validation, continuity
from hindsight_jax.envs.base import GoalEnv, State

_BATCH = 7  # of the formulas, which must keep leading axes


@numerics.steady
def check_task(env: GoalEnv) -> None:
    """Checks a task of your own: ValueError that names the first method whose result does not fit the spec.

    It traces the methods (jax.eval_shape) and compiles nothing, so it belongs into the task's test. An error in the
    task's own code is raised as it is.

      - `spec` is an EnvSpec of shapes, ranges of their lengths, an action set, a horizon and a threshold;
      - `achieved_goal`, `distance` and `success` keep leading axes;
      - `sample_goal` draws one goal, and `reachable` and `reachable_from` are bool[];
      - `reset` returns a State that carries a goal and observes three arrays, with a scalar reward and end;
      - `step` returns a State of the same structure, shapes and dtypes, of the same episode.

    >>> from hindsight_jax import envs
    >>> envs.check_task(envs.make("flip_bit", size=3))
    """
    remedy = "Derive its class from envs.PureTask, envs.PhysicsTask or envs.GoalEnv, and make one."
    checks.instance("env", env, GoalEnv, remedy)
    task = type(env).__name__
    _check_spec(f"{task}.spec", env.spec)
    _check_formulas(task, env)
    backend.start()
    first = jax.eval_shape(env.reset, numerics.key(0))
    _check_state(f"{task}.reset", env, first)
    kind = env.spec.action
    action = jax.ShapeDtypeStruct((kind.num_dims,), jnp.float32 if isinstance(kind, types.Box) else jnp.int32)
    after = jax.eval_shape(env.step, first, action)
    _check_state(f"{task}.step", env, after)
    _validation.check_same(f"{task}.step", after, first, "Return self.next_state(...), as reset returns first_state.")
    continuity.check_continues(env)


def _check_spec(name: str, spec: Any) -> None:
    """The spec's entries have their types, and the ranges the lengths of the shapes."""
    checks.instance(name, spec, types.EnvSpec, "Return types.EnvSpec(observation_shape=..., ...).")
    for entry in ("observation", "goal"):
        shape, limits = getattr(spec, f"{entry}_shape"), getattr(spec, f"{entry}_range")
        if not isinstance(shape, tuple) or not all(_counts(size) for size in shape):
            checks.fail(f"{name}.{entry}_shape", repr(shape), "it must be a tuple of integers >= 1", "Write (2,), say.")
        checks.instance(f"{name}.{entry}_range", limits, types.Range, "Write types.Range((0.0, 0.0), (1.0, 1.0)), say.")
        count = math.prod(shape)
        good = len(limits.low) == len(limits.high) == count and all(
            _is_number(low) and _is_number(high) and -math.inf < float(low) < float(high) < math.inf
            for low, high in zip(*limits, strict=True)
        )
        if not good:
            rule = f"low and high must be {count} finite numbers each, with low < high"
            remedy = f"Match {entry}_shape {shape}, and widen it where a coordinate never changes."
            checks.fail(f"{name}.{entry}_range", limits, rule, remedy)
    if not isinstance(spec.action, (types.Discrete, types.Box)):
        rule = "it must be a types.Discrete or types.Box"
        checks.fail(f"{name}.action", checks.describe(spec.action), rule, "Make it with envs.action_set.")
    for entry, value in spec.action._asdict().items():
        checks.positive_int(f"{name}.action.{entry}", value, "It counts an action's numbers, or the values of each.")
    checks.positive_int(f"{name}.horizon", spec.horizon, "It is the number of steps of an episode.")
    _validation.threshold(spec.threshold, "It is in the units of `distance`.")
    checks.flag(f"{name}.ends_at_success", spec.ends_at_success, "Say whether the first success ends an episode.")


def _counts(value: Any) -> bool:
    """Whether it is an integer >= 1, of Python, NumPy or JAX."""
    plain = checks.plain(value)
    return isinstance(plain, int) and not isinstance(plain, bool) and plain > 0


def _is_number(value: Any) -> bool:
    """Whether it is one real number, of Python, NumPy or JAX."""
    plain = checks.plain(value)
    return isinstance(plain, numbers.Real) and not isinstance(plain, bool)


def _check_formulas(task: str, env: GoalEnv) -> None:
    """Shapes and dtypes of the methods without a state, of one example and of a batch."""
    spec, key = env.spec, numerics.key(0)
    one_goal = jax.ShapeDtypeStruct(spec.goal_shape, jnp.float32)
    _check(f"{task}.sample_goal", jax.eval_shape(env.sample_goal, key), spec.goal_shape)
    _check(f"{task}.reachable", jax.eval_shape(env.reachable, one_goal), (), bool)
    start = jax.ShapeDtypeStruct(spec.observation_shape, jnp.float32)
    _check(f"{task}.reachable_from", jax.eval_shape(env.reachable_from, start, one_goal), (), bool)
    for leading in ((), (_BATCH,)):
        goal = jax.ShapeDtypeStruct((*leading, *spec.goal_shape), jnp.float32)
        observation = jax.ShapeDtypeStruct((*leading, *spec.observation_shape), jnp.float32)
        remedy = "Index and reduce the last axes alone (x[..., :2], axis=-1), so that leading axes stay."
        achieved = jax.eval_shape(env.achieved_goal, observation)
        _check(f"{task}.achieved_goal", achieved, goal.shape, float, remedy)
        _check(f"{task}.distance", jax.eval_shape(env.distance, goal, goal), leading, float, remedy)
        _check(f"{task}.success", jax.eval_shape(env.success, goal, goal), leading, bool, remedy)


def _check_state(method: str, env: GoalEnv, state: Any) -> None:
    """What `reset` or `step` returned is a State of the task."""
    checks.instance(method, state, State, "Return self.first_state(...) in reset, and self.next_state(...) in step.")
    _validation.check_pipeline_state(env, state.pipeline_state)
    shapes = env.observation_size
    if not isinstance(state.obs, dict) or set(state.obs) != set(shapes):
        got = sorted(state.obs) if isinstance(state.obs, dict) else checks.describe(state.obs)
        rule = f"it must be a dict of {', '.join(shapes)}"
        checks.fail(f"{method}'s obs", got, rule, "first_state and next_state make it of the observation.")
    for name, shape in shapes.items():
        _check(f"{method}'s obs[{name!r}]", state.obs[name], shape)
    for name in ("reward", "done"):
        _check(f"{method}'s {name}", getattr(state, name), ())


def _check(name: str, value: Any, shape: Sequence[int], kind: type = float, remedy: str = "") -> None:
    """One array of this shape, floating or boolean."""
    checks.shape(name, value, shape, remedy or "That is what the spec says.")
    (checks.boolean if kind is bool else checks.floating)(name, value)
