"""Runs that learn from images: each update looks up its frames among the rings of all members."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from named_runs import small

from hindsight_jax import training
from hindsight_jax.training import epoch as epochs
from hindsight_jax.training.sharding import in_chunks

IMAGES = {"env.size": 2, "env.pixels": 36, "env.frames": 2, "env.goals": "image", "agent.updates_per_epoch": 2}


@functools.cache
def run():
    """DDPG, whose batches hold both images of s and s', and goals of the past as well as the episodes' own."""
    return small("her_ddpg_dense_navigation", **IMAGES).run


@pytest.mark.seldom
def test_members_learn_from_their_own_frames():
    """Both members at once, one after another as on a CPU's cores, and each alone: the same numbers."""
    keys = training.member_keys(0, 2)
    states = jax.jit(jax.vmap(run().init))(keys)
    at_once = jax.jit(jax.vmap(run().epoch))(states)
    one_by_one = functools.partial(functools.partial, in_chunks)
    in_turn = jax.jit(
        lambda states: epochs.epoch(run().spec, states, each=jax.vmap, each_learner=lambda f: one_by_one(f, 1))
    )(states)
    for i in range(2):
        alone = jax.jit(run().epoch)(jax.tree.map(lambda x: x[i], states))  # noqa: B023
        assert alone[1]["loss"] != 0.0
        for together in (at_once, in_turn):
            mine = jax.tree.map(lambda x: x[i], together)  # noqa: B023
            jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-6), *map(raw, (mine, alone)))
    assert at_once[1]["loss"][0] != at_once[1]["loss"][1]


def raw(tree):
    """Keys as their data."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x: np.asarray(jax.random.key_data(x) if is_key(x) else x), tree)


@pytest.mark.seldom
def test_the_steps_of_an_epoch_are_the_epoch():
    """collect, store, sample and learn: batches hold numbers of frames, and learning looks them up."""
    state = jax.jit(run().init)(jax.random.key(1))
    keys = epochs.split_key(state.key)
    after = jax.jit(run().store)(state, jax.jit(run().collect)(state, keys.collect).trajectories)
    batches = jax.jit(run().sample)(after, keys.sample)
    assert batches.observation.dtype == jnp.int32
    assert batches.observation.shape == (2, 2, 2)  # U, B, F
    learnt, metrics = jax.jit(run().learn)(after, batches, keys.learn)
    whole, of_epoch = jax.jit(run().epoch)(state)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, raw(learnt.agent), raw(whole.agent))
    close(metrics["loss"], of_epoch["loss"])
    with pytest.raises(ValueError, match="rings: got None"):
        run().learn(after._replace(replay=None), batches, keys.learn)


@pytest.mark.seldom
def test_no_epoch_copies_the_ring():
    """What is in use beside the state does not grow with the ring."""
    sizes = []
    for capacity in (8, 80):
        of_size = small("hem_navigation", **IMAGES | {"replay.capacity": capacity}).run
        population = training.make_population(of_size, chunk=1)
        compiled = population.advance.lower(population.template(training.member_keys(0, 2)), 1).compile()
        sizes.append(compiled.memory_analysis().temp_size_in_bytes)
    frames = 2 * 72 * 4 * 36 * 36 * 3  # what the larger rings hold more
    assert sizes[1] - sizes[0] < frames / 100
