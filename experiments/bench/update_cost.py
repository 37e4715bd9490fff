"""The cost of one update of each algorithm, beside the time of its useful operations at the matrix product's speed.

Batches are noise, so that no environment is compiled. Members are updated as in a population.

Dimension key: M members, U updates of a call, B batch or N trajectories.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.bench.timing import best_of, matrix_product, spread
from hindsight_jax import presets, training, types

UPDATES = {"transitions": 16, "trajectories": 1}  # of one timed call


class Cost(NamedTuple):
    """The cost of one update of one member."""

    milliseconds: float
    useful_gflop: float
    milliseconds_at_peak: float  # of the useful operations, at the matrix product's speed in the same rounds
    ratio: float  # milliseconds / milliseconds_at_peak


def measure(names: Sequence[str], num_members: int) -> dict[str, Cost]:
    """The cost of an update of every named run, M members at once; the best of several rounds."""
    product, operations = matrix_product()
    costs = {}
    for name in names:
        values = presets.config(name)
        setup = presets.build(name, values)
        call, count, _ = updates(setup, values, num_members)
        seconds, matmul = best_of(call, product)
        peak = operations / matmul
        useful = setup.flops_per_update or math.nan  # NaN: the agent does not count them
        update_seconds = seconds / count / num_members
        costs[name] = Cost(
            milliseconds=1e3 * update_seconds,
            useful_gflop=useful / 1e9,
            milliseconds_at_peak=1e3 * useful / peak,
            ratio=update_seconds * peak / useful,
        )
    return costs


def updates(setup: presets.Setup, values: dict[str, Any], num_members: int) -> tuple[Callable[[], Any], int, str]:
    """A call of U updates of M members on random batches, U, and XLA's text of the program."""
    agent, count = setup.agent, UPDATES[setup.agent.batch]
    keys = training.member_keys(0, num_members)
    state = jax.jit(jax.vmap(agent.init))(keys)
    size = values["env.num_envs"] if agent.batch == "trajectories" else values["agent.batch_size"]
    kind = random_trajectories if agent.batch == "trajectories" else random_transitions
    draw = lambda key: jax.vmap(lambda key: kind(key, setup.env.spec, size))(jax.random.split(key, count))
    batches = jax.jit(jax.vmap(draw))(keys)

    def member(state: Any, batches: Any, key: jax.Array) -> Any:
        step = lambda state, x: agent.update(state, *x)
        return jax.lax.scan(step, state, (batches, jax.random.split(key, count)))

    devices = training.devices_for(num_members)
    compiled = spread(member, devices, training.default_chunk(devices)).lower(state, batches, keys).compile()
    state, batches, keys = jax.device_put((state, batches, keys), compiled.input_shardings[0])
    return lambda: compiled(state, batches, keys), count, compiled.as_text()


def random_transitions(key: jax.Array, spec: types.EnvSpec, count: int) -> types.Transition:
    """B transitions of noise; about half of them have the next state as their goal."""
    keys = jax.random.split(key, 4)
    shape = (2, count, *spec.observation_shape)
    observation = jax.random.normal(keys[0], shape) if spec.images is None else jax.random.bits(keys[0], shape, "uint8")
    goal = jax.random.normal(keys[1], (3, count, *spec.goal_shape))
    reached = jax.random.bernoulli(keys[2], shape=(count,))
    return types.Transition(
        observation=observation[0],
        action=jax.vmap(spec.action.sample)(jax.random.split(keys[3], count)),
        next_observation=observation[1],
        goal=goal[0],
        achieved_goal=goal[1],
        next_achieved_goal=goal[2],
        reward=reached - 1.0,
        discount=jnp.ones(count),
        is_next=reached,
        relabelled=jnp.ones(count, jnp.bool_),
        offset=jnp.where(reached, 1, 5).astype(jnp.int32),
        start_reward=-jnp.ones(count),
    )


def random_trajectories(key: jax.Array, spec: types.EnvSpec, count: int) -> types.Trajectory:
    """N trajectories of noise, of full length."""
    keys = jax.random.split(key, 4)
    action = jax.vmap(jax.vmap(spec.action.sample))(
        jax.random.split(keys[0], count * spec.horizon).reshape(count, spec.horizon)
    )
    return types.Trajectory(
        observation=jax.random.normal(keys[1], (count, spec.horizon + 1, *spec.observation_shape)),
        achieved_goal=jax.random.normal(keys[2], (count, spec.horizon + 1, *spec.goal_shape)),
        action=action,
        desired_goal=jax.random.normal(keys[3], (count, *spec.goal_shape)),
        length=jnp.full((count,), spec.horizon, jnp.int32),
        terminal=jnp.zeros(count, jnp.bool_),
    )
