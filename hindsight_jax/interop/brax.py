"""Environments of brax, and of MuJoCo Playground, as tasks of this library: docs/brax.md.

    task = BraxTask(my_env, state_dim=10, goal_indices=(4, 5, 6), threshold=0.05, horizon=100)

`presets.register_environment` gives it a name with every algorithm for continuous actions. Four of brax's own have one
already, such as brax_reacher: `interop.brax_tasks`.

Dimension key: O numbers of the state, G of a goal, D of an action.
"""

import contextlib
import functools
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import backend, checks, numerics, rendering, types
from hindsight_jax.envs import _validation, action_sets, base
from hindsight_jax.interop import _arguments, _brax_scene

# Of brax and of Playground, by name: they count steps, begin an episode in the middle of another, or step a batch.
_BATCHED = ("VmapWrapper", "DomainRandomizationVmapWrapper", "BraxDomainRandomizationVmapWrapper")
_RESETS = ("AutoResetWrapper", "BraxAutoResetWrapper", "EpisodeWrapper", "EvalWrapper", "MadronaWrapper", *_BATCHED)
# That brax is no longer maintained, and that MJX has moved entries that brax reads.
_KNOWN_WARNINGS = (("Brax System", UserWarning), (r"Accessing `\w+` directly from `Data`", DeprecationWarning))


class SimulatedTask(base.GoalEnv):
    """What all tasks of brax share: `env` steps, `observe` cuts the state out, the goal lies beside both.

    A subclass has `_spec`, `_goal_indices`, `env` and `sample_goal`. The State that `env` returned is carried as
    `pipeline_state.physics`, all of it: what no later step reads costs nothing, since XLA drops it. A rollout stores
    observations alone.
    """

    _spec: types.EnvSpec
    _goal_indices: tuple[int, ...]
    _hidden: tuple[str, ...] = ()  # names of links that show a goal
    env: Any

    @property
    def spec(self) -> types.EnvSpec:
        return self._spec

    @property
    def backend(self) -> str:
        """That of the environment, 'mjx' where it names none."""
        return getattr(self.env, "backend", "mjx")

    @checks.validated(_validation.check_observation)
    def achieved_goal(self, observation: jax.Array) -> jax.Array:
        """The state's numbers at `goal_indices`, [G]."""
        return observation[..., np.array(self._goal_indices)]

    @checks.validated(_validation.check_goals)
    def distance(self, achieved: jax.Array, desired: jax.Array) -> jax.Array:
        """Euclidean."""
        return jnp.linalg.norm(achieved - desired, axis=-1)

    def observe(self, state: Any) -> jax.Array:
        """The state f32[O] that an agent sees, of a State of `env`: the first O numbers of its observation.

        Where the environment observes a dict these are of `obs["state"]`. A subclass writes another.
        """
        return _flat(state.obs)[: self.spec.observation_shape[0]]

    @functools.cached_property
    def _traced(self) -> tuple[Any, Any]:
        """`reset` and `step` of the environment, traced once for every rollout of a program.

        Some environments write into the dicts of the state that they are given; here those are copies.
        """
        return jax.jit(self.env.reset), jax.jit(self.env.step)

    def __getstate__(self) -> dict[str, Any]:
        """Without what a copy traces again."""
        return {name: value for name, value in vars(self).items() if name != "_traced"}

    def begin(self, key: jax.Array) -> Any:
        """A first State of `env`, of its own start."""
        with simulating():
            return _settled(self._traced[0](jax.random.key_data(key)))

    def reset(self, rng: jax.Array) -> base.State:
        start_key, goal_key = jax.random.split(base.typed(rng))
        first = self.begin(start_key)
        return self.first_state(base.PipelineState(first, self.goal_of(first, goal_key)), self._observed(first))

    def goal_of(self, first: Any, key: jax.Array) -> jax.Array:
        """The goal f32[G] of an episode that begins with the State `first`."""
        del first
        return self.sample_goal(key)

    @checks.validated(_validation.check_state)
    def step(self, state: base.State, action: jax.Array) -> base.State:
        move, valid = action_sets.moves(self.spec.action, action, self.spec.action.num_dims)
        now: Any = state.pipeline_state
        with simulating():
            after = _settled(self._traced[1](now.physics, move))
        return self.next_state(state, base.PipelineState(after, now.goal), self._observed(after), valid)

    def _observed(self, state: Any) -> jax.Array:
        with simulating():
            return self.observe(state)

    def scenery(self) -> rendering.Scene | None:
        """The geoms of the world; None where there are none."""
        rows = _brax_scene.rows_of(self._system(), self._hidden, moving=False)
        with simulating():
            return _brax_scene.scene_of(self._system(), rows) if rows.size else None

    @checks.validated(_validation.check_state)
    def bodies(self, state: base.State) -> rendering.Scene:
        """The geoms of the links. A task without a method `camera` is not drawn."""
        now: Any = state.pipeline_state
        rows = _brax_scene.rows_of(self._system(), self._hidden, moving=True)
        with simulating():
            return _brax_scene.scene_of(self._system(), rows, now.physics.pipeline_state.x)

    def _system(self) -> Any:
        """The system of a brax PipelineEnv."""
        system = getattr(self.env, "sys", None)
        if system is None:
            raise NotImplementedError(f"{type(self.env).__name__} has no system of brax. Write bodies and scenery.")
        return system


