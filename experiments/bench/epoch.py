"""A whole run's speed at M members, its parts alone, and the matrix product of the same machine.

Dimension key: M members (seeds), U updates of an epoch, B batch."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.bench.timing import best_of, matrix_product, spread, timed_first
from hindsight_jax import presets, training


def measure_run(name: str, setup: presets.Setup, values: dict[str, Any], seeds: int) -> dict[str, float]:
    """A whole run at M members, its parts alone, and the matrix product of the same machine, in turn."""
    devices = training.devices_for(seeds)
    population = training.make_population(setup.run, devices)
    keys = training.member_keys(0, seeds)
    compile_seconds = {}
    timed_first(compile_seconds, "compile", lambda: population.compile(keys))
    state = timed_first(compile_seconds, "init", lambda: population.init(keys))
    state = timed_first(compile_seconds, "advance", lambda: population.advance(state, 1))
    timed_first(compile_seconds, "evaluate", lambda: population.evaluate(state, keys))
    holder = [state]

    def advance() -> Any:
        holder[0] = population.advance(holder[0], 4)
        return holder[0]

    product, operations = matrix_product()
    whole, evaluate, collecting, sampling, learning, matmul = best_of(
        advance,
        lambda: population.evaluate(holder[0], keys),
        *parts_alone(setup.run, state, keys, devices),
        product,
    )
    epoch = whole / 4
    interval = setup.epochs_between_evaluations * epoch + evaluate
    updates = seeds * values["agent.updates_per_epoch"]
    useful = updates * setup.flops_per_update
    peak = operations / matmul
    share = lambda seconds: setup.epochs_between_evaluations * seconds / interval
    return {
        "matmul_peak_gflops": peak / 1e9,
        "useful_gflop_per_update": useful / updates / 1e9,
        "learner_gflops": useful / learning / 1e9,
        "learner_share_of_peak": useful / learning / peak,
        "whole_run_gflops": useful * setup.epochs_between_evaluations / interval / 1e9,
        "whole_run_share_of_peak": useful * setup.epochs_between_evaluations / interval / peak,
        "updates_per_second_all_members": updates / epoch,
        "env_steps_per_second_all_members": seeds * values["env.num_envs"] * setup.env.spec.horizon / epoch,
        "share_collect": share(collecting),
        "share_sample": share(sampling),
        "share_learn": share(learning),
        "share_evaluate": evaluate / interval,
        **{f"seconds_first_call_{what}": seconds for what, seconds in compile_seconds.items()},
    }


def parts_alone(run: Any, state: Any, keys: jax.Array, devices: Sequence[Any]) -> list[Callable[[], Any]]:
    """Calls of an epoch's collect, sample and learn, each as a population does it."""
    members = jax.tree.map(jnp.copy, state.members)  # a copy: advance donates its state
    collect, sample = spread(run.collect, devices), spread(run.sample, devices)
    learn = spread(run.learn, devices, training.default_chunk(devices))
    learners, keys = members._replace(replay=None), jax.device_put(keys, members.key.sharding)
    batches = sample(members, keys)
    return [
        lambda: collect(members, keys),
        lambda: sample(members, keys),
        lambda: learn(learners, batches, keys),
    ]
