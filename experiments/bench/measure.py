"""The parts of the benchmark, and a run of several of them.

| part | what is timed, and beside what |
|---|---|
| environment | env steps, beside a loop over nothing but `mjx.step` at the same batch |
| ring | an update on rings of 1e4 to 1e6 transitions |
| run | a whole run and each part of its epoch, beside a matrix product on the same machine |
| operations | the operations of an update, by JAX's profiler: products, and everything around them |
| algorithms | an update of every algorithm, beside its useful operations at the matrix product's speed |
| images | drawing observations, an update from them, beside its useful operations, and a run |
| peers | other libraries that do the same work, where they are installed |
| scaling | an update over members, batch, environments, devices and settings of a grid |
| startup | the start of a run, with an empty and with a full compile cache |
| lowering | kernels of an env step of every task and of an update of every algorithm; counted, not timed |
| safety | the checks for NaN and the checkpoints, as fractions of a run |
| accelerator | the first eight minutes on a GPU or TPU, in sections with time limits; alone, and only if asked for |
| jaxgcrl | JaxGCRL's contrastive RL and ours on the same tasks, run by run; only if asked for, with its Python |

What is compared is timed in turn, and the best of several rounds is kept: machines are shared and noisy, so compare
figures of one run of the benchmark only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.bench import (
    accelerator,
    epoch,
    images,
    lowering,
    operations,
    peers,
    ring,
    safety_cost,
    scaling,
    startup,
    update_cost,
)
from experiments.bench.jaxgcrl import compare
from experiments.environments import speed as env_speed
from hindsight_jax import presets
from hindsight_jax.runs import provenance

ENV_BATCH = 64

Figures = dict[str, float]


class OneTable(NamedTuple):
    """A part that measures a built setup and returns one table."""

    measure: Callable[[str, presets.Setup, dict[str, Any], int], Figures]


class SeveralTables(NamedTuple):
    """A part that builds what it needs, from a name and the number of seeds, and returns tables by their titles."""

    measure: Callable[[str, int], dict[str, Figures]]


class InSections(NamedTuple):
    """A part of its own, which chooses what it runs and hands on all of its figures after each; see `sections.run`."""

    measure: Callable[[Callable[[Mapping[str, Any]], None], Callable[[str, dict[str, Any]], None]], dict[str, Any]]


class BesidePeer(NamedTuple):
    """A part that runs another library in its own Python, and ours beside it; publishes and reports as InSections."""

    measure: Callable[
        [compare.Peer, Callable[[Mapping[str, Any]], None], Callable[[str, dict[str, Any]], None]], dict[str, Any]
    ]


def measure(
    name: str,
    seeds: int,
    parts: Sequence[str],
    report: Callable[[str, Mapping[str, Any]], None],
    write: Callable[[Mapping[str, Any]], None],
    peer: compare.Peer | None = None,
) -> dict[str, Any]:
    """Figures of the parts, in their order, with the machine's description; `report` gets each table when it is done.

    Args:
      name: of the run that is measured, such as "hdm_push_paper".
      seeds: number of members, M.
      parts: names in PARTS.
      report: called with a title and its figures.
      write: called with all figures so far, after each part, and after each figure of one that has sections.
      peer: what the part `jaxgcrl` runs; no other part needs it.

    Returns:
      part -> its table, or title -> table; and config, seeds, and `provenance.describe()`.
    """
    figures: dict[str, Any] = {"config": name, "seeds": seeds} | provenance.describe()
    values, setup = presets.config(name), None
    for part_name in parts:
        part = PARTS[part_name]
        if isinstance(part, OneTable):
            setup = setup or presets.build(name, values)
            figures[part_name] = part.measure(name, setup, values, seeds)
            report(part_name, figures[part_name])
        elif isinstance(part, (InSections, BesidePeer)):
            publish = lambda found, part_name=part_name: write(figures | {part_name: found})
            tell = lambda section, found, part_name=part_name: report(f"{part_name}: {section}", found)
            if isinstance(part, BesidePeer):
                assert peer is not None, part_name  # the command line asks for it
                figures[part_name] = part.measure(peer, publish, tell)
            else:
                figures[part_name] = part.measure(publish, tell)
        else:
            figures[part_name] = part.measure(name, seeds)
            for title, table in figures[part_name].items():
                report(f"{part_name}: {title}", table)
        write(figures)
    return figures


def measure_environment(name: str, setup: presets.Setup, values: dict[str, Any], seeds: int) -> Figures:
    """Env steps/s at a batch of ENV_BATCH, and those of a loop over nothing but mjx.step with the same controls."""
    del name, values, seeds
    speed = env_speed.measure(setup.env, [ENV_BATCH])[ENV_BATCH]
    return {name: value for name, value in speed._asdict().items() if name != "compile_seconds"}


def measure_algorithms(name: str, seeds: int) -> dict[str, Figures]:
    """The cost of an update of every algorithm on push."""
    del name
    costs = update_cost.measure([f"{algorithm}_push" for algorithm in presets.ALGORITHMS], seeds)
    return {name: cost._asdict() for name, cost in costs.items()}


def measure_peers(name: str, seeds: int) -> dict[str, Figures]:
    """Other libraries that do the same work, where they are installed (extra `bench`)."""
    del name
    return {"ours and theirs": peers.measure(seeds)}


PARTS: dict[str, OneTable | SeveralTables | InSections | BesidePeer] = {
    "environment": OneTable(measure_environment),
    "ring": OneTable(ring.measure),
    "run": OneTable(epoch.measure),
    "operations": OneTable(operations.measure),
    "algorithms": SeveralTables(measure_algorithms),
    "images": SeveralTables(images.measure),
    "peers": SeveralTables(measure_peers),
    "scaling": SeveralTables(scaling.measure),
    "startup": SeveralTables(startup.measure),
    "lowering": SeveralTables(lowering.measure),
    "safety": SeveralTables(safety_cost.measure),
    "accelerator": InSections(accelerator.measure),
    "jaxgcrl": BesidePeer(compare.measure),
}
