"""Images: how fast they are drawn, what an update from them costs, whatever the ring's size, and how fast a run is.

Every device works for itself, as in a population: a CPU's core draws and learns for the members on it.

Dimension key: M devices or seeds, N states, U updates of a call, B batch, P pixels of a side.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.bench.epoch import learnt
from experiments.bench.timing import best_of, matrix_product, spread
from hindsight_jax import envs, presets, rendering, training

TASKS = ("fetch_reach", "sawyer_reach", "point_mass", "reacher", "push", "four_rooms")
SIZES = (48, 84)  # P
STATES, REPEATS = 64, 5  # N, and how often they are drawn in a timed call
UPDATES = 8  # U
CAPACITIES = (100, 1_000)  # trajectories
ROUNDS = 3
RUN = "hem_sawyer_reach_pixels"


def measure(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """Tables: images/s of all devices, milliseconds of an update of one member on each device, and rates of a run."""
    del name
    return {
        **{f"images/s, {pixels} pixels": images_per_second(pixels) for pixels in SIZES},
        **{f"update of {RUN}, {pixels} pixels": update(pixels) for pixels in SIZES},
        f"run of {RUN}": run(seeds),
    }


def images_per_second(pixels: int) -> dict[str, float]:
    """Of each task's observations; and of `rendering.render` with shadows, four rays a pixel, for the first of them."""
    figures = {task: observations_per_second(task, pixels, STATES) for task in TASKS}
    env = envs.make(TASKS[0], pixels=pixels)
    draw = lambda state: rendering.to_uint8(rendering.render(env.scene(state), env.camera(), pixels, pixels))
    return figures | {f"{TASKS[0]}, as people see it": _rate(env, draw, STATES)}


def observations_per_second(task: str, pixels: int, states: int) -> float:
    """Images/s of the task's observations, N states on every device at once."""
    env = envs.make(task, pixels=pixels)
    observe = rendering.observer(env.scenery(), env.camera(), pixels)
    return _rate(env, lambda state: observe(env.bodies(state)), states)


def _rate(env: Any, draw: Callable[[Any], jax.Array], num_states: int) -> float:
    """Images/s of N states on every device at once."""
    count = len(jax.local_devices())
    keys = jax.random.split(jax.random.key(0), (count, num_states))

    def again(states: Any) -> jax.Array:
        """The sum of all bytes, so that each image is drawn; `i` keeps XLA from drawing them once for all repeats."""
        body = lambda total, i: (total + jnp.sum(jax.vmap(draw)(_moved(states, i)).astype(jnp.int32)), None)
        return jax.lax.scan(body, jnp.int32(0), jnp.arange(REPEATS, dtype=jnp.int32))[0]

    states = spread(jax.vmap(env.reset))(keys)
    call = spread(again)
    (seconds,) = best_of(lambda: call(states), rounds=ROUNDS)
    return count * num_states * REPEATS / seconds


def _moved(states: Any, i: jax.Array) -> Any:
    """The states in another order."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x: x if is_key(x) else jnp.roll(x, i, axis=0), states)


def update(pixels: int, capacities: Sequence[int] | None = None) -> dict[str, float]:
    """Milliseconds of an update of one member on each device, looking up frames included, by the ring's capacity.

    The capacities, in trajectories, are by default CAPACITIES.
    """
    capacities = CAPACITIES if capacities is None else capacities
    product, operations = matrix_product()
    figures, useful, calls = {}, 0.0, []
    for capacity in capacities:
        call, useful = _learner(pixels, capacity)
        calls.append(call)
    *seconds, matmul = best_of(*calls, product, rounds=ROUNDS)
    count, peak = len(jax.local_devices()), operations / matmul
    for capacity, elapsed in zip(capacities, seconds, strict=True):
        figures[f"milliseconds, ring of {capacity:,} trajectories"] = 1e3 * elapsed / UPDATES
    at_peak = count * useful / peak
    return figures | {
        "matmul_peak_gflops": peak / 1e9,
        "useful_gflop": useful / 1e9,
        "milliseconds_at_peak": 1e3 * at_peak,
        "ratio": seconds[-1] / UPDATES / at_peak,
        "ratio of rings": seconds[-1] / seconds[0],
    }


def _learner(pixels: int, capacity: int) -> tuple[Callable[[], Any], float]:
    """A call of U updates of one member on each device, from a ring of random play, and an update's operations."""
    changes = {"env.pixels": pixels, "replay.capacity": capacity, "agent.updates_per_epoch": UPDATES}
    setup = presets.build(RUN, presets.config(RUN, changes))
    devices = jax.local_devices()
    members = spread(setup.run.init, devices)(training.member_keys(0, len(devices)))
    keys = jax.device_put(members.key, members.key.sharding)
    batches = spread(setup.run.sample, devices)(members, keys)
    learn = spread(learnt(setup.run), devices)
    assert setup.flops_per_update is not None
    return lambda: learn(members, batches, keys), setup.flops_per_update


def run(seeds: int) -> dict[str, float]:
    """Rates of a run of M seeds, from one interval of it: the epochs between two evaluations, and an evaluation."""
    values = presets.config(RUN)
    setup = presets.build(RUN, values)
    population, keys = training.make_population(setup.run, training.devices_for(seeds)), training.member_keys(0, seeds)
    population.compile(keys)
    holder, epochs = [population.init(keys)], setup.epochs_between_evaluations

    def interval() -> Any:
        holder[0] = population.advance(holder[0], epochs)
        return population.evaluate(holder[0], keys)

    product, operations = matrix_product()
    seconds, matmul = best_of(interval, product, rounds=ROUNDS)
    updates = seeds * epochs * values["agent.updates_per_epoch"]
    assert setup.flops_per_update is not None
    useful = updates * setup.flops_per_update / seconds
    return {
        "env_steps_per_second_all_members": seeds * epochs * values["env.num_envs"] * setup.env.spec.horizon / seconds,
        "updates_per_second_all_members": updates / seconds,
        "matmul_peak_gflops": operations / matmul / 1e9,
        "whole_run_gflops": useful / 1e9,
        "whole_run_share_of_peak": useful * matmul / operations,
    }
