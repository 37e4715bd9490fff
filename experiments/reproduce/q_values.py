"""Q beside the returns of trajectories: python -m experiments.reproduce.q_values --workdir=DIR.

For hindsight goals g that a stored trajectory reached from s after k actions, the mean of Q(s, a, g) over the replay
ring stands beside the return of the trajectory itself,

    -(1 - gamma^(k-1)) / (1 - gamma)    for rewards of -1, and 0 on arrival.

The best policy reaches g in k actions or fewer, so a mean Q below that return is too low. The table is for Q-learning
with these rewards, by index.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hindsight_jax import checks, presets, relabel, replay, training
from hindsight_jax.checkpoints.checkpoints import CheckpointError, Checkpoints
from hindsight_jax.runs import config_file
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.workdir import WorkDir

OFFSETS = (1, 2, 5, 10, 20, 30, 40)
NUM_ROWS = 200_000


def main(argv: Sequence[str] | None = None) -> int:
    """Prints one table over all members; the exit status is 2 for bad arguments."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if len(argv) != 1 or not argv[0].startswith("--workdir="):
        print("usage: python -m experiments.reproduce.q_values --workdir=DIR", file=sys.stderr)
        return 2
    path = Path(argv[0].removeprefix("--workdir="))
    try:
        WorkDir.open(path)
        name, config, grid = config_file.load(path / "config.json")
        if grid:
            checks.fail("--workdir", "a run of a grid", "the table is of one setting", "Take a run without a grid.")
        figures = measure(name, config, path / "checkpoints")
    except (WorkDirError, CheckpointError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("| actions to the goal | return of the trajectory | mean Q(s, a, g) |\n|---|---|---|")
    for offset, trajectory_return, q in figures:
        print(f"| {offset} | {trajectory_return:.2f} | {q:.2f} |")
    return 0


def measure(name: str, values: dict[str, Any], checkpoints: Path) -> list[tuple[int, float, float]]:
    """(k, return of the trajectory, mean Q over members) for each k of OFFSETS up to the horizon."""
    refuse_without_q(name, values)
    setup = presets.build(name, values)
    population = training.make_population(setup.run)
    keys = training.member_keys(values["seed"], values["seeds"])
    _, state, _ = Checkpoints(checkpoints).restore(population.template(keys))
    ring = replay.make_ring(training.example_trajectory(setup.env), values["replay.capacity"])
    reward_fn = relabel.reward_by_index()
    sample = jax.jit(lambda stored, key: ring.sample(stored, key, NUM_ROWS, relabel.future(), reward_fn))
    mean_q = jax.jit(lambda agent, transitions: setup.agent.update(agent, transitions, keys[0])[1]["q_mean"])
    offsets = [k for k in OFFSETS if k <= setup.env.spec.horizon]
    q = np.zeros((values["seeds"], len(offsets)))
    for i in range(values["seeds"]):
        member = jax.tree.map(lambda x, i=i: x[i], state.members)
        transitions = jax.device_get(sample(member.replay, keys[i]))
        for j, k in enumerate(offsets):
            index = np.resize(np.flatnonzero(transitions.offset == k), 1024)
            q[i, j] = mean_q(member.agent, jax.tree.map(lambda x, index=index: x[index], transitions))
    gamma = values["agent.gamma"]
    return [(k, -sum(gamma**n for n in range(k - 1)), float(mean)) for k, mean in zip(offsets, q.mean(0), strict=True)]


def refuse_without_q(name: str, values: dict[str, Any]) -> None:
    """Raises ValueError unless the run learns Q for rewards of -1 and 0, by index."""
    got = [values.get(f"relabel.{field}") for field in ("rewards", "reward_reached", "reward_otherwise")]
    if "agent.backup" not in values or got != ["index", 0.0, -1.0]:
        rule = "the table is for Q-learning with rewards of -1, and 0 for the next state by index"
        checks.fail("--workdir", f"a run of {name}", rule, "Take a run of hdm, her or her_hbc.")


if __name__ == "__main__":
    sys.exit(main())
