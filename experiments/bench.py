"""Speed against limits, in one run: python -m experiments.bench [--config=hdm_push_paper] [--seeds=4]
[--parts environment ring run algorithms peers scaling start caution] [--output=FILE.json] [--picture=FILE.png].

What is measured beside what: the environment beside the raw `mjx.step` loop at the same batch, the learner's useful
floating-point operations beside a matrix product's on the same machine, an update on a large ring beside a small one,
the parts of an epoch beside each other, and an update of every algorithm beside the time that its own useful operations
would take at the matrix product's speed; other people's code that does the same work, where it is installed (`peers`);
how an update's cost scales with members, batch, environments and devices (`scaling`); how long a run takes to begin
(`start`); and what the checks for NaN and the checkpoints take of it (`caution`). Each pair is measured in turn and the
best of several rounds is kept, since machines are shared and noisy: compare figures of one run only.

Dimension key: M members (seeds), U updates of an epoch, B batch.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disable")

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from experiments import bench_picture, caution, flops, peers, provenance, scaling, starting, stepping, update_costs
from experiments.run import configure_jax
from experiments.timing import best_of, matrix_product, spread, timed_first
from hindsight_jax import presets, relabel, replay, training

ENV_BATCH = 64
RING_SIZES = (10_000, 100_000, 1_000_000)  # transitions


def main(argv: Sequence[str] | None = None) -> int:
    """Prints every table, and writes the figures as JSON if asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench", description="Speed against limits, in one run."
    )
    ring = [name for name in presets.names() if "replay.capacity" in presets.fields_of(name) and "_push" in name]
    parser.add_argument("--config", default="hdm_push_paper", choices=ring, metavar="NAME")
    parser.add_argument("--parts", nargs="+", default=[*PARTS, *ROWS], choices=[*PARTS, *ROWS])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--output", help="a JSON file for the figures")
    parser.add_argument("--picture", help="a PNG file for the curves of ring and scaling")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        parser.error(f"--seeds: got {arguments.seeds}, but it must be at least 1")
    if arguments.picture and not {"ring", "scaling"} & set(arguments.parts):
        parser.error("--picture: its curves are those of the parts ring and scaling; add one of them to --parts")
    configure_jax(arguments.seeds)
    figures = measure(arguments.config, arguments.seeds, arguments.parts, Console(file=sys.stdout, width=110))
    if arguments.output:
        with open(arguments.output, "w") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")
    if arguments.picture:
        pathlib.Path(arguments.picture).write_bytes(bench_picture.picture(figures))
    return 0


def measure(name: str, seeds: int, parts: Sequence[str], console: Console) -> dict[str, Any]:
    """The figures of every part, each printed when it is there."""
    figures: dict[str, Any] = {"config": name, "seeds": seeds} | provenance.describe()
    values, experiment = presets.config(name), None
    for part in parts:
        if part in PARTS:
            experiment = experiment or presets.build(name, values)
            figures[part] = PARTS[part](name, experiment, values, seeds)
            show(console, part, figures[part])
        else:
            figures[part] = ROWS[part](name, seeds)
            for title, row in figures[part].items():
                show(console, f"{part}: {title}", row)
    return figures


def measure_environment(
    name: str, experiment: presets.Experiment, values: dict[str, Any], seeds: int
) -> dict[str, float]:
    """Env steps/s at a batch of 64, and of a loop over nothing but mjx.step with the same controls."""
    del name, values, seeds
    speed = stepping.measure(experiment.env, [ENV_BATCH])[ENV_BATCH]
    return {name: value for name, value in speed._asdict().items() if name != "compile_seconds"}