class BraxTask(SimulatedTask):
    """A brax environment whose observation begins with its state, as a task that runs of this library train on.

    The state is the first `state_dim` numbers of the observation, and what it achieves are those at `goal_indices`.
    Success is a Euclidean distance to the goal below the threshold. These three are the environment's own attributes
    `state_dim`, `goal_indices` and `goal_reach_thresh` where it has them and nothing else is given.

    Goals are drawn by `sample_goal`. Without one the environment's observation must end in its goal, G numbers after
    the state, and each episode has the goal that the environment's own reset draws, a fresh one. Then `reset_to` takes
    no other goal, since nothing here can move the environment's.

    Actions are D numbers, clipped to [-1, 1], and go to the environment as they are: it scales them to its actuators.
    Its rewards are not read, and neither is its `done`: an episode has `horizon` steps, also after a fall.

    Args:
      env: of brax, or of MuJoCo Playground: any object with `reset(rng)`, `step(state, action)` and `action_size` whose
        states have `obs`, one vector, or a dict with one called "state". Pass the environment itself: brax's wrappers
        that reset, count steps or make batches are refused.
      state_dim: O.
      goal_indices: G different indices below O.
      threshold: success is a smaller distance.
      horizon: steps per episode.
      sample_goal: (key) -> f32[G], in JAX; None for the environment's own goals.
      ends_at_success: whether the first success ends an episode; else the horizon does.
      observation_range: (low, high), O numbers each, of which networks that scale their inputs make -1 and 1; by
        default -1 and 1, which change nothing.
      goal_range: the same of goals, G numbers each.

    Raises:
      ValueError: for an argument that does not fit, or that is missing and is no attribute of the environment; and in
        `reset_to` for a goal, where the environment draws its own.

    >>> class Point:  # moves on a line; its observation is where it is, and where it should go
    ...     action_size, state_dim, goal_indices, goal_reach_thresh = 1, 1, (0,), 0.1
    ...     def reset(self, rng):
    ...         place = jnp.append(jnp.zeros(1), jax.random.uniform(rng))
    ...         return base.State(None, place, jnp.float32(0), jnp.float32(0))
    ...     def step(self, state, action):
    ...         return state.replace(obs=state.obs + 0.1 * jnp.append(action, 0.0))
    >>> task = BraxTask(Point(), horizon=20)
    >>> task.spec.observation_shape, task.spec.goal_shape, task.spec.action, task.spec.threshold
    ((1,), (1,), Box(num_dims=1), 0.1)
    """

    def __init__(
        self,
        env: Any,
        *,
        state_dim: int | None = None,
        goal_indices: Sequence[int] | None = None,
        threshold: float | None = None,
        horizon: int = 1000,
        sample_goal: Callable[[jax.Array], jax.Array] | None = None,
        ends_at_success: bool = False,
        observation_range: tuple[Sequence[float], Sequence[float]] | None = None,
        goal_range: tuple[Sequence[float], Sequence[float]] | None = None,
    ):
        _check_env(env)
        num_dims = checks.positive_int("env.action_size", env.action_size, "Actions are numbers in [-1, 1].")
        threshold = _given(env, "threshold", threshold, "goal_reach_thresh", "Say which distance is a success.")
        observed = _observed_size(env)
        size = _given(env, "state_dim", state_dim, "state_dim", "Say how many numbers of the observation are state.")
        size = checks.whole("state_dim", size, 1, observed, f"{type(env).__name__} observes {observed} numbers.")
        indices = _given(env, "goal_indices", goal_indices, "goal_indices", "Say where the state has what it achieves.")
        self.env, self._goal_indices = env, _indices(indices, size)
        count = len(self._goal_indices)
        self._draw = _goals(sample_goal, count, observed - size)
        self._spec = types.EnvSpec(
            observation_shape=(size,),
            goal_shape=(count,),
            action=types.Box(num_dims),
            horizon=checks.positive_int("horizon", horizon, "It is the number of steps of an episode."),
            threshold=_validation.threshold(threshold, "It is in the units of the goal."),
            ends_at_success=checks.flag("ends_at_success", ends_at_success, "Leave it out for False."),
            observation_range=_range("observation_range", observation_range, size),
            goal_range=_range("goal_range", goal_range, count),
        )

    def goal_of(self, first: Any, key: jax.Array) -> jax.Array:
        return self._own_goal(first) if self._draw is None else self._draw(key)

    @checks.validated(_validation.check_key)
    def sample_goal(self, key: jax.Array) -> jax.Array:
        """Of the function `sample_goal`, or else of a reset of the environment. f32[G]"""
        return self._own_goal(self.begin(key)) if self._draw is None else self._draw(key)

    def _own_goal(self, first: Any) -> jax.Array:
        """The end of the first observation."""
        return _flat(first.obs)[self.spec.observation_shape[0] :]

    def _reset_to(self, rng: jax.Array, start: jax.Array | None, goal: jax.Array | None) -> base.State:
        if goal is not None and self._draw is None:
            rule = f"{type(self.env).__name__} draws its goals itself, and only its own reset can place one"
            checks.fail("goal", checks.describe(goal), rule, "Give the task a sample_goal, or leave the goal out.")
        return super()._reset_to(rng, start, goal)


