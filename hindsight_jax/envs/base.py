"""The GoalEnv contract: a brax `Env` whose observation carries the achieved and the desired goal.

Dimension key: O observation dims, G goal dims, D action dims; M moves of an action, S substeps, U actuators of a
physics task.

One step of a task, with what it calls; a task in plain JAX has a formula of its own in place of the middle three:

    now, goal = state.pipeline_state.physics, state.pipeline_state.goal
    move, valid = action_sets.moves(spec.action, action, M)   # f32[M] in [-1, 1]; an invalid action moves nothing
    controls = self.controls(now, move)                       # the task's, f32[S, U]
    now = self.engine.substeps(now, controls)                 # MJX
    observation = self.observe(now)                           # the task's, [*O]
    achieved = self.achieved_goal(observation)                # the task's phi(s), [*G]
    success = self.distance(achieved, goal) < spec.threshold  # the task's distance, bool[]
    State(PipelineState(now, goal), obs={"observation": observation, "achieved_goal": achieved, "desired_goal": goal},
          reward=success, done=success if spec.ends_at_success else 0, metrics={"success": ..., "invalid_action": ...})

`PhysicsTask.step` does the first half. The rest is `GoalEnv.next_state`, in which `step` and `reset` of every task end.
The goal lives in `pipeline_state` beside the physics, because brax's wrappers replace `obs` and `info` on reset. Such
wrappers run on a GoalEnv; training never auto-resets, it resets a batch and scans `horizon` steps.
"""

import abc
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from hindsight_jax import checks, numerics, rendering, types
from hindsight_jax.envs import _quiet_imports
from hindsight_jax.envs._validation import (
    check_goal,
    check_goals,
    check_is_start,
    check_next,
    check_observation,
    check_pipeline_state,
    check_result,
    check_start_and_goal,
    check_state,
)

with _quiet_imports.without_warp_message():
    from brax.envs.base import Env, State
    from brax.envs.base import Wrapper as Wrapper


@struct.dataclass
class PipelineState:
    """What `step` carries: the simulator's state, and the goal of this episode."""

    physics: Any
    goal: jax.Array  # [*G]


@numerics.steady
def typed(rng: jax.Array) -> jax.Array:
    """One typed key of threefry, from a typed or a raw one (brax's wrappers hand out raw keys).

    A key of rbg, raw uint32[4], gives the threefry key of the same seed: see `numerics.threefry`.

    >>> typed(jax.random.PRNGKey(0)) == jax.random.key(0)
    Array(True, dtype=bool)
    """
    remedy = "Pass one key: jax.random.key(seed), or map reset over keys with jax.vmap."
    dtype: Any = jnp.result_type(rng) if checks.is_array(rng) else None
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        checks.shape("rng", rng, (), remedy)
        return rng
    if dtype != jnp.uint32 or jnp.shape(rng) not in ((2,), (4,)):
        rule = "it must be one typed key, or a raw one of uint32[2] (threefry) or uint32[4] (rbg)"
        checks.fail("rng", checks.describe(rng), rule, remedy)
    return numerics.threefry(jnp.asarray(rng))


