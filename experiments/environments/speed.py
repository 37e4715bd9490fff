"""How fast a task steps, beside a loop over nothing but `mjx.step` that does the same physics.

Both start from the same states in the middle of random episodes and are driven the same way: the task by actions, the
raw loop by the controls that those actions become. What the task adds (decoding, targets, observation, reward) is the
difference.

Dimension key: N environments, T steps, S substeps, U actuators, V degrees of freedom, D action dims.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.bench.timing import best_of, timed_first
from hindsight_jax.envs.base import GoalEnv

STEPS = 25  # T, of one timed call


class Speed(NamedTuple):
    """One batch size. Both figures of the raw loop are None for tasks in plain JAX."""

    env_steps_per_second: float
    raw_mjx_steps_per_second: float | None  # in env steps: S calls of mjx.step count as one
    ratio: float | None  # the first over the second
    compile_seconds: float  # of the scan over env.step, its first call included


class Path(NamedTuple):
    """What N environments did in T steps."""

    first: Any  # the State of each
    actions: jax.Array  # [T, N, D]
    physics: Any  # the Physics that `first` holds, f32[N, V]; None in plain JAX
    controls: jax.Array | None  # f32[T, S, N, U], what the engine was given

    def of(self, count: int) -> "Path":
        """The same for the first `count` environments."""
        front = lambda tree: jax.tree.map(lambda leaf: leaf[:count], tree)
        controls = None if self.controls is None else self.controls[:, :, :count]
        return Path(front(self.first), self.actions[:, :count], front(self.physics), controls)


def measure(env: GoalEnv, batches: Sequence[int], rounds: int | None = None) -> dict[int, Speed]:
    """Env steps/s at each batch size, and of the raw loop; best of several rounds, taken in turn."""
    path = record(env, max(batches))
    return {count: speed(env, path.of(count), rounds) for count in batches}


def speed(env: GoalEnv, path: Path, rounds: int | None = None) -> Speed:
    """Env steps/s along one path."""
    seconds: dict[str, float] = {}
    ours = task_loop(env, path)
    timed_first(seconds, "ours", ours)
    count = path.actions.shape[0] * path.actions.shape[1]
    if path.controls is None:
        return Speed(count / best_of(ours, rounds=rounds)[0], None, None, seconds["ours"])
    ours_seconds, raw_seconds = best_of(ours, raw_mjx_loop(env, path), rounds=rounds)
    return Speed(count / ours_seconds, count / raw_seconds, raw_seconds / ours_seconds, seconds["ours"])


def record(env: GoalEnv, num_envs: int) -> Path:
    """T random steps of N environments that have done as many before."""
    keys = [jax.random.split(key, num_envs) for key in jax.random.split(jax.random.key(0), 1 + 2 * STEPS)]
    draw = jax.jit(jax.vmap(jax.vmap(env.spec.action.sample)))
    actions = draw(jnp.stack(keys[1:]))
    step = jax.vmap(recorder(env))
    run = jax.jit(lambda states, actions: jax.lax.scan(step, states, actions))
    states = jax.jit(jax.vmap(env.reset))(keys[0])
    middle, _ = run(states, actions[:STEPS])
    _, calls = run(middle, actions[STEPS:])
    if calls is None:
        return Path(middle, actions[STEPS:], None, None)
    physics, controls = calls
    return Path(middle, actions[STEPS:], jax.tree.map(lambda leaf: leaf[0], physics), jnp.swapaxes(controls, 1, 2))


def recorder(env: GoalEnv) -> Callable[[Any, jax.Array], tuple[Any, Any]]:
    """step(state, action) -> (state, (Physics, f32[S, U])): what its engine started from, and was given.

    A task in plain JAX has no engine: None instead of both.
    """
    if not hasattr(env, "engine"):
        return lambda state, action: (env.step(state, action), None)
    twin = copy.copy(env)

    def step(state: Any, action: jax.Array) -> tuple[Any, Any]:
        twin.engine = engine = Recorder(env.engine)
        after = twin.step(state, action)
        return after, (engine.states[0], jnp.concatenate(engine.controls))

    return step


class Recorder:
    """An Engine that keeps what its `substeps` is called with."""

    def __init__(self, engine: Any):
        self._engine = engine
        self.states, self.controls = [], []

    def substeps(self, state: Any, controls: jax.Array) -> Any:
        """The engine's own answer."""
        self.states.append(state)
        self.controls.append(controls)
        return self._engine.substeps(state, controls)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def task_loop(env: GoalEnv, path: Path) -> Callable[[], Any]:
    """A scan over env.step: the last states, and what a rollout reads, (observations, achieved goals, rewards)."""

    @jax.jit
    def loop(states: Any, actions: jax.Array) -> Any:
        def step(states: Any, action: jax.Array) -> Any:
            states = jax.vmap(env.step)(states, action)
            return states, (states.obs["observation"], states.obs["achieved_goal"], states.reward)

        return jax.lax.scan(step, states, actions)

    return lambda: loop(path.first, path.actions)


def raw_mjx_loop(env: Any, path: Path) -> Callable[[], Any]:
    """A scan over nothing but mjx.step along a physics task's path: the last mjx.Data of each environment."""
    from mujoco import mjx

    assert path.controls is not None
    controls = path.controls.reshape(-1, *path.controls.shape[2:])  # [T S, N, U]
    with jax.numpy_rank_promotion("allow"):
        model, data = mjx.put_model(env.engine.model, impl="jax"), mjx.make_data(env.engine.model, impl="jax")

        def start(physics: Any) -> Any:
            return data.replace(qpos=physics.qpos, qvel=physics.qvel, qacc_warmstart=physics.warmstart)

        def step(batch: Any, control: jax.Array) -> Any:
            return jax.vmap(mjx.step, (None, 0))(model, batch.replace(ctrl=control)), None

        batch = jax.vmap(start)(path.physics)
        loop = jax.jit(lambda batch, controls: jax.lax.scan(step, batch, controls)[0])
        compiled = loop.lower(batch, controls).compile()
    return lambda: compiled(batch, controls)
