"""The speed of a whole run and of each part of its epoch, beside a matrix product on the same machine.

Dimension key: M members (seeds).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.bench.timing import best_of, matrix_product, spread, timed_first
from hindsight_jax import presets, training

EPOCHS = 4  # of one timed call


def measure(name: str, setup: presets.Setup, values: dict[str, Any], seeds: int) -> dict[str, float]:
    """A whole run of M members, its parts one by one, and the matrix product, timed in turn.

    An interval is what lies between two evaluations: its epochs, and one evaluation. Shares are of an interval.
    """
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
        holder[0] = population.advance(holder[0], EPOCHS)
        return holder[0]

    product, product_operations = matrix_product()
    whole, evaluate, collect, sample, learn, matmul = best_of(
        advance,
        lambda: population.evaluate(holder[0], keys),
        *parts_alone(setup.run, state, keys, devices),
        product,
    )
    updates = seeds * values["agent.updates_per_epoch"]
    env_steps = seeds * values["env.num_envs"] * setup.env.spec.horizon
    useful = updates * (setup.flops_per_update or math.nan)  # NaN: the agent does not count them
    epoch, epochs, peak = whole / EPOCHS, setup.epochs_between_evaluations, product_operations / matmul
    interval = epochs * epoch + evaluate
    return {
        "matmul_peak_gflops": peak / 1e9,
        "useful_gflop_per_update": useful / updates / 1e9,
        "learner_gflops": useful / learn / 1e9,
        "learner_share_of_peak": useful / learn / peak,
        "whole_run_gflops": useful * epochs / interval / 1e9,
        "whole_run_share_of_peak": useful * epochs / interval / peak,
        "updates_per_second_all_members": updates / epoch,
        "env_steps_per_second_all_members": env_steps / epoch,
        "share_collect": epochs * collect / interval,
        "share_sample": epochs * sample / interval,
        "share_learn": epochs * learn / interval,
        "share_evaluate": evaluate / interval,
        **{f"seconds_first_call_{call}": seconds for call, seconds in compile_seconds.items()},
    }


def parts_alone(run: Any, state: Any, keys: jax.Array, devices: Sequence[Any]) -> list[Callable[[], Any]]:
    """Calls of an epoch's collect, sample and learn, each compiled as a population compiles it."""
    members = jax.tree.map(jnp.copy, state.members)  # a copy: advance donates its state
    collect, sample = spread(run.collect, devices), spread(run.sample, devices)
    learn = spread(learnt(run), devices, training.default_chunk(devices))
    of_states = run.spec.env.spec.images is None  # learning reads the ring for images alone
    learners, keys = members._replace(replay=None) if of_states else members, jax.device_put(keys, members.key.sharding)
    batches = sample(members, keys)
    return [
        lambda: collect(members, keys),
        lambda: sample(members, keys),
        lambda: learn(learners, batches, keys),
    ]


def learnt(run: Any) -> Callable[..., Any]:
    """`run.learn`, but of the agent and the metrics alone: a run donates its ring, and to return it is to copy it."""

    def learn(*arguments: Any) -> Any:
        learner, metrics = run.learn(*arguments)
        return learner.agent, metrics

    return learn