class GoalEnv(Env):
    """A goal-conditioned task. `State.reward` is 1.0 where the new state is a success and 0.0 elsewhere.

    `State.obs` is {"observation" [*O], "achieved_goal" [*G], "desired_goal" [*G]}. `State.done` is 1.0 only if
    `spec.ends_at_success` and the goal is reached: whoever rolls out counts the steps up to the horizon.
    `State.metrics["invalid_action"]` is 1.0 where the action was NaN or out of range and was replaced.

    To write a task, define `spec`, `achieved_goal`, `distance`, `sample_goal`, `reset` and `step`:

      - `reset` splits its key, draws a start and a goal, and ends in
        `return self.first_state(PipelineState(start, goal), observation)`;
      - `step` decodes the action (`envs.moves`, `envs.choice`), moves `state.pipeline_state.physics`, and ends in
        `return self.next_state(state, PipelineState(moved, goal), observation, valid)`;
      - what else a task must remember, such as a key, is part of `physics`, or a field beside `goal` in a dataclass
        of its own in place of PipelineState;
      - `bodies` and `camera` draw it, for GIFs and for image observations; they are optional, and so are `scenery`,
        `markers` and `bodies_at`.

    `PureTask` and `PhysicsTask` define some of these. `envs.check_task(task)` checks a task without running it;
    docs/add_your_own_task.md has two, complete.

    `first_state` and `next_state` raise a ValueError that names the method whose result does not fit the spec. The
    tasks that ship also check the arguments of each method before it runs (`checks.validated`): ValueError for a wrong
    rank or dtype, a raw or a batched key, two goals of different shapes, another task's state.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A user's own task, too, computes in float32. What wrappers keep in a State's info is theirs, and stays wide.
        numerics.steady_methods(cls, kept=(State,))

    @property
    @abc.abstractmethod
    def spec(self) -> types.EnvSpec:
        """Shapes, action set, horizon and threshold."""

    @abc.abstractmethod
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """phi(s): [*O] -> [*G]; leading axes stay."""

    @abc.abstractmethod
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """f32[], in the environment's units; success is a small one. Leading axes, the same of both, stay."""

    @abc.abstractmethod
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Draws a behaviour goal, [*G]."""

    @abc.abstractmethod
    def reset(self, rng: jax.Array) -> State:
        """A fresh start and a fresh goal, from separate keys split off `rng` (typed or raw)."""

    @abc.abstractmethod
    def step(self, state: State, action: jax.Array) -> State:
        """One control step with one action of `spec.action`."""

    def reset_to(self, rng: jax.Array, *, start: jax.Array | None = None, goal: jax.Array | None = None) -> State:
        """`reset`, but with this start f32[..] (see `is_start`), this goal f32[*G], or both.

        What is left out is as `reset` draws it. A goal that is given may lie at the start, or out of reach
        (`reachable`). Raises ValueError for a wrong shape or dtype, a start in a task that takes none, and, outside of
        `jax.jit`, a start where no episode can begin and a goal that is not finite.

        >>> from hindsight_jax import envs
        >>> env = envs.make("flip_bit", size=3)
        >>> env.reset_to(jax.random.key(0), goal=jnp.array([1.0, 0.0, 1.0])).obs["desired_goal"].tolist()
        [1.0, 0.0, 1.0]
        """
        if start is not None:
            self.check_start(start)
            start = jnp.asarray(start, jnp.float32)
        if goal is not None:
            checks.floating("goal", goal)
            checks.shape("goal", goal, self.spec.goal_shape, "Pass one goal of this task.")
            if checks.is_concrete(goal) and not np.isfinite(goal).all():
                checks.fail("goal", np.asarray(goal).tolist(), "it must be finite", "Look for a NaN in its source.")
            goal = jnp.asarray(goal, jnp.float32)
        return self._reset_to(rng, start, goal)

    def _reset_to(self, rng: jax.Array, start: jax.Array | None, goal: jax.Array | None) -> State:
        """`reset_to`, of a start and a goal that fit the task."""
        state = self.reset(rng)
        now: Any = state.pipeline_state
        obs: Any = state.obs
        now, observation = (now, obs["observation"]) if start is None else self.start_at(now, start)
        return self.first_state(now if goal is None else now.replace(goal=goal), observation)

    def check_start(self, start: jax.Array) -> None:
        """ValueError for a start of a wrong shape or dtype, and, outside of `jax.jit`, where no episode can begin."""
        valid = self.is_start(start)
        if checks.is_concrete(valid) and not valid:
            remedy = "The task's is_start says where it can."
            checks.fail("start", np.asarray(start).tolist(), "an episode must be able to begin there", remedy)

    @checks.validated(check_is_start)
    def is_start(self, start: jax.Array) -> jax.Array:
        """bool[]: whether an episode can begin there; by default a task takes no starts.

        A task that takes some also defines `start_at`. Raises ValueError for a wrong shape, and where none is taken.
        """
        checks.fail("start", checks.describe(start), f"{type(self).__name__} draws every start itself", "Leave it out.")

    def start_at(self, now: Any, start: jax.Array) -> tuple[Any, jax.Array]:
        """What `step` carries, `now`, moved to a start, and the observation there, where `is_start` takes starts."""
        raise NotImplementedError(f"{type(self).__name__} has an is_start, and needs start_at(now, start).")

    @checks.validated(check_goal)
    def reachable(self, goal: jax.Array) -> jax.Array:
        """bool[]: whether some state is a success for this goal, by geometry alone. True unless a task knows better."""
        del goal
        return jnp.array(True)

    @checks.validated(check_start_and_goal)
    def reachable_from(self, start: jax.Array, goal: jax.Array) -> jax.Array:
        """bool[]: whether some policy can succeed for this goal in an episode that starts at the observation `start`.

        That is a condition that must hold, hence an upper bound on success. `reachable(goal)` unless a task knows more.
        """
        del start
        return self.reachable(goal)

    def scenery(self) -> rendering.Scene | None:
        """The bodies that look the same in every state, such as floor and walls; None, the default, for none."""
        return None

    def bodies(self, state: State) -> rendering.Scene:
        """The bodies that move or change, without anything that shows the goal; optional."""
        remedy = "Write bodies(state) -> rendering.Scene, and scenery() for what never moves."
        raise NotImplementedError(f"{type(self).__name__} draws no scene. {remedy}")

    def markers(self, state: State) -> Sequence[rendering.Scene]:
        """What shows the goal to people, `state.obs["desired_goal"]`; no image observation has it. By default none."""
        del state
        return ()

    def bodies_at(self, goal: jax.Array) -> rendering.Scene:
        """The `bodies` of a state that has achieved this goal f32[*G], for goals that are images; optional."""
        del goal
        remedy = "Write bodies_at(goal) -> rendering.Scene."
        raise NotImplementedError(f"{type(self).__name__} draws no state for a goal. {remedy}")

    @checks.validated(check_state)
    def scene(self, state: State) -> rendering.Scene:
        """The picture of this state for people: `scenery`, `bodies` and `markers`, in this order.

        A task may override this one method in their place. It then has GIFs, and no image observations.
        """
        scenery = self.scenery()
        still = () if scenery is None else (scenery,)
        return rendering.compose(*still, self.bodies(state), *self.markers(state))

    def camera(self) -> rendering.Camera:
        """The `rendering.Camera` that shows all of the task; optional."""
        raise NotImplementedError(f"{type(self).__name__} has no camera. Write camera() -> rendering.Camera.")

    @checks.validated(check_goals)
    def success(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """bool[]: distance(achieved, desired) < threshold, strictly. Leading axes stay."""
        distance = self.distance(achieved, desired)
        leading = jnp.shape(achieved)[: jnp.ndim(achieved) - len(self.spec.goal_shape)]
        check_result(self, "distance", distance, leading, "Reduce over the goal's axes, as jnp.linalg.norm(axis=-1).")
        return distance < self.spec.threshold

    @functools.cached_property
    def _carried(self) -> Any:
        """The shapes of what a state carries from step to step; `first_state` sets them, which saves a trace."""
        return jax.eval_shape(self.reset, numerics.key(0)).pipeline_state

    def first_state(self, pipeline_state: Any, observation: jax.Array) -> State:
        """The state that `reset` returns: its arrays have the structure, shapes and dtypes of every later one."""
        check_pipeline_state(self, pipeline_state)
        like = lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x))
        vars(self)["_carried"] = jax.tree.map(like, pipeline_state)  # the last of a `reset` that calls its parent's
        zero = jnp.zeros((), jnp.float32)
        blank = State(pipeline_state, {}, zero, zero, {})
        first = self.next_state(blank, pipeline_state, observation, jnp.array(True))
        return first.replace(done=zero)

    @checks.validated(check_next)
    def next_state(self, state: State, pipeline_state: Any, observation: jax.Array, valid: jax.Array) -> State:
        """The state that `step` returns: goals, reward, done and metrics follow from the observation and the goal.

        Args:
          state: the state before the step.
          pipeline_state: what the new state carries, with a field `goal`.
          observation: what the agent sees of the new state, [*O].
          valid: bool[], whether the action was one of the set.
        """
        achieved, goal = self.achieved_goal(observation), pipeline_state.goal
        check_result(self, "achieved_goal", achieved, self.spec.goal_shape, "That is spec.goal_shape.")
        success = self.success(achieved, goal)
        check_result(self, "success", success, (), "Compare one distance with the threshold.")
        success = success.astype(jnp.float32)
        metrics = {"success": success, "invalid_action": 1.0 - jnp.asarray(valid, jnp.float32)}
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


numerics.steady_methods(GoalEnv, kept=(State,))


class PureTask(GoalEnv):
    """A task in plain JAX whose goals are states, phi(s) = s. A subclass sets `_spec` in its constructor.

    Left to define are `distance`, `sample_goal`, `reset` and `step`; and `achieved_goal` where phi(s) is another.
    """

    _spec: types.EnvSpec

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    @property
    def backend(self) -> str:
        return "jax"

    @checks.validated(check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The observation itself."""
        return observation
