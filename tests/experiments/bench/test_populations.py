"""A run in short calls, with a clock of ours: when it is evaluated, what it extrapolates, and bits compared."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench import populations
from experiments.bench.sections import TimeLimitError


class Population:
    """Two members whose epoch takes 0.5 s and 10 env steps, after 20 of warm-up in 1 s; an evaluation takes 2 s."""

    def __init__(self, clock):
        self.clock, self.calls = clock, []

    def state(self, env_steps):
        return types.SimpleNamespace(members=types.SimpleNamespace(env_steps=np.array([env_steps] * 2)))

    def init(self, keys):
        self.clock.now += 1.0
        return self.state(20)

    def advance(self, state, epochs):
        self.clock.now += 0.5 * epochs
        self.calls.append(epochs)
        return self.state(int(state.members.env_steps[0]) + 10 * epochs)

    def evaluate(self, state, keys):
        self.clock.now += 2.0
        return state.members.env_steps / 100

    def record(self, state, results):
        return state, {"success_end": results - np.array([0.0, 0.1])}


@pytest.fixture
def clock(clock, monkeypatch):
    monkeypatch.setattr(populations, "time", types.SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


@pytest.fixture
def made(clock):
    """Seven epochs, evaluated after three, six and seven."""
    spec = types.SimpleNamespace(horizon=5)
    setup = types.SimpleNamespace(
        num_epochs=7, epochs_between_evaluations=3, env=types.SimpleNamespace(spec=spec), flops_per_update=1.0
    )
    values = {"env.num_envs": 2, "total_steps": 90}
    return populations.Made(values, setup, Population(clock), np.zeros(2), {"seconds_compile": 9.0})


def deadline(checks):
    """One that is over after so many checks."""
    left = iter(range(checks))

    def check():
        if next(left, None) is None:
            raise TimeLimitError("over")

    return types.SimpleNamespace(check=check)


def trained(made, checks):
    """The figures of a run, and whether it was stopped."""
    figures = {}
    try:
        for part in populations.train(made, deadline(checks)):
            figures |= part
    except TimeLimitError:
        return figures, True
    return figures, False


def test_a_whole_run_is_evaluated_when_a_run_does(made):
    figures, stopped = trained(made, 100)
    assert not stopped
    assert made.population.calls == [1, 2, 3, 1]  # a first one to see how long an epoch takes: four fit into a call
    np.testing.assert_allclose(figures["success_over_env_steps"], [[50, 0.45], [80, 0.75], [90, 0.85]])
    assert figures["success_end_of_seeds"] == pytest.approx([0.9, 0.8])
    seconds = [figures[f"seconds_{part}"] for part in ("compile", "init", "train", "evaluate")]
    assert seconds == [9.0, 1.0, 3.5, 6.0]
    assert (figures["env_steps_of_each_seed"], figures["of_env_steps"]) == (90, 90)
    assert figures["env_steps_per_second_all_members"] == pytest.approx(2 * 70 / 9.5)
    assert figures["minutes_of_the_whole"] == pytest.approx((1.0 + 9.5) / 60)


def test_a_run_that_is_stopped_extrapolates(made):
    figures, stopped = trained(made, 3)  # before the warm-up, and before each of two calls
    assert stopped
    assert made.population.calls == [1, 2]
    assert figures["success_over_env_steps"] == [[50, 0.45]]
    assert figures["env_steps_of_each_seed"] == 50
    assert figures["minutes_of_the_whole"] == pytest.approx((1.0 + (1.5 + 2.0) * 7 / 3) / 60)


def test_leaves_that_differ_in_any_bit_are_counted_and_named():
    """Minus zero equals zero and NaN no NaN, but bits are compared; keys and integers too."""
    state = {"x": jnp.array([0.0, jnp.nan]), "key": jax.random.key(0), "n": jnp.int32(3)}
    same = populations.twice("bits", lambda: state)
    assert same == {"bits_equal": True, "bits_leaves": 3, "bits_leaves_that_differ": 0, "bits_first_that_differ": []}
    other = iter([state, {"x": jnp.array([-0.0, jnp.nan]), "key": jax.random.key(1), "n": jnp.int32(3)}])
    differing = populations.twice("bits", lambda: next(other))
    assert not differing["bits_equal"]
    assert differing["bits_leaves_that_differ"] == 2
    assert sorted(differing["bits_first_that_differ"]) == ["['key']", "['x']"]
