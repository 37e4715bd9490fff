"""Overhead of the checks for NaN and of the checkpoints, as fractions of a run's time.

Timed in turn: epochs with the checks and without them, and epochs while a checkpoint is being written and while none
is. The ring holds as many trajectories as at the run's end.

Dimension key: M members, N trajectories.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.bench.timing import best_of, timed_first
from hindsight_jax import presets, training
from hindsight_jax.checkpoints.checkpoints import Checkpoints

EPOCHS = 4  # of one call
ROUNDS = 3  # of checkpoints


def measure(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """Two tables, of all M members together: seconds and shares of a run, and those of one checkpoint."""
    values = presets.config(name)
    setup, devices = presets.build(name, values), training.devices_for(seeds)
    keys = training.member_keys(0, seeds)
    with_checks = training.make_population(setup.run, devices)
    with_checks.compile(keys)
    state = filled(setup, with_checks.init(keys), values["total_steps"])
    without_checks = training.make_population(setup.run._replace(learn=learn_without_checks(setup, values)), devices)
    states = [state, jax.tree.map(jnp.copy, state)]

    def advance(index: int, population: training.Population) -> Any:
        states[index] = population.advance(states[index], EPOCHS)
        return states[index]

    def record() -> Any:
        states[0], columns = with_checks.record(states[0], with_checks.evaluate(states[0], keys))
        return columns

    def evaluate() -> Any:
        return with_checks.evaluate(states[0], keys)

    checked, unchecked, recorded, evaluated = best_of(
        lambda: advance(0, with_checks), lambda: advance(1, without_checks), record, evaluate
    )
    interval = setup.epochs_between_evaluations * checked / EPOCHS + recorded
    checks = setup.epochs_between_evaluations * (checked - unchecked) / EPOCHS + recorded - evaluated
    saving = checkpoint(with_checks, states[0], checked / EPOCHS)
    every = max(values["checkpoint.seconds"], interval)  # a checkpoint is written after an evaluation
    parts = (recorded - evaluated) / interval + (saving["seconds_of_the_copy"] + saving["seconds_of_writing"]) / every
    shares = {"share_of_checks": checks / interval, "share_of_checkpoints": saving["seconds_of_a_run"] / every}
    return {
        "a run": {
            "seconds_of_an_epoch": checked / EPOCHS,
            "seconds_of_an_epoch_without_checks": unchecked / EPOCHS,
            "seconds_of_an_evaluation": evaluated,
            "seconds_of_its_record": recorded - evaluated,
            "seconds_between_evaluations": interval,
            "seconds_between_checkpoints": every,
            **shares,
            "share_of_both": sum(shares.values()),
            "share_of_what_can_be_told_apart": parts,
        },
        "a checkpoint": saving,
    }


def checkpoint(population: training.Population, state: Any, epoch: float) -> dict[str, float]:
    """The cost of a checkpoint to a run that trains meanwhile, the least of ROUNDS; `epoch` is an epoch's seconds."""
    holder, rounds = [state], []
    for _ in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(one_checkpoint(population, holder, epoch, Checkpoints(folder)))
    best = {f"seconds_{part}": min(seconds[part] for seconds in rounds[1:]) for part in ("of_the_copy", "of_writing")}
    extra = min(seconds["with"] - seconds["without"] for seconds in rounds[1:])
    return {"bytes": training.num_bytes(holder[0]), **best, "seconds_of_a_run": extra}


def one_checkpoint(
    population: training.Population, holder: list[Any], epoch: float, checkpoints: Checkpoints
) -> dict[str, float]:
    """Seconds of copying and of writing alone, and of epochs that outlast both, with a checkpoint and without."""
    seconds: dict[str, float] = {}
    timed_first(seconds, "of_the_copy", lambda: checkpoints.save(1, holder[0]))
    timed_first(seconds, "of_writing", checkpoints.wait)
    count = max(round(1.5 * seconds["of_writing"] / epoch), 1)

    def train() -> Any:
        holder[0] = population.advance(holder[0], count)
        return holder[0]

    def train_and_save() -> None:
        checkpoints.save(2, holder[0])
        jax.block_until_ready(train())
        checkpoints.wait()

    timed_first(seconds, "without", train)
    timed_first(seconds, "with", train_and_save)
    return seconds


def learn_without_checks(setup: presets.Setup, values: dict[str, Any]) -> Callable[..., Any]:
    """`Run.learn` without the checks for NaN."""
    count = values["agent.updates_per_epoch"]

    def learn(state: Any, batches: Any, key: jax.Array) -> Any:
        step = lambda agent, x: setup.agent.update(agent, *x)
        agent, metrics = jax.lax.scan(step, state.agent, (batches, jax.random.split(key, count)))
        return state._replace(agent=agent, updates=state.updates + count), jax.tree.map(jnp.mean, metrics)

    return learn


def filled(setup: presets.Setup, state: Any, total_steps: int) -> Any:
    """The state with a ring as full as at the run's end, of noise, which does not compress."""
    example, horizon = training.example_trajectory(setup.env), setup.env.spec.horizon
    capacity = state.members.replay.end.shape[1]
    count = min(total_steps // horizon, capacity)

    def add(member: Any, key: jax.Array) -> Any:
        def noise(leaf: jax.Array) -> jax.Array:
            shape = (count, *leaf.shape)
            return jax.random.normal(key, shape) if leaf.dtype == jnp.float32 else jnp.zeros(shape, leaf.dtype)

        many = jax.tree.map(noise, example)._replace(length=jnp.full(count, horizon, jnp.int32))
        return setup.run.store(member, many)._replace(env_steps=member.env_steps)

    stored = jax.jit(jax.vmap(add), donate_argnums=0)
    keys = jax.random.split(jax.random.key(0), len(state.members.key))
    return state._replace(members=stored(state.members, keys))
