"""What stands between images and success: the pictures, or the labels? Policies imitate one that was trained on states.

python -m experiments.reproduce.labels NUMBERS.json WORKDIR

WORKDIR is a run of an imitation agent on a task with continuous actions and coordinates, such as hem_reacher. The first
member's best policy explores as in training. From what it did, four policies learn under one schedule: from states or
from images (48 pixels, two frames), and from

    modes       the action that the policy means, without its exploration, for the episode's own goal
    hindsight   the action that was taken, with its exploration, for a place that the episode reached later: hEM's data

Each is told by its success with its newest weights, and with the average that `agent.averaging` acts with.

Dimension key: N episodes, T horizon, B batch, U updates.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hindsight_jax import agents, checks, envs, training, types
from hindsight_jax.checkpoints.checkpoints import CheckpointError
from hindsight_jax.envs import images
from hindsight_jax.runs import strict_json
from hindsight_jax.runs.load import Saved, load

PIXELS, FRAMES = 48, 2
EPISODES, AT_ONCE = 1_200, 100
HIDDEN_SIZES, LEARNING_RATE, AVERAGING = (256, 256), 1e-3, 100
UPDATES, EVERY, BATCH = 1_600, 400, 256
TRIED = 200  # episodes of an evaluation


class Episodes(NamedTuple):
    """What a policy did, NumPy arrays [N, T, ..], of which the first `length` steps count."""

    frame: Any  # u8[N, T, P, P, 3]
    observation: Any  # f32[N, T, O]
    achieved_goal: Any  # f32[N, T, G]
    mode: Any  # f32[N, T, D], the action meant
    action: Any  # f32[N, T, D], the action taken
    goal: Any  # f32[N, G]
    length: Any  # i32[N]


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
    agent, horizon = expert(run), seen.spec.horizon
    act = lambda observation, goal, key, explore: run.setup.agent.act(agent, observation, goal, key, explore)

    def episode(key: jax.Array) -> Episodes:
        key_start, key_steps = jax.random.split(key)
        start = seen.reset(key_start)
        goal = start.obs["desired_goal"]

        def step(carry: Any, key: jax.Array):
            state, going = carry
            own: Any = state.pipeline_state
            mode, action = (act(own.observation, goal, key, explore) for explore in (False, True))
            after = seen.step(state, action)
            shown = state.obs["observation"][..., -3:], own.observation, state.obs["achieved_goal"], mode, action
            return (after, going & (after.done == 0)), (shown, going)

        _, (steps, going) = jax.lax.scan(step, (start, jnp.array(True)), jax.random.split(key_steps, horizon))
        return Episodes(*steps, goal, jnp.sum(going))

    some = jax.jit(jax.vmap(episode))
    keys = jax.random.split(jax.random.key(0), count).reshape(-1, min(count, AT_ONCE))
    return jax.tree.map(lambda *x: np.concatenate(x), *(jax.device_get(some(part)) for part in keys))


def batches(episodes: Episodes, labels: str, shown: str, count: int, seed: int) -> types.Transition:
    """`count` batches [U, B] of labelled steps: uniform steps, and of hindsight a uniform later place.

    Images stand as the numbers of their frames [U, B, F], which `learn` looks up.
    """
    draw = np.random.default_rng(seed)
    whole = np.flatnonzero(episodes.length > 1)  # the last step has nothing after it that is stored
    of = draw.choice(whole, (count, BATCH))
    before = lambda limit: np.floor(draw.random(limit.shape) * limit).astype(np.int32)
    t = before(episodes.length[of] - 1)
    later = t + 1 + before(episodes.length[of] - 1 - t)
    own = labels == "modes"
    goal = episodes.goal[of] if own else episodes.achieved_goal[of, later]
    action = (episodes.mode if own else episodes.action)[of, t]
    horizon = episodes.frame.shape[1]
    numbers = np.stack([of * horizon + np.maximum(t - back, 0) for back in reversed(range(FRAMES))], axis=-1)
    observation = episodes.observation[of, t] if shown == "states" else numbers
    zero = np.zeros(of.shape, np.float32)
    return types.Transition(
        observation, action, observation, goal, goal, goal, zero, zero, zero > 0, zero == 0, np.ones(of.shape, np.int32)
    )


def learn(seen: envs.ImageEnv, episodes: Episodes, labels: str, shown: str) -> list[dict[str, Any]]:
    """The curve of one policy: updates, loss, and success with its newest and with its averaged weights."""
    env = seen if shown == "images" else seen.task
    agent = agents.imitation(env.spec, hidden_sizes=HIDDEN_SIZES, scale_inputs=True, averaging=AVERAGING)
    frames = jnp.asarray(episodes.frame.reshape(-1, PIXELS, PIXELS, 3))

    def update(state: Any, batch: types.Transition):
        if shown == "images":
            look_up = jnp.concatenate([frames[number] for number in batch.observation.T], axis=-1)
            batch = batch._replace(observation=look_up, next_observation=look_up)
        state, metrics = agent.update(state, batch, jax.random.key(0))
        return state, metrics["loss"]

    many = jax.jit(lambda state, batch: jax.lax.scan(update, state, batch))

    @jax.jit
    def success(state: Any) -> jax.Array:
        policy = lambda observation, goal, key: agent.act(state, observation, goal, key, False)
        return jnp.mean(training.rollout(env, policy, jax.random.key(1), TRIED).success_any)

    state, curve = agent.init(jax.random.key(0), {"learning_rate": LEARNING_RATE}), []
    for part in range(UPDATES // EVERY):
        state, loss = many(state, batches(episodes, labels, shown, EVERY, seed=part))
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
    counts = np.arange(seen.spec.horizon) < episodes.length[:, None]
    spread = lambda x: [round(float(s), 3) for s in x[counts].std(0)]
    return {
        "run": run.name,
        "episodes": EPISODES,
        "ended_early": round(float(np.mean(episodes.length < seen.spec.horizon)), 3),  # by a success
        "deviation_of_modes": spread(episodes.mode),
        "deviation_of_actions": spread(episodes.action),
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
    try:
        numbers = measure(Path(argv[1]))
        Path(argv[0]).write_text(json.dumps(strict_json.plain(numbers), indent=1) + "\n")
    except (CheckpointError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
