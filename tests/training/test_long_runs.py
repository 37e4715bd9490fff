"""A run takes no more memory after 600 epochs than after 150, and traces nothing again."""

import collections
import gc
import os
import pathlib

import jax
import probes
import pytest

from hindsight_jax import agents, relabel, replay, training

STATM = pathlib.Path("/proc/self/statm")


def live():
    """How many arrays JAX holds, and their bytes."""
    gc.collect()
    arrays = jax.live_arrays()
    return len(arrays), sum(training.num_bytes(x) for x in arrays)


def resident():
    """Bytes of the process that are in memory."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def counted(traces, name, function):
    """The function, which notes each of its traces."""
    return lambda *arguments: traces.update([name]) or function(*arguments)


class CountedChain(probes.Chain):
    """A chain whose steps note their traces."""

    def __init__(self, traces):
        super().__init__(horizon=4)
        self.step = counted(traces, "step", super().step)


@pytest.mark.skipif(not STATM.exists(), reason="only Linux says what is resident")
@pytest.mark.seldom
def test_memory_is_flat_over_600_epochs_and_each_function_is_traced_once():
    """Each epoch with an evaluation, metrics, and the numbers on the host, as in a study's loop."""
    traces = collections.Counter()
    env = CountedChain(traces)
    agent = agents.q_learning(env.spec, distance=env.distance, hidden_sizes=(8,))
    agent = agent._replace(act=counted(traces, "act", agent.act), update=counted(traces, "update", agent.update))
    ring = replay.make_ring(training.example_trajectory(env), 64)
    sizes = training.RunSizes(2, 2, 8, 5, 16)
    run = training.make_run(env, agent, ring, relabel.hindsight(0.15, 0.2), relabel.reward_by_index(), sizes)
    population, keys = training.make_population(run), training.member_keys(0, 2)
    traces.clear()
    state, seen = population.init(keys), []
    for epoch in range(1, 601):
        state = population.advance(state, 1)
        results = population.evaluate(state, keys)
        state, metrics = training.pop_metrics(state)
        jax.device_get((results, metrics))
        if epoch % 150 == 0:
            seen.append((live(), resident()))
    assert int(state.epochs) == 600
    assert len({arrays for arrays, _ in seen}) == 1
    assert seen[-1][1] - seen[0][1] < 2**18  # two dicts of numbers, kept in each epoch, would take half more
    # the warm-up, an epoch and an evaluation, which act both; and `init` traces an epoch for the shapes of its metrics
    assert traces == {"step": 3 + 1, "act": 2 + 1, "update": 1 + 1}
