"""The bench of the ring: its stored trajectories, its learner, and its quotient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bench_values import VALUES, positive

from experiments.bench import ring
from hindsight_jax import relabel, replay, training


def test_stacked_trajectories_are_of_full_length(chain):
    example = training.example_trajectory(chain)
    many = ring.stacked(example, 3, 5)
    assert many.length.tolist() == [5, 5, 5]
    assert many.length.dtype == jnp.int32
    shapes = jax.tree.map(lambda one, all_: all_.shape == (3, *one.shape) and all_.dtype == one.dtype, example, many)
    assert all(jax.tree.leaves(shapes))


def test_the_learner_does_its_updates_in_one_call(chain, experiment):
    example = training.example_trajectory(chain)
    buffer = replay.make_ring(example, 3)
    learn = ring.learner(experiment.agent, buffer, relabel.hindsight(0.15, 0.2), count=7, batch=4)
    stored = buffer.add(buffer.init(), ring.stacked(example, 3, 5))
    state = experiment.agent.init(jax.random.key(0))
    after = jax.eval_shape(learn, state, stored, jax.random.key(1))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    scans = [e for e in jax.make_jaxpr(learn)(state, stored, jax.random.key(1)).eqns if e.primitive.name == "scan"]
    assert 7 in [scan.params["length"] for scan in scans]


@pytest.mark.seldom
def test_rings_are_compared_by_their_quotient(experiment, short):
    figures = ring.measure("hdm_push", experiment, VALUES, 1)
    positive(figures)
    small, large = figures["microseconds_per_update_1e4"], figures["microseconds_per_update_2e4"]
    np.testing.assert_allclose(figures["ratio"], max(small, large) / small)
