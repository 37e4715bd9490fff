"""Populations: members of different seeds and settings, and their numbers on several devices, bit for bit."""

import math
import os
import pathlib
import subprocess
import sys

import compiles
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain_runs import assert_close, assert_same_bits, member, plain, started, tiny

from hindsight_jax import training

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = """
import sys, warnings
warnings.filterwarnings("ignore", "JAXopt")
import jax, jax.numpy as jnp, numpy as np
from hindsight_jax import presets, training
from hindsight_jax.checkpoints.checkpoints import Checkpoints

jax.config.update("jax_disable_most_optimizations", True)
values = presets.config("hdm_flip_bit") | {
    "env.size": 3, "env.num_envs": 2, "evaluation.episodes": 8, "agent.hidden_sizes": (8,), "agent.batch_size": 4,
    "agent.updates_per_epoch": 2, "replay.warmup": 2, "replay.capacity": 10, "total_steps": 60,
}
run = presets.build("hdm_flip_bit", values).run
keys, own = training.member_keys(0, 4), {"agent.epsilon": jnp.array([0.1, 0.4, 0.7, 1.0])}
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **more: compiled.append(more["fun_name"]) if event.endswith("backend_compile_duration") else None)
programs = ["jit(advance)", "jit(evaluate)", "jit(init)", "jit(record)"]

def play(population, state, epochs):
    seen = []
    for _ in range(epochs):
        state = population.advance(state, 1)
        results = population.evaluate(state, keys)
        state, columns = population.record(state, results)
        seen.append(jax.device_get(columns))
    return state, seen

def plain(tree):
    data = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    return jax.device_get(jax.tree.map(data, tree))

def near(one, other):
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=jax.tree_util.keystr(path))

# by how many devices, and how many members learn at once: None is the default of a CPU, 1
counts = [(1, 4), *((int(count), None) for count in sys.argv[2:])]
populations = {
    (count, chunk): training.make_population(run, jax.local_devices()[:count], chunk) for count, chunk in counts
}
kept = {}
for count, chunk in counts:
    population = populations[count, chunk]
    before = len(compiled)
    if count > 1:
        population.compile(keys, own)
        assert sorted(compiled[before:]) == programs
    start = population.init(keys, own)
    template = population.template(keys)
    assert jax.tree.structure(start) == jax.tree.structure(template)
    for value, wanted in zip(jax.tree.leaves(start), jax.tree.leaves(template), strict=True):
        assert (value.shape, value.dtype) == (wanted.shape, wanted.dtype)
        assert len(value.sharding.device_set) == count
        assert value.sharding.is_equivalent_to(wanted.sharding, value.ndim)
    begun, seen = play(population, start, 1)
    number = len(compiled)
    assert sorted(name for name in compiled[before:] if name in programs) == programs  # each once, ahead or when called
    half, more = play(population, begun, 2)
    assert len(compiled) == number, compiled[number:]
    store = Checkpoints(f"{sys.argv[1]}/{count}")
    store.save(3, half)
    store.wait()
    kept[count] = plain(half), seen + more, store
    near(kept[count][0], kept[1][0])
    near(kept[count][1], kept[1][1])
    action = lambda state: state.members.replay.trajectories.action
    assert np.array_equal(action(kept[count][0]), action(kept[1][0]))

# saved by one device, taken up by four, and the other way round
ends = {}
for count, chunk, source in ((1, 4, 1), (4, None, 1), (1, 4, 4)):
    population = populations[count, chunk]
    _, state, _ = kept[source][2].restore(population.template(keys))
    assert all(len(leaf.sharding.device_set) == count for leaf in jax.tree.leaves(state))
    ends[count, source] = plain(play(population, state, 2)[0])
near(ends[4, 1], ends[1, 1])
near(ends[1, 4], ends[1, 1])

last = jax.local_devices()[3]
alone = training.make_population(run, [last]).init(keys, own)
assert all(leaf.sharding.device_set == {last} for leaf in jax.tree.leaves(alone))

assert [len(training.devices_for(members)) for members in (1, 2, 3, 4, 6, 7, 8)] == [1, 2, 3, 4, 3, 1, 4]
try:
    training.make_population(run, jax.local_devices()[:3]).init(keys)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "counts", [pytest.param(("4",), marks=pytest.mark.seldom), pytest.param(("2", "4"), marks=pytest.mark.slow)]
)
def test_devices_change_no_member_s_numbers_and_a_checkpoint_moves_between_counts(counts, tmp_path):
    """In a process that sees four devices; near, not equal: products of fewer members may be summed otherwise."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": compiles.xla_flags("--xla_force_host_platform_device_count=4"),
    }
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), *counts]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "keys: got 4 members, but each of the 3 devices must have as many members as the others. "
        "Pass devices=training.devices_for(num_members).\n"
    )


def test_one_device_serves_any_number_of_members():
    assert training.devices_for(7) == (jax.local_devices()[0],)
    with pytest.raises(ValueError, match="num_members: got 0"):
        training.devices_for(0)


# Counts and seeds


