"""A whole experiment that compiles in a second: the chain of `probes`, with a picture."""

import jax.numpy as jnp
import probes
import pytest

from hindsight_jax import agents, presets, relabel, rendering, replay, training

HORIZON = 5


class PaintedChain(probes.Chain):
    """The chain seen from above: a ball in its cell."""

    def scene(self, state):
        place = jnp.dot(state.obs["observation"], jnp.arange(-2.0, 3.0))
        return rendering.sphere(jnp.stack([place, jnp.zeros(()), jnp.zeros(())]), 0.4, (0.8, 0.2, 0.2, 1.0))

    def camera(self):
        return rendering.orthographic((0.0, 0.0, 5.0), target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), height=6.0)


@pytest.fixture(scope="session")
def chain():
    return PaintedChain(horizon=HORIZON)


@pytest.fixture(scope="session")
def experiment(chain):
    """Six epochs of one trajectory and two updates, after a warm-up of two; an evaluation every two epochs."""
    agent = agents.q_learning(chain.spec, distance=chain.distance, hidden_sizes=(8, 8))
    ring = replay.make_ring(training.example_trajectory(chain), 16)
    law = lambda values: relabel.hindsight(0.15, 0.2)
    schedule = training.Schedule(
        num_envs=1, updates_per_epoch=2, batch_size=8, warmup_trajectories=2, evaluation_episodes=8
    )
    run = training.make_run(chain, agent, ring, law, relabel.reward_by_index(), schedule)
    return presets.Experiment(chain, agent, run, ring.num_bytes, num_epochs=6, epochs_between_evaluations=2)
