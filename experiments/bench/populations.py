"""Compiled populations that sections of the benchmark share, trained in short calls and compared bit for bit.

Dimension key: M members.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.sections import Deadline, Figures
from experiments.bench.timing import cache_hits, timed_first
from hindsight_jax import presets, training

CALL_SECONDS = 2.0  # of a run's training between two looks at the clock

Changes = tuple[tuple[str, Any], ...]  # fields of a run and their values


class Made(NamedTuple):
    """A compiled population, and what made it."""

    values: dict[str, Any]
    setup: presets.Setup
    population: training.Population
    keys: jax.Array  # [M]
    compiling: Figures  # seconds_compile, and how many of its four programs lay in the compile cache


@functools.cache
def make(name: str, num_members: int, changes: Changes) -> Made:
    """The population of the named run with these changes; sections that ask for the same one share it."""
    values, seconds = presets.config(name, dict(changes)), {}
    setup = presets.build(name, values)
    population = training.make_population(setup.run, training.devices_for(num_members))
    keys = training.member_keys(0, num_members)
    with cache_hits() as found:
        timed_first(seconds, "seconds_compile", lambda: population.compile(keys))
    return Made(values, setup, population, keys, seconds | {"programs_from_cache": len(found)})


def train(made: Made, deadline: Deadline) -> Iterator[Figures]:
    """Trains to the end, in calls of about CALL_SECONDS, evaluating when a run does; figures after each call.

    `minutes_of_the_whole`, warm-up included and compilation not, is extrapolated until the end is reached.
    """
    population, setup, seconds = made.population, made.setup, {"train": 0.0, "evaluate": 0.0}
    yield made.compiling
    deadline.check()
    state = timed_first(seconds, "init", lambda: population.init(made.keys))
    done, call, successes = 0, 1, []
    while done < setup.num_epochs:
        deadline.check()
        left = min(setup.num_epochs - done, setup.epochs_between_evaluations - done % setup.epochs_between_evaluations)
        count, began = min(call, left), time.perf_counter()
        state = jax.block_until_ready(population.advance(state, count))
        elapsed = time.perf_counter() - began
        done, seconds["train"] = done + count, seconds["train"] + elapsed
        call = max(1, round(count / elapsed * CALL_SECONDS))
        env_steps = int(np.asarray(state.members.env_steps)[0])
        if count == left:
            began = time.perf_counter()
            state, columns = population.record(state, population.evaluate(state, made.keys))
            of_seeds = np.asarray(columns["success_end"]).tolist()
            seconds["evaluate"] += time.perf_counter() - began
            successes.append([env_steps, sum(of_seeds) / len(of_seeds)])
            yield {
                "success_end": successes[-1][1],
                "success_end_of_seeds": of_seeds,
                "success_over_env_steps": successes,
            }
        yield {f"seconds_{part}": value for part, value in seconds.items()} | progress(made, done, env_steps, seconds)


def progress(made: Made, done: int, env_steps: int, seconds: Mapping[str, float]) -> Figures:
    """How far the run is after `done` epochs, how fast, and how long the whole takes."""
    steps = len(made.keys) * done * made.values["env.num_envs"] * made.setup.env.spec.horizon
    trained = seconds["train"] + seconds["evaluate"]
    return {
        "seeds": len(made.keys),
        "env_steps_of_each_seed": env_steps,
        "of_env_steps": made.values["total_steps"],
        "env_steps_per_second_all_members": steps / trained,
        "minutes_of_the_whole": (seconds["init"] + trained * made.setup.num_epochs / done) / 60,
    }


def twice(name: str, play: Callable[[], Any]) -> Figures:
    """Plays twice and compares the states: how many leaves there are, how many differ in any bit, and the first ten."""
    first, second = (leaves(play()) for _ in range(2))
    differing = [path for path, data in first.items() if data != second[path]]
    return {
        f"{name}_equal": not differing,
        f"{name}_leaves": len(first),
        f"{name}_leaves_that_differ": len(differing),
        f"{name}_first_that_differ": differing[:10],
    }


def leaves(tree: Any) -> dict[str, bytes]:
    """The bytes of each leaf by its path."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    data = lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf).tobytes()
    return {jax.tree_util.keystr(path): data(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
