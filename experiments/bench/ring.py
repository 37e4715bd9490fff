"""The time of an update on rings of different sizes.

Dimension key: U updates of an epoch, B batch, N trajectories.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.bench.timing import best_of
from hindsight_jax import presets, relabel, replay, training

SIZES = (10_000, 100_000, 1_000_000)  # transitions


def measure(name: str, setup: presets.Setup, values: dict[str, Any], seeds: int) -> dict[str, float]:
    """Microseconds of one update, sampling included, of one member on a full ring of each size."""
    del name, seeds
    env, agent = setup.env, setup.agent
    example = training.example_trajectory(env)
    horizon, count, batch = env.spec.horizon, values["agent.updates_per_epoch"], values["agent.batch_size"]
    law = relabel.hindsight(values["relabel.behaviour"], values["relabel.next_state"])
    calls = []
    for size in SIZES:
        ring = replay.make_ring(example, size // horizon)
        full = jax.jit(ring.add)(ring.init(), stacked(example, size // horizon, horizon))
        learn = jax.jit(learner(agent, ring, law, count, batch))
        state = jax.jit(agent.init)(jax.random.key(0))
        calls.append(lambda learn=learn, state=state, full=full: learn(state, full, jax.random.key(1)))
    seconds = best_of(*calls)
    labels = [f"{size:.0e}".replace("e+0", "e") for size in SIZES]
    figures = {f"microseconds_per_update_{text}": 1e6 * s / count for text, s in zip(labels, seconds, strict=True)}
    return figures | {"ratio": max(seconds) / seconds[0]}


def learner(agent: Any, ring: Any, law: Any, count: int, batch: int) -> Callable[..., Any]:
    """learn(agent_state, ring_state, key): draws the U batches in one call, then scans over U updates."""
    reward_fn = relabel.reward_by_index()

    def learn(state: Any, stored: Any, key: jax.Array) -> Any:
        transitions = ring.sample(stored, key, count * batch, law, reward_fn)
        batches = jax.tree.map(lambda x: x.reshape(count, batch, *x.shape[1:]), transitions)
        return jax.lax.scan(lambda s, batch: agent.update(s, batch, key), state, batches)[0]

    return learn


def stacked(example: Any, count: int, horizon: int) -> Any:
    """N trajectories of zeros, of full length."""
    many = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), example)
    return many._replace(length=jnp.full((count,), horizon, jnp.int32))