@contextlib.contextmanager
def simulating() -> Iterator[None]:
    """Around brax's code: it promotes ranks, its loops must be compiled, and two of its warnings are known."""
    with jax.numpy_rank_promotion("allow"), jax.disable_jit(False), warnings.catch_warnings():
        for message, kind in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message, kind)
        yield


def _flat(obs: Any) -> Any:
    """The vector of an observation; of a dict the one called "state"."""
    return obs["state"] if isinstance(obs, dict) else obs


def _settled(state: Any) -> Any:
    """The State with arrays in place of Python's numbers, whose types do not give way to others' (weak types)."""
    is_firm = lambda leaf: isinstance(leaf, jax.Array) and not leaf.weak_type
    return jax.tree.map(lambda leaf: leaf if is_firm(leaf) else jnp.asarray(leaf, jnp.result_type(leaf)), state)


def _check_env(env: Any) -> None:
    """ValueError for what is no environment, for a task of ours, and for wrappers under which episodes run together."""
    if isinstance(env, type) or not all(hasattr(env, name) for name in ("reset", "step", "action_size")):
        got = f"the class {env.__name__}" if isinstance(env, type) else type(env).__name__
        remedy = "Make it first, as brax.envs.get_environment does."
        checks.fail("env", got, "it must be an environment, with reset, step and action_size", remedy)
    if isinstance(env, base.GoalEnv) or isinstance(getattr(env, "unwrapped", None), base.GoalEnv):
        checks.fail("env", type(env).__name__, "it must be of brax, and is a task already", "Use it as it is.")
    inner = env
    while inner is not None:
        if found := {kind.__name__ for kind in type(inner).__mro__} & set(_RESETS):
            rule = "no wrapper may reset it, count its steps or make batches of it, since a run does these itself"
            remedy = "Pass the environment in it, env.unwrapped."
            checks.fail("env", f"{type(env).__name__} with {found.pop()}", rule, remedy)
        inner = vars(inner).get("env")


def _observed_size(env: Any) -> int:
    """How many numbers the environment observes; ValueError if they are no vector of numbers."""
    backend.start()
    with simulating():
        state = jax.eval_shape(env.reset, jax.random.key_data(numerics.key(0)))
    obs = getattr(state, "obs", None)
    if isinstance(obs, dict) and "state" not in obs:
        rule = "it must be a vector, or a dict with a vector called 'state'"
        checks.fail("env's observation", f"a dict of {', '.join(map(str, obs))}", rule, "Wrap it in one that has it.")
    vector = _flat(obs)
    if getattr(vector, "ndim", None) != 1 or not jnp.issubdtype(vector.dtype, jnp.floating):
        rule = "it must be one vector of floating-point numbers"
        checks.fail("env's observation", checks.describe(vector), rule, "Wrap it in one that flattens it.")
    return int(vector.shape[0])


def _given(env: Any, name: str, value: Any, attribute: str, remedy: str) -> Any:
    """The argument, or else the environment's attribute; ValueError where there is neither."""
    value = getattr(env, attribute, None) if value is None else value
    if value is None:
        checks.fail(name, None, f"{type(env).__name__} has no attribute {attribute} in its place", remedy)
    return value


def _indices(given: Any, size: int) -> tuple[int, ...]:
    """Different indices in 0..size - 1."""
    try:
        found = tuple(operator.index(i) for i in np.asarray(given).tolist())
    except TypeError:
        found = ()
    if not found or len(set(found)) < len(found) or not all(0 <= i < size for i in found):
        rule = f"it must be one or more different integers in 0..{size - 1}, where the state has what it achieves"
        checks.fail("goal_indices", checks.short(given), rule, "JaxGCRL's ant has (0, 1), for example.")
    return found


def _goals(sample_goal: Any, count: int, left: int) -> Callable[[jax.Array], jax.Array] | None:
    """The function that draws goals; None where the `left` numbers after the state are the goal."""
    if sample_goal is None:
        if left != count:
            rule = f"without sample_goal the observation must end in a goal, {count} numbers after the state"
            remedy = "Pass sample_goal=lambda key: ..., or another state_dim."
            checks.fail("state_dim", f"one that leaves {left} numbers", rule, remedy)
        return None
    checks.function("sample_goal", sample_goal, "Pass a function of one key, or leave it out.")
    backend.start()
    drawn = jax.eval_shape(sample_goal, numerics.key(0))
    checks.shape("sample_goal(key)", drawn, (count,), "It is one number for each of goal_indices.")
    checks.floating("sample_goal(key)", drawn)
    return sample_goal


def _range(name: str, given: Any, size: int) -> types.Range:
    """(low, high) as a caller gives them, or what changes nothing."""
    return types.Range(*_arguments.given_range(name, ((-1.0,) * size, (1.0,) * size) if given is None else given, size))
