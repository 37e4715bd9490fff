"""What stands between images and success: the pictures, or the labels? Policies imitate one that was trained on states.

python -m experiments.reproduce.labels NUMBERS.json WORKDIR

WORKDIR is a run of an imitation agent on a task with continuous actions and coordinates, such as hem_reacher. The first
member's best policy explores as in training. From what it did, four policies learn under one schedule: from states or
from images (48 pixels, two frames), and from

    modes       the action that the policy means, without its exploration, for the episode's own goal
    hindsight   the action that was taken, with its exploration, for a place that the episode reached later: hEM's data

Each is told by its success with its newest weights, and with the average that `agent.averaging` acts with.

Dimension key: N episodes, T horizon, P pixels of a side, D action dims.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import agents, backend, checks, envs, relabel, replay, training, types
from hindsight_jax.checkpoints.checkpoints import CheckpointError
from hindsight_jax.envs import images
from hindsight_jax.runs import provenance, strict_json
from hindsight_jax.runs.load import Saved, load

PIXELS, FRAMES = 48, 2
EPISODES, AT_ONCE = 1_200, 100
HIDDEN_SIZES, LEARNING_RATE, AVERAGING = (256, 256), 1e-3, 200
UPDATES, EVERY, BATCH = 1_600, 400, 256
TRIED = 200  # episodes of an evaluation


class Episodes(NamedTuple):
    """What a policy did: NumPy arrays."""

    played: types.Trajectory  # [N, ..], with coordinates and the actions that were taken
    frame: Any  # u8[N, T+1, P, P, 3], of each state
    mode: Any  # f32[N, T, D], the actions that were meant


def expert(run: Saved) -> agents.ImitationState:
    """The first member's agent. ValueError for a run of another kind."""
    agent = jax.tree.map(lambda x: x[0], run.agents)
    spec = run.setup.env.spec
    if not isinstance(agent, agents.ImitationState) or not isinstance(spec.action, types.Box) or spec.images:
        rule = "it must be a run of an imitation agent, with continuous actions, from states"
        checks.fail("WORKDIR", f"a run of {run.name}", rule, "Train hem_reacher.")
    return agent


def watch(run: Saved, seen: envs.ImageEnv, count: int) -> Episodes:
    """`count` episodes of the run's policy as it explores, with what `seen` shows of them."""
    agent = expert(run)
    act = lambda observation, goal, key, explore: run.setup.agent.act(agent, observation, goal, key, explore)

    def episode(key: jax.Array) -> Episodes:
        key_start, key_steps = jax.random.split(key)
        start = seen.reset(key_start)
        goal = start.obs["desired_goal"]

        def shown(state: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
            return state.pipeline_state.observation, state.obs["achieved_goal"], state.obs["observation"][..., -3:]

        def step(state: Any, key: jax.Array):
            mode, action = (act(state.pipeline_state.observation, goal, key, explore) for explore in (False, True))
            after = seen.step(state, action)
            return after, (shown(after), mode, action, after.done > 0)

        _, (after, mode, action, ended) = jax.lax.scan(step, start, jax.random.split(key_steps, seen.spec.horizon))
        with_start = lambda first, rest: jnp.concatenate([first[None], rest])
        observation, achieved, frame = jax.tree.map(with_start, shown(start), after)
        length = jnp.where(jnp.any(ended), jnp.argmax(ended) + 1, seen.spec.horizon).astype(jnp.int32)
        return Episodes(types.Trajectory(observation, achieved, action, goal, length, jnp.any(ended)), frame, mode)

    some = jax.jit(jax.vmap(episode))
    keys = jax.random.split(jax.random.key(0), count).reshape(-1, min(count, AT_ONCE))
    return jax.tree.map(lambda *x: np.concatenate(x), *(jax.device_get(some(part)) for part in keys))


def memory(episodes: Episodes, labels: str, shown: str) -> tuple[replay.Replay, replay.ReplayState, relabel.Law]:
    """A ring that holds the episodes as `shown`, with the actions of `labels`, and the law of their goals."""
    of_modes = labels == "modes"
    observation = episodes.frame if shown == "images" else episodes.played.observation
    action = episodes.mode if of_modes else episodes.played.action
    held = jax.tree.map(jnp.asarray, episodes.played._replace(observation=observation, action=action))
    one = jax.tree.map(lambda x: x[0], held)
    ring = replay.make_ring(one, capacity=len(action), frames=FRAMES if shown == "images" else 1)
    return ring, jax.jit(ring.add)(ring.init(), held), relabel.behaviour() if of_modes else relabel.future()


def learn(seen: envs.ImageEnv, episodes: Episodes, labels: str, shown: str) -> list[dict[str, Any]]:
    """The curve of one policy: updates, loss, and success with its newest and with its averaged weights."""
    env = seen if shown == "images" else seen.task
    agent = agents.imitation(env.spec, hidden_sizes=HIDDEN_SIZES, scale_inputs=True, averaging=AVERAGING)
    ring, held, law = memory(episodes, labels, shown)

    @jax.jit
    def many(state: Any, held: replay.ReplayState, key: jax.Array):
        def update(state: Any, key: jax.Array):
            key_sample, key_update = jax.random.split(key)
            batch = ring.sample(held, key_sample, BATCH, law, relabel.reward_by_index())
            state, metrics = agent.update(state, batch, key_update)
            return state, metrics["loss"]

        return jax.lax.scan(update, state, jax.random.split(key, EVERY))

    @jax.jit
    def success(state: Any) -> jax.Array:
        policy = lambda observation, goal, key: agent.act(state, observation, goal, key, False)
        return jnp.mean(training.rollout(env, policy, jax.random.key(1), TRIED).success_any)

    state, curve = agent.init(jax.random.key(0), {"learning_rate": LEARNING_RATE}), []
    for part in range(UPDATES // EVERY):
        state, loss = many(state, held, jax.random.key(part))
        curve.append(
            {
                "updates": (part + 1) * EVERY,
                "loss": round(float(jnp.mean(loss[-40:])), 3),
                "newest": round(float(success(state._replace(averaged=state.params))), 3),
                "averaged": round(float(success(state)), 3),
            }
        )
        print(f"{shown}, {labels}: {curve[-1]}", flush=True)
    return curve


def measure(workdir: Path) -> dict[str, Any]:
    """The four curves, and what they learnt from."""
    run = load(workdir)
    expert(run)
    seen = images.ImageEnv(run.setup.env, PIXELS, FRAMES)
    episodes = watch(run, seen, EPISODES)
    length = episodes.played.length
    counts = np.arange(seen.spec.horizon) < length[:, None]
    spread = lambda x: [round(float(s), 3) for s in x[counts].std(0)]
    return {
        "run": run.name,
        "episodes": EPISODES,
        "ended_early": round(float(np.mean(length < seen.spec.horizon)), 3),  # by a success
        "deviation_of_modes": spread(episodes.mode),
        "deviation_of_actions": spread(episodes.played.action),
        "curves": {
            f"{shown}, {labels}": learn(seen, episodes, labels, shown)
            for shown in ("states", "images")
            for labels in ("modes", "hindsight")
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the numbers and returns the exit status: 0, or 2 for bad arguments."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if len(argv) != 2:
        print("usage: python -m experiments.reproduce.labels NUMBERS.json WORKDIR", file=sys.stderr)
        return 2
    backend.start_or_exit()
    try:
        numbers = provenance.describe(argv) | measure(Path(argv[1]))
        Path(argv[0]).write_text(json.dumps(strict_json.plain(numbers), indent=1) + "\n")
    except (CheckpointError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
