"""Q beside the returns of trajectories: python -m experiments.reproduce.q_values --workdir=DIR.

For hindsight goals g that a stored trajectory reached from s after k actions, the mean of Q(s, a, g) over the replay
ring stands beside the return of the trajectory itself,

    -(1 - gamma^(k-1)) / (1 - gamma)    for rewards of -1, and 0 on arrival.

The best policy reaches g in k actions or fewer, so a mean Q below that return is too low. The last rows are of the
episodes that missed their goal: the return is at most that of the steps that are left, and a Q that rises on the way
takes a miss for progress. The table is for Q-learning with these rewards, by index. A run with line 2 of HDM's
Algorithm 1 as a loss (agent.next_state=loss) has another one: the mean of Q(s_t, a_t, phi(s_{t+1})), which line 2
raises, at some steps t.

Dimension key: C trajectories that are stored, N of them that are taken, G of a goal.
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
LEFT = (50, 40, 30, 20, 10)  # actions to the end of an episode that missed its goal
NUM_ROWS = 200_000
SHOWN = 1024  # whose mean is taken


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
        figures: Any = (of_next_states if by_step else measure)(name, config, path / "checkpoints")
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
    members = [training.local_member(state.members, i) for i in range(values["seeds"])]
    for t in [t for t in STEPS if t < setup.env.spec.horizon]:
        q = []
        for member in members:
            stored, size = member.replay.trajectories, int(member.replay.size)
            q.append(mean_q(member.agent, steps(stored, t, np.arange(size), stored.achieved_goal[:size, t + 1])))
        found.append((t, float(np.mean(q))))
    return found


def steps(stored: types.Trajectory, t: int, rows: np.ndarray, goal: Any) -> types.Transition:
    """The step t of the trajectories `rows` [N] of `stored` [C, ...], all of more than t actions, with goals [N, G]."""
    at = lambda x, i: x[rows, i]
    one, flag = jnp.ones(len(rows)), jnp.ones(len(rows), bool)
    return types.Transition(
        observation=at(stored.observation, t),
        action=at(stored.action, t),
        next_observation=at(stored.observation, t + 1),
        goal=goal,
        achieved_goal=at(stored.achieved_goal, t),
        next_achieved_goal=at(stored.achieved_goal, t + 1),
        reward=-one,
        discount=one,
        is_next=flag,
        relabelled=flag,
        offset=flag.astype(jnp.int32),
        start_reward=-one,
    )


def missed(stored: types.Trajectory, size: int, distance: Any, threshold: float) -> np.ndarray:
    """Which of the first `size` trajectories, as bool[size], came to no state at their own goal."""
    whole = jax.tree.map(lambda x: np.asarray(x[:size]), stored)
    apart = jax.vmap(jax.vmap(distance, (0, None)))(whole.achieved_goal[:, 1:], whole.desired_goal)
    there = np.asarray(apart) < threshold
    return ~np.any(there & (np.arange(there.shape[1]) < whole.length[:, None]), axis=1)


def restored(name: str, values: dict[str, Any], checkpoints: Path) -> tuple[presets.Setup, Any, Any]:
    """(setup, the population's state in its newest checkpoint, the members' keys)."""
    setup = presets.build(name, values)
    population = training.make_population(setup.run)
    keys = training.member_keys(values["seed"], values["seeds"])
    return setup, Checkpoints(checkpoints).restore(population.template(keys))[1], keys


def measure(name: str, values: dict[str, Any], checkpoints: Path) -> list[tuple[int | str, float, float]]:
    """(k, return of the trajectory, mean Q over members) for each k of OFFSETS up to the horizon; then the same of
    episodes that missed their goal, for the numbers LEFT of actions to their end, if every member's ring has such."""
    refuse_without_q(name, values)
    setup, state, keys = restored(name, values, checkpoints)
    members = [training.local_member(state.members, i) for i in range(values["seeds"])]
    ring = replay.make_ring(training.example_trajectory(setup.env), values["replay.capacity"])
    reward_fn = relabel.reward_by_index()
    sample = jax.jit(lambda stored, key: ring.sample(stored, key, NUM_ROWS, relabel.future(), reward_fn))
    mean_q = jax.jit(lambda agent, transitions: setup.agent.update(agent, transitions, keys[0])[1]["q_mean"])
    horizon, gamma = setup.env.spec.horizon, values["agent.gamma"]
    value = lambda count: -sum(gamma**n for n in range(count))
    q: dict[int | str, list[float]] = {}
    returns: dict[int | str, float] = {}
    for i, member in enumerate(members):
        transitions = jax.device_get(sample(member.replay, keys[i]))
        for k in [k for k in OFFSETS if k <= horizon]:
            index = np.resize(np.flatnonzero(transitions.offset == k), SHOWN)
            of_k = jax.tree.map(lambda x, index=index: x[index], transitions)
            q.setdefault(k, []).append(float(mean_q(member.agent, of_k)))
            returns[k] = value(k - 1)
        stored = member.replay.trajectories
        failed = missed(stored, int(member.replay.size), setup.env.distance, setup.env.spec.threshold)
        for left in [left for left in LEFT if left <= horizon]:
            rows = np.flatnonzero(failed & (np.asarray(stored.length)[: len(failed)] > horizon - left))
            if len(rows):
                rows = np.resize(rows, SHOWN)
                of_left = steps(stored, horizon - left, rows, stored.desired_goal[rows])
                label = f"missed, {left} left"
                q.setdefault(label, []).append(float(mean_q(member.agent, of_left)))
                returns[label] = value(left)
    return [(label, returns[label], float(np.mean(found))) for label, found in q.items() if len(found) == len(members)]


def refuse_without_q(name: str, values: dict[str, Any]) -> None:
    """Raises ValueError unless the run learns Q for rewards of -1 and 0, by index, which a beta of 1 leaves alone."""
    got = [values.get(f"relabel.{field}") for field in ("rewards", "reward_reached", "reward_otherwise")]
    if "agent.backup" not in values or got != ["index", 0.0, -1.0] or values.get("agent.beta", 1.0) != 1.0:
        rule = "the table is for Q-learning with rewards of -1, and 0 for the next state by index"
        checks.fail("--workdir", f"a run of {name}", rule, "Take a run of hdm, her or her_hbc.")


if __name__ == "__main__":
    sys.exit(main())