@pytest.mark.seldom
def test_seeds_are_all_different():
    """In their first weights, their warm-up, what they collect, and what they learn."""
    state, _ = started()
    first = plain(state.members)
    state, metrics = training.pop_metrics(tiny().advance(state, 3))
    last = plain(state.members)
    kernel = lambda members: members.agent.params["params"]["MLP_0"]["Dense_0"]["kernel"]
    for values in (
        kernel(first),
        first.replay.trajectories.action,
        first.replay.trajectories.desired_goal,
        first.key,
        kernel(last),
        last.replay.trajectories.action[:, 5:11],
        last.key,
        plain(metrics)["loss"],
    ):
        assert len(np.unique(values.reshape(4, -1), axis=0)) == 4


def test_keys_of_members_are_those_of_their_seeds():
    keys = training.member_keys(5, 3)
    np.testing.assert_array_equal(plain(keys), plain(jnp.stack([jax.random.key(seed) for seed in (5, 6, 7)])))
    with pytest.raises(ValueError, match="num_members"):
        training.member_keys(0, 0)


def test_keys_of_another_generator_start_the_members_of_their_seeds():
    """rbg draws for all members from the first one's key."""
    usual, _ = started()
    with jax.default_prng_impl("rbg"):
        keys = jax.vmap(jax.random.key)(jnp.arange(4))
    assert_same_bits(tiny().init(keys), usual)


# Members that differ


def test_members_with_values_of_their_own_equal_separate_runs():
    values = {
        "agent.gamma_hdm": jnp.array([0.0, 0.85, 0.85, math.inf]),
        "relabel.next_state": jnp.array([0.2, 0.0, 1.0, 0.2]),
        "relabel.behaviour": jnp.array([0.15, 0.15, 0.0, 0.15]),
        "agent.epsilon": jnp.array([0.1, 0.0, 1.0, 0.1]),
    }
    state, keys = started(4, values)
    first = plain(state.members)
    np.testing.assert_array_equal(state.members.agent.hparams.gamma_hdm, values["agent.gamma_hdm"])
    state, metrics = training.pop_metrics(tiny().advance(state, 5))
    np.testing.assert_array_equal(metrics["imitated_fraction"][jnp.array([0, 3])], [0.0, 1.0])
    assert 0.0 < float(metrics["imitated_fraction"][1]) < 1.0
    assert float(metrics["reward_mean"][2]) == 0.0  # all goals are next states
    assert -1.0 < float(metrics["reward_mean"][1]) < 0.0  # the last step's future is its next state
    results = tiny().evaluate(state, keys)
    for i in range(4):
        alone, key = started(1, {name: value[i : i + 1] for name, value in values.items()}, seed=i)
        assert_close(member(first, i), member(alone.members, 0), 0)
        alone, expected = training.pop_metrics(tiny().advance(alone, 5))
        assert_close(member(state.members, i), member(alone.members, 0), 1e-5)
        assert_close(member(metrics, i), member(expected, 0), 1e-5)
        assert_close(member(results, i), member(tiny().evaluate(alone, key), 0), 1e-5)


def test_values_equal_to_the_defaults_change_nothing():
    defaults = {"agent.gamma_hdm": 0.85, "relabel.next_state": 0.2, "relabel.behaviour": 0.15, "agent.epsilon": 0.1}
    values = {name: jnp.full(4, value) for name, value in defaults.items()}
    assert_same_bits(started(4, values)[0], started(4)[0])


def test_a_member_that_breaks_leaves_the_others_alone():
    """NaN in the weights of member 1: the bits of all others are those of a sound population."""
    sound, _ = started()
    broken, _ = started()
    poison = lambda x: x.at[1].set(jnp.nan)
    agent = broken.members.agent._replace(params=jax.tree.map(poison, broken.members.agent.params))
    broken = broken._replace(members=broken.members._replace(agent=agent))
    sound, broken = tiny().advance(sound, 5), tiny().advance(broken, 5)
    assert np.isnan(broken.metric_sums["loss"][1])
    others = np.array([0, 2, 3])
    assert_same_bits(
        jax.tree.map(lambda x: x[others], plain((broken.members, broken.metric_sums))),
        jax.tree.map(lambda x: x[others], plain((sound.members, sound.metric_sums))),
    )


# Refusals


@pytest.mark.parametrize("values", [{"agent.gamma_hdm": [-1.0, 0.5]}, {"agent.target_period": [0.0, 1.0]}])
def test_numbers_of_members_out_of_range_are_refused(values):
    """Inside of jit they are not known: they are checked before it."""
    values = {name: jnp.array(value) for name, value in values.items()}
    with pytest.raises(ValueError, match=next(iter(values)).removeprefix("agent.")):
        tiny().init(training.member_keys(0, 2), values)


def test_a_mesh_around_the_call_is_refused():
    with (
        jax.set_mesh(jax.make_mesh((1,), ("x",))),
        pytest.raises(ValueError, match=r"^jax.set_mesh: got .*no mesh may be"),
    ):
        tiny().init(training.member_keys(0, 2))
