"""How fast a task steps, beside a loop over nothing but `mjx.step` that does the same physics.

Both start from the same states in the middle of random episodes: the task is driven by actions, the raw loop by the
controls that the task made of those actions. The difference is the task's own work: decoding, targets, observation,
reward.

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
    """The speed at one batch size. Tasks in plain JAX have no raw loop, and None for both of its figures."""

    env_steps_per_second: float
    raw_mjx_steps_per_second: float | None  # in env steps: S calls of mjx.step count as one
    ratio: float | None  # env_steps_per_second / raw_mjx_steps_per_second
    compile_seconds: float  # of the scan over env.step, and of its first call


class Path(NamedTuple):
    """The actions of N environments in T steps, the states they start from, and the engine's inputs."""

    first: Any  # State [N]
    actions: jax.Array  # [T, N, D]
    physics: Any  # the Physics of `first`, f32[N, V]; None in plain JAX
    controls: jax.Array | None  # f32[T, S, N, U], the engine's inputs; None in plain JAX

    def of(self, count: int) -> "Path":
        """The path of the first `count` environments."""
        first, physics = jax.tree.map(lambda leaf: leaf[:count], (self.first, self.physics))
        controls = None if self.controls is None else self.controls[:, :, :count]
        return Path(first=first, actions=self.actions[:, :count], physics=physics, controls=controls)


def measure(env: GoalEnv, batches: Sequence[int], rounds: int | None = None) -> dict[int, Speed]:
    """The speed at each batch size: the best of `rounds` (default: timing.ROUNDS), timed in turn."""
    path = record(env, max(batches))
    return {count: speed(env, path.of(count), rounds) for count in batches}


def speed(env: GoalEnv, path: Path, rounds: int | None = None) -> Speed:
    """The speed along one path."""
    seconds: dict[str, float] = {}
    ours = task_loop(env, path)
    timed_first(seconds, "ours", ours)
    count = path.actions.shape[0] * path.actions.shape[1]
    raw_loops = [] if path.controls is None else [raw_mjx_loop(env, path)]
    ours_seconds, *raw = best_of(ours, *raw_loops, rounds=rounds)
    return Speed(
        env_steps_per_second=count / ours_seconds,
        raw_mjx_steps_per_second=count / raw[0] if raw else None,
        ratio=raw[0] / ours_seconds if raw else None,
        compile_seconds=seconds["ours"],
    )


def record(env: GoalEnv, num_envs: int) -> Path:
    """T random steps of N environments, after T random steps that are not recorded."""
    keys = [jax.random.split(key, num_envs) for key in jax.random.split(jax.random.key(0), 1 + 2 * STEPS)]
    draw = jax.jit(jax.vmap(jax.vmap(env.spec.action.sample)))
    actions = draw(jnp.stack(keys[1:]))
    step = jax.vmap(recorder(env))
    run = jax.jit(lambda states, actions: jax.lax.scan(step, states, actions))
    states = jax.jit(jax.vmap(env.reset))(keys[0])
    middle, _ = run(states, actions[:STEPS])
    _, calls = run(middle, actions[STEPS:])
    physics, controls = (None, None) if calls is None else calls
    return Path(
        first=middle,
        actions=actions[STEPS:],
        physics=jax.tree.map(lambda leaf: leaf[0], physics),
        controls=None if controls is None else jnp.swapaxes(controls, 1, 2),
    )


def recorder(env: GoalEnv) -> Callable[[Any, jax.Array], tuple[Any, Any]]:
    """step(state, action) -> (state, (Physics, f32[S, U])), the state and the controls that the engine was given.

    For a task in plain JAX, which has no engine, step returns (state, None).
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
    """An Engine that keeps the arguments of its `substeps`."""

    def __init__(self, engine: Any):
        self._engine = engine
        self.states, self.controls = [], []

    def substeps(self, state: Any, controls: jax.Array) -> Any:
        """Calls the engine's `substeps`, and keeps its arguments."""
        self.states.append(state)
        self.controls.append(controls)
        return self._engine.substeps(state, controls)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def task_loop(env: GoalEnv, path: Path) -> Callable[[], Any]:
    """A scan over env.step that returns the last states and (observations, achieved goals, rewards), as rollouts do."""

    @jax.jit
    def loop(states: Any, actions: jax.Array) -> Any:
        def step(states: Any, action: jax.Array) -> Any:
            states = jax.vmap(env.step)(states, action)
            return states, (states.obs["observation"], states.obs["achieved_goal"], states.reward)

        return jax.lax.scan(step, states, actions)

    return lambda: loop(path.first, path.actions)


def raw_mjx_loop(env: Any, path: Path, impl: str = "jax") -> Callable[[], Any]:
    """A scan over mjx.step alone, along a physics task's path, that returns each environment's last mjx.Data.

    `impl` is one of MJX's implementations, "jax" or "warp"; tasks are stepped by "jax".
    """
    from mujoco import mjx

    assert path.controls is not None
    controls = path.controls.reshape(-1, *path.controls.shape[2:])  # [T S, N, U]
    with jax.numpy_rank_promotion("allow"):
        model, data = mjx.put_model(env.engine.model, impl=impl), made_data(env.engine.model, impl, controls.shape[1])

        def start(physics: Any) -> Any:
            return data.replace(qpos=physics.qpos, qvel=physics.qvel, qacc_warmstart=physics.warmstart)

        def step(batch: Any, control: jax.Array) -> Any:
            return jax.vmap(mjx.step, (None, 0))(model, batch.replace(ctrl=control)), None

        batch = jax.vmap(start)(path.physics)
        loop = jax.jit(lambda batch, controls: jax.lax.scan(step, batch, controls)[0])
        compiled = loop.lower(batch, controls).compile()
    return lambda: compiled(batch, controls)


def made_data(model: Any, impl: str, num_envs: int) -> Any:
    """mjx.Data of one environment. Warp keeps the contacts of all N in one array, and must be told its size."""
    from mujoco import mjx

    data = mjx.make_data(model, impl="jax")
    if impl == "jax":
        return data
    return mjx.make_data(model, impl=impl, naconmax=num_envs * max(data._impl.ncon, 1))