def measure_ring(name: str, experiment: presets.Experiment, values: dict[str, Any], seeds: int) -> dict[str, float]:
    """Seconds per epoch's update (sample and learn) with a full ring of 1e4 to 1e6 transitions, one member."""
    del name, seeds
    env, agent = experiment.env, experiment.agent
    example = training.example_trajectory(env)
    horizon, count, batch = env.spec.horizon, values["agent.updates_per_epoch"], values["agent.batch_size"]
    law = relabel.hindsight(values["relabel.behaviour"], values["relabel.next_state"])
    calls = []
    for size in RING_SIZES:
        ring = replay.make_ring(example, size // horizon)
        full = jax.jit(ring.add)(ring.init(), stacked(example, size // horizon, horizon))
        learn = jax.jit(learner(agent, ring, law, count, batch))
        state = jax.jit(agent.init)(jax.random.key(0))
        calls.append(lambda learn=learn, state=state, full=full: learn(state, full, jax.random.key(1)))
    seconds = best_of(*calls)
    text = lambda size: f"{size:.0e}".replace("e+0", "e")
    micro = {
        f"microseconds_per_update_{text(size)}": 1e6 * s / count for size, s in zip(RING_SIZES, seconds, strict=True)
    }
    return micro | {"ratio": max(seconds) / seconds[0]}


def measure_run(name: str, experiment: presets.Experiment, values: dict[str, Any], seeds: int) -> dict[str, float]:
    """A whole run at M members, its parts alone, and the matrix product of the same machine, in turn."""
    devices = training.devices_for(seeds)
    population = training.make_population(experiment.run, devices)
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
        *parts_alone(experiment.run, state, keys, devices),
        product,
    )
    epoch = whole / 4
    interval = experiment.epochs_between_evaluations * epoch + evaluate
    updates = seeds * values["agent.updates_per_epoch"]
    useful = updates * flops.of_update(name, experiment.env.spec, values)
    peak = operations / matmul
    share = lambda seconds: experiment.epochs_between_evaluations * seconds / interval
    return {
        "matmul_peak_gflops": peak / 1e9,
        "useful_gflop_per_update": useful / updates / 1e9,
        "learner_gflops": useful / learning / 1e9,
        "learner_share_of_peak": useful / learning / peak,
        "whole_run_gflops": useful * experiment.epochs_between_evaluations / interval / 1e9,
        "whole_run_share_of_peak": useful * experiment.epochs_between_evaluations / interval / peak,
        "updates_per_second_all_members": updates / epoch,
        "env_steps_per_second_all_members": seeds * values["env.num_envs"] * experiment.env.spec.horizon / epoch,
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


def learner(agent: Any, ring: Any, law: Any, count: int, batch: int) -> Callable[..., Any]:
    """U updates from one ring: sample all rows, then scan."""
    reward_fn = relabel.reward_by_index()

    def learn(state: Any, stored: Any, key: jax.Array) -> Any:
        rows = ring.sample(stored, key, count * batch, law, reward_fn)
        batches = jax.tree.map(lambda x: x.reshape(count, batch, *x.shape[1:]), rows)
        return jax.lax.scan(lambda s, rows: agent.update(s, rows, key), state, batches)[0]

    return learn


def stacked(example: Any, count: int, horizon: int) -> Any:
    """`count` trajectories of full length."""
    many = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), example)
    return many._replace(length=jnp.full((count,), horizon, jnp.int32))


PARTS: dict[str, Callable[[str, presets.Experiment, dict[str, Any], int], dict[str, float]]] = {
    "environment": measure_environment,
    "ring": measure_ring,
    "run": measure_run,
}


def measure_algorithms(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """What an update of every algorithm costs on push."""
    del name
    costs = update_costs.measure([f"{row}_push" for row in presets.ALGORITHMS], seeds)
    return {name: cost._asdict() for name, cost in costs.items()}


def measure_peers(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """Other people's code that does the same work, where it is installed (extra `bench`)."""
    del name
    return {"ours and theirs": peers.measure(seeds)}


# Parts of several tables, which need no experiment built.
ROWS: dict[str, Callable[[str, int], dict[str, dict[str, float]]]] = {
    "algorithms": measure_algorithms,
    "peers": measure_peers,
    "scaling": scaling.measure,
    "start": starting.measure,
    "caution": caution.measure,
}


def show(console: Console, title: str, figures: dict[str, float]) -> None:
    """One table."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3f}" if value < 100 else f"{value:,.0f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
