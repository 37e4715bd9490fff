"""Q beside the returns of trajectories: python -m experiments.reproduce.q_values --workdir=DIR.

For hindsight goals g that a stored trajectory reached from s after k actions, the mean of Q(s, a, g) over the replay
ring stands beside the return of the trajectory itself,

    -(1 - gamma^(k-1)) / (1 - gamma)    for rewards of -1, and 0 on arrival.

The best policy reaches g in k actions or fewer, so a mean Q below that return is too low. The table is for Q-learning
with these rewards, by index. A run with line 2 of HDM's Algorithm 1 as a loss (agent.next_state=loss) has another one:
the mean of Q(s_t, a_t, phi(s_{t+1})), which line 2 raises, at some steps t.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import backend, checks, presets, relabel, replay, training, types
from hindsight_jax.checkpoints.checkpoints import CheckpointError, Checkpoints
from hindsight_jax.runs import config_file
from hindsight_jax.runs.files import WorkDirError
from hindsight_jax.runs.workdir import WorkDir

OFFSETS = (1, 2, 5, 10, 20, 30, 40)
STEPS = (0, 5, 10, 20, 30, 40, 49)
NUM_ROWS = 200_000


def main(argv: Sequence[str] | None = None) -> int:
    """Prints one table over all members; the exit status is 2 for bad arguments."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if len(argv) != 1 or not argv[0].startswith("--workdir="):
        print("usage: python -m experiments.reproduce.q_values --workdir=DIR", file=sys.stderr)
        return 2
    backend.start_or_exit()
    path = Path(argv[0].removeprefix("--workdir="))
    try:
        WorkDir.open(path)
        name, config, grid = config_file.load(path / "config.json")
        if grid:
            checks.fail("--workdir", "a run of a grid", "the table is of one setting", "Take a run without a grid.")
        by_step = config.get("agent.next_state") == "loss"
        figures = (of_next_states if by_step else measure)(name, config, path / "checkpoints")
    except (WorkDirError, CheckpointError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    columns = (
        ["step", "mean Q(s, a, s')"]
        if by_step
        else ["actions to the goal", "return of the trajectory", "mean Q(s, a, g)"]
    )
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for count, *numbers in figures:
        print(f"| {count} | {' | '.join(f'{number:.2f}' for number in numbers)} |")
    return 0


def of_next_states(name: str, values: dict[str, Any], checkpoints: Path) -> list[tuple[int, float]]:
    """(t, mean over members and stored trajectories of Q(s_t, a_t, phi(s_{t+1}))) for each t of STEPS."""
    setup, state, keys = restored(name, values, checkpoints)
    mean_q = jax.jit(lambda agent, transitions: setup.agent.update(agent, transitions, keys[0])[1]["q_mean"])
    found = []
    for t in [t for t in STEPS if t < setup.env.spec.horizon]:
        members = [jax.tree.map(lambda x, i=i: x[i], state.members) for i in range(values["seeds"])]
        q = [
            mean_q(member.agent, next_states(member.replay.trajectories, t, int(member.replay.size)))
            for member in members
        ]
        found.append((t, float(np.mean(q))))
    return found


def next_states(stored: types.Trajectory, t: int, size: int) -> types.Transition:
    """The step t of the first `size` trajectories [C, ...], all of T actions, relabelled with its next state."""
    at = lambda x, i: x[:size, i]
    one, flag = jnp.ones(size), jnp.ones(size, bool)
    return types.Transition(
        observation=at(stored.observation, t),
        action=at(stored.action, t),
        next_observation=at(stored.observation, t + 1),
        goal=at(stored.achieved_goal, t + 1),
        achieved_goal=at(stored.achieved_goal, t),
        next_achieved_goal=at(stored.achieved_goal, t + 1),
        reward=-one,
        discount=one,
        is_next=flag,
        relabelled=flag,
        offset=flag.astype(jnp.int32),
    )


def restored(name: str, values: dict[str, Any], checkpoints: Path) -> tuple[presets.Setup, Any, Any]:
    """(setup, the population's state in its newest checkpoint, the members' keys)."""
    setup = presets.build(name, values)
    population = training.make_population(setup.run)
    keys = training.member_keys(values["seed"], values["seeds"])
    return setup, Checkpoints(checkpoints).restore(population.template(keys))[1], keys


def measure(name: str, values: dict[str, Any], checkpoints: Path) -> list[tuple[int, float, float]]:
    """(k, return of the trajectory, mean Q over members) for each k of OFFSETS up to the horizon."""
    refuse_without_q(name, values)
    setup, state, keys = restored(name, values, checkpoints)
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
    """Raises ValueError unless the run learns Q for rewards of -1 and 0, by index, which a beta of 1 leaves alone."""
    got = [values.get(f"relabel.{field}") for field in ("rewards", "reward_reached", "reward_otherwise")]
    if "agent.backup" not in values or got != ["index", 0.0, -1.0] or values.get("agent.beta", 1.0) != 1.0:
        rule = "the table is for Q-learning with rewards of -1, and 0 for the next state by index"
        checks.fail("--workdir", f"a run of {name}", rule, "Take a run of hdm, her or her_hbc.")


if __name__ == "__main__":
    sys.exit(main())
